"""`rnnbench run`."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote
from threading import current_thread, main_thread
from typing import Any

from jsonargparse import Namespace
from rich.console import Console

from rnnbench.board.page import quick_board, write_page
from rnnbench.board.render import Terminal, clean
from rnnbench.board.states import Cell, cells_of
from rnnbench.board.table import make_table
from rnnbench.errors import DataUnavailable, Diverged, RnnbenchError
from rnnbench.harness.display import make_display
from rnnbench.harness.folders import Folders
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.lease import Leases
from rnnbench.record import RecordStore
from rnnbench.selection import awaited, runs_of
from rnnbench.spec import GridSpec
from rnnbench.strict import write_yaml
from rnnbench.verbs.dry import show_plan
from rnnbench.verbs.opening import can_print


def resolve(options: Namespace) -> GridSpec:
    """The grid, with what the command line says about its executor.

    Raises:
        RnnbenchError: the grid, or the options, are wrong.
    """
    grid = Folders(options.leaderboard, options.runs).grid(options.grid)
    if options.workers is not None and options.workers < 1:
        raise RnnbenchError(f"--workers must be at least 1, got {options.workers}")
    if options.workers is not None and options.executor not in (None, "local"):
        raise RnnbenchError(f"--workers is for the local executor, not for {options.executor}")
    change: dict[str, Any] = {}
    if options.executor:
        change = {"executor": options.executor}
    if options.workers:
        change = {"executor": {"local": {"workers": options.workers}}}
    return GridSpec.read({**grid.model_dump(exclude_unset=True), **change}, f"grid {grid.name!r}")


def print_config(options: Namespace) -> None:
    """The grid with every default, as YAML that can be run."""
    grid = resolve(options)
    grid.expand()
    content = grid.model_dump(mode="json", exclude_none=True)
    text = write_yaml(content)
    sys.stdout.write(text if can_print(text) else write_yaml(content, plain=True))


def run(options: Namespace) -> int:
    """Run what is missing, print the board of the grid, write that of the leaderboard."""
    grid, folders = resolve(options), Folders(options.leaderboard, options.runs)
    console = make_console()
    records, _ = RecordStore(folders.leaderboard).read(slim=True)
    cells, todo = plan(grid, records, options.retry, options.refresh)
    for line in [*folders.changes(grid), *grid.notes()]:
        console.print(line, highlight=False)
    if options.dry_run:
        show_plan(grid, cells, todo, records.values(), console)
        return 0
    again = f"rnnbench run {quote(options.grid)}" + _given(options)
    retry = (f" --retry {' '.join(options.retry)}" if options.retry else "") + (" --refresh" if options.refresh else "")
    later = awaited(grid, (cell.spec for cell in todo))
    console.print(
        f"grid {grid.name}: {len(cells)} cells, {len(cells) - len(todo)} settled, {len(todo)} to run"
        + (f", then up to {later} tuned ones" if later else ""),
        highlight=False,
    )
    failed = 0
    if not todo:
        folders.check()
        folders.note(grid)
        Leases(folders.leases).close()  # which removes what those have left that were killed when all was done
    else:
        try:
            with _heeded_sigterm(), make_display(cells, todo, console) as display:
                failed = run_grid(grid, todo, folders, display, options.retry)["failed"]
        except KeyboardInterrupt:
            print(f"\ninterrupted; what is done is kept. Go on with: {again}{retry}", file=sys.stderr)
            return 130
    cells = _show_board(grid, folders, console)
    if stuck := sorted({cell.state for cell in cells if _may_pass(cell)}):
        console.print(f"run them again with: {again} --retry {' '.join(stuck)}", highlight=False)
    return 1 if failed else 0


@contextmanager
def _heeded_sigterm() -> Iterator[None]:
    """SIGTERM ends a grid as Ctrl-C does: runs keep a checkpoint."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_board(grid: GridSpec, folders: Folders, console: Console) -> list[Cell]:
    records, _ = RecordStore(folders.leaderboard).read(slim=True)
    cells = cells_of(runs_of(grid, records), records)
    console.print(Terminal(make_table(cells)))
    table, problems = quick_board(folders.leaderboard)
    page = write_page(folders.leaderboard, table)
    warn(problems)
    console.print(f"board: {page} (for a browser: rnnbench board)\nrecords: {folders.leaderboard / 'records'}\n"
                  f"checkpoints and logs: {folders.of(grid.name)}", highlight=False, soft_wrap=True)  # fmt: skip
    return cells


def _may_pass(cell: Cell) -> bool:
    """Whether a run that gave no score may give one another time."""
    if cell.spec.trial and cell.reason.startswith(Diverged.PREFIX):
        return False
    return cell.state == "failed" or (cell.state == "infeasible" and cell.reason.startswith(DataUnavailable.PREFIX))


def warn(problems: list[str]) -> None:
    """Name the files that are no records; the rest is shown."""
    for line in (line for problem in problems for line in problem.splitlines()):
        print(f"rnnbench: set aside: {clean(line)}", file=sys.stderr)


def _given(options: Namespace) -> str:
    """The options to go on with, as they were given."""
    words = [f" --{name} {options[name]}" for name in ("executor", "workers") if options[name]]
    words += [
        f" --{name} {quote(str(options[name]))}" for name in ("leaderboard", "runs") if str(options[name]) != name
    ]
    return "".join(words)


def make_console() -> Console:
    """A console as wide as the terminal; into a pipe or a file, as `COLUMNS` says, else wide enough for a board."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=160)
