"""`rnnbench publish` and `rnnbench verify`: records go to others, records of others are run again."""

import sys
from contextlib import closing
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any

from jsonargparse import Namespace

from rnnbench.config.grid import RunSpec
from rnnbench.config.registry import packages
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.render import write_markdown
from rnnbench.leaderboard.table import read_board
from rnnbench.records.artefacts import ArtefactStore, read_artefacts
from rnnbench.records.certificates import Certificates
from rnnbench.records.find import find_run
from rnnbench.records.record import Record, RecordStore
from rnnbench.records.status import CurrentVersions
from rnnbench.records.submissions.publish import PublishedFiles, provenance, reasons_to_refuse, select
from rnnbench.records.submissions.publish import publish as publish_one
from rnnbench.records.submissions.verify import compare
from rnnbench.utils.text import clean


def publish(options: Namespace) -> int:
    """Copy chosen records into a leaderboard; all of them, or none if any is refused.

    Raises:
        RnnbenchError: nothing is chosen, something is refused, or the leaderboard cannot be written.
    """
    records, _ = RecordStore(options.leaderboard).read()
    chosen = select(options.records, records)
    certificates = Certificates(options.leaderboard)
    if why := reasons_to_refuse(chosen, CurrentVersions.of(records.values(), certificates), options.to):
        raise RnnbenchError("nothing is published:\n" + "\n".join(why))
    done, target = PublishedFiles(), RecordStore(options.to)
    for record in chosen:
        _artefacts(record, options.leaderboard, options.to)
        publish_one(record, source := provenance(options.by, needs(record.spec)), target, done)
        ask = f"; to verify it takes {', '.join(source.needs)}" if source.needs else ""
        print(f"{clean(record.spec.label)}: {_hardware(record)}{ask}")
    keys = {(record.spec.configuration, record.code_version) for record in chosen}
    if options.leaderboard.resolve() != options.to.resolve():
        Certificates(options.to).add(one for key, one in certificates.all.items() if key in keys)
    commit, clean_tree = source.commit, source.clean
    tree = "" if clean_tree is None else f" at {commit[:10]}, {'clean' if clean_tree else 'with changes not committed'}"
    print(f"{len(done.written)} published, {len(done.already)} there already; rnnbench {source.version}{tree}")
    print(f"board: {write_markdown(options.to, read_board(options.to)[0])}")
    print(f"what a pull request will change: rnnbench board --preview --leaderboard {quote(str(options.to))}")
    return 0


def _artefacts(record: Record, source: Path, target: Path) -> None:
    """What a run has made goes with its record.

    Raises:
        RnnbenchError: it cannot be read or written.
    """
    path = ArtefactStore(source).folder / record.file
    if path.is_file() and source.resolve() != target.resolve():
        ArtefactStore(target).write(record.spec, read_artefacts(path, record.spec).items)


def _hardware(record: Record) -> str:
    where = record.environment
    return record.status if where is None else clean(f"{record.status} on {where.device}, {where.processor}")


def needs(spec: RunSpec) -> list[str]:
    """What it takes to run a spec, beside rnnbench and archives that anyone can fetch."""
    told = [f"the file of `{name}`" for name in spec.architecture.files]
    told += [f"the code of `{path}`" for path in foreign(spec)]
    return told if foreign(spec) else told + _data(spec)


def _data(spec: RunSpec) -> list[str]:
    from lightning.pytorch import LightningDataModule

    from rnnbench.harness.instantiate import import_class

    data = import_class(spec.task.data.class_path, LightningDataModule, spec.task.name)
    return [f"the data of {spec.task.name}, by a path or from a hub"] if getattr(data, "user_path_arg", "") else []


def foreign(spec: RunSpec) -> list[str]:
    """Class paths of a spec that neither we nor a registered plug-in provide."""
    paths = (spec.architecture.class_path, spec.task.data.class_path)
    return [path for path in paths if path.partition(".")[0] not in packages()]


def verify(options: Namespace) -> int:
    """Run a record's spec again and compare; 0 if it is reproduced, else 1.

    Raises:
        RnnbenchError: there is no such record, it asks for code that is not to be trusted, or something cannot be run.
    """
    if not 0 <= options.tolerance < 1:
        raise RnnbenchError(f"--tolerance is a share of the score, from 0 to below 1, got {options.tolerance}")
    record = find_run(options.record, RecordStore(options.leaderboard).read()[0])
    if (code := foreign(record.spec)) and not options.trust:
        raise RnnbenchError(f"this record would run {', '.join(code)}, which is no code of ours: read it, "
                            "then say --trust")  # fmt: skip
    print(f"running {clean(record.spec.label)} ({record.id}) again", file=sys.stderr)
    verdict = compare(record, _again(record.spec), options.tolerance)
    for note in verdict.notes:
        print(clean(note))
    print(clean(verdict.words))
    return 0 if verdict.reproduced else 1


def _again(spec: RunSpec) -> Record:
    from rnnbench.harness.executors.inline import InlineExecutor
    from rnnbench.harness.executors.loop import run_jobs
    from rnnbench.harness.job import Job

    executor = InlineExecutor()
    executor.check([spec])
    with TemporaryDirectory(prefix="rnnbench-verify-") as folder:
        job = Job(spec, "verify", Path(folder, spec.id), loggers=())
        with closing(run_jobs(executor, [job], _Silent())) as records:
            record = next(records)
    if record.unprepared:
        raise RnnbenchError(f"{clean(spec.label)} cannot be run again: {clean(record.reason)}")
    return record


class _Silent:
    """A watcher that says nothing."""

    def on_event(self, event: Any) -> None: ...
