"""`rnnbench watch`: a grid that other processes run."""

import time
from collections import Counter

from jsonargparse import Namespace
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from rnnbench.cli.console import make_console
from rnnbench.cli.parser import Parser, add_folders, add_grid
from rnnbench.config.grid import GridSpec
from rnnbench.harness.lease import Lease, LivenessTracker, drivers, leased
from rnnbench.harness.paths import Folders
from rnnbench.records.certificates import Certificates
from rnnbench.records.selection import runs_of
from rnnbench.records.status import STATES, cells_of
from rnnbench.records.store import RecordStore
from rnnbench.utils.text import clean, number

SECONDS = 2.0
"""Between two updates."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_grid(parser)
    add_folders(parser)


def run(options: Namespace) -> None:
    """Show runs at work and counts of states until nobody runs the grid any more."""
    folders, console = Folders(options.leaderboard, options.runs), make_console()
    grid = folders.grid(options.grid)
    state = _state_of(folders, grid)
    if not drivers(folders.leases, grid.name):
        console.print(state, Text(f"nobody runs grid {grid.name} now"))
        return
    with Live(state, console=console, auto_refresh=False, transient=False) as live:
        tracker = LivenessTracker()
        while drivers(folders.leases, grid.name, tracker):
            time.sleep(SECONDS)
            live.update(_state_of(folders, grid), refresh=True)


def _state_of(folders: Folders, grid: GridSpec) -> RenderableType:
    records, _ = RecordStore(folders.leaderboard).read(slim=True)
    specs = runs_of(grid, records)
    running = leased(folders.leases, [spec.id for spec in specs])
    counts = Counter(cell.state for cell in cells_of(specs, records, running, Certificates(folders.leaderboard)))
    line = Text(" · ".join(f"{counts[state]} {state}" for state in STATES), style="bold")
    return Group(*(Text(clean(describe(lease))) for lease in running.values()), line)


def describe(lease: Lease) -> str:
    """A run at work, in a line."""
    phase, step, fraction, loss, score = lease.progress
    details = [f"step {step}", f"{fraction:.0%}"] if phase == "train" else [phase]
    details += [f"{name} {number(value)}" for name, value in (("loss", loss), ("score", score)) if value is not None]
    return f"running {lease.label} on {lease.slot or 'its way'} of {lease.host}: {', '.join(details)}"
