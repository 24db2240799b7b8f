"""What a table shows of the runs of a field, however many they are: numbers alone, which an index can keep."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean

from rnnbench.config.grid import RunSpec
from rnnbench.records.record import Record
from rnnbench.records.status import Cell


@dataclass(frozen=True, order=True)
class Baseline:
    """The simple reference as a run computed it; of several the latest counts."""

    started: str
    id: str
    value: float
    of: str


@dataclass
class CellStats:
    """Of some runs of one contender in one column.

    Args:
        states: how many are in which state.
        uncertified: how many of those that are done are not certified for this version of the code.
        reasons: states and reasons of those that have a reason.
        seeds, scores, parameters: of those that count.
        matched: of these, the count that a rule for the size has matched.
        seconds: of training, of these.
        baseline: the simple reference.
    """

    states: dict[str, int] = field(default_factory=dict)
    uncertified: int = 0
    reasons: set[tuple[str, str]] = field(default_factory=set)
    seeds: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    matched: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    baseline: Baseline | None = None

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> "CellStats":
        """Of these runs."""
        facts = cls()
        for cell in cells:
            facts.count(cell.state, cell.reason)
            if cell.state == "done" and cell.record:
                facts.take(cell.record)
                facts.uncertified += not cell.certified
        return facts

    def count(self, state: str, reason: str) -> None:
        """One more run in this state."""
        self.states[state] = self.states.get(state, 0) + 1
        if reason:
            self.reasons.add((state, reason))

    def take(self, record: Record) -> None:
        """The numbers of one more run that counts."""
        spec = record.spec
        if record.score is not None:
            self.seeds.append(spec.seed)
            self.scores.append(record.score)
        self.parameters.append(record.parameters or 0)
        if spec.size and spec.size.quantity == "parameters" and record.size:
            self.matched.append(record.size.count)
        if record.cost:
            self.seconds.append(record.cost.train_seconds)
        if (value := record.baseline_scores.get(spec.task.metric)) is not None:
            self._learn(Baseline(record.started, record.id, value, record.baseline))

    def _learn(self, baseline: Baseline | None) -> None:
        if baseline and (self.baseline is None or self.baseline < baseline):
            self.baseline = baseline

    def add(self, other: "CellStats") -> None:
        """Those of other runs beside."""
        self.states = dict(Counter(self.states) + Counter(other.states))
        self.reasons |= other.reasons
        self.uncertified += other.uncertified
        for name in ("seeds", "scores", "parameters", "matched", "seconds"):
            getattr(self, name).extend(getattr(other, name))
        self._learn(other.baseline)

    def by_seed(self) -> dict[int, float]:
        """The score of each seed, the mean where there are several."""
        if len(set(self.seeds)) == len(self.seeds):
            return dict(zip(self.seeds, self.scores, strict=True))
        found: dict[int, list[float]] = defaultdict(list)
        for seed, score in zip(self.seeds, self.scores, strict=True):
            found[seed].append(score)
        return {seed: fmean(some) for seed, some in found.items()}


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed and how they ended; without themselves where an index knows their facts alone."""

    spec: RunSpec
    facts: CellStats
    runs: tuple[Cell, ...] | None = None


def groups_of(cells: Iterable[Cell]) -> list[Group]:
    """Cells whose specs share their parts, as those of records that were read together do."""
    found: dict[tuple[int, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        found[tuple([id(value) for name, value in vars(cell.spec).items() if name != "seed"])].append(cell)
    return [Group(some[0].spec, CellStats.of(some), tuple(some)) for some in found.values()]
