"""What follows on trials: when the last of an architecture on a task has ended, what they have selected is run."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from rnnbench.board.states import Cell, cells_of
from rnnbench.bulk import changed
from rnnbench.certificates import Certificates
from rnnbench.record import Record, RecordStore, file_of
from rnnbench.selection import study_of, tuned_runs
from rnnbench.spec import GridSpec, RunSpec


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
            changed(spec, trial=trial, seed=seed)
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
