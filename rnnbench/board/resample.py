"""The paired hierarchical bootstrap: tasks are drawn, then seeds within each; all contenders share the draw."""

import math
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
        share: `[B, T, S]`, the share of each seed in the mean of that draw; sums to 1.
        units: how many tasks were drawn from; where there is one, how many seeds.
    """

    task: npt.NDArray[np.intp]
    share: Array
    units: int

    @classmethod
    def draw(cls, present: Mask, count: int = RESAMPLES, seed: int = 0) -> "Resamples":
        """Draws from the cells `present` `[T, S]`; every task has one or more."""
        random = np.random.default_rng(seed)
        sizes = present.sum(1)
        task = random.integers(len(sizes), size=(count, len(sizes)))
        hits = random.multinomial(sizes[task], (present / sizes[:, None])[task])
        units = len(sizes) if len(sizes) > 1 else int(sizes[0])
        return cls(task, hits / sizes[task][..., None], units)

    def means(self, values: Array) -> Array:
        """`[B, T, A]`: the mean over seeds of `values` `[A, T, S]` (no NaN) in each draw of a task."""
        found = np.empty((*self.task.shape, len(values)))
        for task in range(values.shape[1]):
            drawn = self.task == task
            found[drawn] = self.share[drawn] @ values[:, task].T
        return found

    def weights(self) -> Array:
        """`[T, S, B]`: the share of each cell in the sum over all drawn tasks."""
        count, tasks = self.task.shape
        found = np.zeros((tasks, count, self.share.shape[2]))
        for draw in range(tasks):
            np.add.at(found, (self.task[:, draw], np.arange(count)), self.share[:, draw])
        return found.transpose(0, 2, 1)

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
