"""`watch` and `stop`: a grid that other processes run."""

import sys
import time
from collections import Counter

from jsonargparse import Namespace
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from rnnbench.cli.run import make_console
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.lease import Lease, LivenessTracker, drivers, leased
from rnnbench.harness.paths import Folders
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import RecordStore
from rnnbench.records.selection import runs_of
from rnnbench.records.status import STATES, cells_of
from rnnbench.utils.files import write_whole
from rnnbench.utils.text import clean, number

SECONDS = 2.0
"""Between two looks."""


def watch(options: Namespace) -> int:
    """Show runs at work and counts of states until nobody runs the grid any more."""
    folders, console = Folders(options.leaderboard, options.runs), make_console()
    grid = folders.grid(options.grid)
    shown = _look(folders, grid)
    if not drivers(folders.leases, grid.name):
        console.print(shown, Text(f"nobody runs grid {grid.name} now"))
        return 0
    with Live(shown, console=console, auto_refresh=False, transient=False) as live:
        pulse = LivenessTracker()
        while drivers(folders.leases, grid.name, pulse):
            time.sleep(SECONDS)
            live.update(_look(folders, grid), refresh=True)
    return 0


def _look(folders: Folders, grid: GridSpec) -> RenderableType:
    records, _ = RecordStore(folders.leaderboard).read(slim=True)
    specs = runs_of(grid, records)
    running = leased(folders.leases, [spec.id for spec in specs])
    counts = Counter(cell.state for cell in cells_of(specs, records, running, Certificates(folders.leaderboard)))
    line = Text(" · ".join(f"{counts[state]} {state}" for state in STATES), style="bold")
    return Group(*(Text(clean(describe(one))) for one in running.values()), line)


def describe(lease: Lease) -> str:
    """A run at work, in a line."""
    phase, step, fraction, loss, score = lease.progress
    told = [f"step {step}", f"{fraction:.0%}"] if phase == "train" else [phase]
    told += [f"{name} {number(value)}" for name, value in (("loss", loss), ("score", score)) if value is not None]
    return f"running {lease.label} on {lease.slot or 'its way'} of {lease.host}: {', '.join(told)}"


def stop(options: Namespace) -> int:
    """Ask all processes that run a grid to stop, and wait until they have.

    Raises:
        RnnbenchError: nobody runs it.
    """
    folders = Folders(options.leaderboard, options.runs)
    grid = folders.grid(options.grid)
    if not (running := drivers(folders.leases, grid.name)):
        raise RnnbenchError(f"nobody runs grid {grid.name!r} with the leaderboard {folders.leaderboard}")
    write_whole(folders.stop(grid.name), "")
    hosts = ", ".join(sorted({f"process {one.pid} of {one.host}" for one in running}))
    print(f"asked to stop: {hosts}", file=sys.stderr)
    pulse = LivenessTracker()
    while drivers(folders.leases, grid.name, pulse):
        time.sleep(0.2)
    return 0
