"""`rnnbench publish`."""

from collections import defaultdict
from pathlib import Path
from shlex import quote

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_folders
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.board import read_board
from rnnbench.leaderboard.render import write_markdown
from rnnbench.records.artefacts import ArtefactStore, read_artefacts
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Record
from rnnbench.records.selection import study_of
from rnnbench.records.status import CurrentVersions
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.publish import (
    PublishedFiles,
    provenance,
    publish,
    publish_trials,
    reasons_to_refuse,
    select,
    with_trials,
)
from rnnbench.records.tracks import tracks_of
from rnnbench.records.trust import foreign
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "records",
        nargs="+",
        help="starts of ids; task/architecture/seed or a part, where * stands for anything; or paths",
    )
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="the leaderboard that receives them")
    parser.add_argument("--by", type=str, default="", metavar="NAME", help="who answers for them")
    add_folders(parser)


def run(options: Namespace) -> None:
    """Copy chosen records into a leaderboard; all of them, or none if any is refused.

    Raises:
        RnnbenchError: no records are chosen, a record is refused, or the leaderboard cannot be written.
    """
    records, _ = RecordStore(options.leaderboard).read()
    chosen = with_trials(select(options.records, records), records)
    certificates = Certificates(options.leaderboard)
    if reasons := reasons_to_refuse(chosen, CurrentVersions.of(records.values(), certificates), options.to):
        raise RnnbenchError("nothing is published:\n" + "\n".join(reasons))
    done, target, in_tracks = PublishedFiles(), RecordStore(options.to), tracks_of(records)
    trials: dict[str, list[Record]] = defaultdict(list)
    for record in chosen:
        if record.spec.trial is not None:
            trials[study_of(record.spec)].append(record)
            continue
        _copy_artefacts(record, options.leaderboard, options.to)
        publish(record, source := provenance(options.by, needs(record.spec)), target, done)
        needed = f"; to verify it takes {', '.join(source.needs)}" if source.needs else ""
        track = f"; track {', '.join(in_tracks[record.id])}" if record.id in in_tracks else "; of no track"
        print(f"{clean(record.spec.label)}: {_hardware(record)}{needed}{track}")
    for study in trials.values():
        spec = study[0].spec
        publish_trials(study, source := provenance(options.by, needs(spec)), target, done)
        print(f"{clean(f'{spec.task.name}/{spec.architecture.name}')}: {len(study)} trials")
    keys = {(record.spec.configuration, record.code_version) for record in chosen}
    if options.leaderboard.resolve() != options.to.resolve():
        Certificates(options.to).add(certificate for key, certificate in certificates.all.items() if key in keys)
    commit, clean_tree = source.commit, source.clean
    tree = "" if clean_tree is None else f" at {commit[:10]}, {'clean' if clean_tree else 'with changes not committed'}"
    print(f"{len(done.written)} published, {len(done.already)} there already; rnnbench {source.version}{tree}")
    print(f"board: {write_markdown(options.to, read_board(options.to)[0])}")
    print(f"what a pull request will change: rnnbench board --preview --leaderboard {quote(str(options.to))}")


def _copy_artefacts(record: Record, source: Path, target: Path) -> None:
    """Copy the artefacts of a record.

    Raises:
        RnnbenchError: they cannot be read or written.
    """
    path = ArtefactStore(source).folder / record.file
    if path.is_file() and source.resolve() != target.resolve():
        ArtefactStore(target).write(record.spec, read_artefacts(path, record.spec).items)


def _hardware(record: Record) -> str:
    where = record.environment
    return record.status if where is None else clean(f"{record.status} on {where.device}, {where.processor}")


def needs(spec: RunSpec) -> list[str]:
    """What a run needs beside rnnbench and archives that anyone can fetch."""
    files = [f"the file of `{name}`" for name in {**spec.architecture.files, **spec.task.files}]
    code = [f"the code of `{path}`" for path in foreign(spec) if not path.startswith("lightning.")]
    return files + (code or _data(spec))


def _data(spec: RunSpec) -> list[str]:
    from lightning.pytorch import LightningDataModule

    from rnnbench.harness.instantiate import import_class

    cls = import_class(spec.task.data.class_path, LightningDataModule, spec.task.name)
    of_user = getattr(cls, "user_path_arg", "") or getattr(cls, "file_args", ())
    return [f"the data of {spec.task.name}, by a path or from a hub"] if of_user else []
