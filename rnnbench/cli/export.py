"""`rnnbench export` and `rnnbench compare`: the board for other programs, and two of its rows in the terminal."""

import sys
from collections.abc import Callable

from jsonargparse import Namespace
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from rnnbench.cli.opening import can_print
from rnnbench.cli.run import make_console, warn
from rnnbench.cli.show import no_records
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.compare import interval_of, place_of, versus
from rnnbench.leaderboard.export import check_target, rows_of, to_csv, to_json, to_latex, to_parquet
from rnnbench.leaderboard.table import make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import RecordStore
from rnnbench.records.selection import runs_of
from rnnbench.records.status import Cell, cells_of, cells_on_record
from rnnbench.utils.files import write_whole
from rnnbench.utils.text import clean, number

TEXTS: dict[str, Callable[[list[Cell]], str]] = {
    "csv": lambda cells: to_csv(rows_of(cells)),
    "json": lambda cells: to_json(rows_of(cells)),
    "latex": lambda cells: to_latex(make_table(cells)),
}


def export(options: Namespace) -> None:
    """Write all records, or the cells of a grid.

    Raises:
        RnnbenchError: there is nothing to export, or it cannot be written.
    """
    check_target(options.format, options.out)
    cells = _cells(options)
    if options.format == "parquet":
        to_parquet(rows_of(cells), options.out)
    elif options.out is None:
        text = TEXTS[options.format](cells)
        if not can_print(text):
            raise RnnbenchError(
                f"the standard output is {sys.stdout.encoding} and lacks letters of this: use --out FILE"
            )
        sys.stdout.write(text)
        return
    else:
        write_whole(options.out, TEXTS[options.format](cells))
    print(f"{options.out}: {len(cells)} runs", file=sys.stderr)


def _cells(options: Namespace) -> list[Cell]:
    folders = Folders(options.leaderboard, options.runs)
    records, problems = RecordStore(folders.leaderboard).read()
    warn(problems)
    certificates = Certificates(folders.leaderboard)
    if options.grid:
        return cells_of(runs_of(folders.grid(options.grid), records), records, certificates=certificates)
    if not records:
        raise RnnbenchError(no_records(folders))
    return cells_on_record(records, certificates)


def compare(options: Namespace) -> None:
    """Print two rows of the board against each other.

    Raises:
        RnnbenchError: there is no such row, or they share nothing.
    """
    records, problems = RecordStore(options.leaderboard).read()
    warn(problems)
    if not records:
        raise RnnbenchError(no_records(Folders(options.leaderboard, options.runs)))
    cells = cells_on_record(records, Certificates(options.leaderboard))
    found = versus(make_table(cells), options.a, options.b, options.task)
    a, b = clean(found.a.label), clean(found.b.label)
    table = RichTable(box=box.SIMPLE_HEAVY, pad_edge=False)
    table.add_column("task", overflow="fold")
    for head in (a, b, "seeds", f"lead of {a}", "verdict"):
        table.add_column(Text(head), justify="left" if head == "verdict" else "right")
    for one in found.duels:
        fields = (place_of(one), number(one.a), number(one.b), str(one.seeds), interval_of(one), one.verdict(a, b))
        table.add_row(*(Text(clean(field)) for field in fields))
    console = make_console()
    console.print(table)
    console.print(Text(clean(found.summary())))
