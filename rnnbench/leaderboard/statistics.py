"""Statistics over the seeds of one task."""

import math
from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

LEVEL, POWER = 0.05, 0.8
MAX_SEEDS = 10_000
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


def decimals_of(uncertainty: float) -> int:
    """Decimals of a number with this uncertainty, above 0: to the second significant digit of the uncertainty.

    0.0129 gives 3 (0.013), 0.052 gives 3 (0.052), 12 gives 0.
    """
    return max(0, 1 - int(f"{uncertainty:.1e}".partition("e")[2]))


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """p of Welch's two-sided t test that two means are the same (Welch 1947); 1 with fewer than two values."""
    if len(a) < 2 or len(b) < 2:
        return 1.0
    from scipy.stats import ttest_ind_from_stats

    if stdev(a) == stdev(b) == 0:
        return 1.0 if fmean(a) == fmean(b) else 0.0
    first, second = ((fmean(values), stdev(values), len(values)) for values in (a, b))
    return float(ttest_ind_from_stats(*first, *second, equal_var=False).pvalue)


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
    best = max(scores, key=lambda who: fmean(scores[who]))
    if len(scores[best]) < 2:
        return set()
    others = [who for who in scores if who != best]
    adjusted = holm([welch(scores[best], scores[who]) for who in others])
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

    def freedom(n: int) -> float:
        return (n - 1) * (va + vb) ** 2 / (va**2 + vb**2)

    return _smallest(lambda n: _power(freedom(n), difference / math.sqrt((va + vb) / n), level), power)


def _power(freedom: float, shift: float, level: float) -> float:
    """Of a two-sided t test whose statistic has the noncentral t distribution with this `shift`."""
    from scipy.special import nctdtr, stdtrit

    critical = float(stdtrit(freedom, 1 - level / 2))
    return 1 - float(nctdtr(freedom, shift, critical)) + float(nctdtr(freedom, shift, -critical))


def _smallest(power_of: Callable[[int], float], power: float) -> int | None:
    """The smallest number, from 2, whose power is enough; None if it is more than 10,000."""
    n = bisect_left(range(MAX_SEEDS + 1), power, lo=2, key=power_of)
    return n if n <= MAX_SEEDS else None


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
    if stdev(differences) == 0:
        return 2
    effect = abs(fmean(differences)) / stdev(differences)
    return _smallest(lambda n: _power(n - 1, min(effect * math.sqrt(n), 1e6), level), power)
