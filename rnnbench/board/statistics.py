"""Statistics over seeds."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev


def half_width(values: Sequence[float], confidence: float = 0.95) -> float | None:
    """Half the width of Student's t interval for the mean, `t · s / √n`; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + confidence) / 2))
    return quantile * stdev(values) / math.sqrt(len(values))


def separable(a: Sequence[float], b: Sequence[float], level: float = 0.05) -> bool:
    """Whether two means differ by Welch's two-sided t test (Welch 1947); never with fewer than two values in either."""
    if len(a) < 2 or len(b) < 2:
        return False
    from scipy.special import stdtr

    va, vb = stdev(a) ** 2 / len(a), stdev(b) ** 2 / len(b)
    difference = abs(fmean(a) - fmean(b))
    if va + vb == 0:
        return difference > 0
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return 2 * float(stdtr(freedom, -difference / math.sqrt(va + vb))) < level
