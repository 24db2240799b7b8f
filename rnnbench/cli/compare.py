"""`rnnbench compare`."""

from jsonargparse import Namespace
from rich.text import Text

from rnnbench.cli.console import make_console, warn_set_aside
from rnnbench.cli.parser import Parser, add_folders
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import make_board, table_of
from rnnbench.leaderboard.compare import comparison_table, versus
from rnnbench.leaderboard.table import make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.utils.text import clean


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
        raise RnnbenchError(Folders(options.leaderboard, options.runs).no_records)
    certificates = Certificates(options.leaderboard)
    if options.track is None:
        board = make_table(cells_on_record(records, certificates))
    else:
        board = table_of(make_board(records, certificates), options.track)
    comparison = versus(board, options.a, options.b, options.task)
    console = make_console()
    console.print(comparison_table(comparison))
    console.print(Text(clean(comparison.summary())))
