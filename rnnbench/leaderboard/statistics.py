"""Statistics over the seeds of one task."""

import math
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

LEVEL, POWER = 0.05, 0.8
MOST_SEEDS = 10_000
Who = TypeVar("Who", bound=Hashable)


def stdev(values: Sequence[float]) -> float:
    """Standard deviation of a sample, `√(Σ(x − mean)² / (n − 1))`; exactly 0 for equal values."""
    if min(values) == max(values):
        return 0.0
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def half_width(values: Sequence[float], confidence: float = 0.95) -> float | None:
    """Half the width of Student's t interval for the mean, `t · s / √n`; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + confidence) / 2))
    return quantile * stdev(values) / math.sqrt(len(values))


@dataclass(frozen=True)
class Moments:
    """How many values, their mean, and the squared standard error of it."""

    count: int
    mean: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Moments":
        """Of one value or more; a single one has no error."""
        return cls(len(values), fmean(values), stdev(values) ** 2 / len(values) if len(values) > 1 else math.nan)


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """p of Welch's two-sided t test that two means are the same (Welch 1947); 1 with fewer than two values."""
    return 1.0 if len(a) < 2 or len(b) < 2 else _welch(Moments.of(a), Moments.of(b))


def _welch(a: Moments, b: Moments) -> float:
    if a.count < 2 or b.count < 2:
        return 1.0
    from scipy.special import stdtr

    difference, error = abs(a.mean - b.mean), a.error + b.error
    if error == 0:
        return 0.0 if difference > 0 else 1.0
    freedom = error**2 / (a.error**2 / (a.count - 1) + b.error**2 / (b.count - 1))
    return min(1.0, 2 * float(stdtr(freedom, -difference / math.sqrt(error))))


def separable(a: Sequence[float], b: Sequence[float], level: float = LEVEL) -> bool:
    """Whether two means differ by Welch's t test."""
    return welch(a, b) < level


def holm(values: Sequence[float]) -> list[float]:
    """p values of m tests, adjusted so that any is below 0.05 by chance in at most 5 % of cases (Holm 1979)."""
    adjusted, most = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        most = max(most, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = most
    return adjusted


def same_as_best(scores: Mapping[Who, Sequence[float]], level: float = LEVEL) -> set[Who]:
    """The best by mean (larger is better), and all that Welch's test, adjusted by Holm, does not tell from it.

    Empty where nothing can be said: nobody to compare with, or one score of the best.
    """
    if len(scores) < 2:
        return set()
    moments = {who: Moments.of(values) for who, values in scores.items()}
    best = max(moments, key=lambda who: moments[who].mean)
    if moments[best].count < 2:
        return set()
    others = [who for who in scores if who != best]
    adjusted = holm([_welch(moments[best], moments[who]) for who in others])
    return {best, *(who for who, p in zip(others, adjusted, strict=True) if p >= level)}


def seeds_to_separate(a: Sequence[float], b: Sequence[float], level: float = LEVEL, power: float = POWER) -> int | None:
    """How many seeds of each would tell two means apart, in the long run in 80 % of cases, if means and standard
    deviations are what they seem: the smallest n for which the power of Welch's t test (noncentral t) is 0.8.

    None: fewer than two values of one, equal means, or more than 10,000 seeds.
    """
    if len(a) < 2 or len(b) < 2 or fmean(a) == fmean(b):
        return None
    va, vb, difference = stdev(a) ** 2, stdev(b) ** 2, abs(fmean(a) - fmean(b))
    if va + vb == 0:
        return 2
    found = bisect_left(range(MOST_SEEDS + 1), power, lo=2, key=lambda n: _power(n, va, vb, difference, level))
    return found if found <= MOST_SEEDS else None


def _power(n: int, va: float, vb: float, difference: float, level: float) -> float:
    from scipy.special import nctdtr, stdtrit

    freedom = (n - 1) * (va + vb) ** 2 / (va**2 + vb**2)
    critical = float(stdtrit(freedom, 1 - level / 2))
    shift = difference / math.sqrt((va + vb) / n)
    return 1 - float(nctdtr(freedom, shift, critical)) + float(nctdtr(freedom, shift, -critical))


def paired(differences: Sequence[float]) -> tuple[float | None, float]:
    """Half the width of the 95 % interval of a mean difference, and p of the paired t test (Student 1908) that it is 0.

    Without a width, and with p = 1, for fewer than two differences.
    """
    width = half_width(differences)
    if width is None:
        return None, 1.0
    from scipy.special import stdtr

    error, mean = stdev(differences) / math.sqrt(len(differences)), abs(fmean(differences))
    if error == 0:
        return width, 0.0 if mean > 0 else 1.0
    return width, min(1.0, 2 * float(stdtr(len(differences) - 1, -mean / error)))


def pairs_to_separate(differences: Sequence[float], level: float = LEVEL, power: float = POWER) -> int | None:
    """How many pairs the paired t test needs to tell a mean difference from 0 in 80 % of cases, if mean and standard
    deviation are what they seem. None: fewer than two, no difference, or more than 10,000 pairs.
    """
    if len(differences) < 2 or fmean(differences) == 0:
        return None
    from scipy.special import nctdtr, stdtrit

    effect = abs(fmean(differences)) / stdev(differences) if stdev(differences) else math.inf

    def reached(n: int) -> float:
        critical, shift = float(stdtrit(n - 1, 1 - level / 2)), min(effect * math.sqrt(n), 1e6)
        return 1 - float(nctdtr(n - 1, shift, critical)) + float(nctdtr(n - 1, shift, -critical))

    found = 2 if effect == math.inf else bisect_left(range(MOST_SEEDS + 1), power, lo=2, key=reached)
    return found if found <= MOST_SEEDS else None
