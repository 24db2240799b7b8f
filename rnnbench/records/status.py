"""The six states of a cell: done, failed, infeasible, running, missing, stale."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import RunSpec
from rnnbench.config.registry import catalogue
from rnnbench.records.certificates import NO_CERTIFICATES, Certificates
from rnnbench.records.probe import code_version
from rnnbench.records.record import Record
from rnnbench.records.selection import study_of
from rnnbench.utils.fingerprint import digest

State = Literal["done", "failed", "infeasible", "running", "missing", "stale"]
STATES: tuple[State, ...] = ("done", "failed", "infeasible", "running", "missing", "stale")


CARD_CHANGED, DATA_CHANGED = "its card has changed", "its data has changed"
SELECTED_FAILS = "the code no longer gives the same for the run that its study has selected"


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
class CurrentVersions:
    """What records are compared with: the cards as they are now, the data of the latest run on each card, the code, and
    the certificates.
    """

    cards: Mapping[str, str]
    data: Mapping[tuple[str, int | None], str]
    certificates: Certificates
    _configurations: dict[tuple[int, ...], tuple[RunSpec, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, records: Collection[Record], certificates: Certificates = NO_CERTIFICATES) -> "CurrentVersions":
        """The current versions of everything that `records` name."""
        done = sorted((one for one in records if one.status == "done"), key=lambda one: (one.started, one.id))
        data = {data_of(one.spec): one.data_fingerprint for one in done}
        known = set(catalogue("task")) & {one.spec.task.name for one in records}
        return cls({name: TaskCard.load(name).fingerprint for name in known}, data, certificates)

    def judge(self, record: Record) -> tuple[str, bool]:
        """Why a record is stale (empty if it is not), and whether it is certified for this version of the code.

        A card that this installation does not have cannot be compared. Records without a score count whatever code
        they were made by; so do trials, as what is selected among them has a probe, see `cells_of`.
        """
        task, data, code = record.spec.task, record.data_fingerprint, record.code_version
        if self.cards.get(task.name, task.fingerprint) != task.fingerprint:
            return CARD_CHANGED, True
        if not data:
            return "", True
        if self.data.get(data_of(record.spec)) != data:
            return DATA_CHANGED, True
        if code is None:
            return "it has no probe that could tell whether the code still gives the same", True
        now = code_version(record.spec)
        if code == now or record.spec.trial is not None:
            return "", True
        certificate = self.certificates.find(self._configuration(record.spec), code, now)
        return (certificate.why, True) if certificate else ("", False)

    def cell(self, record: Record) -> Cell:
        """The cell of a record."""
        why, certified = self.judge(record)
        state = "stale" if why else "missing" if record.unprepared else record.status
        return Cell(record.spec, state, why or record.reason, record, certified)

    def _configuration(self, spec: RunSpec) -> str:
        """`RunSpec.configuration`, computed once for runs that were read together: these share their parts."""
        parts = spec.parts
        if parts not in self._configurations:
            self._configurations[parts] = spec, spec.configuration
        return self._configurations[parts][1]


def cells_of(
    specs: Iterable[RunSpec],
    records: Mapping[str, Record],
    running: Collection[str] = (),
    certificates: Certificates = NO_CERTIFICATES,
) -> list[Cell]:
    """The cells of a grid. A record of the same cell under an older card makes it stale, not missing.

    Trials have no probe once they are folded: they are stale if the code no longer gives the same for the run that was
    selected among them, unless they were run by the code of today.
    """
    versions = CurrentVersions.of(records.values(), certificates)
    older: dict[str, Record] | None = None
    cells = []
    for spec in specs:
        run = spec.id
        if run in running:
            cells.append(Cell(spec, "running"))
        elif record := records.get(run) or (records.get(spec.former_id) if spec.task.files else None):
            cells.append(versions.cell(record))
        else:
            if older is None:  # costs as much as all the rest: only where something is missing
                older = {_place(record.spec): record for record in records.values()}
            record = older.get(_place(spec)) if older else None
            cells.append(Cell(spec, "stale", _what_changed(spec, record), record) if record else Cell(spec, "missing"))
    code_changed = {
        study_of(cell.spec)
        for cell in cells
        if cell.spec.selected and cell.state == "stale" and cell.reason not in (CARD_CHANGED, DATA_CHANGED)
    }
    return [_with_study(cell, code_changed) for cell in cells] if code_changed else cells


def _what_changed(spec: RunSpec, record: Record) -> str:
    """Why the record of the same place is not one of this spec."""
    then, now = record.spec.task, spec.task
    return DATA_CHANGED if then.fingerprint == now.fingerprint and then.files != now.files else CARD_CHANGED


def _with_study(cell: Cell, code_changed: Collection[str]) -> Cell:
    """The cell of a trial as `cells_of` has it, by the studies of which the code has changed what was selected."""
    if cell.record is None or cell.state != "done" or cell.spec.trial is None:
        return cell
    if study_of(cell.spec) not in code_changed or cell.record.code_version == code_version(cell.spec):
        return cell
    return replace(cell, state="stale", reason=SELECTED_FAILS)


def cells_on_record(records: Mapping[str, Record], certificates: Certificates = NO_CERTIFICATES) -> list[Cell]:
    """The cells of all records, whatever grid they come from."""
    versions = CurrentVersions.of(records.values(), certificates)
    return [versions.cell(record) for record in records.values()]


def data_of(spec: RunSpec) -> tuple[str, int | None]:
    """What decides what a run's data is."""
    return spec.task.fingerprint, spec.data_seed


def _place(spec: RunSpec) -> str:
    """What stays the same when a card or its data change: everything that the run itself is defined by."""
    batch_size = spec.task.data.init_args.get("batch_size")
    budget = spec.budget.model_dump(exclude_none=True)
    designs = [one.content if one else None for one in (spec.trial, spec.selected)]
    own = [spec.architecture.name, spec.network, spec.seed, budget, spec.data_seed, designs]
    return digest([spec.task.name, batch_size, *own])
