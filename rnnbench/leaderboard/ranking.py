"""The ranking over tasks: on the cells that all share, with intervals and ties."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from rnnbench.leaderboard.pairs import PowerEstimate, power_estimate, separated
from rnnbench.leaderboard.scores import Array, Mask, Resamples, Scores
from rnnbench.leaderboard.statistics import LEVEL


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; without one where there is a single task and seed."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Place:
    """One configuration in the ranking.

    Args:
        label: the configuration's.
        score: mean normalised score, 0 for chance and 1 for the ceiling; a run below chance counts as chance.
        rank: its rank by mean score on a task, averaged over tasks; 1 is best.
        win_rate: share of comparisons with another one, at the same task and seed, that it wins; a tie is half.
        position: by score, and which it may have: behind all that are significantly better, before all that are
            significantly worse (Mogstad, Romano, Shaikh & Wilhelm 2024, simultaneous confidence sets for ranks).
        ties: first and last of the neighbouring positions that do not differ significantly from it.
        power: what would separate it from the next one; None if they differ already.
    """

    label: str
    score: Estimate
    rank: Estimate
    win_rate: Estimate
    position: Estimate
    ties: tuple[int, int]
    power: PowerEstimate | None

    @property
    def may_be_best(self) -> bool:
        """Whether no other is significantly better."""
        return self.position.low == 1


@dataclass(frozen=True)
class Ranking:
    """Places by mean normalised score.

    Args:
        places: the best first.
        left: configurations that share too few cells with the others.
        shared: which tasks of the scores are compared.
        cells: how many pairs of task and seed, each with a score of all.
        missing: share of the whole grid, all configurations on all tasks and seeds, that is not compared.
        friedman: p of Friedman's test that all rank the same, if there are three configurations and two tasks.
        means: `[A, T]`, mean normalised scores in the order of `places`.
    """

    places: list[Place]
    left: list[str]
    shared: tuple[int, ...]
    cells: int
    missing: float
    friedman: float | None
    means: Array

    @property
    def tasks(self) -> int:
        """How many are compared."""
        return len(self.shared)

    @cached_property
    def critical_difference(self) -> float:
        """Of two average ranks, by Nemenyi's test."""
        return critical_difference(*self.means.shape)

    def note(self) -> str:
        """What is compared, and what is not."""
        compared = (
            f"Compared on {self.tasks} task{'s' * (self.tasks != 1)} and {self.cells} pairs of task and seed that "
        )
        compared += f"all {len(self.places)} have; {100 * self.missing:.0f} % of the grid is missing or not shared."
        left = [f"Not ranked, as they share too little: {', '.join(self.left)}."] if self.left else []
        test = [] if self.friedman is None else [f"Friedman's test that all are the same: p = {self.friedman:.2g}."]
        return " ".join([compared, *left, *test])

    def power_notes(self) -> list[str]:
        """What would separate neighbours, a sentence each, of the first ten for which something would."""
        pairs = [(one, other) for one, other in pairwise(self.places) if one.power and one.power.possible]
        return [f"{one.label} and {other.label}: {one.power.text()}" for one, other in pairs[:10] if one.power]


def rank(scores: Scores) -> Ranking | None:
    """The ranking of those who share cells; None where no two do."""
    there = ~np.isnan(scores.values)
    who, shared = shared_block(there)
    if len(who) < 2:
        return None
    present = shared[shared.any(1)]
    values = np.where(present, scores.values[who][:, shared.any(1)], 0.0)
    labels = [scores.configurations[a] for a in who]
    places = _places(labels, values, present)
    means = seed_means(values, present)[[labels.index(place.label) for place in places]]
    return Ranking(
        places=places,
        left=[label for a, label in enumerate(scores.configurations) if a not in who],
        shared=tuple(int(task) for task in np.flatnonzero(shared.any(1))),
        cells=int(present.sum()),
        missing=1 - len(who) * int(present.sum()) / (len(there) * int(there.any(0).sum())),
        friedman=friedman(means),
        means=means,
    )


