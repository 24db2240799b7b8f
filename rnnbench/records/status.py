"""The six states of a cell: done, failed, infeasible, running, missing, stale."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import RunSpec
from rnnbench.config.registry import catalogue
from rnnbench.records.certificates import NONE, Certificates
from rnnbench.records.probe import code_version
from rnnbench.records.record import Record
from rnnbench.utils.fingerprint import digest

State = Literal["done", "failed", "infeasible", "running", "missing", "stale"]
STATES: tuple[State, ...] = ("done", "failed", "infeasible", "running", "missing", "stale")


CARD_CHANGED, DATA_CHANGED = "its card has changed", "its data has changed"


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a grid or of the board: its state, why, and its record if there is one.

    `certified` is false of a run that is done, but by other code than that of today, of which nobody has shown yet that
    it gives the same (`rnnbench certify`).

    A record that only says that the data could not be prepared is of a cell that is missing.
    """

    spec: RunSpec
    state: State
    reason: str = ""
    record: Record | None = None
    certified: bool = True


@dataclass(frozen=True)
class Origin:
    """What makes a record stale when it changes; `latest`: when which run of these began, the latest of those done.

    `code` is the version by which it was made, None of records that are not done or have no probe.
    """

    spec: RunSpec
    data: str
    code: str | None
    latest: tuple[str, str] | None

    @classmethod
    def of(cls, record: Record) -> "Origin":
        """That of a record."""
        latest = (record.started, record.id) if record.status == "done" else None
        return cls(record.spec, record.data_fingerprint, record.code_version, latest)


@dataclass(frozen=True)
class Present:
    """What records are held against: the cards as they are now, the data of the latest run on each, the code, and
    what has been shown of it.
    """

    cards: Mapping[str, str]
    data: Mapping[tuple[str, int | None], str]
    certificates: Certificates
    _configurations: dict[tuple[int, ...], tuple[RunSpec, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def beside(cls, records: Iterable[Record], certificates: Certificates = NONE) -> "Present":
        """The present state of everything that `records` name."""
        return cls.among([Origin.of(record) for record in records], certificates)

    @classmethod
    def among(cls, origins: Collection[Origin], certificates: Certificates = NONE) -> "Present":
        """The present state of everything that `origins` name."""
        done = sorted((one for one in origins if one.latest), key=lambda one: one.latest or ("", ""))
        data = {data_of(one.spec): one.data for one in done}
        known = set(catalogue("task")) & {one.spec.task.name for one in origins}
        return cls({name: TaskCard.load(name).fingerprint for name in known}, data, certificates)

    def judge(self, origin: Origin) -> tuple[str, bool]:
        """Why records are stale, if they are; and whether they are certified for the code of today.

        A card that is not ours cannot be compared. Records that have no score count whatever code they are of.
        """
        task, data, code = origin.spec.task, origin.data, origin.code
        if self.cards.get(task.name, task.fingerprint) != task.fingerprint:
            return CARD_CHANGED, True
        if not data:
            return "", True
        if self.data.get(data_of(origin.spec)) != data:
            return DATA_CHANGED, True
        if code is None:
            return "it has no probe that could tell whether the code still gives the same", True
        now = code_version(origin.spec)
        if code == now:
            return "", True
        found = self.certificates.find(self._configuration(origin.spec), code, now)
        if found is None:
            return "", False
        return found.why, True

    def cell(self, record: Record) -> Cell:
        """The cell of a record."""
        why, certified = self.judge(Origin.of(record))
        state = "stale" if why else "missing" if record.unprepared else record.status
        return Cell(record.spec, state, why or record.reason, record, certified)

    def _configuration(self, spec: RunSpec) -> str:
        """`RunSpec.configuration`, computed once for runs that were read together: these share their parts."""
        parts = tuple(id(value) for name, value in vars(spec).items() if name != "seed")
        if parts not in self._configurations:
            self._configurations[parts] = spec, spec.configuration
        return self._configurations[parts][1]


def cells_of(
    specs: Iterable[RunSpec],
    records: Mapping[str, Record],
    running: Collection[str] = (),
    certificates: Certificates = NONE,
) -> list[Cell]:
    """The cells of a grid. A record of the same cell under an older card makes it stale, not missing."""
    present = Present.beside(records.values(), certificates)
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
            cells.append(Cell(spec, "stale", CARD_CHANGED, record) if record else Cell(spec, "missing"))
    return cells


def cells_on_record(records: Mapping[str, Record], certificates: Certificates = NONE) -> list[Cell]:
    """The cells of all records, whatever grid they come from."""
    present = Present.beside(records.values(), certificates)
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
