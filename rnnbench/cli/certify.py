"""`rnnbench certify`."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from jsonargparse import Namespace
from rich.progress import Progress
from rich.text import Text

from rnnbench.cli.publish import foreign
from rnnbench.cli.run import make_console, warn
from rnnbench.config.executors import LocalSettings
from rnnbench.errors import RnnbenchError
from rnnbench.harness.certify import certify, uncertified_records
from rnnbench.harness.job import Job, ProbeResult
from rnnbench.leaderboard.render import write_markdown
from rnnbench.leaderboard.table import read_board
from rnnbench.records.certificates import Certificate, Certificates
from rnnbench.records.record import Record, RecordStore
from rnnbench.utils.text import clean


def certify_all(options: Namespace) -> int:
    """Take the probes of records that were made by other code, and write `certificates.json`; 0 if all of them hold.

    What is certified for this version of the code already is not probed again.

    Raises:
        RnnbenchError: there are no records, or the certificates cannot be written.
    """
    if options.workers is not None and options.workers < 1:
        raise RnnbenchError(f"--workers must be at least 1, got {options.workers}")
    store, console = RecordStore(options.leaderboard), make_console()
    records, problems = store.read()
    warn(problems)
    if not records:
        raise RnnbenchError(f"no records in {options.leaderboard}; make some with: rnnbench run quickstart")
    certificates = Certificates(options.leaderboard)
    warn([certificates.problem] * bool(certificates.problem))
    questions = uncertified_records(records, certificates)
    refused = [record for record in questions if foreign(record.spec) and not options.trust]
    asked = [record for record in questions if record not in refused]
    console.print(
        f"{len(records)} records; of {len(questions)} configurations nobody knows whether this version of the code "
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
        bar = progress.add_task("probes", total=len(asked))
        for one in certify(options.leaderboard, records, asked, lambda jobs: _ask(jobs, options.workers)):
            progress.advance(bar)
            line = _told(one, records)
            holds, others = holds + (not line), others + bool(line)
            if line:
                console.print(Text(clean(line)), soft_wrap=True)
    console.print(f"{holds} configurations hold, {others} do not or could not be probed", highlight=False)
    if asked:
        board = write_markdown(options.leaderboard, read_board(options.leaderboard)[0])
        console.print(f"board: {board}", highlight=False, soft_wrap=True)
    return 1 if others else 0


def _ask(jobs: Sequence[Job], workers: int | None) -> Iterator[tuple[Job, ProbeResult | None]]:
    """Probes in worker processes."""
    if not jobs:
        return
    from rnnbench.harness.executors import worker
    from rnnbench.harness.executors.local import LocalExecutor

    executor = LocalExecutor(LocalSettings(workers=workers))
    with closing(executor.call_each(worker.probe, jobs)) as answers:
        yield from answers


def _told(one: Certificate | tuple[Record, str], records: dict[str, Record]) -> str:
    """What is not as it was, in a line; nothing of what holds."""
    if isinstance(one, tuple):
        record, why = one
        return f"not certified {record.spec.label} ({record.id}): {why}"
    return f"stale {records[one.run].spec.label} ({one.run}): {one.why}" if one.why else ""
