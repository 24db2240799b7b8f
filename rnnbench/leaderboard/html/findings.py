"""What the numbers of a track say, in sentences; none without a number and how many it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.leaderboard.costs import CostRow
from rnnbench.leaderboard.html.overview import Head
from rnnbench.leaderboard.html.rank_tables import bounded, percent
from rnnbench.leaderboard.html.rankings import RankingSection
from rnnbench.leaderboard.ranking import Ranking
from rnnbench.leaderboard.table import Table
from rnnbench.utils.text import amount, clean

MAX_NAMED = 3
NEARLY = 0.1
"""Below the best mean normalised score: who is within it is nearly as good."""


@dataclass(frozen=True)
class Finding:
    """A sentence under a heading of one or two words."""

    heading: str
    text: str


def findings_of(
    table: Table, section: RankingSection | None, costs: Sequence[CostRow], heads: Sequence[Head]
) -> list[Finding]:
    """Who is best, what that costs, and on how many tasks somebody is best alone; those that can be said."""
    ranking = section.ranking if section else None
    order = Finding("Best overall", leaders(section)) if section and ranking else None
    cost = _cost(ranking, costs) if ranking else None
    return [finding for finding in (order, cost, _tasks(table, heads)) if finding]


def leaders(section: RankingSection) -> str:
    """Who leads a ranking, by how much, who may be as good, and how much of the order is settled."""
    ranking = section.ranking
    if ranking is None:
        return ""
    first, count = ranking.places[0], len(ranking.places)
    text, interval = percent(bounded(first.score))
    lead = f"{first.label} leads with {text} %{f' [{interval}]' if interval else ''}"
    others = sum(place.may_be_best for place in ranking.places[1:])
    if others == 0:
        verdict = f"significantly ahead of all {count - 1} others"
    elif others == count - 1:
        verdict = "but none of the others can be told from it"
    else:
        verdict = f"but {others} of {count - 1} others may be as good"
    pairs = count * (count - 1) // 2
    settled = sum(count - int(place.position.high or count) for place in ranking.places)
    basis = f"n = {ranking.cells} scores each on {ranking.tasks} task{'s' * (ranking.tasks > 1)}"
    return clean(f"{lead}, {verdict}; {settled} of {pairs} pairs {'is' if pairs == 1 else 'are'} settled ({basis}).")


def _cost(ranking: Ranking, costs: Sequence[CostRow]) -> Finding | None:
    """The cheapest of those that may be best and are nearly as good, against the leader."""
    machines = [row.machine for row in costs]
    machine = max(sorted(set(machines)), key=machines.count, default="")
    rows = {row.label: row for row in costs if row.machine == machine and row.costs["train_seconds"]}
    leader = rows.get(ranking.places[0].label)
    if leader is None:
        return None
    best = ranking.places[0].score.value
    able = {place.label for place in ranking.places if place.may_be_best and place.score.value >= best - NEARLY}
    cheapest = min((rows[label] for label in able & rows.keys()), key=_seconds)
    basis = f"means over {ranking.tasks} task{'s' * (ranking.tasks > 1)}, n = {cheapest.count} runs, {machine}"
    if cheapest is leader:
        text = (
            f"none within {100 * NEARLY:.0f} points of {leader.label} that may be as good trains faster than its "
            f"{amount(_seconds(leader))} s a run"
        )
    else:
        text = (
            f"of those that may be best and score within {100 * NEARLY:.0f} points of {leader.label}, "
            f"{cheapest.label} trains fastest: {amount(_seconds(cheapest))} s a run for "
            f"{100 * cheapest.score:.0f} %, against {amount(_seconds(leader))} s of {leader.label}"
        )
    return Finding("Best for its cost", clean(f"{text[0].upper()}{text[1:]} ({basis})."))


def _seconds(row: CostRow) -> float:
    return row.costs["train_seconds"] or 0.0


def _tasks(table: Table, heads: Sequence[Head]) -> Finding | None:
    """On how many tasks somebody is best alone, and on how many nobody is better than chance."""
    alone: list[str] = []
    chance: list[str] = []
    tasks: set[str] = set()
    compared = 0
    for head in heads:
        rows = [row for row in table.rows if head.column in row.entries and row.entries[head.column].scores]
        if len(rows) < 2:
            continue
        compared += 1
        tasks.add(head.column.task)
        alone += [f"{row.label} on {head.column.task}" for row in rows if row.entries[head.column].standing == "best"]
        if head.column in table.chance and all(table.is_chance(row, head.column) for row in rows):
            chance.append(head.column.task)
    if not compared:
        return None
    unit = "task" if len(tasks) == compared else "column"
    text = f"on {len(alone)} of {compared} {unit}{'s' * (compared > 1)} one is significantly better than all others"
    text += _named(alone)
    if chance:
        text += f"; on {len(chance)} none is better than chance{_named(chance)}"
    return Finding("Task by task", clean(f"O{text[1:]} (Welch's t, adjusted by Holm)."))


def _named(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f" ({', '.join(names[:MAX_NAMED])}{more})"
