"""Rankings of the page: over all tasks, over real and synthetic ones, over each group."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnbench.board.pairs import Pairs, compare_all
from rnnbench.board.ranking import Ranking, rank
from rnnbench.board.render import clean
from rnnbench.board.scores import Array, Scores, scores_of
from rnnbench.board.table import Column, Table
from rnnbench.board.web.diagram import critical_difference_diagram


@dataclass(frozen=True)
class RankingSection:
    """One set of tasks, and what can be said over it.

    Args:
        name: of the set.
        scores: what is compared.
        ranking: on the cells that all share; None where there are none.
        pairs: each two on what both have, in the order of `order`.
        order: labels as the ranking has them, then the others.
        diagram: critical differences, as SVG.
    """

    name: str
    scores: Scores
    ranking: Ranking | None
    pairs: Pairs
    order: list[str]
    diagram: str


def ranking_sections(table: Table) -> list[RankingSection]:
    """All sets of tasks with two contenders or more; a set that is the same as all tasks is left out."""
    found: list[RankingSection] = []
    for name, counts in _sets(table):
        scores = scores_of(table, counts)
        if len(scores.contenders) > 1 and scores.columns and (not found or scores.columns != found[0].scores.columns):
            found.append(_section(name, scores))
    return found


def pairs_data(section: RankingSection) -> dict[str, Any]:
    """The pairs of a section for the page, in per cent; None where two have nothing in common."""
    pairs = section.pairs
    better, low, high = (_per_cent(part) for part in (pairs.better, pairs.low, pairs.high))
    runs, tasks = (np.nan_to_num(part).astype(int).tolist() for part in (pairs.cells, pairs.tasks))
    return {"labels": [clean(label) for label in section.order], "name": section.name, "better": better, "low": low,
            "high": high, "runs": runs, "tasks": tasks}  # fmt: skip


def _per_cent(values: Array) -> list[list[int | None]]:
    return [[None if np.isnan(value) else round(100 * value) for value in row] for row in values.tolist()]


def _sets(table: Table) -> Iterator[tuple[str, Callable[[Column], bool]]]:
    yield "all tasks", lambda column: True
    scoring = table.scoring
    kinds, groups = ({getattr(one, name) for one in scoring.values()} for name in ("kind", "group"))
    members = {
        f"{kind} data": {column for column, one in scoring.items() if one.kind == kind} for kind in sorted(kinds)
    }
    members |= {
        f"group {clean(group)}": {column for column, one in scoring.items() if one.group == group}
        for group in sorted(groups)
    }
    for name, some in members.items():
        yield name, some.__contains__


def _section(name: str, scores: Scores) -> RankingSection:
    ranking = rank(scores)
    ranked = [place.label for place in ranking.places] if ranking else []
    order = [*ranked, *(label for label in scores.contenders if label not in ranked)]
    pairs = compare_all(scores.values[[scores.contenders.index(label) for label in order]])
    return RankingSection(
        name, scores, ranking, pairs, order, critical_difference_diagram(ranking, name) if ranking else ""
    )
