"""`rnnbench run`."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from shlex import quote
from threading import current_thread, main_thread
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli.console import can_print, make_console, warn_set_aside
from rnnbench.cli.dry_run import show_plan
from rnnbench.cli.parser import Parser, add_folders, add_grid, add_names, names_of
from rnnbench.config.grid import GridSpec, RunSpec, read_grid
from rnnbench.config.schema import StrictModel, write_yaml
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.harness.display import make_display
from rnnbench.harness.driver import fold_ended
from rnnbench.harness.grid import RETRY, plan, run_grid
from rnnbench.harness.lease import Leases
from rnnbench.harness.outcome import failed_cells, failures, unprepared
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import read_board
from rnnbench.leaderboard.render import Terminal, write_markdown
from rnnbench.leaderboard.table import make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Record
from rnnbench.records.selection import awaited, runs_of
from rnnbench.records.status import Cell, cells_of
from rnnbench.records.store import RecordStore
from rnnbench.utils.text import clean

PARTS: dict[str, Callable[[RunSpec], str]] = {
    "architectures": lambda spec: spec.architecture.name,
    "tasks": lambda spec: spec.task.name,
}
"""Options that choose cells, and what they choose by."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_grid(parser)
    parser.add_argument("--executor", choices=["local", "inline", "ray", "slurm"], help="instead of the grid's own")
    parser.add_argument("--workers", type=int, help="runs at a time (default: one a GPU, or without GPUs one a core)")
    parser.add_argument("--lengths", type=str, help="41:500:20: test on these, for tasks tested on longer sequences")
    add_names(parser, "--architectures", "run only cells of these")
    add_names(parser, "--tasks", "run only cells of these")
    add_names(parser, "--retry", f"run cells in these states again: {', '.join(RETRY)}")
    parser.add_argument("--refresh", action="store_true", help="run only what is stale")
    parser.add_argument("--dry-run", action="store_true", help="print what would be run, and how long it may take")
    parser.add_argument("--print_config", nargs="?", type=str, help="print the grid with all defaults and stop")
    add_folders(parser)


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
    if options.executor or options.workers:
        change["executor"] = _executor(grid, options)
    if options.lengths is not None:
        change["lengths"] = options.lengths
    return read_grid({**grid.model_dump(exclude_unset=True), **change}, f"grid {grid.name!r}")


def _executor(grid: GridSpec, options: Namespace) -> Any:
    """The executor that the options ask for; where it is the grid's own, its other settings stay."""
    name = options.executor or "local"
    own = getattr(grid.executor, name, None)
    settings = own.model_dump(exclude_unset=True) if isinstance(own, StrictModel) else {}
    if options.workers:
        settings = {**settings, "workers": options.workers}
        settings.pop("runs_per_device", None)
    return {name: settings} if settings else name


def _asked_for(options: Namespace, grid: GridSpec, cells: list[Cell]) -> list[Cell]:
    """The cells of a grid that are of the architectures and tasks in the options.

    Raises:
        RnnbenchError: the grid has no such architecture or task.
    """
    for option, name_in in PARTS.items():
        if not (names := names_of(options[option])):
            continue
        known = dict.fromkeys(name_in(spec) for spec in grid.expand())
        for name in names:
            if name not in known:
                raise unknown(option.removesuffix("s"), name, known, f"grid {grid.name!r}")
        cells = [cell for cell in cells if name_in(cell.spec) in names]
    return cells


def _print_config(grid: GridSpec) -> None:
    """The grid with every default, as YAML that can be run."""
    grid.expand()
    content = grid.model_dump(mode="json", exclude_none=True)
    text = write_yaml(content)
    sys.stdout.write(text if can_print(text) else write_yaml(content, plain=True))


def run(options: Namespace) -> int:
    """Run what is missing of a grid, print its board, and write the board of the leaderboard.

    Returns:
        1 if a cell of the grid has failed, in this call or before, or its data could not be prepared; 130 when
        interrupted; else 0.

    Raises:
        RnnbenchError: the grid, or the options, are wrong.
    """
    options.retry = names_of(options.retry)
    for state in options.retry:
        if state not in RETRY:
            raise unknown("state for --retry", state, RETRY)
    grid, folders = resolve(options), Folders(options.leaderboard, options.runs)
    if options.print_config is not None:
        _print_config(grid)
        return 0
    console = make_console()
    records, _ = RecordStore(folders.leaderboard).read(slim=True)
    certificates = Certificates(folders.leaderboard)
    planned = plan(grid, records, options.retry, options.refresh, certificates)
    cells, todo = (_asked_for(options, grid, some) for some in planned)
    for line in [*folders.changes(grid), *grid.notes()]:
        console.print(line, highlight=False)
    if options.dry_run:
        show_plan(grid, cells, todo, records.values(), console)
        return 0
    again = f"rnnbench run {quote(options.grid)}{_executor_options(options)}{folders.options}"
    retry = (f" --retry {','.join(options.retry)}" if options.retry else "") + (" --refresh" if options.refresh else "")
    later = awaited(grid, (cell.spec for cell in todo))
    console.print(
        f"grid {grid.name}: {len(cells)} cells, {len(cells) - len(todo)} settled, {len(todo)} to run"
        + (f", then up to {later} tuned ones" if later else ""),
        highlight=False,
    )
    not_run: list[Record] = []
    fold_ended((cell.spec for cell in cells), records, RecordStore(folders.leaderboard))
    if not todo:
        folders.check()
        folders.note(grid)
        Leases(folders.leases).close()  # removes leases of drivers that were killed after the last run
    else:
        try:
            with _sigterm_as_interrupt(), make_display(cells, todo, console) as display:
                run_grid(grid, todo, folders, display, options.retry)
                not_run = display.unprepared
        except KeyboardInterrupt:
            print(f"\ninterrupted; what is done is kept. Go on with: {again}{retry}", file=sys.stderr)
            return 130
    records, _ = RecordStore(folders.leaderboard).read(slim=True)
    cells = cells_of(runs_of(grid, records), records, certificates=Certificates(folders.leaderboard))
    cells = _asked_for(options, grid, cells)
    failed = failed_cells(cells)
    for line in [*failures(cells), *unprepared(not_run, len(cells), folders.working(grid.name))]:
        console.print(Text(clean(line), style="bold"), soft_wrap=True)
    _show_board(grid, cells, folders, console)
    if failed:
        console.print(f"run them again with: {again} --retry failed", highlight=False)
    return 1 if failed or not_run else 0


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a grid as Ctrl-C does, so that runs keep a checkpoint."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_board(grid: GridSpec, cells: Sequence[Cell], folders: Folders, console: Console) -> None:
    console.print(Terminal(make_table(cells, grid)))
    tables, problems = read_board(folders.leaderboard)
    page = write_markdown(folders.leaderboard, tables)
    warn_set_aside(problems)
    browser = "the page is older: make it anew by" if page.with_name("index.html").exists() else "for a browser:"
    lines = [
        f"board: {page} ({browser} rnnbench board{folders.options}; what its signs mean: --legend)",
        f"records: {folders.leaderboard / 'records'}",
        f"checkpoints and logs: {folders.working(grid.name)}",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def _executor_options(options: Namespace) -> str:
    """The options of this call that change the grid."""
    words = [f" --{name} {options[name]}" for name in ("executor", "workers", "lengths") if options[name]]
    words += [f" --{name} {','.join(names_of(options[name]))}" for name in PARTS if options[name]]
    return "".join(words)
