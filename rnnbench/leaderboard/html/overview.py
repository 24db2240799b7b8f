"""The fields of the overview: what a reader sees at a glance, and what it is sorted by."""

from dataclasses import dataclass
from statistics import fmean

from rnnbench.leaderboard.grid_layout import CHANCE
from rnnbench.leaderboard.scores import Scale, scale_of
from rnnbench.leaderboard.statistics import half_width
from rnnbench.leaderboard.table import SORTED_LAST, Column, Entry, Row, Table, budget_text
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
        key: under which its runs stand in the data of the page; empty where there are none.
        mean, interval, n: of the score.
        share: of the way from chance to the ceiling, if there is a scale.
        states: how many runs are in which state that is not done.
        marks: `best`, `tied`, `chance`, `uncertified`.
        order: what the column is sorted by.
        spoken: all of it in words.
    """

    key: str
    mean: str
    interval: str
    n: int
    share: float | None
    states: tuple[tuple[State, int], ...]
    marks: tuple[str, ...]
    order: float
    spoken: str


@dataclass(frozen=True)
class Head:
    """A column: its task, how its scores are read, and by what it is filtered."""

    column: Column
    lines: list[str]
    budget: str
    group: str
    kind: str
    chance: str
    one: str


def overview(table: Table) -> tuple[list[Head], list[list[Field]]]:
    """The heads of all columns, and the fields of all rows."""
    scales = {column: scale_of(table, column) for column in table.columns}
    heads = [_head(table, column, scale) for column, scale in scales.items()]
    fields = [
        [_field(table, row, column, scale, f"{a},{t}") for t, (column, scale) in enumerate(scales.items())]
        for a, row in enumerate(table.rows)
    ]
    return heads, fields


def _head(table: Table, column: Column, scale: Scale | str) -> Head:
    scoring, chance = table.scoring.get(column), table.chance.get(column)
    return Head(
        column,
        table.headings[column],
        budget_text(column.budget),
        clean(scoring.group) if scoring else "unknown",
        scoring.kind if scoring else "unknown",
        f"{CHANCE} {number(chance.value)}: {chance.of}" if chance else "",
        f"100 % is {scale.one_is}" if isinstance(scale, Scale) else scale,
    )


def _field(table: Table, row: Row, column: Column, scale: Scale | str, key: str) -> Field:
    """One field; a configuration that no record has on this task is missing there, in words."""
    entry = row.entries.get(column, Entry())
    states = tuple((state, entry.others[state]) for state in STATES if entry.others[state])
    key = key if entry.states else ""
    worst = SORTED_LAST if column.direction == "minimise" else -SORTED_LAST
    if not entry.scores:
        states = states or (("missing", 0),)
        return Field(key, "", "", 0, None, states, (), worst, f"{row.label} on {column.task}: {_spoken(states)}")
    mean, width = fmean(entry.scores), half_width(entry.scores)
    share = (mean - scale.chance) / (scale.one - scale.chance) if isinstance(scale, Scale) else None
    others = {"chance": table.is_chance(row, column), "uncertified": entry.uncertified > 0}
    marks = (*([entry.standing] if entry.standing else []), *(mark for mark, present in others.items() if present))
    words = [f"{row.label} on {column.task}: {column.metric} {number(mean)}"]
    words += [f"plus or minus {number(width)}"] if width is not None else []
    words += [f"{len(entry.scores)} seed{'s' * (len(entry.scores) > 1)}"]
    words += [SPOKEN[mark] for mark in marks] + ([_spoken(states)] if states else [])
    interval = "" if width is None else f"± {number(width)}"
    return Field(key, number(mean), interval, len(entry.scores), share, states, marks, mean, ", ".join(words))


SPOKEN = {"best": "best", "tied": "same as the best", "chance": "not better than chance",
          "uncertified": "not certified for this version of the code"}  # fmt: skip


def _spoken(states: tuple[tuple[State, int], ...]) -> str:
    return ", ".join(state if count < 2 else f"{count} {state}" for state, count in states)
