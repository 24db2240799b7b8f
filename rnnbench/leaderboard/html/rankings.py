"""Rankings of the page: over all tasks, over each group, over real and synthetic ones."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rnnbench.leaderboard.html.tracks import keys_of
from rnnbench.leaderboard.pairs import Pairs, compare_all
from rnnbench.leaderboard.ranking import Ranking, rank, ranks_of
from rnnbench.leaderboard.scores import Array, Scores, scores_of
from rnnbench.leaderboard.table import Column, Table
from rnnbench.utils.text import clean

SetOf = Literal["all", "kind", "group"]


@dataclass(frozen=True)
class RankingSection:
    """One set of tasks, and what can be said over it.

    Args:
        key: in the address of the page.
        of: `all` tasks, a `kind` of data, or a `group` of tasks.
        name: of the set, in words.
        scores: what is compared.
        ranking: on the cells that all share; None where there are none.
        pairs: each two on what both have, in the order of `order`.
        order: labels as the ranking has them, then the others.
        diagram: critical differences, as SVG.
    """

    key: str
    of: SetOf
    name: str
    scores: Scores
    ranking: Ranking | None
    pairs: Pairs
    order: list[str]
    diagram: str


def ranking_sections(table: Table) -> list[RankingSection]:
    """All tasks, each kind of data and each group, where two configurations or more have scores; a set that is the same
    as all tasks is left out.
    """
    sections: list[RankingSection] = []
    for key, of, name, counts in _sets(table):
        scores = scores_of(table, counts)
        if (
            len(scores.configurations) > 1
            and scores.columns
            and (not sections or scores.columns != sections[0].scores.columns)
        ):
            sections.append(_section(key, of, name, scores))
    return sections


def pairs_data(section: RankingSection) -> dict[str, Any]:
    """The pairs of a section for the page, in per cent; None where two have nothing in common."""
    pairs = section.pairs
    better, low, high = (_per_cent(part) for part in (pairs.better, pairs.low, pairs.high))
    runs, tasks = (np.nan_to_num(part).astype(int).tolist() for part in (pairs.cells, pairs.tasks))
    return {"key": section.key, "name": section.name, "labels": [clean(label) for label in section.order],
            "better": better, "low": low, "high": high, "runs": runs, "tasks": tasks}  # fmt: skip


def _per_cent(values: Array) -> list[list[int | None]]:
    return [[None if np.isnan(value) else round(100 * value) for value in row] for row in values.tolist()]


def _sets(table: Table) -> Iterator[tuple[str, SetOf, str, Callable[[Column], bool]]]:
    yield "all", "all", "all tasks", lambda column: True
    scoring = table.scoring
    groups = sorted({clean(one.group) for one in scoring.values()})
    for key, group in zip(keys_of(groups), groups, strict=True):
        members = {column for column, one in scoring.items() if clean(one.group) == group}
        yield f"group-{key}", "group", group, members.__contains__
    for kind in sorted({one.kind for one in scoring.values()}):
        members = {column for column, one in scoring.items() if one.kind == kind}
        yield f"kind-{kind}", "kind", f"{kind} data", members.__contains__


def _section(key: str, of: SetOf, name: str, scores: Scores) -> RankingSection:
    ranking = rank(scores)
    ranked = [place.label for place in ranking.places] if ranking else []
    order = [*ranked, *(label for label in scores.configurations if label not in ranked)]
    pairs = compare_all(scores.values[[scores.configurations.index(label) for label in order]])
    return RankingSection(
        key, of, name, scores, ranking, pairs, order, critical_difference_diagram(ranking, name) if ranking else ""
    )


MAX_CONFIGURATIONS = 40
"""Configurations that are still readable on it."""


def critical_difference_diagram(ranking: Ranking, name: str) -> str:
    """The diagram of the ranking `name`; empty where Nemenyi's test cannot be made, or there are too many to read."""
    if not 3 <= len(ranking.places) <= MAX_CONFIGURATIONS or ranking.tasks < 2:
        return ""
    import pandas as pd
    from scikit_posthocs import posthoc_nemenyi_friedman

    labels = [place.label for place in ranking.places]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means that are all the same on a task
        tests = posthoc_nemenyi_friedman(pd.DataFrame(ranking.means.T))
    return _draw(name, labels, ranks_of(ranking.means).mean(1).tolist(), tests.fillna(1.0))


def _draw(name: str, labels: list[str], average: list[float], tests: Any) -> str:
    """Draw it by numbers, whose sets have the same order in every process, as those of words have not."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from scikit_posthocs import critical_difference_diagram

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9, "text.parse_math": False}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(8, 1.2 + 0.16 * len(average)))
        drawn = critical_difference_diagram(
            dict(enumerate(average)), tests, ax=figure.subplots(), color_palette=["black"] * len(average),
            label_fmt_left="{label}|{{}} ({rank:.2g})", label_fmt_right="{label}|({rank:.2g}) {{}}",
        )  # fmt: skip
        for text in drawn["labels"]:
            number, _, form = text.get_text().partition("|")
            text.set_text(form.replace("{}", labels[int(number)]))
        svg = io.StringIO()
        figure.savefig(
            svg, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None}
        )
    return _themed(svg.getvalue())


def _themed(svg: str) -> str:
    """The drawing alone, in the colour of the text around it."""
    svg = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z][\w.]*_\d+"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"#000000|\bblack\b", "currentColor", svg)
    return re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", svg, count=2)
