"""A whole grid: what is missing is run, every record is kept at once."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from rnnbench.board.states import Cell, cells_of
from rnnbench.errors import RnnbenchError, UnknownName
from rnnbench.files import writable_folder, write_whole
from rnnbench.harness.display import RunningFile
from rnnbench.harness.job import Everyone, Job, Watcher
from rnnbench.record import RecordStore
from rnnbench.spec import GridSpec
from rnnbench.strict import read_json


@dataclass(frozen=True)
class Folders:
    """Where a grid's results (`leaderboard`) and its working state (`runs`) go."""

    leaderboard: Path
    runs: Path

    def of(self, grid: str) -> Path:
        """Working state of a grid: `grid.json` and `lock`, and a folder a run."""
        return self.runs / grid

    def grid(self, name: str) -> GridSpec:
        """The grid of that name or file; or, if there is none, the one of that name that was last run here.

        Raises:
            RnnbenchError: there is none, or something in it is wrong.
        """
        try:
            return GridSpec.load(name)
        except UnknownName:
            noted = self.of(name) / "grid.json"
            if not noted.is_file():
                raise
            return GridSpec.read(read_json(noted), str(noted))

    def note(self, grid: GridSpec) -> None:
        """Keep what was run under a name."""
        write_whole(self.of(grid.name) / "grid.json", json.dumps(grid.model_dump(mode="json", exclude_unset=True)))

    def check(self) -> None:
        """Make both.

        Raises:
            RnnbenchError: one cannot be written to.
        """
        writable_folder(self.leaderboard / "records", "the leaderboard (--leaderboard)")
        writable_folder(self.runs, "working state (--runs)")


def plan(grid: GridSpec, folders: Folders, retry: Collection[str] = ()) -> tuple[list[Cell], list[Cell]]:
    """All cells of a grid, and those to run: missing, stale, and whatever state `retry` names.

    Raises:
        RnnbenchError: the grid names something unknown or broken.
    """
    records, _ = RecordStore(folders.leaderboard).read()
    cells = cells_of(grid.expand(), records)
    return cells, [cell for cell in cells if cell.state in {"missing", "stale", *retry}]


def run_grid(grid: GridSpec, todo: Sequence[Cell], folders: Folders, watcher: Watcher) -> Counter[str]:
    """Run the cells `todo` and keep each record as it comes; how many ended in which state.

    Raises:
        RnnbenchError: the grid is being run by another process; a folder cannot be written; a class or an argument of
            some cell is wrong. Nothing has been started then.
    """
    from rnnbench.harness.executors import make_executor
    from rnnbench.harness.trainer import check_loggers

    executor = make_executor(grid)
    executor.check([cell.spec for cell in todo])
    check_loggers(grid.loggers)
    folders.check()
    store = RecordStore(folders.leaderboard)
    for place in {(cell.spec.task.name, cell.spec.architecture.name) for cell in todo}:
        writable_folder(store.folder.joinpath(*place), "the leaderboard (--leaderboard)")
    working = writable_folder(folders.of(grid.name), "working state (--runs)")
    lock = FileLock(working / "lock", timeout=1)  # whoever only looks holds it for a moment
    try:
        lock.acquire()
    except Timeout:
        raise RnnbenchError(
            f"grid {grid.name!r} is being run by another process ({working / 'lock'} is held)"
        ) from None
    with lock:
        folders.note(grid)
        running = RunningFile(working / "running.json")
        jobs = [Job(cell.spec, grid.name, working / cell.spec.id, tuple(grid.loggers)) for cell in todo]
        ended = Counter[str]()
        everyone = Everyone(watcher, running)
        with closing(executor.run(jobs, everyone)) as records:
            for record in records:
                store.write(record)
                ended[record.status] += 1
        return ended
