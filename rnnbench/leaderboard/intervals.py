"""A mean over seeds as people are shown it: its 95 % interval, inside the metric's range, and the digits it leaves."""

import math
from collections.abc import Sequence
from statistics import fmean

from rnnbench.leaderboard.statistics import decimals_of, half_width
from rnnbench.utils.text import number

SHARES = ("accuracy", "exact_match", "frame_accuracy", "token_accuracy")
PERCENTAGES = ("bleu", "chrf")
LOSSES = (
    "bits_per_character", "cer", "cross_entropy", "mae", "mase", "mse", "nrmse", "rmse", "smape", "wer",
)  # fmt: skip
METRIC_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(SHARES, (0.0, 1.0)),
    **dict.fromkeys(PERCENTAGES, (0.0, 100.0)),
    **dict.fromkeys(LOSSES, (0.0, math.inf)),
    "perplexity": (1.0, math.inf),
}
"""Least and largest value of a metric; one that is not here is taken to have none."""
MAX_DECIMALS = 7
"""What would need more is written with an exponent."""


def bounded_interval(scores: Sequence[float], metric: str) -> tuple[float, float] | None:
    """The 95 % interval of the mean of scores, inside the range of the metric; None for one score.

    Student's t interval, where it lies in the range. Else the same on the scale of the logit, or of the logarithm if
    the range has no end, by the delta method: mean ± t·s/√n becomes g⁻¹(g(mean) ± t·s/√n · g′(mean)). The mean is
    always in it.
    """
    width = half_width(scores)
    if width is None:
        return None
    mean, (least, largest) = fmean(scores), METRIC_BOUNDS.get(metric, (-math.inf, math.inf))
    if least <= mean - width and mean + width <= largest:
        return mean - width, mean + width
    if not least < mean < largest:  # at the end of the range, or, by a metric of somebody's own, beyond it
        return min(mean, max(least, mean - width)), max(mean, min(largest, mean + width))
    return _by_logit(mean, width, least, largest) if math.isfinite(largest) else _by_logarithm(mean, width, least)


def _by_logit(mean: float, width: float, least: float, largest: float) -> tuple[float, float]:
    span = largest - least
    share = (mean - least) / span
    odds, factor = share / (1 - share), min(width / span / (share * (1 - share)), 500.0)
    low, high = odds * math.exp(-factor), odds * math.exp(factor)
    return least + span * low / (1 + low), least + span * high / (1 + high)


def _by_logarithm(mean: float, width: float, least: float) -> tuple[float, float]:
    above = mean - least
    factor = math.exp(min(width / above, 500.0))
    return least + above / factor, least + above * factor


def mean_text(scores: Sequence[float], metric: str = "") -> str:
    """The mean with its interval, as `0.540 ± 0.092`; `0.90 [0.61, 0.98]` where that would leave the metric's range.

    One score has no interval.
    """
    mean, bounds = fmean(scores), bounded_interval(scores, metric)
    if bounds is None:
        return number(mean)
    low, high = bounds
    if math.isclose(high - mean, mean - low, rel_tol=1e-6, abs_tol=1e-300):
        return plus_minus(mean, (high - low) / 2)
    shown, interval = digits(mean, bounds)
    return f"{shown} [{', '.join(interval)}]"


def plus_minus(value: float, width: float) -> str:
    """A number and half the width of its interval, both with the decimals of two significant digits of the latter."""
    if width == 0 or not math.isfinite(width):
        return f"{number(value)} ± {width:g}"
    decimals = decimals_of(width)
    if decimals > MAX_DECIMALS:
        exponent = math.floor(math.log10(abs(value))) if value else 0
        return f"{value:.{max(0, decimals + exponent)}e} ± {width:.1e}"
    return f"{value:.{decimals}f} ± {width:.{decimals}f}"


def digits(
    value: float, bounds: tuple[float, float] | None, most: int = MAX_DECIMALS + 1
) -> tuple[str, tuple[str, ...]]:
    """A number with the digits that its interval leaves, and the two ends of that with as many; none if it has none.

    Args:
        value: the number.
        bounds: its interval.
        most: decimals.
    """
    if bounds is None:
        return number(value), ()
    low, high = bounds
    if high <= low:
        return number(value), (number(low), number(high))
    decimals = min(most, decimals_of((high - low) / 2))
    return f"{value:.{decimals}f}", (f"{low:.{decimals}f}", f"{high:.{decimals}f}")
