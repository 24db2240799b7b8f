"""Ranked tables of the page: a row for each configuration, with its place, mean score, parts of it, and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from rnnbench.leaderboard.costs import CostRow
from rnnbench.leaderboard.html.overview import Field, HeadGroup, share_of
from rnnbench.leaderboard.html.rankings import RankingSection
from rnnbench.leaderboard.intervals import digits
from rnnbench.leaderboard.ranking import Estimate, Place
from rnnbench.leaderboard.table import SORTED_LAST, Row, Table
from rnnbench.utils.text import amount, clean


@dataclass(frozen=True)
class Part:
    """One small field of a row: a group of tasks, or a task.

    Args:
        text: what it shows; empty where there is no score.
        heat: 0 for chance, 1 for the best of its column; None where there is no scale.
        order: what its column is sorted by.
        spoken: in words.
        key: of the runs that it opens, if it is a task.
        partial: whether it is a mean over some of the tasks only.
        marks: as those of `Field`.
        value: as a number, for downloads.
    """

    text: str
    heat: float | None
    order: float
    spoken: str
    key: str = ""
    partial: bool = False
    marks: tuple[str, ...] = ()
    value: float | None = None


@dataclass(frozen=True)
class RankedRow:
    """A configuration in a ranked table.

    Args:
        label: the row's on the board.
        name: label without settings.
        settings: what tells it from others of its name.
        place: in the ranking; None for one that shares too few cells with the others.
        score: mean normalised score, its interval within 0 and 1.
        score_text, interval_text: the same in percent.
        parts: one for each heading of the table.
        seconds: mean training seconds of a run, if all of its tasks ran on the machine of the table.
        parameters: of its models, in words.
        least_parameters: what they are sorted by.
    """

    label: str
    name: str
    settings: str
    place: Place | None
    score: Estimate | None
    score_text: str
    interval_text: str
    parts: tuple[Part, ...]
    seconds: float | None
    parameters: str
    least_parameters: float

    @property
    def seconds_text(self) -> str:
        """For people."""
        return "" if self.seconds is None else amount(self.seconds)


@dataclass(frozen=True)
class RankTable:
    """A ranked table, the best first; rows without a place come last.

    Args:
        section: whose ranking it is.
        headings: of the parts of its rows.
        titles: what each of them is, in a sentence.
        keys: of the headings, in the address of the page.
        directions: which way each part is better.
        rows: of the table.
        machine: of the seconds; empty where none are known.
    """

    section: RankingSection
    headings: list[str]
    titles: list[str]
    keys: list[str]
    directions: list[str]
    rows: list[RankedRow]
    machine: str

    def data(self) -> list[dict[str, Any]]:
        """Its rows as plain numbers."""
        return [self._numbers(row) for row in self.rows]

    def _numbers(self, row: RankedRow) -> dict[str, Any]:
        place = row.place
        content: dict[str, Any] = {"architecture": clean(row.name), "settings": clean(row.settings)}
        estimates = {"place": place and place.position, "score": row.score, "average_rank": place and place.rank,
                     "win_rate": place and place.win_rate}  # fmt: skip
        for name, one in estimates.items():
            content |= {name: one and one.value, f"{name}_low": one and one.low, f"{name}_high": one and one.high}
        parts = {clean(heading): part.value for heading, part in zip(self.headings, row.parts, strict=True)}
        return content | parts | {"train_seconds": row.seconds, "parameters": row.parameters}


def overall_table(
    table: Table, sections: Sequence[RankingSection], groups: Sequence[HeadGroup], costs: Sequence[CostRow]
) -> RankTable:
    """The table over all tasks; its parts are means over groups."""
    columns = [_group_parts(table, group, _of_group(sections, group)) for group in groups]
    counts = [len({head.column.task for head in group.heads}) for group in groups]
    titles = [f"mean normalised score over {count} task{'s' * (count > 1)} of the group {group.name}"
              for group, count in zip(groups, counts, strict=True)]  # fmt: skip
    names = [group.name for group in groups]
    rows = _rows(table, sections[0], columns, costs)
    keys = [f"group-{group.key}" for group in groups]
    return RankTable(sections[0], names, titles, keys, ["maximise"] * len(names), rows, _machine(costs))


def group_table(
    table: Table, section: RankingSection, groups: Sequence[HeadGroup], fields: Mapping[str, Field],
    costs: Sequence[CostRow],
) -> RankTable:  # fmt: skip
    """The table over one set of tasks; its parts are the scores on each of them.

    Args:
        table: the board.
        section: the set and its ranking.
        groups: heads of all columns.
        fields: of the overview, by key.
        costs: means over these tasks.
    """
    own = set(section.scores.columns)
    heads = [head for group in groups for head in group.heads if head.column in own]
    columns = [
        [_task_part(fields.get(f"{a},{head.index}")) for a in range(len(table.rows))] for head in heads
    ]  # fmt: skip
    titles = [
        f"{head.column.task}: {head.column.metric} {head.column.arrow}, 0 is {head.chance or 'unknown'}, {head.one}"
        for head in heads
    ]
    rows = _rows(table, section, columns, costs)
    rows = [row for row in rows if row.place or any(part.text for part in row.parts)]
    names, directions = [head.column.task for head in heads], [head.column.direction for head in heads]
    return RankTable(section, names, titles, [head.key for head in heads], [*directions], rows, _machine(costs))


def _of_group(sections: Sequence[RankingSection], group: HeadGroup) -> RankingSection | None:
    """The ranking of a group; that over all tasks if there is no other group."""
    own = next((one for one in sections if one.of == "group" and one.key == f"group-{group.key}"), None)
    tasks = {head.column for head in group.heads}
    return own or (sections[0] if set(sections[0].scores.columns) <= tasks else None)


def _group_parts(table: Table, group: HeadGroup, section: RankingSection | None) -> list[Part]:
    """Of each row of the board, its mean over a group: as ranked there, else over those tasks that it has."""
    ranked = {place.label: place.score.value for place in section.ranking.places} if section and section.ranking else {}
    counted = [head for head in group.heads if head.scale and (not section or head.column in section.scores.columns)]
    best = max(ranked.values(), default=0.0)
    return [_group_part(row, group.name, counted, ranked, best) for row in table.rows]


def _group_part(row: Row, name: str, heads: Sequence[Any], ranked: Mapping[str, float], best: float) -> Part:
    if row.label in ranked:
        value, partial, spoken = ranked[row.label], False, f"{name}: {100 * ranked[row.label]:.0f} %"
    else:
        shares = [max(0.0, share_of(head.scale, fmean(row.entries[head.column].scores))) for head in heads
                  if head.column in row.entries and row.entries[head.column].scores]  # fmt: skip
        if not shares:
            return Part("", None, -SORTED_LAST, f"{name}: no score")
        value, partial = fmean(shares), len(shares) < len(heads)
        spoken = (
            f"{name}: {100 * value:.0f} % on {len(shares)} of {len(heads)} tasks; not ranked there, as runs are missing"
        )
    heat = min(1.0, value / best) if best > 0 and not partial else None
    return Part(f"{100 * value:.0f}", heat, value, spoken, partial=partial, value=value)


def _task_part(field: Field | None) -> Part:
    if field is None or not field.n:
        states = "" if field is None else ", ".join(state for state, _ in field.states)
        return Part("", None, field.order if field else 0.0, field.spoken if field else "", field.key if field else "",
                    marks=(states,) if states else ())  # fmt: skip
    return Part(field.mean, field.heat, field.order, field.spoken, field.key, marks=field.marks,
                value=field.numbers["mean"])  # fmt: skip


def _rows(
    table: Table, section: RankingSection, columns: Sequence[Sequence[Part]], costs: Sequence[CostRow]
) -> list[RankedRow]:
    machine = _machine(costs)
    seconds = {row.label: row.costs["train_seconds"] for row in costs if row.machine == machine}
    places = {place.label: place for place in section.ranking.places} if section.ranking else {}
    rows = []
    for a, row in enumerate(table.rows):
        place = places.get(row.label)
        score = bounded(place.score) if place else None
        text, interval = percent(score) if score else ("", "")
        parts = tuple(column[a] for column in columns)
        name, settings = row.name, row.settings
        costs_of = seconds.get(row.label), row.parameters, row.least_parameters
        rows.append(RankedRow(row.label, name, settings, place, score, text, interval, parts, *costs_of))
    order = {label: index for index, label in enumerate(places)}
    return sorted(rows, key=lambda row: (order.get(row.label, len(order)), row.label))


def _machine(costs: Sequence[CostRow]) -> str:
    """That of most rows: times of two are never in one column."""
    machines = [row.machine for row in costs]
    return max(sorted(set(machines)), key=machines.count, default="")


def bounded(score: Estimate) -> Estimate:
    """A mean normalised score with its interval within 0 and 1: runs below chance count as chance, and 1 is the ceiling
    or the best mean of the board.
    """
    if score.low is None or score.high is None:
        return score
    return replace(score, low=max(0.0, min(score.low, score.value)), high=max(score.value, min(score.high, 1.0)))


def percent(score: Estimate) -> tuple[str, str]:
    """A share and its interval in percent, with the digits that the interval leaves, one decimal at most."""
    if score.low is None or score.high is None:
        return f"{100 * score.value:.0f}", ""
    shown, ends = digits(100 * score.value, (100 * score.low, 100 * score.high), most=1)
    return shown, "–".join(ends)
