"""The six states of a cell: done, failed, infeasible, running, missing, stale."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rnnbench.card import TaskCard
from rnnbench.fingerprint import code_digest, digest
from rnnbench.record import Record, changed_code
from rnnbench.resources import catalogue
from rnnbench.spec import RunSpec

State = Literal["done", "failed", "infeasible", "running", "missing", "stale"]
STATES: tuple[State, ...] = ("done", "failed", "infeasible", "running", "missing", "stale")


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a grid or of the board: its state, why, and its record if there is one.

    A record that only says that the data could not be prepared is of a cell that is missing.
    """

    spec: RunSpec
    state: State
    reason: str = ""
    record: Record | None = None


@dataclass(frozen=True)
class Origin:
    """What makes a record stale when it changes; `latest`: when which run of these began, the latest of those done."""

    spec: RunSpec
    data: str
    code: Mapping[str, str]
    latest: tuple[str, str] | None

    @classmethod
    def of(cls, record: Record) -> "Origin":
        """That of a record."""
        latest = (record.started, record.id) if record.status == "done" else None
        return cls(record.spec, record.data_fingerprint, record.code, latest)


@dataclass(frozen=True)
class Present:
    """What records are held against: the cards as they are now, the data of the latest run on each, and the code."""

    cards: Mapping[str, str]
    data: Mapping[tuple[str, int | None], str]
    code: Callable[[str], str] = code_digest
    _changed: dict[int, tuple[Mapping[str, str], str]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def beside(cls, records: Iterable[Record]) -> "Present":
        """The present state of everything that `records` name."""
        return cls.among([Origin.of(record) for record in records])

    @classmethod
    def among(cls, origins: Collection[Origin], code: Callable[[str], str] = code_digest) -> "Present":
        """The present state of everything that `origins` name; `code` gives the digest of a module."""
        done = sorted((one for one in origins if one.latest), key=lambda one: one.latest or ("", ""))
        data = {data_of(one.spec): one.data for one in done}
        known = set(catalogue("task")) & {one.spec.task.name for one in origins}
        return cls({name: TaskCard.load(name).fingerprint for name in known}, data, code)

    def why_stale(self, record: Record) -> str:
        """What has changed under a record since it was made, or nothing. A card that is not ours cannot be compared."""
        return self.why(record.spec, record.data_fingerprint, record.code)

    def why(self, spec: RunSpec, data: str, code: Mapping[str, str]) -> str:
        """The same of a record's parts."""
        task = spec.task
        if self.cards.get(task.name, task.fingerprint) != task.fingerprint:
            return "its card has changed"
        if data and self.data.get(data_of(spec)) != data:
            return "its data has changed"
        if id(code) not in self._changed:  # records that were read together share theirs
            changed = changed_code(code, self.code)
            self._changed[id(code)] = code, f"code has changed: {', '.join(changed)}" if changed else ""
        return self._changed[id(code)][1]

    def cell(self, record: Record) -> Cell:
        """The cell of a record."""
        why = self.why_stale(record)
        state = "stale" if why else "missing" if record.unprepared else record.status
        return Cell(record.spec, state, why or record.reason, record)


def cells_of(specs: Iterable[RunSpec], records: Mapping[str, Record], running: Collection[str] = ()) -> list[Cell]:
    """The cells of a grid. A record of the same cell under an older card makes it stale, not missing."""
    present = Present.beside(records.values())
    older: dict[str, Record] | None = None
    cells = []
    for spec in specs:
        run = spec.id
        if run in running:
            cells.append(Cell(spec, "running"))
        elif record := records.get(run):
            cells.append(present.cell(record))
        else:
            if older is None:  # costs as much as all the rest: only where something is missing
                older = {_place(record.spec): record for record in records.values()}
            record = older.get(_place(spec)) if older else None
            cells.append(Cell(spec, "stale", "its card has changed", record) if record else Cell(spec, "missing"))
    return cells


def cells_on_record(records: Mapping[str, Record]) -> list[Cell]:
    """The cells of all records, whatever grid they come from."""
    present = Present.beside(records.values())
    return [present.cell(record) for record in records.values()]


def data_of(spec: RunSpec) -> tuple[str, int | None]:
    """What decides what a run's data is."""
    return spec.task.fingerprint, spec.data_seed


def _place(spec: RunSpec) -> str:
    """What stays the same when a card or its data change: everything that is asked of the run itself."""
    batch_size = spec.task.data.init_args.get("batch_size")
    budget = spec.budget.model_dump(exclude_none=True)
    designs = [one.content if one else None for one in (spec.trial, spec.selected)]
    asked = [spec.architecture.name, spec.network, spec.seed, budget, spec.data_seed, designs]
    return digest([spec.task.name, batch_size, *asked])
