"""Verbs that only look: `list`, `status`, `board`, `show`."""

from collections import Counter
from pathlib import Path

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli.run import make_console, warn
from rnnbench.cli.watch import describe
from rnnbench.config.cards import summary_of
from rnnbench.config.registry import catalogue, first_line
from rnnbench.config.schema import write_yaml
from rnnbench.harness.lease import leased
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.html.build import can_build, write_html
from rnnbench.leaderboard.ranking import rank
from rnnbench.leaderboard.render import Terminal, write_markdown
from rnnbench.leaderboard.scores import scores_of
from rnnbench.leaderboard.table import UNCERTIFIED_MEANS, make_table, read_board
from rnnbench.leaderboard.table import Table as Board
from rnnbench.records.artefacts import ArtefactStore
from rnnbench.records.certificates import Certificates
from rnnbench.records.find import find_run
from rnnbench.records.record import RecordStore
from rnnbench.records.selection import runs_of
from rnnbench.records.status import STATES, cells_of
from rnnbench.utils.text import clean, number

KINDS = {"architecture": "architectures", "task": "tasks", "grid": "grids", "space": "spaces"}


def list_all(kind: str | None) -> None:
    """Names and one line each."""
    console = make_console()
    for one, title in KINDS.items():
        if kind in (None, title):
            table = Table(
                title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
            )
            for name, path in catalogue(one).items():
                table.add_row(Text(name), Text(first_line(path, summary_of), style="dim"))
            console.print(table, "")


def status(options: Namespace) -> None:
    """Counts of the six states, runs at work, and why others are not done."""
    folders = Folders(options.leaderboard, options.runs)
    grid = folders.grid(options.grid)
    records, problems = RecordStore(folders.leaderboard).read(slim=True)
    specs = runs_of(grid, records)
    running = leased(folders.leases, [spec.id for spec in specs])
    cells = cells_of(specs, records, running, Certificates(folders.leaderboard))
    counts = Counter(cell.state for cell in cells)
    console = make_console()
    console.print(f"grid {grid.name}: {' · '.join(f'{counts[state]} {state}' for state in STATES)}", highlight=False)
    if count := sum(not cell.certified for cell in cells):
        console.print(f"{count} of those done: {UNCERTIFIED_MEANS}", highlight=False, soft_wrap=True)
    for one in running.values():
        console.print(Text(clean(describe(one))))
    for cell in cells:
        if cell.reason:
            console.print(
                Text(clean(f"{cell.state} {cell.spec.label} ({cell.spec.id}): {cell.reason}")), soft_wrap=True
            )
    warn(problems)


def board(options: Namespace) -> None:
    """Print the board; without a grid, of all records, and write the page."""
    folders = Folders(options.leaderboard, options.runs)
    console = make_console()
    if options.grid:
        records, problems = RecordStore(folders.leaderboard).read(slim=True)
        grid = folders.grid(options.grid)
        specs = runs_of(grid, records)
        running = leased(folders.leases, [spec.id for spec in specs])
        cells = cells_of(specs, records, running, Certificates(folders.leaderboard))
        console.print(Terminal(make_table(cells)))
    else:
        table, problems = read_board(folders.leaderboard)
        if table.rows or table.trials or problems:
            console.print(Terminal(table, rank(scores_of(table))))
            console.print(f"written to {write_markdown(folders.leaderboard, table)}", highlight=False, soft_wrap=True)
            _show_html(folders.leaderboard, table, problems, console)
        else:
            console.print(no_records(folders), highlight=False, soft_wrap=True)
    warn(problems)


def no_records(folders: Folders) -> str:
    """That a leaderboard is empty, and how to begin."""
    return f"no records in {folders.leaderboard}; make some with: rnnbench run quickstart{folders.options}"


def _show_html(leaderboard: Path, table: Board, problems: list[str], console: Console) -> None:
    if can_build():
        page = write_html(leaderboard, table, problems)
        console.print(f"open in a browser: {page}", highlight=False, soft_wrap=True)
    else:
        console.print("for the page (index.html): pip install 'rnnbench[board]'", highlight=False)


def show(options: Namespace) -> None:
    """A record, its learning curve and where its files lie."""
    folders = Folders(options.leaderboard, options.runs)
    store = RecordStore(folders.leaderboard)
    records, problems = store.read()
    record = find_run(options.run, records)
    console = Console(highlight=False)
    content = record.model_dump(mode="json", exclude_defaults=True)
    curve, log = content.pop("curve", []), content.pop("log_tail", "")
    lines = write_yaml(content).splitlines()
    console.print(Text("\n".join(map(clean, lines))))
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
    for one in ArtefactStore(folders.leaderboard).of(record):
        console.print(Text(one["title"], style="bold"), Text("\n".join(map(clean, one["text"].split("\n")))), sep="\n")
    console.print(f"record: {store.folder / record.file}", soft_wrap=True)
    for folder in sorted(folders.runs.glob(f"*/{record.id}")):
        console.print(f"checkpoint, log, curves: {folder}", soft_wrap=True)
    warn(problems)
