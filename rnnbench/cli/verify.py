"""`rnnbench verify`."""

import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import RUN, Parser, add_folders, add_trust
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.records.find import find_run
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.verify import compare
from rnnbench.records.trust import foreign
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("record", type=str, help=RUN)
    parser.add_argument(
        "--tolerance", type=float, default=0.01, help="most that the score may differ, as a share of it"
    )
    add_trust(parser)
    add_folders(parser)


def run(options: Namespace) -> int:
    """Run a record's spec again and compare; 0 if it is reproduced, else 1.

    Raises:
        RnnbenchError: no such record, code that is not trusted, or a run that cannot be started.
    """
    if not 0 <= options.tolerance < 1:
        raise RnnbenchError(f"--tolerance is a share of the score, from 0 to below 1, got {options.tolerance}")
    record = find_run(options.record, RecordStore(options.leaderboard).read()[0])
    if (code := foreign(record.spec)) and not options.trust:
        raise RnnbenchError(f"this record would run {', '.join(code)}, which is not code of rnnbench: read it, "
                            "then say --trust")  # fmt: skip
    print(f"running {clean(record.spec.label)} ({record.id}) again", file=sys.stderr)
    verdict = compare(record, _run_again(record.spec), options.tolerance)
    for note in verdict.notes:
        print(clean(note))
    print(clean(verdict.words))
    return 0 if verdict.reproduced else 1


def _run_again(spec: RunSpec) -> Record:
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