def shared_block(there: Mask) -> tuple[list[int], Mask]:
    """Configurations, and the cells `[T, S]` that all of them have, of `there` `[A, T, S]`: the block with the
    most scores of those met by leaving out, one after the other, the configuration that lacks most.
    """
    who = [a for a in range(len(there)) if there[a].any()]
    best, most = who[:1], 0
    while len(who) > 1:
        missing = ~there[who]
        lacking = missing.sum(0)
        if (size := int((lacking == 0).sum()) * len(who)) > most:
            best, most = list(who), size
        alone = (missing & (lacking == 1)).sum((1, 2))  # cells that nobody else lacks
        lacks = missing.sum((1, 2))
        who.pop(max(range(len(who)), key=lambda a: (alone[a], lacks[a], a)))
    return best, np.asarray(there[best].all(0))


def _places(labels: list[str], values: Array, present: Mask) -> list[Place]:
    draws, clipped = Resamples.draw(present), np.maximum(values, 0)
    won = np.where(present, win_shares(values), 0)
    above, resampled, wins = np.split(draws.means(np.concatenate([clipped, values, won])), 3, axis=2)
    score, above = seed_means(clipped, present).mean(1), above.mean(1)
    significant = separated(score, above, draws)
    columns = [
        (score, above, (0.0, 1.0)),
        (ranks_of(seed_means(values, present)).mean(1), ranks_of(resampled, axis=2).mean(1), (1.0, float(len(labels)))),
        (seed_means(won, present).mean(1), wins.mean(1), (0.0, 1.0)),
    ]
    estimates = [_estimates(value, draws.interval(value, replicates, bounds)) for value, replicates, bounds in columns]
    order = sorted(range(len(labels)), key=lambda a: (-score[a], labels[a]))
    ties = _ties(significant[np.ix_(order, order)])
    places = []
    for place, a in enumerate(order):
        after = order[place + 1] if place + 1 < len(order) else None
        lacking = (
            None if after is None or significant[a, after] else power_estimate(clipped[a], clipped[after], present)
        )
        better, worse = (int((significant[a] & side).sum()) for side in (score > score[a], score < score[a]))
        position = Estimate(place + 1, 1 + better, len(labels) - worse)
        own_score, own_rank, own_wins = (column[a] for column in estimates)
        places.append(Place(labels[a], own_score, own_rank, own_wins, position, ties[place], lacking))
    return places


def _estimates(values: Array, bounds: Array) -> list[Estimate]:
    lows, highs = ([None if np.isnan(one) else float(one) for one in side] for side in bounds)
    return [Estimate(float(value), low, high) for value, low, high in zip(values, lows, highs, strict=True)]


def _ties(significant: Mask) -> list[tuple[int, int]]:
    """First and last position, from 1, of the neighbours that do not differ significantly from each."""
    ties = []
    for place in range(len(significant)):
        first = last = place
        while first > 0 and not significant[place, first - 1]:
            first -= 1
        while last + 1 < len(significant) and not significant[place, last + 1]:
            last += 1
        ties.append((first + 1, last + 1))
    return ties


def seed_means(values: Array, present: Mask) -> Array:
    """`[A, T]`: means over the seeds that are `present` `[T, S]`; `values` `[A, T, S]` are 0 elsewhere."""
    return np.asarray(values.sum(2) / present.sum(1))


def ranks_of(values: Array, axis: int = 0) -> Array:
    """Ranks along the axis of configurations: 1 for the largest, the mean rank for ties."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-values, axis=axis))


def win_shares(values: Array) -> Array:
    """In each cell of `values` `[A, T, S]`, the share of the others that a configuration beats; a tie is half."""
    return (len(values) - ranks_of(values)) / (len(values) - 1)


def friedman(means: Array) -> float | None:
    """p of Friedman's test (1937) on `means` `[A, T]`; None for fewer than three configurations or two tasks."""
    if means.shape[0] < 3 or means.shape[1] < 2 or (means == means[0]).all():
        return None
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*means).pvalue)


def critical_difference(configurations: int, tasks: int, level: float = LEVEL) -> float:
    """Of average ranks, by Nemenyi's test: `q · √(k(k+1)/6N)` (Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    quantile = studentized_range.ppf(1 - level, configurations, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(configurations * (configurations + 1) / (6 * tasks)))
