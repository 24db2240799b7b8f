"""`rnnbench status`."""

from collections import Counter

from jsonargparse import Namespace
from rich.text import Text

from rnnbench.cli.console import make_console, warn_set_aside
from rnnbench.cli.parser import Parser, add_folders, add_grid
from rnnbench.cli.watch import describe
from rnnbench.harness.lease import leased
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.table import UNCERTIFIED_MEANS
from rnnbench.records.certificates import Certificates
from rnnbench.records.selection import runs_of
from rnnbench.records.status import STATES, cells_of
from rnnbench.records.store import RecordStore
from rnnbench.utils.text import clean, folder_options


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_grid(parser)
    add_folders(parser)


def run(options: Namespace) -> None:
    """Print counts of the six states, runs at work, and why others are not done."""
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
        certify = f"rnnbench certify{folder_options(leaderboard=folders.leaderboard)}"
        console.print(f"{count} of those done: {UNCERTIFIED_MEANS} ({certify} does)", highlight=False, soft_wrap=True)
    for lease in running.values():
        console.print(Text(clean(describe(lease))))
    for cell in cells:
        if cell.reason:
            console.print(
                Text(clean(f"{cell.state} {cell.spec.label} ({cell.spec.id}): {cell.reason}")), soft_wrap=True
            )
    warn_set_aside(problems)
