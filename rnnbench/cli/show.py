"""`rnnbench show`."""

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import warn_set_aside
from rnnbench.cli.parser import RUN, Parser, add_folders
from rnnbench.config.schema import write_yaml
from rnnbench.harness.paths import Folders
from rnnbench.records.artefacts import ArtefactStore
from rnnbench.records.find import find_run
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from rnnbench.utils.text import clean, number

BLOCKS = "▁▂▃▄▅▆▇█"


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("run", type=str, help=RUN)
    add_folders(parser)


def run(options: Namespace) -> None:
    """Print a record, its learning curve and where its files lie."""
    folders = Folders(options.leaderboard, options.runs)
    store = RecordStore(folders.leaderboard)
    records, problems = store.read()
    record = find_run(options.run, records)
    console = Console(highlight=False)
    content = record.model_dump(mode="json", exclude_defaults=True)
    curve, log = content.pop("curve", []), content.pop("log_tail", "")
    content.pop("length_curve", None)
    lines = write_yaml(content).splitlines()
    console.print(Text("\n".join(map(clean, lines))))
    if record.length_curve:
        console.print(Text(_by_length(record), style="bold"), soft_wrap=True)
    if curve:
        table = Table(
            "step", "train loss", f"validation {record.spec.task.metric}", title="learning curve", box=box.SIMPLE
        )
        for point in record.curve:
            table.add_row(
                str(point.step), "" if point.train_loss is None else number(point.train_loss), number(point.score)
            )
        console.print(table)
    if log:
        console.print(Text("end of the log", style="bold"), Text("\n".join(map(clean, log.splitlines()))), sep="\n")
    for artefact in ArtefactStore(folders.leaderboard).of(record):
        text = "\n".join(map(clean, artefact["text"].split("\n")))
        console.print(Text(artefact["title"], style="bold"), Text(text), sep="\n")
    console.print(f"record: {store.folder / record.file}", soft_wrap=True)
    for folder in sorted(folders.runs.glob(f"*/{record.id}")):
        console.print(f"checkpoint, log, curves: {folder}", soft_wrap=True)
    warn_set_aside(problems)


def _by_length(record: Record) -> str:
    """Scores by length as a small curve from 0, or the lowest score, to 1, or the highest."""
    points = record.length_curve
    low = min(0.0, *(point.score for point in points))
    high = max(1.0, *(point.score for point in points))
    blocks = "".join(BLOCKS[round((point.score - low) / (high - low) * (len(BLOCKS) - 1))] for point in points)
    first, last = points[0], points[-1]
    ends = f"{number(first.score)} at {first.length} to {number(last.score)} at {last.length}"
    return f"{record.spec.task.metric} by length: {blocks} {ends}"
