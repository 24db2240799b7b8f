"""Two configurations at a time: how often one is better, whether they differ, and what would show that they do."""

from dataclasses import dataclass

import numpy as np

from rnnbench.leaderboard.scores import Array, Mask, Resamples
from rnnbench.leaderboard.statistics import LEVEL

DRAWS = 1000
MAX_UNITS = 1000
"""The most seeds or tasks that somebody might still run."""
POWER_QUANTILE = 0.841621
"""Standard errors beyond the critical difference at which a test finds it in 80 % of cases."""


@dataclass(frozen=True)
class Pairs:
    """All pairs `[A, A]`, row against column, each on the cells that both have.

    Args:
        better: probability that the row is better, at a task and a seed drawn at random; NaN where they share none.
        low, high: its 95 % interval, never narrower than the exact binomial one for as many tasks (of one task, seeds):
            a bootstrap has no doubt of who has won each of three.
        cells: how many they share.
        tasks: on how many tasks.
    """

    better: Array
    low: Array
    high: Array
    cells: Array
    tasks: Array


def compare_all(values: Array) -> Pairs:
    """All pairs of `values` `[A, T, S]`, NaN where there is none. Tasks count the same, and seeds within each."""
    count = len(values)
    rows, columns = np.triu_indices(count, 1)
    values = values[:, ~np.isnan(values).all((0, 2))]
    draws = Resamples.draw(np.asarray(~np.isnan(values).all(0)), DRAWS)
    total, tasks, cells = np.zeros((3, len(rows)))
    resampled, drawn = np.zeros((2, len(rows), DRAWS))
    for task, weights in enumerate(draws.weights()):
        difference = values[rows, task] - values[columns, task]
        shared, copies = ~np.isnan(difference), weights.sum(0)
        won = np.where(shared, (difference > 0) + 0.5 * (difference == 0), 0.0)
        own = shared.any(1)
        total[own] += won[own].sum(1) / shared[own].sum(1)
        tasks += own
        cells += shared.sum(1)
        if shared.all():
            resampled += won @ weights
            drawn += copies
        else:
            weight = shared @ weights
            resampled += np.divide(won @ weights, weight, out=np.zeros_like(weight), where=weight > 0) * copies
            drawn += np.where(weight > 0, copies, 0.0)
    with np.errstate(invalid="ignore"):
        better, bounds = total / tasks, draws.percentiles((resampled / drawn).T)
    low, high = _binomial(better, np.where(tasks > 1, tasks, cells))
    bounds = np.stack([np.fmin(bounds[0], low), np.fmax(bounds[1], high)])
    return Pairs(
        _square(count, better, 1 - better),
        _square(count, bounds[0], 1 - bounds[1]),
        _square(count, bounds[1], 1 - bounds[0]),
        _square(count, cells, cells),
        _square(count, tasks, tasks),
    )


def _binomial(share: Array, count: Array, confidence: float = 0.95) -> tuple[Array, Array]:
    """The exact interval of a probability of which `share` of `count` trials came true (Clopper & Pearson 1934)."""
    from scipy.special import betaincinv

    tail, hits = (1 - confidence) / 2, share * count
    low = np.where(hits > 0, betaincinv(hits, count - hits + 1, tail), 0)
    high = np.where(hits < count, betaincinv(hits + 1, count - hits, 1 - tail), 1)
    none = np.isnan(share)
    return np.where(none, np.nan, low), np.where(none, np.nan, high)


def _square(count: int, above: Array, below: Array) -> Array:
    square = np.full((count, count), np.nan)
    rows, columns = np.triu_indices(count, 1)
    square[rows, columns], square[columns, rows] = above, below
    return square


