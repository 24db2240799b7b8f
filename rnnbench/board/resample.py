"""The paired hierarchical bootstrap: tasks are drawn, then seeds within each; all contenders share the draw."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnbench.board.scores import Array

Mask = npt.NDArray[np.bool_]
RESAMPLES = 2000


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
        found = np.empty((*self.task.shape, len(values)))
        for task, share in enumerate(self.shares):
            found[self.task == task] = share @ values[:, task].T
        return found

    def weights(self) -> Iterator[Array]:
        """Of each task `[S, B]`: the share of each cell in the sum over all drawn tasks."""
        for task, share in enumerate(self.shares):
            draw = np.nonzero(self.task == task)[0]  # in order, as `shares` are
            found = np.zeros((len(self.task), share.shape[1]))
            drawn, first = np.unique(draw, return_index=True)
            if len(draw):
                found[drawn] = np.add.reduceat(share, first)
            yield found.T

    def widen(self, errors: float) -> float:
        """How many standard errors hold, from this few units, as much as `errors` of a normal distribution:
        `√(n/(n−1)) · t⁻¹(Φ(errors))`.
        """
        from scipy.special import ndtr, stdtrit

        if self.units < 2:
            return math.inf
        return math.sqrt(self.units / (self.units - 1)) * float(stdtrit(self.units - 1, ndtr(errors)))

    def interval(self, replicates: Array, confidence: float = 0.95) -> Array:
        """`[2, …]`: the expanded percentile interval over the first axis (Hesterberg 2015, section 4.3), which is not
        too narrow for few tasks; NaN where there is one task and one seed. Replicates that are NaN do not count.
        """
        from scipy.special import ndtr, ndtri

        found = np.full((2, *replicates.shape[1:]), np.nan)
        if self.units < 2:
            return found
        tail = float(ndtr(-self.widen(float(ndtri((1 + confidence) / 2)))))
        some = ~np.isnan(replicates).all(0)
        quantile = np.nanquantile if np.isnan(replicates).any() else np.quantile
        found[:, some] = quantile(replicates[:, some], [tail, 1 - tail], axis=0)
        return found


def _shares(random: np.random.Generator, count: int, present: Mask) -> Array:
    """`[count, S]`: seeds that are `present` `[S]`, drawn with replacement as many times as there are, as shares."""
    there = np.flatnonzero(present)
    picked = random.integers(len(there), size=(count, len(there)))
    picked += np.arange(count)[:, None] * len(there)
    hits = np.bincount(picked.ravel(), minlength=picked.size).reshape(picked.shape)
    found = np.zeros((count, len(present)))
    found[:, there] = hits / len(there)
    return found
