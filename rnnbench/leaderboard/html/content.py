"""What the template of a track is given, and the data that the page's script draws from."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal, TypeVar

from rnnbench.leaderboard.costs import QUANTITIES, CostRow, cost_rows, mean_cost_rows
from rnnbench.leaderboard.html.cards import task_sections
from rnnbench.leaderboard.html.findings import findings_of, leaders
from rnnbench.leaderboard.html.overview import Field, Head, fields_of, grouped, heads_of
from rnnbench.leaderboard.html.rank_tables import RankTable, group_table, overall_table
from rnnbench.leaderboard.html.rankings import RankingSection, pairs_data, ranking_sections
from rnnbench.leaderboard.html.runs import short
from rnnbench.leaderboard.html.tracks import facts_of, most_common
from rnnbench.leaderboard.table import Row, Table
from rnnbench.records.status import STATES
from rnnbench.utils.text import clean

Value = TypeVar("Value", bound=Hashable)
MEAN = "mean"
"""What the page calls the mean over tasks where a task is chosen."""


def track_content(table: Table, key: str) -> dict[str, Any]:
    """All that stands in the sections of a track."""
    groups = grouped(heads_of(table))
    heads = [head for group in groups for head in group.heads]
    fields = fields_of(table, heads)
    by_key = {field.key: field for row in fields for field in row if field.key}
    sections = ranking_sections(table)
    costs = cost_rows(table)
    means = {section.key: _mean_costs(section, costs) for section in sections}
    overall = overall_table(table, sections, groups, means["all"]) if sections else None
    tables = [group_table(table, section, groups, by_key, means[section.key]) for section in sections[1:]]
    order = [row.label for row in overall.rows] if overall else [row.label for row in table.rows]
    places = sorted(range(len(table.rows)), key=lambda a: order.index(table.rows[a].label))
    named = [(MEAN if section.key == "all" else section.key, section) for section in sections if means[section.key]]
    all_costs: list[tuple[str, CostRow]] = [(name, row) for name, section in named for row in means[section.key]]
    all_costs += [(str(table.columns.index(row.column)), row) for row in costs if row.column]
    run, curves = _run_heads(table, heads), _heads_with_curves(table, heads, "curve")
    return {
        "key": key,
        "table": table,
        "facts": facts_of(table),
        "findings": findings_of(table, sections[0] if sections else None, means.get("all", []), heads),
        "groups": groups,
        "heads": heads,
        "rows": [(place + 1, table.rows[a], fields[a]) for place, a in enumerate(places)],
        "ranked": {row.label for row in overall.rows if row.place} if overall else set(),
        "seeds": most_common(field.n for row in fields for field in row if field.n),
        "tuned": any(row.studies for row in table.rows),
        "overall": overall,
        "parts": _parts(overall, table),
        "sections": sections,
        "group_tables": [(one, leaders(one.section)) for one in tables],
        "costs": all_costs,
        "any_training": any(row.training for row in costs),
        "machines": most_first(row.machine for row in costs),
        "mean_of": [
            (name, section.name if section.of != "group" else f"group {section.name}") for name, section in named
        ],
        "common_budget": _common_budget(heads),
        "costed": run,
        "lengths": _heads_with_curves(table, heads, "length_curve"),
        "curves": curves,
        "validated_once": [head for head in run if head not in curves],
        "tasks": task_sections(table),
    }


def track_data(content: dict[str, Any]) -> dict[str, Any]:
    """The same as plain data: what charts, downloads and the address of the page need."""
    table: Table = content["table"]
    overall: RankTable | None = content["overall"]
    ranked = {row.label: row.score for row in overall.rows if row.score} if overall else {}
    tables = [overall] if overall else []
    tables += [one for one, _ in content["group_tables"]]
    return {
        "name": table.name,
        "key": content["key"],
        "title": clean(table.title),
        "columns": [_column_data(head) for head in sorted(content["heads"], key=lambda head: head.index)],
        "rows": [_row_data(row, ranked) for row in table.rows],
        "order": [clean(row.label) for _, row, _ in content["rows"] if any(one.scores for one in row.entries.values())],
        "rankings": {one.section.key: one.data() for one in tables},
        "scores": [_score_data(table, head, row, field) for _, row, fields in content["rows"]
                   for head, field in zip(content["heads"], fields, strict=True) if field.key],
        "pairs": [pairs_data(section) for section in content["sections"]],
        "costs": [_cost_data(task, row) for task, row in content["costs"]],
    }  # fmt: skip


def _common_budget(heads: Sequence[Head]) -> str:
    """The budget of all columns; empty where they differ."""
    budgets = {head.lines[2] for head in heads}
    return budgets.pop() if len(budgets) == 1 else ""


def _mean_costs(section: RankingSection, costs: Sequence[CostRow]) -> list[CostRow]:
    """Mean costs over the tasks of a ranking, of those that are ranked."""
    if section.ranking is None:
        return []
    scores = {place.label: place.score.value for place in section.ranking.places}
    return mean_cost_rows(costs, [section.scores.columns[task] for task in section.ranking.shared], scores)


def _parts(overall: RankTable | None, table: Table) -> dict[tuple[str, str], Any]:
    """The mean over a group of each label, for the columns that stand for a folded group."""
    if overall is None:
        return {}
    return {(row.label, key): part for row in overall.rows for key, part in zip(overall.keys, row.parts, strict=True)}


def _run_heads(table: Table, heads: Sequence[Head]) -> list[Head]:
    """Heads of the columns in which runs are done, those of most configurations first."""
    done = [sum(bool(head.column in row.entries and row.entries[head.column].done) for row in table.rows)
            for head in heads]  # fmt: skip
    order = sorted(range(len(heads)), key=lambda index: -done[index])
    return [heads[index] for index in order if done[index]]


def _heads_with_curves(table: Table, heads: Sequence[Head], what: Literal["curve", "length_curve"]) -> list[Head]:
    """Heads of the columns in which runs have a curve of that name, of two points at least: those of most
    configurations first, of these the one whose curves have most points.
    """
    points = [[max((len(getattr(record, what)) for record in row.entries[head.column].done), default=0)
               for row in table.rows if head.column in row.entries] for head in heads]  # fmt: skip
    lines = [sorted((count for count in counts if count > 1), reverse=True) for counts in points]
    order = sorted(range(len(heads)), key=lambda index: (-len(lines[index]), [-count for count in lines[index]]))
    return [heads[index] for index in order if lines[index]]


def most_first(values: Iterable[Value]) -> list[Value]:
    """Each value once, those that stand most often first."""
    return [value for value, _ in Counter(values).most_common()]


def _column_data(head: Head) -> dict[str, Any]:
    column = head.column
    return {"key": head.key, "task": column.task, "heading": clean(", ".join(head.lines)),
            "metric": clean(column.metric), "maximise": column.direction == "maximise"}  # fmt: skip


def _row_data(row: Row, ranked: dict[str, Any]) -> dict[str, Any]:
    return {"label": clean(row.label), "name": clean(row.name), "settings": clean(row.settings)}


def _score_data(table: Table, head: Head, row: Row, field: Field) -> dict[str, Any]:
    states = {state: count for state, count in field.states if count}
    known = {name: short(value) for name, value in field.numbers.items()}
    return {"architecture": clean(row.label), "task": head.column.task, "metric": clean(head.column.metric),
            "budget": clean(", ".join(head.lines[2:])), "mean": None, "low": None, "high": None, "n": 0,
            "normalised": None, **known, "marks": " ".join(field.marks),
            **{f"runs_{state}": states.get(state, 0) for state in STATES if state != "done"}}  # fmt: skip


def _cost_data(task: str, row: CostRow) -> dict[str, Any]:
    costs = {name: short(value) for name, value in row.costs.items()}
    return {"label": clean(row.label), "task": task, "machine": clean(row.machine), "backend": clean(row.backend),
            "family": clean(row.family), "n": row.count, "score": short(row.score), "costs": costs,
            "fronts": sorted(row.fronts)}  # fmt: skip


def quantity_titles() -> dict[str, str]:
    """The title of each cost by its name."""
    return {quantity.name: quantity.title for quantity in QUANTITIES}
