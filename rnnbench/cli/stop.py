"""`rnnbench stop`."""

import sys
import time

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_folders, add_grid
from rnnbench.errors import RnnbenchError
from rnnbench.harness.lease import LivenessTracker, drivers
from rnnbench.harness.paths import Folders
from rnnbench.utils.files import write_whole


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_grid(parser)
    add_folders(parser)


def run(options: Namespace) -> None:
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
    tracker = LivenessTracker()
    while drivers(folders.leases, grid.name, tracker):
        time.sleep(0.2)
