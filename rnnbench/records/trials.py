"""What trials have cost and brought: pure functions of their records."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rnnbench.config.cards import Direction
from rnnbench.config.grid import RunSpec
from rnnbench.records.record import Record
from rnnbench.records.selection import best, scores_of, study_of


@dataclass(frozen=True)
class Attempt:
    """One run of a trial: which, its validation score if it has one, its time if known, and why it has no score."""

    index: int
    score: float | None
    seconds: float
    reason: str

    @classmethod
    def of(cls, record: Record) -> "Attempt":
        """That of a record of a trial."""
        assert record.spec.trial is not None
        seconds = record.cost.total_seconds if record.cost else record.seconds or 0.0
        return cls(
            record.spec.trial.index, record.headline_score, seconds, "" if record.status == "done" else record.reason
        )


@dataclass(frozen=True)
class Study:
    """The trials of one architecture on one task that have ended; `spec` is one of them."""

    spec: RunSpec
    attempts: list[Attempt]

    @cached_property
    def scores(self) -> dict[int, float]:
        """Mean validation score of each trial that has one with every seed."""
        return scores_of((one.index, one.score) for one in self.attempts)

    def first(self, count: int) -> "Study":
        """As it was with so many trials: what was selected among these has cost no more."""
        return Study(self.spec, [one for one in self.attempts if one.index < count])

    @property
    def trials(self) -> int:
        """How many configurations were tried."""
        return len({one.index for one in self.attempts})

    @property
    def seconds(self) -> float:
        """Time that was spent on them, also on those that failed, as far as it is on record."""
        return math.fsum(one.seconds for one in self.attempts)

    @property
    def best(self) -> int | None:
        """The trial that is selected."""
        return best(self.scores, self.spec.task.direction)

    @property
    def curve(self) -> list[float]:
        """Expected best validation score of 1, 2, … trials; one without a score counts as the worst of the others."""
        if not self.scores:
            return []
        minimise = self.spec.task.direction == "minimise"
        worst = (max if minimise else min)(self.scores.values())
        lost = self.trials - len(self.scores)
        return expected_best([*self.scores.values(), *[worst] * lost], self.spec.task.direction)

    @property
    def lost(self) -> str:
        """Why trials gave no score, or nothing."""
        reasons = sorted({one.reason for one in self.attempts if one.reason})
        count = self.trials - len(self.scores)
        more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
        return f"{count} of {self.trials} trials gave no score: {reasons[0]}{more}" if count and reasons else ""


def studies(records: Iterable[Record]) -> dict[str, Study]:
    """The trials among some records, by what `rnnbench.records.selection.study_of` returns."""
    by_design: dict[str, Study] = {}
    for record in records:
        if record.spec.trial is not None and not record.unprepared:
            study = by_design.setdefault(study_of(record.spec), Study(record.spec, []))
            study.attempts.append(Attempt.of(record))
    return by_design


def expected_best(scores: Sequence[float], direction: Direction) -> list[float]:
    """The best of k configurations drawn from those tried, expected, for k = 1 … n.

    With scores v sorted from the worst to the best, `Σ_i v_i ((i/n)^k − ((i−1)/n)^k)` (Dodge et al. 2019, eq. 6).
    """
    ordered = sorted(scores, reverse=direction == "minimise")
    n = len(ordered)
    weights = [[(i / n) ** k - ((i - 1) / n) ** k for i in range(1, n + 1)] for k in range(1, n + 1)]
    return [sum(one * score for one, score in zip(some, ordered, strict=True)) for some in weights]


def up_to_date(spec: RunSpec, all_studies: Mapping[str, Study]) -> RunSpec:
    """A tuned run as it is now: one that is still the best of more trials was selected among all of them."""
    selected, study = spec.selected, all_studies.get(study_of(spec))
    if selected is None or study is None or study.best != selected.index or study.trials <= selected.trials:
        return spec
    return spec.model_copy(update={"selected": selected.model_copy(update={"trials": study.trials})})
