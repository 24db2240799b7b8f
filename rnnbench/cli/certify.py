"""`rnnbench certify`."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from jsonargparse import Namespace
from rich.progress import Progress
from rich.text import Text

from rnnbench.cli.console import make_console, warn_set_aside
from rnnbench.cli.parser import Parser, add_folders, add_trust
from rnnbench.config.executors import LocalSettings
from rnnbench.errors import RnnbenchError
from rnnbench.harness.certify import certify, uncertified_records
from rnnbench.harness.job import Job, ProbeResult
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import read_board
from rnnbench.leaderboard.render import write_markdown
from rnnbench.records.certificates import Certificate, Certificates
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from rnnbench.records.trust import foreign
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--workers", type=int, help="probes at a time (default: one a GPU, or without GPUs one a core)")
    add_trust(parser)
    add_folders(parser)


def run(options: Namespace) -> int:
    """Take the probes of records that were made by other code, and write `certificates.json`; 0 if all of them hold.

    What is certified for this version of the code already is not probed again.

    Raises:
        RnnbenchError: there are no records, or the certificates cannot be written.
    """
    if options.workers is not None and options.workers < 1:
        raise RnnbenchError(f"--workers must be at least 1, got {options.workers}")
    store, console = RecordStore(options.leaderboard), make_console()
    records, problems = store.read()
    warn_set_aside(problems)
    if not records:
        raise RnnbenchError(Folders(options.leaderboard, options.runs).no_records)
    certificates = Certificates(options.leaderboard)
    warn_set_aside([certificates.problem] * bool(certificates.problem))
    if any(one.run not in records for one in certificates.all.values()):
        certificates.add([], records)  # without those of runs that were removed
    uncertain = uncertified_records(records, certificates)
    refused = [record for record in uncertain if foreign(record.spec) and not options.trust]
    trusted = [record for record in uncertain if record not in refused]
    console.print(
        f"{len(records)} records; of {len(uncertain)} configurations nobody knows whether this version of the code "
        "gives the same",
        highlight=False,
    )
    holds, others = 0, len(refused)
    for record in refused:
        code = ", ".join(foreign(record.spec))
        console.print(
            Text(clean(f"not certified {record.spec.label}: it would run {code}; read that, then say --trust"))
        )
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("probes", total=len(trusted))
        for result in certify(options.leaderboard, records, trusted, lambda jobs: _probe(jobs, options.workers)):
            progress.advance(bar)
            line = _problem(result, records)
            holds, others = holds + (not line), others + bool(line)
            if line:
                console.print(Text(clean(line)), soft_wrap=True)
    console.print(f"{holds} configurations hold, {others} do not or could not be probed", highlight=False)
    if trusted:
        board = write_markdown(options.leaderboard, read_board(options.leaderboard)[0])
        console.print(f"board: {board}", highlight=False, soft_wrap=True)
    return 1 if others else 0


def _probe(jobs: Sequence[Job], workers: int | None) -> Iterator[tuple[Job, ProbeResult | None]]:
    """Probes in worker processes."""
    if not jobs:
        return
    from rnnbench.harness.executors import worker
    from rnnbench.harness.executors.local import LocalExecutor

    executor = LocalExecutor(LocalSettings(workers=workers))
    with closing(executor.call_each(worker.probe, jobs)) as results:
        yield from results


def _problem(result: Certificate | tuple[Record, str], records: dict[str, Record]) -> str:
    """Why a configuration is not certified, or stale; an empty string if its records hold."""
    if isinstance(result, tuple):
        record, why = result
        return f"not certified {record.spec.label} ({record.id}): {why}"
    return f"stale {records[result.run].spec.label} ({result.run}): {result.why}" if result.why else ""
