"""The table of scores on the page: what a reader sees at a glance, and what it is sorted by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rnnbench.leaderboard.grid_layout import CHANCE
from rnnbench.leaderboard.html.tracks import keys_of
from rnnbench.leaderboard.intervals import bounded_interval, digits
from rnnbench.leaderboard.scores import Scale, scale_of
from rnnbench.leaderboard.table import SORTED_LAST, Column, Entry, Row, Table
from rnnbench.records.status import STATES, State
from rnnbench.utils.text import clean, number

SIGNS: dict[State, str] = {
    "done": "●",
    "failed": "✕",
    "infeasible": "⊘",
    "running": "▷",
    "missing": "○",
    "stale": "↺",
}
"""A shape for each state, so that it is not told by colour alone."""
MEANINGS: dict[State, str] = {
    "done": "has a score",
    "failed": "started, and gave no score: the reason is in the field",
    "infeasible": "cannot be run by its nature",
    "running": "a process is at work on it",
    "missing": "never run",
    "stale": "its card or data has changed, or the code no longer gives the same: does not count",
}


@dataclass(frozen=True)
class Field:
    """One configuration on one task.

    Args:
        key: under which its runs are in the data of the page; empty where there are none.
        mean: of the scores, with as many digits as its uncertainty leaves; empty where there are none.
        interval: 95 %, within the bounds of the metric; empty for one score.
        n: how many scores.
        share: of the way from chance to the ceiling, if there is a scale.
        heat: of the way from chance to the best of the column, 0 to 1; None where there is no scale.
        states: how many runs are in which state that is not done.
        marks: `best`, `tied`, `chance`, `uncertified`.
        order: what the column is sorted by.
        spoken: all of it in words.
        numbers: mean, bounds and share as numbers, for downloads.
    """

    key: str
    mean: str
    interval: str
    n: int
    share: float | None
    heat: float | None
    states: tuple[tuple[State, int], ...]
    marks: tuple[str, ...]
    order: float
    spoken: str
    numbers: dict[str, Any]

    @property
    def short_interval(self) -> str:
        """Without the zero before a decimal point, for narrow columns."""
        return re.sub(r"\b0\.", ".", self.interval)


@dataclass(frozen=True)
class Head:
    """A column: its task, how its scores are read, and by what it is filtered.

    Args:
        index: of the column in the table.
        key: in the address of the page.
        column: task and budget.
        lines: of the heading.
        group: of the task.
        kind: of its data.
        chance: the reference in words; empty where it is not known.
        chance_value: the reference as a number in words.
        one: what a normalised score of 1 is, or why there is none.
        scale: of normalised scores, if there is one.
    """

    index: int
    key: str
    column: Column
    lines: list[str]
    group: str
    kind: str
    chance: str
    chance_value: str
    one: str
    scale: Scale | None


@dataclass(frozen=True)
class HeadGroup:
    """Neighbouring columns whose tasks have one group."""

    key: str
    name: str
    heads: list[Head]


def heads_of(table: Table) -> list[Head]:
    """The heads of all columns, in the order of the table."""
    names = []
    for column in table.columns:
        alone = sum(other.task == column.task for other in table.columns) == 1
        names.append(column.task if alone else ".".join([column.task, *table.headings[column][2:]]))
    return [_head(table, index, key) for index, key in enumerate(keys_of(names))]


def grouped(heads: Sequence[Head]) -> list[HeadGroup]:
    """Heads by group, groups and tasks by name."""
    names = sorted({head.group for head in heads})
    return [
        HeadGroup(key, name, [head for head in heads if head.group == name])
        for key, name in zip(keys_of(names), names, strict=True)
    ]


def fields_of(table: Table, heads: Sequence[Head]) -> list[list[Field]]:
    """The fields of all rows, in the order of `heads`."""
    best = {head.index: _best_share(table, head) for head in heads}
    return [
        [_field(table, row, head, best[head.index], f"{a},{head.index}") for head in heads]
        for a, row in enumerate(table.rows)
    ]


def _head(table: Table, index: int, key: str) -> Head:
    column = table.columns[index]
    scoring, chance, scale = table.scoring.get(column), table.chance.get(column), scale_of(table, column)
    return Head(
        index,
        key,
        column,
        table.headings[column],
        clean(scoring.group) if scoring else "unknown",
        scoring.kind if scoring else "unknown",
        f"{CHANCE} {number(chance.value)}: {chance.of}" if chance else "",
        number(chance.value) if chance else "",
        f"1 is {scale.one_is}" if isinstance(scale, Scale) else scale,
        scale if isinstance(scale, Scale) else None,
    )


def share_of(scale: Scale, score: float) -> float:
    """How far a score is on the way from chance to the ceiling."""
    return (score - scale.chance) / (scale.one - scale.chance)


def _best_share(table: Table, head: Head) -> float | None:
    """The largest share of a column. None where one row has scores, or none is better than chance: differences are
    noise there.
    """
    rows = [row for row in table.rows if head.column in row.entries and row.entries[head.column].scores]
    if head.scale is None or len(rows) < 2 or all(table.is_chance(row, head.column) for row in rows):
        return None
    return max(share_of(head.scale, fmean(row.entries[head.column].scores)) for row in rows)


def _field(table: Table, row: Row, head: Head, best: float | None, key: str) -> Field:
    """One field; a configuration that no record has on this task is missing there, in words."""
    column = head.column
    entry = row.entries.get(column, Entry())
    states = tuple((state, entry.others[state]) for state in STATES if entry.others[state])
    key = key if entry.states else ""
    worst = SORTED_LAST if column.direction == "minimise" else -SORTED_LAST
    if not entry.scores:
        states = states or (("missing", 0),)
        spoken = f"{row.label} on {column.task}: {_spoken(states)}"
        return Field(key, "", "", 0, None, None, states, (), worst, spoken, {})
    mean, bounds = fmean(entry.scores), bounded_interval(entry.scores, column.metric)
    share = None if head.scale is None else share_of(head.scale, mean)
    heat = None if share is None or best is None or best <= 0 else min(1.0, max(0.0, share / best))
    others = {"chance": table.is_chance(row, column), "uncertified": entry.uncertified > 0}
    marks = (*([entry.standing] if entry.standing else []), *(mark for mark, present in others.items() if present))
    shown, ends = digits(mean, bounds)
    interval = "–".join(ends)
    words = [f"{row.label} on {column.task}: {column.metric} {shown}"]
    words += [f"95 % interval {' to '.join(ends)}"] if ends else []
    words += [f"{len(entry.scores)} seed{'s' * (len(entry.scores) > 1)}"]
    words += [SPOKEN[mark] for mark in marks] + ([_spoken(states)] if states else [])
    low, high = bounds or (None, None)
    numbers = {"mean": mean, "low": low, "high": high, "n": len(entry.scores), "normalised": share}
    return Field(
        key, shown, interval, len(entry.scores), share, heat, states, marks, mean, ", ".join(words), numbers
    )  # fmt: skip


SPOKEN = {"best": "best", "tied": "same as the best", "chance": "not better than chance",
          "uncertified": "not certified for this version of the code"}  # fmt: skip


def _spoken(states: tuple[tuple[State, int], ...]) -> str:
    return ", ".join(state if count < 2 else f"{count} {state}" for state, count in states)
