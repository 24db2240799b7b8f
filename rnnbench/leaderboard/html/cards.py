"""Sections about tasks and architectures: the card, the equation, published numbers beside ours."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from pathlib import Path
from statistics import fmean, stdev

from pydantic import TypeAdapter, ValidationError

from rnnbench.config.cards import ArchitectureCard, Published, TaskCard
from rnnbench.config.registry import catalogue
from rnnbench.config.schema import StrictModel, read_json
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.intervals import mean_text
from rnnbench.leaderboard.statistics import half_width
from rnnbench.leaderboard.table import Column, Row, Table
from rnnbench.utils.fingerprint import source_file
from rnnbench.utils.text import number


@dataclass(frozen=True)
class Comparison:
    """A number of the literature beside ours."""

    published: Published
    ours: str
    verdict: str


@dataclass(frozen=True)
class TaskSection:
    """A task of the board: its card, and what the literature says."""

    card: TaskCard
    comparisons: list[Comparison]


@dataclass(frozen=True)
class ArchitectureSection:
    """An architecture of the board: one line, its class, and the words of its code."""

    name: str
    summary: str
    class_path: str
    words: list[str]


def task_sections(table: Table) -> list[TaskSection]:
    """Those whose card is still what the scores were made with."""
    by_task: dict[str, list[Column]] = {}
    for column in table.columns:
        if column in table.cards:
            by_task.setdefault(column.task, []).append(column)
    return [TaskSection(table.cards[columns[0]], comparisons(table, columns)) for columns in by_task.values()]


def comparisons(table: Table, columns: Iterable[Column]) -> list[Comparison]:
    """Each published number beside our best mean in all columns of a task: of the same architecture if one of ours has
    its name, else of any.
    """
    columns = list(columns)
    card = table.cards[columns[0]]
    scores = [(row, row.entries[column].scores) for row in table.rows for column in columns
             if column in row.entries and row.entries[column].scores]  # fmt: skip
    sign = 1 if card.direction == "maximise" else -1
    return [_compared(one, scores, card.metric, sign) for one in card.published]


def _compared(published: Published, scores: list[tuple[Row, list[float]]], metric: str, sign: int) -> Comparison:
    same = [one for one in scores if _is_called(one[0], published.architecture)]
    if not scores:
        return Comparison(published, "–", "not run")
    row, values = max(same or scores, key=lambda one: sign * fmean(one[1]))
    width = half_width(values)
    which = row.label if same else f"{row.label}, our best"
    ours = f"{mean_text(values, metric)} ({which}, n={len(values)})"
    return Comparison(published, ours, verdict(published, fmean(values), width, sign))


def _is_called(row: Row, name: str) -> bool:
    return name.casefold() in {row.configuration.name.casefold(), row.configuration.family.casefold()}


def verdict(published: Published, mean: float, width: float | None, sign: int) -> str:
    """What our mean says of a published number."""
    if not published.comparable:
        return "not comparable"
    ahead = sign * (mean - published.value)
    if width is not None and abs(ahead) <= width:
        return "the same, as far as our seeds tell"
    unsure = " (one seed)" if width is None else ""
    return f"ours is better by {number(ahead)}{unsure}" if ahead > 0 else f"ours is worse by {number(-ahead)}{unsure}"


def references(tables: Iterable[Table]) -> list[tuple[str, list[str]]]:
    """The papers that the cards of tasks name, each with the tasks, in the order of the alphabet."""
    cards = {card.name: card for table in tables for card in table.cards.values()}
    tasks: dict[str, list[str]] = {}
    for name in sorted(cards):
        for reference in cards[name].references:
            tasks.setdefault(reference, []).append(name)
    return sorted(tasks.items())


def architecture_sections(tables: Iterable[Table]) -> list[ArchitectureSection]:
    """One for each name and class on the boards."""
    known = catalogue("architecture")
    named = sorted({(row.configuration.name, row.configuration.class_path) for table in tables for row in table.rows})
    return [ArchitectureSection(name, _summary(name, path, known), path, words_about(path)) for name, path in named]


def _summary(name: str, class_path: str, known: Iterable[str]) -> str:
    if name not in known:
        return ""
    _, card = ArchitectureCard.load(name)
    return card.summary if card.class_path == class_path else ""


ROOMS = ("architectures", "nn")
REFERENCE = re.compile(r"[Ee]quation in `([\w.]+)`")
MAX_CHAIN = 5


def words_about(class_path: str) -> list[str]:
    """Docstrings of one of our classes, and of those that hold its equation; empty for a class of somebody else."""
    texts: list[str] = []
    name = class_path.rpartition(".")[2]
    if not class_path.startswith("rnnbench."):
        return texts
    room = "architectures"
    while len(texts) < MAX_CHAIN and (text := _docstrings(room).get(name)):
        texts.append(text)
        reference = REFERENCE.search(text)
        if reference is None:
            break
        room, name = "nn", reference[1].rpartition(".")[2]
    return texts


@cache
def _docstrings(room: str) -> dict[str, str]:
    """Of all classes in a room, by name; of two of one name that of the equation, in `cells/`."""
    package = source_file(f"rnnbench.{room}")
    docstrings: dict[str, str] = {}
    paths = Path(package).parent.rglob("*.py") if package else ()
    for path in sorted(paths, key=lambda path: (path.parent.name != "cells", path)):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and (text := ast.get_docstring(node)):
                docstrings.setdefault(node.name, cleandoc(text))
    return docstrings


class Claim(StrictModel):
    """One entry of `conformance.json`."""

    name: str
    claim: str
    source: str
    deviation: str = ""
    task: str
    metric: str
    runs: str = ""
    rule: str
    scores: dict[str, list[float]]
    lacking: int
    verdict: str

    @property
    def found(self) -> str:
        """Mean ± standard deviation of each architecture."""
        return "; ".join(f"{name} {_mean(scores)} (n={len(scores)})" for name, scores in self.scores.items() if scores)


@dataclass(frozen=True)
class Claims:
    """What could be read, and why something could not."""

    entries: list[Claim]
    problems: list[str]


def read_claims(leaderboard: Path) -> Claims:
    """Those of a leaderboard; none if it has none."""
    path = leaderboard / "conformance.json"
    if not path.is_file():
        return Claims([], [])
    try:
        return Claims(TypeAdapter(list[Claim]).validate_python(read_json(path)), [])
    except (RnnbenchError, ValidationError) as error:
        return Claims([], [f"{path}: {str(error).splitlines()[0]}"])


def _mean(scores: list[float]) -> str:
    deviation = f" ± {stdev(scores):.2g}" if len(scores) > 1 else ""
    return f"{fmean(scores):.4g}{deviation}"
