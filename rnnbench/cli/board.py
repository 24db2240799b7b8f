"""`rnnbench board`, and with `--preview` what records change on it."""

from dataclasses import replace
from pathlib import Path

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import make_console, warn_set_aside
from rnnbench.cli.parser import Parser, add_folders
from rnnbench.errors import RnnbenchError
from rnnbench.harness.lease import leased
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import OTHER_RUNS, read_board, table_of
from rnnbench.leaderboard.findings import write_findings
from rnnbench.leaderboard.html.build import can_build, write_html
from rnnbench.leaderboard.preview import Difference, preview
from rnnbench.leaderboard.ranking import rank
from rnnbench.leaderboard.render import Terminal, write_markdown
from rnnbench.leaderboard.scores import scores_of
from rnnbench.leaderboard.table import Table as Board
from rnnbench.leaderboard.table import budget_text, make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Record
from rnnbench.records.selection import runs_of
from rnnbench.records.status import cells_of
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import audit
from rnnbench.utils.text import clean

MAX_NAMED = 20
"""Records that a preview names one by one."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("grid", nargs="?", type=str, help="only this grid (printed, not written)")
    parser.add_argument("--track", type=str, help="print the table of this track, or other-runs (default: the first)")
    parser.add_argument("--settings", type=str, help="print rows with this text in their settings; card: with none")
    parser.add_argument("--legend", action="store_true", help="say in full what signs and numbers mean")
    parser.add_argument("--preview", action="store_true", help="print what the records change against --base, no more")
    parser.add_argument("--base", type=str, metavar="REV", help="a revision of git (default: where HEAD left main)")
    add_folders(parser)


def run(options: Namespace) -> int:
    """Print the board; without a grid, one track of all records, and write the pages, which have all of them.

    Raises:
        RnnbenchError: `--preview` or `--track` with a grid, `--preview` without a repository or such a revision, no
            run of such a track, or no row with such settings.
    """
    if options.grid and options.track:
        raise RnnbenchError(f"--track is of all records; leave out the grid {options.grid!r}")
    if options.preview:
        if options.grid:
            raise RnnbenchError(f"--preview is of all records; leave out the grid {options.grid!r}")
        return show_preview(options.leaderboard, options.base, make_console())
    folders = Folders(options.leaderboard, options.runs)
    console = make_console()
    if options.grid:
        records, problems = RecordStore(folders.leaderboard).read(slim=True)
        grid = folders.grid(options.grid)
        specs = runs_of(grid, records)
        running = leased(folders.leases, [spec.id for spec in specs])
        cells = cells_of(specs, records, running, Certificates(folders.leaderboard))
        console.print(Terminal(_only(make_table(cells, grid), options.settings), full_legend=options.legend))
    else:
        tables, problems = read_board(folders.leaderboard)
        if tables[0].rows or tables[0].trials or problems:
            table = _only(table_of(tables, options.track), options.settings)
            console.print(Terminal(table, rank(scores_of(table)), options.legend))
            for other in tables:
                if other.name != table.name:
                    title = f"{other.title}: rnnbench board --track {other.name}{folders.options}"
                    console.print(title, highlight=False, soft_wrap=True)
            console.print(f"written to {write_markdown(folders.leaderboard, tables)}", highlight=False, soft_wrap=True)
            console.print(f"findings: {write_findings(folders.leaderboard, tables)}", highlight=False, soft_wrap=True)
            _show_html(folders.leaderboard, tables, problems, console)
        else:
            console.print(folders.no_records, highlight=False, soft_wrap=True)
    warn_set_aside(problems)
    return 0


def _only(table: Board, settings: str | None) -> Board:
    """The rows whose settings have a text; with `card` those that have none. All scores count where they did.

    Raises:
        RnnbenchError: there is no such row.
    """
    if settings is None:
        return table
    rows = [row for row in table.rows if (settings in row.settings if settings != "card" else not row.settings)]
    if not rows:
        raise RnnbenchError(f"no row has settings with {settings!r}, of {len(table.rows)} rows")
    columns = [column for column in table.columns if any(column in row.entries for row in rows)]
    return replace(table, rows=rows, columns=columns)


def _show_html(leaderboard: Path, tables: list[Board], problems: list[str], console: Console) -> None:
    if can_build():
        page = write_html(leaderboard, tables, problems)
        console.print(f"open in a browser: {page}", highlight=False, soft_wrap=True)
    else:
        console.print("for the page (index.html): pip install 'rnnbench[board]'", highlight=False)


def show_preview(leaderboard: Path, base: str | None, console: Console) -> int:
    """Print what the records change on the board, and their problems; 2 if there are any.

    Raises:
        RnnbenchError: there is no repository or no such revision.
    """
    changes, problems = preview(leaderboard, base), audit(leaderboard, base).problems
    counts = ("added", changes.added), ("changed", changes.changed), ("removed", changes.removed)
    summary = ", ".join(f"{len(some)} {what}" for what, some in counts)
    console.print(f"records against {changes.base[:10]}: {summary}", highlight=False)
    for what, some in counts:
        _name_records(what, some, console)
    if changes.differences:
        console.print(_difference_table(changes.differences))
    else:
        console.print("the board stays as it is", highlight=False)
    for problem in problems:
        console.print(Text(clean(f"problem: {problem}"), style="red"), soft_wrap=True)
    return 2 if problems else 0


def _name_records(what: str, records: list[Record], console: Console) -> None:
    for record in records[:MAX_NAMED]:
        by = f", by {record.provenance.by}" if record.provenance and record.provenance.by else ""
        console.print(Text(clean(f"  {what} {record.spec.label} ({record.id}): {record.status}{by}")), soft_wrap=True)
    if len(records) > MAX_NAMED:
        console.print(f"  … and {len(records) - MAX_NAMED} more {what}", highlight=False)


def _difference_table(differences: list[Difference]) -> Table:
    in_tracks = any(difference.track != OTHER_RUNS for difference in differences)
    heads = [*(["track"] if in_tracks else []), "task", "architecture", "before", "after", ""]
    table = Table(*heads, box=box.SIMPLE_HEAVY, pad_edge=False)
    for difference in differences:
        column = difference.column
        task = f"{column.task} {column.metric} {column.arrow}, {budget_text(column.budget)}"
        best = {(False, True): "now the best", (True, False): "no longer the best"}.get(
            (difference.was_best, difference.is_best), ""
        )
        fields = [task, difference.row, difference.before or "–", difference.after or "–", best]
        table.add_row(*(Text(clean(text)) for text in [difference.track, *fields][not in_tracks :]))
    for head in table.columns:
        head.overflow = "fold"
    return table
