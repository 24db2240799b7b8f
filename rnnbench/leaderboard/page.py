"""The board in files: `leaderboard/README.md`."""

from pathlib import Path

from rnnbench.leaderboard.index import table_by_index
from rnnbench.leaderboard.ranking import rank
from rnnbench.leaderboard.render import markdown
from rnnbench.leaderboard.scores import scores_of
from rnnbench.leaderboard.table import Table, make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import RecordStore
from rnnbench.records.status import cells_on_record
from rnnbench.utils.bulk import no_collection
from rnnbench.utils.files import write_whole

HEAD = """# Leaderboard

Made from the files in `records/` by `rnnbench board`; do not edit. A record says what was run, on which data, by which
code and on which machine. Six states: *done* (a score), *failed*, *infeasible* (cannot be run by its nature),
*running*, *missing*, *stale* (its card or data has changed, or the code no longer gives the same).

"""


def whole_board(leaderboard: Path) -> tuple[Table, list[str]]:
    """The table of all records of a leaderboard, and a sentence for each file that is none."""
    records, problems = RecordStore(leaderboard).read()
    certificates = Certificates(leaderboard)
    return make_table(cells_on_record(records, certificates)), [*problems, *filter(None, [certificates.problem])]


def quick_board(leaderboard: Path) -> tuple[Table, list[str]]:
    """The same by the index: the numbers of all runs, without the runs themselves."""
    with no_collection():
        return table_by_index(leaderboard) or whole_board(leaderboard)


def write_page(leaderboard: Path, table: Table) -> Path:
    """Write the Markdown page.

    Raises:
        RnnbenchError: it cannot be written.
    """
    path = leaderboard / "README.md"
    write_whole(path, HEAD + (markdown(table, rank(scores_of(table))) if table.rows else f"{table.no_rows}\n"))
    return path
