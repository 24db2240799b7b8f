"""A whole grid: what is missing is run, every record is kept at once."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from rnnbench.artefacts import ArtefactStore, read_artefacts
from rnnbench.board.states import Cell, cells_of
from rnnbench.errors import Diverged, RnnbenchError, UnknownName
from rnnbench.files import writable_folder, write_whole
from rnnbench.harness.job import ARTEFACTS, Everyone, Job, Progress, Watcher
from rnnbench.harness.lease import DRIVER, STALE, Leases
from rnnbench.questions import Questions
from rnnbench.record import Record, RecordStore, file_of
from rnnbench.selection import runs_of, study_of
from rnnbench.size import NO_WIDTH
from rnnbench.spec import GridSpec, RunSpec
from rnnbench.strict import read_json

if TYPE_CHECKING:
    from rnnbench.harness.executors import Executor

_NEW = "cells that are new are run, those that are gone stay on record"
_OTHER = "all cells are other runs now; what is on record stays"
_SAME = "cells stay the same runs"
EFFECTS = {
    "name": _SAME,
    "summary": _SAME,
    "architectures": _NEW,
    "tasks": _NEW,
    "seeds": _NEW,
    "params": _OTHER,
    "data_seed": _OTHER,
    "flops": _OTHER,
    "tune": "trials that are new are run, and tested is what is best of all of them; what is gone stays on record",
    "budget": _OTHER,
    "model": _OTHER,
    "batch_size": _OTHER,
    "devices": _OTHER,
    "executor": _SAME,
    "loggers": _SAME,
    "watch": _SAME,
    "artefacts": "runs that come are asked; those that are done are not run again",
    "replay": "runs that come keep weights; those that are done are not run again",
}
"""What a change of each field of a grid does to its cells."""
STOP = "stop"
"""A file by which the processes that run a grid are asked to stop."""


@dataclass(frozen=True)
class Folders:
    """Where a grid's results (`leaderboard`) and its working state (`runs`) go."""

    leaderboard: Path
    runs: Path

    @property
    def leases(self) -> Path:
        """Which process runs which cell."""
        return self.leaderboard / ".leases"

    def of(self, grid: str) -> Path:
        """Working state of a grid: `grid.json`, and a folder a run."""
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

    def changes(self, grid: GridSpec) -> list[str]:
        """What is asked of a grid otherwise than when it was last run here, a sentence each."""
        noted = self.of(grid.name) / "grid.json"
        try:
            before = GridSpec.read(read_json(noted), str(noted)).model_dump(mode="json")
        except RnnbenchError:  # never run, or by a version that knew other fields
            return []
        now = grid.model_dump(mode="json")
        return [
            f"changed since the last run: {what}: {_shown(then)} -> {_shown(value)} ({EFFECTS[name]})"
            for name in now
            for what, then, value in _differing(name, before[name], now[name])
        ]

    def check(self) -> None:
        """Make both.

        Raises:
            RnnbenchError: one cannot be written to.
        """
        writable_folder(self.leaderboard / "records", "the leaderboard (--leaderboard)")
        writable_folder(self.runs, "working state (--runs)")