def separated(score: Array, resampled: Array, draws: Resamples, level: float = LEVEL) -> Mask:
    """Which pairs `[A, A]` of `score` `[A]` differ, all judged at once: `|difference| / standard error` is beyond the
    95 % quantile of the largest such ratio over all pairs in the resamples `[B, A]` (single-step max-T; Romano & Wolf
    2005), widened for few tasks. Differences that are the same everywhere are judged by the sign test.
    """
    if draws.units < 2:
        return np.zeros((len(score), len(score)), bool)
    rows, columns = np.triu_indices(len(score), 1)
    difference = score[rows] - score[columns]
    replicates = resampled[:, rows] - resampled[:, columns]
    error = replicates.std(0)
    same = error < 1e-12
    ratio = np.divide(np.abs(replicates - difference), error, out=np.zeros_like(replicates), where=~same)
    critical = draws.widen(float(np.quantile(ratio.max(1), 1 - level)))
    always = (np.abs(difference) > 1e-12) & (0.5 ** (draws.units - 1) < level)
    significant = np.where(same, always, np.abs(difference) > critical * error)
    return np.asarray(_square(len(score), significant, significant) == 1)


@dataclass(frozen=True)
class PowerEstimate:
    """How many more seeds of each task, or else tasks, would separate two configurations; None: no number would.

    Nothing is `known` from one task and seed.
    """

    seeds: int | None
    tasks: int | None
    known: bool = True

    @property
    def possible(self) -> bool:
        """Whether somebody might still run so many."""
        return (self.seeds or self.tasks or MAX_UNITS + 1) <= MAX_UNITS

    def text(self) -> str:
        """In a sentence."""
        if not self.known:
            return "one task and seed say nothing of the spread"
        if not self.possible:
            return "too alike to be separated"
        if self.seeds:
            return f"about {self.seeds} more seed{'s' * (self.seeds != 1)} of each task would separate them"
        tasks = f"{self.tasks} more task{'s' * (self.tasks != 1)}"
        return f"seeds alone would not separate them; about {tasks} would"


def power_estimate(a: Array, b: Array, present: Mask) -> PowerEstimate:
    """How many more units would separate the means of `a` and `b` `[T, S]` in 80 % of cases, if they are as they seem.

    With T tasks of n seeds, the variance of the mean difference is `(between + within/n) / T`; `within` is the variance
    over seeds of the paired differences, `between` that over tasks of what seeds do not explain.
    """
    tasks, seeds = len(present), present.sum(1)
    means = np.where(present, a - b, 0).sum(1) / seeds
    square = np.where(present, (a - b - means[:, None]) ** 2, 0).sum(1)
    several = seeds > 1
    within = float((square[several] / (seeds[several] - 1)).mean()) if several.any() else 0.0
    between = max(0.0, float(means.var(ddof=1)) - within * float((1 / seeds).mean())) if tasks > 1 else 0.0
    if tasks == 1 and not several.any():
        return PowerEstimate(None, None, known=False)
    lead, now, more = abs(float(means.mean())), int(seeds.min()), np.arange(1.0, MAX_UNITS + 1)
    if lead < 1e-12:
        return PowerEstimate(None, None)
    if several.any():
        significant = _would_be_significant(lead, between, within, np.full(MAX_UNITS, float(tasks)), now + more)
        if significant.any():
            return PowerEstimate(int(more[significant.argmax()]), None)
    if tasks > 1:
        significant = _would_be_significant(lead, between, within, tasks + more, np.full(MAX_UNITS, float(now)))
        if significant.any():
            return PowerEstimate(None, int(more[significant.argmax()]))
    return PowerEstimate(None, None)


def _would_be_significant(lead: float, between: float, within: float, tasks: Array, seeds: Array) -> Mask:
    """Whether `separated` would find a difference of two, about: by t with as many units as it widens for, and from
    resamples in which seeds vary within tasks beside what they vary between them.
    """
    from scipy.special import stdtrit

    units = np.where(tasks > 1, tasks, seeds)
    variance = (between + within / seeds) / tasks
    twice = np.where(tasks > 1, within * (seeds - 1) / seeds**2 / np.maximum(tasks - 1, 1), 0)
    critical = stdtrit(units - 1, 1 - LEVEL / 2) * np.sqrt(variance + twice)
    significant = critical + POWER_QUANTILE * np.sqrt(variance) <= lead
    return np.asarray(significant & ((variance > 1e-24) | (0.5 ** (units - 1) < LEVEL)))
