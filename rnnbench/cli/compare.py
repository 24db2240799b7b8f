"""`rnnbench compare`."""

from jsonargparse import Namespace
from rich import box
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import make_console, no_records, warn_set_aside
from rnnbench.cli.parser import Parser, add_folders
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import make_board, table_of
from rnnbench.leaderboard.compare import interval_of, place_of, versus
from rnnbench.leaderboard.table import make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.utils.text import clean, number


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("a", type=str, help="an architecture, or a row of the board as it is labelled there")
    parser.add_argument("b", type=str, help="another")
    parser.add_argument("--task", type=str, help="only on this one")
    parser.add_argument("--track", type=str, help="only runs of this one, or other-runs (default: all runs)")
    add_folders(parser)


def run(options: Namespace) -> None:
    """Print two rows of the board against each other.

    Raises:
        RnnbenchError: there is no such row, or the two have no task and seed in common.
    """
    records, problems = RecordStore(options.leaderboard).read()
    warn_set_aside(problems)
    if not records:
        raise RnnbenchError(no_records(Folders(options.leaderboard, options.runs)))
    certificates = Certificates(options.leaderboard)
    if options.track is None:
        board = make_table(cells_on_record(records, certificates))
    else:
        board = table_of(make_board(records, certificates), options.track)
    comparison = versus(board, options.a, options.b, options.task)
    a, b = clean(comparison.a.label), clean(comparison.b.label)
    table = Table(box=box.SIMPLE_HEAVY, pad_edge=False)
    table.add_column("task", overflow="fold")
    for head in (a, b, "seeds", f"lead of {a}", "verdict"):
        table.add_column(Text(head), justify="left" if head == "verdict" else "right")
    for duel in comparison.duels:
        fields = (
            place_of(duel),
            number(duel.a),
            number(duel.b),
            str(duel.seeds),
            interval_of(duel),
            duel.verdict(a, b),
        )
        table.add_row(*(Text(clean(field)) for field in fields))
    console = make_console()
    console.print(table)
    console.print(Text(clean(comparison.summary())))
