"""The driver of a grid: which cells may be started, which process has which, and what is run after trials."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.config.sampling import SampleConfig
from rnnbench.errors import RnnbenchError
from rnnbench.harness.events import Event, Finished, HeldElsewhere, Progressed, Retried, Started, Watcher
from rnnbench.harness.job import Job, Progress
from rnnbench.harness.lease import DRIVER, STALE, Leases
from rnnbench.harness.paths import Folders
from rnnbench.records.certificates import Certificates
from rnnbench.records.folded import FoldedTrial, trials_file
from rnnbench.records.record import Record, file_of
from rnnbench.records.selection import study_of, tuned_runs
from rnnbench.records.status import Cell, cells_of
from rnnbench.records.store import RecordStore


class GridDriver:
    """Leases cells from all other processes that run the grid; a `Driver`, and a `Watcher` in front of another.

    Args:
        folders: of the leaderboard and of working state.
        grid: what is run.
        todo: its cells that are to be run.
        watcher: is passed every event.
        retry: states in which a tuned run is run again.
    """

    def __init__(
        self, folders: Folders, grid: GridSpec, todo: Iterable[Cell], watcher: Watcher, retry: Collection[str] = ()
    ) -> None:
        self.store, self.grid, self.watcher = RecordStore(folders.leaderboard), grid, watcher
        self.working = folders.working(grid.name)
        self.studies = Studies(grid, todo, self.store, retry)
        self.new_jobs: list[Job] = []
        self.stamps_before: dict[str, tuple[int, int] | None] = {}
        """Of each run, what its record's file was when it was planned."""
        self.trials_before: dict[str, tuple[str, float | None]] = {}
        """Of each trial that had a record when it was planned, when it was started and its score."""
        self.announced: set[str] = set()
        """Runs of which was said that another process has them."""
        self.lost: list[str] = []
        self.stop_file = folders.stop(grid.name)
        self.stop_before = _stamp(self.stop_file)
        self.leases = Leases(folders.leases, self.lost.append)
        self.leases.acquire(f"{DRIVER}{self.leases.owner}", grid.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leases.close()

    def make_job(self, cell: Cell) -> Job:
        """The job of a cell. A record that is new when it is claimed was written by another process."""
        self.stamps_before[cell.spec.id] = _stamp(self.record_path(cell.spec)) if cell.record else None
        if cell.record is not None and cell.spec.trial is not None:
            self.trials_before[cell.spec.id] = _outcome(cell.record)
        grid = self.grid
        is_final = cell.spec.trial is None  # a trial never sees the test part, from which samples are made
        samples = grid.artefacts if is_final and isinstance(grid.artefacts, SampleConfig) else None
        return Job(
            cell.spec,
            grid.name,
            (self.working / cell.spec.id).absolute(),
            tuple(grid.loggers),
            watch=tuple(grid.watch),
            samples=samples,
            replay=grid.replay and is_final,
        )

    def claim(self, job: Job) -> Literal["go", "wait", "drop"]:
        """Lease a cell; wait as long as another process has it; drop it when that has written its record.

        A broken file is nobody's record: the cell is run, and what the store writes takes its place.
        """
        spec = job.spec
        if not self.leases.acquire(spec.id, spec.label):
            self._announce_owner(spec)
            return "wait"
        record = self._new_record(spec)
        if record is None:
            return "go"
        self.watcher.on_event(Finished(record))
        self.settle(record)
        return "drop"

    def _new_record(self, spec: RunSpec) -> Record | None:
        """The record of a run that has come since it was planned, if there is one; that of a trial may be folded."""
        path = self.record_path(spec)
        if _stamp(path) != self.stamps_before[spec.id] and (record := self.store.present(path)):
            return record
        if spec.trial is None or path.exists():
            return None
        folded = self.store.folded(trials_file(spec)).get(spec.id)
        return None if folded is None or _outcome(folded) == self.trials_before.get(spec.id) else folded

    def _announce_owner(self, spec: RunSpec) -> None:
        """Say once which process has a run."""
        if spec.id not in self.announced and (lease := self.leases.read(spec.id)):
            self.announced.add(spec.id)
            self.watcher.on_event(HeldElsewhere(spec, f"process {lease.pid} of {lease.host}"))

    def poll_jobs(self) -> list[Job]:
        """What trials that have ended since the last call have selected."""
        jobs, self.new_jobs = self.new_jobs, []
        return jobs

    def settle(self, record: Record) -> None:
        """The record of a run is written: other processes may see it as done."""
        self.release(record)
        self.new_jobs += [self.make_job(cell) for cell in self.studies.after(record.spec)]

    def release(self, record: Record) -> None:
        """A run has ended without a record that is kept, as its data could not be prepared: its cell is as it was."""
        self.leases.release(record.id)

    def check_stop(self) -> None:
        """Stop after `rnnbench stop`, or if a lease was lost: then this process slept while others went on."""
        if _stamp(self.stop_file) != self.stop_before:
            raise KeyboardInterrupt("stopped by `rnnbench stop`")
        if self.lost:
            raise RnnbenchError(
                f"another process has taken over {len(self.lost)} runs, as this one gave no sign of life for "
                f"{STALE:.0f} s; what is done is kept"
            )

    def on_event(self, event: Event) -> None:
        """Pass it on, and note in the lease of a run where it is and how far."""
        self.watcher.on_event(event)
        match event:
            case Started(spec, slot):
                self.leases.update(spec.id, slot=slot)
            case Progressed(spec, progress):
                self.leases.update(spec.id, progress=tuple(progress))
            case Retried(spec, _):
                self.leases.update(spec.id, progress=tuple(Progress("start")))

    def record_path(self, spec: RunSpec) -> Path:
        """Where the record of a run lies."""
        return self.store.folder / file_of(spec)


def _outcome(trial: Record) -> tuple[str, float | None]:
    """What tells the record of a trial from that of the same trial run again."""
    return trial.started, trial.headline_score


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
        """The tuned runs that are to be done now that a run has ended; the trials of a study that has are folded."""
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
        records = self.store.find(trials)
        runs = tuned_runs(self.grid, trials, records)
        fold_study(trials, records, self.store)
        return [
            cell
            for cell in cells_of(runs, records | self.store.find(runs), certificates=self.certificates)
            if cell.state in self.wanted
        ]


def fold_study(trials: Sequence[RunSpec], records: Mapping[str, Record], store: RecordStore) -> None:
    """Fold the trials of a study, if all of them have ended and some are not folded yet.

    Raises:
        RnnbenchError: the file of the study cannot be written.
    """
    ended = [records[spec.id] for spec in trials if spec.id in records and not records[spec.id].unprepared]
    own = [record for record in ended if not isinstance(record, FoldedTrial)]
    if own and len(ended) == len(trials):
        store.fold(own)


def fold_ended(specs: Iterable[RunSpec], records: Mapping[str, Record], store: RecordStore) -> None:
    """Fold the trials of all studies among some runs whose trials have ended: what a process left that was killed.

    Raises:
        RnnbenchError: as `fold_study`.
    """
    studies: dict[str, list[RunSpec]] = defaultdict(list)
    for spec in specs:
        if spec.trial is not None:
            studies[study_of(spec)].append(spec)
    for trials in studies.values():
        fold_study(trials, records, store)
