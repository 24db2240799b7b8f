"""Scores of the board as one array, on a scale that tasks share: 0 is chance, 1 is the ceiling."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from rnnbench.leaderboard.table import Column, Row, Table
from rnnbench.utils.text import number

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """What 0 and 1 stand for on one task."""

    chance: float
    one: float
    one_is: str
    is_ceiling: bool = True


@dataclass(frozen=True)
class Scores:
    """Scores `[A, T, S]` of configurations on tasks by seed, larger is better; NaN where there is none.

    Args:
        configurations: their labels.
        columns: one a task.
        seeds: all that any run had.
        values: `(score − chance) / (one − chance)`.
        scales: what 0 and 1 are on each task.
        left_out: tasks and columns that are not in it, and why.
    """

    configurations: tuple[str, ...]
    columns: tuple[Column, ...]
    seeds: tuple[int, ...]
    values: Array
    scales: tuple[Scale, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def bounded(self) -> bool:
        """Whether 1 is a ceiling on every task."""
        return all(scale.is_ceiling for scale in self.scales)


def scores_of(table: Table, counts: Callable[[Column], bool] = lambda column: True) -> Scores:
    """The scores of the columns that `counts` takes; of columns of one task, that with the most runs."""
    columns, left_out = _one_a_task(table, [column for column in table.columns if counts(column)])
    scales: dict[Column, Scale] = {}
    for column in columns:
        scale = scale_of(table, column)
        if isinstance(scale, Scale):
            scales[column] = scale
        else:
            left_out.append((column.task, scale))
    rows = {row.label: row for row in table.rows if any(_by_seed(row, column) for column in scales)}
    seeds = sorted({seed for row in rows.values() for column in scales for seed in _by_seed(row, column)})
    values = np.full((len(rows), len(scales), len(seeds)), np.nan)
    for a, row in enumerate(rows.values()):
        for t, (column, scale) in enumerate(scales.items()):
            for seed, score in _by_seed(row, column).items():
                values[a, t, bisect_left(seeds, seed)] = (score - scale.chance) / (scale.one - scale.chance)
    return Scores(tuple(rows), tuple(scales), tuple(seeds), values, tuple(scales.values()), tuple(sorted(left_out)))


def _by_seed(row: Row, column: Column) -> dict[int, float]:
    return row.entries[column].scores_by_seed if column in row.entries else {}


def _one_a_task(table: Table, columns: Iterable[Column]) -> tuple[list[Column], list[tuple[str, str]]]:
    """Of columns of one task, that with the most runs: a task counts once, whatever it was run with."""
    runs = {column: sum(len(row.entries[column].scores) for row in table.rows if column in row.entries)
            for column in columns}  # fmt: skip
    most: dict[str, Column] = {}
    for column, count in runs.items():
        if count and (column.task not in most or count > runs[most[column.task]]):
            most[column.task] = column
    other = [
        (column.task, f"{', '.join(table.headings[column][2:])}: fewer runs than its other column counts")
        for column, count in runs.items()
        if count and most[column.task] != column
    ]
    return list(most.values()), other


def scale_of(table: Table, column: Column) -> Scale | str:
    """What 0 and 1 are in a column; or why there is no scale."""
    chance, scoring = table.chance.get(column), table.scoring.get(column)
    if chance is None:
        return "its chance is not known"
    sign = 1 if column.direction == "maximise" else -1
    if scoring and scoring.ceiling is not None:
        if sign * chance.value >= sign * scoring.ceiling:
            return f"its chance, {number(chance.value)}, is not below the ceiling on its card"
        return Scale(chance.value, scoring.ceiling, f"{number(scoring.ceiling)}, the ceiling on its card")
    means = [fmean(row.entries[column].scores) for row in table.rows
             if column in row.entries and row.entries[column].scores]  # fmt: skip
    if not means:
        return "it has no score"
    best = max(means, key=lambda mean: sign * mean)
    if not chance.beaten(best, column.direction) or best == chance.value:
        return "it has no ceiling, and nobody is better than chance"
    return Scale(chance.value, best, f"{number(best)}, the best mean here (its card has no ceiling)", False)


Mask = npt.NDArray[np.bool_]
RESAMPLES = 2000
NORMAL_QUANTILE = 1.959964
"""Standard errors of a 95 % interval of a normal distribution."""


@dataclass(frozen=True)
class Resamples:
    """B draws of as many tasks as there are, with replacement, and for each of as many seeds as it has.

    Args:
        task: `[B, T]`, which task was drawn.
        shares: of each task, `[N, S]`: for each of the N times that it was drawn, the share of each seed in its mean.
        units: how many tasks were drawn from; where there is one, how many seeds.
    """

    task: npt.NDArray[np.intp]
    shares: list[Array]
    units: int

    @classmethod
    def draw(cls, present: Mask, count: int = RESAMPLES, seed: int = 0) -> "Resamples":
        """Draws from the cells `present` `[T, S]`; every task has one or more."""
        random = np.random.default_rng(seed)
        sizes = present.sum(1)
        task = random.integers(len(sizes), size=(count, len(sizes)))
        times = np.bincount(task.ravel(), minlength=len(sizes))
        shares = [_shares(random, int(n), one) for n, one in zip(times, present, strict=True)]
        return cls(task, shares, len(sizes) if len(sizes) > 1 else int(sizes[0]))

    def means(self, values: Array) -> Array:
        """`[B, T, A]`: the mean over seeds of `values` `[A, T, S]` (no NaN) in each draw of a task."""
        result = np.empty((*self.task.shape, len(values)))
        for task, share in enumerate(self.shares):
            result[self.task == task] = share @ values[:, task].T
        return result

    def weights(self) -> Iterator[Array]:
        """Of each task `[S, B]`: the share of each cell in the sum over all drawn tasks."""
        for task, share in enumerate(self.shares):
            draw = np.nonzero(self.task == task)[0]  # in order, as `shares` are
            sums = np.zeros((len(self.task), share.shape[1]))
            drawn, first = np.unique(draw, return_index=True)
            if len(draw):
                sums[drawn] = np.add.reduceat(share, first)
            yield sums.T

    def widen(self, errors: float) -> float:
        """How many standard errors hold, from this few units, as much as `errors` of a normal distribution:
        `√(n/(n−1)) · t⁻¹(Φ(errors))`.
        """
        from scipy.special import ndtr, stdtrit

        if self.units < 2:
            return math.inf
        return math.sqrt(self.units / (self.units - 1)) * float(stdtrit(self.units - 1, ndtr(errors)))

    def interval(self, values: Array, replicates: Array, bounds: tuple[float, float]) -> Array:
        """`[2, A]`: the 95 % intervals of `values` `[A]` from their `replicates` `[B, A]`; NaN from one task and seed.

        That of `percentiles` or, where it is wider, Student's t with the standard error of the replicates, within the
        `bounds` of what can be. Percentiles reach from the lowest task to the highest at most: of 3 tasks they would
        cover the truth in 80 % of cases, of 2 in 55 %.
        """
        low, high = self.percentiles(replicates)
        if self.units < 2:
            return np.stack([low, high])
        width = self.widen(NORMAL_QUANTILE) * replicates.std(0)
        least, most = bounds
        return np.stack([np.minimum(low, np.maximum(values - width, least)),
                         np.maximum(high, np.minimum(values + width, most))])  # fmt: skip

    def percentiles(self, replicates: Array) -> Array:
        """`[2, …]`: the expanded percentile interval over the first axis (Hesterberg 2015, section 4.3).

        NaN where there is one task and one seed. Replicates that are NaN do not count.
        """
        from scipy.special import ndtr

        bounds = np.full((2, *replicates.shape[1:]), np.nan)
        if self.units < 2:
            return bounds
        tail = float(ndtr(-self.widen(NORMAL_QUANTILE)))
        some = ~np.isnan(replicates).all(0)
        quantile = np.nanquantile if np.isnan(replicates).any() else np.quantile
        bounds[:, some] = quantile(replicates[:, some], [tail, 1 - tail], axis=0)
        return bounds


def _shares(random: np.random.Generator, count: int, present: Mask) -> Array:
    """`[count, S]`: seeds that are `present` `[S]`, drawn with replacement as many times as there are, as shares."""
    there = np.flatnonzero(present)
    picked = random.integers(len(there), size=(count, len(there)))
    picked += np.arange(count)[:, None] * len(there)
    hits = np.bincount(picked.ravel(), minlength=picked.size).reshape(picked.shape)
    shares = np.zeros((count, len(present)))
    shares[:, there] = hits / len(there)
    return shares
