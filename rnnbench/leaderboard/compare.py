"""Two configurations against each other, task by task, on the seeds that both have run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.leaderboard.intervals import digits, plus_minus
from rnnbench.leaderboard.statistics import LEVEL, holm, paired, pairs_to_separate
from rnnbench.leaderboard.table import Column, Row, Table, budget_text
from rnnbench.utils.text import clean, number


@dataclass(frozen=True)
class Duel:
    """One column.

    Args:
        column: where they meet.
        a, b: means over the seeds that both have.
        seeds: how many these are.
        difference: mean of a − b, seed by seed; above 0 is better for a, whichever way the metric goes.
        half_width: of its 95 % interval by Student's t; None for one seed.
        p: of the paired t test, adjusted by Holm over all columns; 1 for one seed.
        more: how many more seeds would tell them apart in 80 % of cases; None if none or unknown.
    """

    column: Column
    a: float
    b: float
    seeds: int
    difference: float
    half_width: float | None
    p: float
    more: int | None

    def verdict(self, a: str, b: str) -> str:
        """In words."""
        if self.p < LEVEL:
            return f"{a if self.difference > 0 else b} is better"
        if self.seeds == 1:
            return "one shared seed: nothing can be said"
        if self.difference == 0:
            return "the same"
        more = f"; about {self.more} more seed{'s' * (self.more != 1)} would tell" if self.more else ""
        return f"no difference shown{more}"


@dataclass(frozen=True)
class Versus:
    """All columns where both have a seed, and how much is left out."""

    a: Row
    b: Row
    duels: list[Duel]
    only_a: int
    only_b: int

    @property
    def heads(self) -> list[str]:
        """The head of each column of `rows`."""
        return ["task", self.a.label, self.b.label, "seeds", f"lead of {self.a.label}", "verdict"]

    @property
    def rows(self) -> list[list[str]]:
        """A row of texts for each duel."""
        return [
            [place_of(one), *_means(one), str(one.seeds), interval_of(one), one.verdict(self.a.label, self.b.label)]
            for one in self.duels
        ]

    def summary(self) -> str:
        """In a sentence or two."""
        won = [one for one in self.duels if one.p < LEVEL]
        by_a = sum(one.difference > 0 for one in won)
        counts = [
            f"{self.a.label} is better on {by_a}",
            f"{self.b.label} on {len(won) - by_a}",
            f"{len(self.duels) - len(won)} undecided",
        ]
        total = len(self.duels)
        counted = f"of {total} shared column{'s' * (total != 1)}: {', '.join(counts)} (Holm over all, p < {LEVEL})"
        left = f"{self.only_a} runs of {self.a.label} and {self.only_b} of {self.b.label}"
        return counted + (f"; {left} have no partner and do not count" if self.only_a + self.only_b else "")


def versus(table: Table, a: str, b: str, task: str | None = None) -> Versus:
    """Rows `a` and `b` of a board, on one task or all.

    Raises:
        RnnbenchError: there is no such row or task, both are one row, or they share no seed of any column.
    """
    first, second = _row(table, a), _row(table, b)
    if first is second:
        raise RnnbenchError(f"{first.label!r} cannot be compared with itself")
    tasks = {column.task for column in table.columns}
    if task is not None and task not in tasks:
        raise unknown("task on the board", task, tasks)
    columns = [column for column in table.columns if task in (None, column.task)]
    scores = [(column, _by_seed(first, column), _by_seed(second, column)) for column in columns]
    duels = _adjusted([_duel(column, x, y) for column, x, y in scores if x.keys() & y.keys()])
    if not duels:
        raise RnnbenchError(f"{first.label!r} and {second.label!r} share no task and seed that is done: "
                            f"nothing can be compared{_stale(first, second)}")  # fmt: skip
    only_a = sum(len(x.keys() - y.keys()) for _, x, y in scores)
    only_b = sum(len(y.keys() - x.keys()) for _, x, y in scores)
    return Versus(first, second, duels, only_a, only_b)


def _stale(*rows: Row) -> str:
    """That scores of rows do not count any more, if that is so."""
    counts = {row.label: sum(entry.others["stale"] for entry in row.entries.values()) for row in rows}
    stale = [f"{count} of {label}" for label, count in counts.items() if count]
    return f" (stale are {' and '.join(stale)}; `--refresh` of a grid's `run` makes them anew)" if stale else ""


def _row(table: Table, name: str) -> Row:
    """The row of that label, or the only one of that name or architecture."""
    rows = [row for row in table.rows if row.label == name]
    rows = rows or [row for row in table.rows if row.name == name]
    rows = rows or [row for row in table.rows if row.configuration.name == name]
    if not rows:
        raise unknown("architecture on the board", name, [row.label for row in table.rows])
    if len(rows) > 1:
        raise RnnbenchError(f"{name!r} stands for several rows: {', '.join(repr(row.label) for row in rows)}")
    return rows[0]


def _by_seed(row: Row, column: Column) -> dict[int, float]:
    return row.entries[column].scores_by_seed if column in row.entries else {}


def _duel(column: Column, a: dict[int, float], b: dict[int, float]) -> Duel:
    sign = 1 if column.direction == "maximise" else -1
    shared = sorted(a.keys() & b.keys())
    differences = [sign * (a[seed] - b[seed]) for seed in shared]
    width, p = paired(differences)
    means = fmean(a[seed] for seed in shared), fmean(b[seed] for seed in shared)
    wanted = pairs_to_separate(differences)
    more = None if wanted is None else max(1, wanted - len(shared))
    return Duel(column, *means, len(shared), fmean(differences), width, p, more)


def _adjusted(duels: Sequence[Duel]) -> list[Duel]:
    adjusted = holm([one.p for one in duels])
    return [Duel(**{**vars(one), "p": p}) for one, p in zip(duels, adjusted, strict=True)]


def place_of(duel: Duel) -> str:
    """Task, metric and budget."""
    return f"{duel.column.task}, {duel.column.metric} {duel.column.arrow}, {budget_text(duel.column.budget)}"


def _means(duel: Duel) -> tuple[str, str]:
    """Both means, with the digits that the interval of their difference leaves."""
    width = duel.half_width
    bounds = (-width, width) if width and math.isfinite(width) else None
    return digits(duel.a, bounds)[0], digits(duel.b, bounds)[0]


def interval_of(duel: Duel) -> str:
    """The difference and its interval."""
    sign = "+" if duel.difference > 0 else "−" if duel.difference < 0 else ""
    if duel.half_width is None or not math.isfinite(duel.half_width):
        return f"{sign}{number(abs(duel.difference))}"
    return f"{sign}{plus_minus(abs(duel.difference), duel.half_width)}"


def comparison_table(comparison: Versus) -> RichTable:
    """The table for a terminal: a row for each column of the board that both have."""
    table = RichTable(box=box.SIMPLE_HEAVY, pad_edge=False)
    for head in comparison.heads:
        left = head in ("task", "verdict")
        table.add_column(Text(clean(head)), justify="left" if left else "right", overflow="fold")
    for row in comparison.rows:
        table.add_row(*(Text(clean(field)) for field in row))
    return table