def _differing(name: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """What is other in a field, or in its own fields, before and now."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [(f"{name}.{key}", before.get(key), now.get(key)) for key in now if before.get(key) != now.get(key)]
    return [] if before == now else [(name, before, now)]


def _shown(value: Any) -> str:
    text = "none" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def plan(
    grid: GridSpec, records: Mapping[str, Record], retry: Collection[str] = (), refresh: bool = False
) -> tuple[list[Cell], list[Cell]]:
    """All cells of a grid, and those to run: missing, stale, and whatever state `retry` names; or only the stale.

    What was selected among trials is not run before the trials that are to be run again.

    Raises:
        RnnbenchError: the grid names something unknown or broken.
    """
    cells = cells_of(runs_of(grid, records), records)
    wanted = {"stale", *retry} if refresh else {"missing", "stale", *retry}
    todo = [cell for cell in cells if cell.state in wanted]
    open_studies = {study_of(cell.spec) for cell in todo if cell.spec.trial}
    return cells, [cell for cell in todo if not (cell.spec.selected and study_of(cell.spec) in open_studies)]


def run_grid(
    grid: GridSpec, todo: Sequence[Cell], folders: Folders, watcher: Watcher, retry: Collection[str] = ()
) -> Counter[str]:
    """Run the cells `todo`, then what is selected among their trials, and keep each record as it comes.

    Another process, on this machine or one that shares the leaderboard, may run the same grid: no cell is run twice.

    Returns:
        How many ended in which state; trials that diverged, as those with large steps do, are counted as `diverged`.

    Raises:
        RnnbenchError: a folder cannot be written; a class or an argument of some cell is wrong. Nothing has been
            started then.
    """
    from rnnbench.harness.executors import make_executor
    from rnnbench.harness.trainer import check_loggers

    executor = make_executor(grid)
    executor.check([cell.spec for cell in todo])
    check_loggers(grid.loggers)
    _refuse_hopeless(grid, executor, todo)
    folders.check()
    store = RecordStore(folders.leaderboard)
    for place in {(cell.spec.task.name, cell.spec.architecture.name) for cell in todo}:
        writable_folder(store.folder.joinpath(*place), "the leaderboard (--leaderboard)")
    working = writable_folder(folders.of(grid.name), "working state (--runs)")
    folders.note(grid)
    ended, begun = Counter[str](), set[str]()
    with Desk(folders, grid, watcher) as desk:
        while todo:
            begun |= {cell.spec.id for cell in todo}
            jobs = [desk.job(cell, working / cell.spec.id) for cell in todo]
            with closing(executor.run(jobs, Everyone(watcher, desk), desk)) as records:
                for record in records:
                    store.write(record)
                    _keep_artefacts(record, working / record.id / ARTEFACTS, ArtefactStore(folders.leaderboard))
                    desk.give_back_run(record.id)
                    ended["diverged" if _only_diverged(record) else record.status] += 1
            todo = _selected(grid, store, begun, retry)
    return ended


def _selected(grid: GridSpec, store: RecordStore, begun: Collection[str], retry: Collection[str]) -> list[Cell]:
    """Runs of what trials have selected, now that these have ended."""
    if grid.tune is None:
        return []
    _, todo = plan(grid, store.read()[0], retry)
    return [cell for cell in todo if cell.spec.selected and cell.spec.id not in begun]


def _only_diverged(record: Record) -> bool:
    """Whether a run is a trial that diverged, as trials with large steps do: nothing that anybody could mend."""
    return record.spec.trial is not None and record.reason.startswith(Diverged.PREFIX)


def _keep_artefacts(record: Record, made: Path, store: ArtefactStore) -> None:
    """Take what a run has made, if anything, to its leaderboard."""
    if record.status == "done" and made.is_file():
        store.write(record.spec, read_artefacts(made, record.spec).items)


def _refuse_hopeless(grid: GridSpec, executor: "Executor", todo: Sequence[Cell]) -> None:
    """Refuse a size that no network of a whole grid can have, as far as it is known before data is prepared."""
    specs = [cell.spec for cell in todo]
    if (grid.params is None and grid.flops is None) or len(specs) < len(grid.expand()):
        return
    reasons = {spec.label: why for spec, (_, why) in zip(specs, executor.survey(specs).values(), strict=True)}
    if all(why.startswith(NO_WIDTH) for why in reasons.values()):
        where, why = next(iter(reasons.items()))
        raise RnnbenchError(f"grid {grid.name!r}: no network of it can have {specs[0].size}; {where}: {why}")


class Desk:
    """Where an executor asks which cells are free, and tells how they go; see `Driver` and `Watcher`."""

    def __init__(self, folders: Folders, grid: GridSpec, watcher: Watcher) -> None:
        self.store, self.grid, self.watcher = RecordStore(folders.leaderboard), grid, watcher
        self.before: dict[str, tuple[int, int] | None] = {}
        self.lost: list[str] = []
        self.stop = folders.of(grid.name) / STOP
        self.stopped_before = _stamp(self.stop)
        self.leases = Leases(folders.leases, self.lost.append)
        self.leases.take(f"{DRIVER}{self.leases.owner}", grid.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leases.close()

    def job(self, cell: Cell, folder: Path) -> Job:
        """The job of a cell. A record that comes before it is claimed, where there was none, is somebody else's."""
        self.before[cell.spec.id] = None if cell.state == "missing" else _stamp(self.place(cell.spec))
        grid = self.grid
        last = cell.spec.trial is None  # a trial never sees the test part, which is what is asked about
        asked = grid.artefacts if last and isinstance(grid.artefacts, Questions) else None
        return Job(cell.spec, grid.name, folder, tuple(grid.loggers), watch=tuple(grid.watch), asked=asked,
                   replay=grid.replay and last)  # fmt: skip

    def claim(self, job: Job) -> Literal["go", "wait", "drop"]:
        """Take a cell's lease; wait as long as somebody else has it; drop it when he has made its record."""
        spec = job.spec
        if not self.leases.take(spec.id, spec.label):
            return "wait"
        if _stamp(self.place(spec)) == self.before[spec.id]:
            return "go"
        self.leases.drop(spec.id)
        self.watcher.finished(self.store.read_one(self.place(spec)))
        return "drop"

    def give_back(self, job: Job) -> None:
        """It is going on in a moment: keep the lease."""

    def give_back_run(self, run: str) -> None:
        """Its record is kept."""
        self.leases.drop(run)

    def heed(self) -> None:
        """Stop if somebody asks to, or if a lease was lost: then this process slept while others went on."""
        if _stamp(self.stop) != self.stopped_before:
            raise KeyboardInterrupt("stopped by `rnnbench stop`")
        if self.lost:
            raise RnnbenchError(
                f"another process has taken over {len(self.lost)} runs, as this one gave no sign of life for "
                f"{STALE:.0f} s; what is done is kept"
            )

    def preparing(self, task: str) -> None:
        """Nothing to keep."""

    def started(self, spec: RunSpec, slot: str) -> None:
        """Note where."""
        self.leases.tell(spec.id, slot=slot)

    def progress(self, spec: RunSpec, progress: Progress) -> None:
        """Note how far."""
        self.leases.tell(spec.id, progress=tuple(progress))

    def retried(self, spec: RunSpec, reason: str) -> None:
        """Note that it begins again."""
        self.leases.tell(spec.id, progress=tuple(Progress("start")))

    def finished(self, record: Record) -> None:
        """Nothing to keep: the lease is given back when the record is written."""

    def place(self, spec: RunSpec) -> Path:
        """Where the record of a run lies."""
        return self.store.folder / file_of(spec)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What tells a file from a later one in its place."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino
