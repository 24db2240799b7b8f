"""The driver's desk: which cells are free, who has them, how they go, and what follows on trials."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal, Self

from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.config.sampling import SampleConfig
from rnnbench.errors import RnnbenchError
from rnnbench.harness.job import Job, Progress, Watcher
from rnnbench.harness.lease import DRIVER, STALE, Leases
from rnnbench.harness.paths import Folders
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Record, RecordStore, file_of
from rnnbench.records.selection import study_of, tuned_runs
from rnnbench.records.status import Cell, cells_of


class GridDriver:
    """Where an executor asks which cells are free, and tells how they go; see `Driver` and `Watcher`."""

    def __init__(
        self, folders: Folders, grid: GridSpec, todo: Iterable[Cell], watcher: Watcher, retry: Collection[str] = ()
    ) -> None:
        self.store, self.grid, self.watcher = RecordStore(folders.leaderboard), grid, watcher
        self.working = folders.of(grid.name)
        self.studies = Studies(grid, todo, self.store, retry)
        self.fresh: list[Job] = []
        self.before: dict[str, tuple[int, int] | None] = {}
        self.told: set[str] = set()
        self.lost: list[str] = []
        self.stop = folders.stop(grid.name)
        self.stopped_before = _stamp(self.stop)
        self.leases = Leases(folders.leases, self.lost.append)
        self.leases.take(f"{DRIVER}{self.leases.owner}", grid.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leases.close()

    def job(self, cell: Cell) -> Job:
        """The job of a cell. A record that comes before it is claimed, where there was none, is somebody else's."""
        self.before[cell.spec.id] = _stamp(self.place(cell.spec)) if cell.record else None
        grid = self.grid
        last = cell.spec.trial is None  # a trial never sees the test part, which is what is asked about
        asked = grid.artefacts if last and isinstance(grid.artefacts, SampleConfig) else None
        return Job(
            cell.spec,
            grid.name,
            (self.working / cell.spec.id).absolute(),
            tuple(grid.loggers),
            watch=tuple(grid.watch),
            asked=asked,
            replay=grid.replay and last,
        )

    def claim(self, job: Job) -> Literal["go", "wait", "drop"]:
        """Take a cell's lease; wait as long as somebody else has it; drop it when he has made its record.

        A broken file is nobody's record: the cell is run, and what the store writes takes its place.
        """
        spec = job.spec
        if not self.leases.take(spec.id, spec.label):
            self._tell_of(spec)
            return "wait"
        place = self.place(spec)
        record = None if _stamp(place) == self.before[spec.id] else self.store.present(place)
        if record is None:
            return "go"
        self.leases.drop(spec.id)
        self.watcher.finished(record)
        self._settled(spec)
        return "drop"

    def _tell_of(self, spec: RunSpec) -> None:
        """Say once who else has a run."""
        if spec.id not in self.told and (lease := self.leases.read(spec.id)):
            self.told.add(spec.id)
            self.watcher.elsewhere(spec, f"process {lease.pid} of {lease.host}")

    def more(self) -> list[Job]:
        """What trials that have ended since the last call have selected."""
        fresh, self.fresh = self.fresh, []
        return fresh

    def give_back(self, job: Job) -> None:
        """It is going on in a moment: keep the lease."""

    def kept(self, record: Record) -> None:
        """The record of a run is written: others may see it as done."""
        self.leases.drop(record.id)
        self._settled(record.spec)

    def left(self, record: Record) -> None:
        """A run has not begun, since its data could not be prepared: its cell stays as it was."""
        self.leases.drop(record.id)

    def _settled(self, spec: RunSpec) -> None:
        self.fresh += [self.job(cell) for cell in self.studies.after(spec)]

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

    def elsewhere(self, spec: RunSpec, owner: str) -> None:
        """Nothing to keep."""

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


class Studies:
    """The studies of a grid that are not complete.

    Args:
        grid: what is run.
        todo: its cells that are to be run; trials that are not among them have ended.
        store: of the records.
        retry: states in which a tuned run is run again.
    """

    def __init__(self, grid: GridSpec, todo: Iterable[Cell], store: RecordStore, retry: Collection[str]) -> None:
        self.grid, self.store, self.certificates = grid, store, Certificates(store.folder.parent)
        self.wanted = {"missing", "stale", *retry}
        self.designs = grid.designs()  # now: somebody may edit the space while the grid runs
        self.open: dict[str, set[str]] = defaultdict(set)
        for cell in todo:
            if cell.spec.trial is not None:
                self.open[study_of(cell.spec)].add(cell.spec.id)

    def after(self, spec: RunSpec) -> list[Cell]:
        """The tuned runs that are to be done now that a run has ended."""
        if self.grid.tune is None or spec.trial is None:
            return []
        waiting = self.open[study_of(spec)]
        waiting.discard(spec.id)
        if waiting:
            return []
        trials = [
            spec.model_copy(update={"trial": trial, "seed": seed})
            for trial in self.designs[spec.architecture.name]
            for seed in self.grid.tune.seed_list
        ]
        records = self._read(trials)
        runs = tuned_runs(self.grid, trials, records)
        return [
            cell
            for cell in cells_of(runs, records | self._read(runs), certificates=self.certificates)
            if cell.state in self.wanted
        ]

    def _read(self, specs: Iterable[RunSpec]) -> dict[str, Record]:
        """The records that there are."""
        found = (self.store.present(self.store.folder / file_of(spec)) for spec in specs)
        return {record.id: record for record in found if record is not None}
