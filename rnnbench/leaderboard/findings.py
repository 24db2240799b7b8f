"""What a board says, in sentences: who is best over each group of tasks, what is settled, and what papers say.

Every sentence has a number, how many runs it rests on, and the test behind it. Nothing is written by hand: the claims
of the literature stand in a file (`configs/literature.yaml`), and the board's runs say what becomes of them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, TypeAdapter, model_validator

from rnnbench.config.registry import package_home
from rnnbench.config.schema import StrictModel, read_yaml
from rnnbench.leaderboard.board import OTHER_RUNS
from rnnbench.leaderboard.intervals import mean_text
from rnnbench.leaderboard.pairs import compare_all
from rnnbench.leaderboard.ranking import Ranking, rank, seed_means
from rnnbench.leaderboard.scores import Resamples, Scores, scores_of
from rnnbench.leaderboard.table import Column, Row, Table
from rnnbench.utils.files import write_whole
from rnnbench.utils.text import escape

LITERATURE = package_home("rnnbench") / "configs" / "literature.yaml"
MARGIN = 0.05
"""Of a mean normalised score: within it two count as about the same."""
INTRODUCTION = (
    "Made from the records by `rnnbench board`; do not edit. A normalised score is 0 at chance and 1 at the ceiling of "
    "a task or, where it has none, at the best mean here; a run below chance counts as chance. Intervals are 95 %, of "
    "a paired bootstrap over tasks and seeds or Student's t where that is wider. A claim of the literature agrees "
    "where the interval of the mean difference is on the side that it says, of two that are said to be alike within "
    f"±{MARGIN}, and of one that is said to be no worse above −{MARGIN}; it disagrees where that is on the other side "
    "or, of two that are said to be alike, leaves out 0."
)
Verdict = Literal["agrees", "disagrees", "not settled", "not on this board"]


class Statement(StrictModel):
    """A claim of a paper about two architectures.

    Args:
        claim: in a sentence.
        source: author, year, table or figure.
        better: an architecture that is said to be better …
        than: … than this one.
        alike: or two that are said to be about the same.
        no_worse: or one that is said to be as good as another one, or better.
        groups: of tasks that the claim is about, as a board or track names them; by default all.
        tasks: that the claim is about, where no group holds just these.
    """

    claim: str
    source: str
    better: str | None = None
    than: str | None = None
    alike: list[str] | None = Field(None, min_length=2, max_length=2)
    no_worse: list[str] | None = Field(None, min_length=2, max_length=2)
    groups: list[str] = []
    tasks: list[str] = []

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.groups and self.tasks:
            raise ValueError("give groups or tasks")
        said = [self.better is not None, self.alike is not None, self.no_worse is not None]
        if (self.better is None) != (self.than is None) or sum(said) != 1:
            raise ValueError("give better and than, or alike, or no_worse")
        return self

    @property
    def pair(self) -> tuple[str, str]:
        """The two, the one that is said to be better first."""
        first, second = self.alike or self.no_worse or (str(self.better), str(self.than))
        return first, second


@dataclass(frozen=True)
class Difference:
    """Two architectures on what both have run.

    Args:
        mean: of the first's normalised scores minus the second's; seeds averaged within tasks.
        low, high: its 95 % interval, see `Resamples.interval`; None from one task and seed.
        better: probability that the first is better at a task and seed drawn at random.
        tasks: on how many tasks.
        runs: how many pairs of task and seed.
    """

    mean: float
    low: float | None
    high: float | None
    better: float
    tasks: int
    runs: int

    def text(self) -> str:
        """In a few words."""
        bounds = "" if self.low is None or self.high is None else f" [{self.low:+.3f}, {self.high:+.3f}]"
        return (
            f"mean difference {self.mean:+.3f}{bounds}, better with probability {self.better:.0%}, "
            f"{count(self.tasks, 'task')}, n = {self.runs}"
        )


def count(amount: int, what: str) -> str:
    """`3 tasks`, `1 task`."""
    return f"{amount} {what}{'s' * (amount != 1)}"


def label_of(table: Table, architecture: str) -> str | None:
    """The row of an architecture as its card has it, or the only one it has; None where there is none, or several."""
    rows = [row for row in table.rows if row.configuration.name == architecture]
    rows = [row for row in rows if not row.settings] or rows
    return rows[0].label if len(rows) == 1 else None


def difference(scores: Scores, first: str | None, second: str | None) -> Difference | None:
    """Two rows of some scores on the pairs of task and seed that both have; None where there are none."""
    if not {first, second} <= set(scores.configurations):
        return None
    values = scores.values[[scores.configurations.index(str(label)) for label in (first, second)]]
    shared = np.asarray(~np.isnan(values).any(0))
    tasks = shared.any(1)
    if not tasks.any():
        return None
    present = shared[tasks]
    kept = np.where(present, np.maximum(values[:, tasks], 0), 0.0)
    means = seed_means(kept, present)
    draws = Resamples.draw(present)
    replicates = draws.means(kept).mean(1)
    lead = (means[0] - means[1]).mean(keepdims=True)
    low, high = draws.interval(lead, replicates[:, :1] - replicates[:, 1:], (-1, 1))[:, 0]
    pairs = compare_all(np.where(shared, values, np.nan))
    return Difference(
        float(lead[0]),
        None if math.isnan(low) else float(low),
        None if math.isnan(high) else float(high),
        float(pairs.better[0, 1]),
        int(tasks.sum()),
        int(present.sum()),
    )


def verdict(statement: Statement, found: Difference | None) -> Verdict:
    """What the runs say of a claim."""
    if found is None:
        return "not on this board"
    if found.low is None or found.high is None:
        return "not settled"
    if statement.alike:
        if found.low >= -MARGIN and found.high <= MARGIN:
            return "agrees"
        return "disagrees" if found.low > 0 or found.high < 0 else "not settled"
    least = -MARGIN if statement.no_worse else 0
    return "agrees" if found.low > least else "disagrees" if found.high < 0 else "not settled"


def read_statements(path: Path = LITERATURE) -> list[Statement]:
    """All claims of a file.

    Raises:
        RnnbenchError: something in it is wrong.
    """
    entries = TypeAdapter(list[dict[str, object]]).validate_python(read_yaml(path))
    return [Statement.read(one, f"{path}, claim {place}") for place, one in enumerate(entries, 1)]


def ranking_sentences(ranking: Ranking) -> list[str]:
    """What a ranking says."""
    on = f"{count(ranking.tasks, 'task')}, n = {ranking.cells} pairs of task and seed"
    first, *others = ranking.places
    interval = ""
    if first.score.low is not None and first.score.high is not None:
        interval = f" [{first.score.low:.3f}, {first.score.high:.3f}]"
    lines = [f"{first.label} has the best mean normalised score, {first.score.value:.3f}{interval} ({on})."]
    alike = [place for place in others if place.may_be_best]
    behind = [place for place in others if not place.may_be_best]
    if alike:
        names = ", ".join(f"{place.label} {place.score.value:.3f}" for place in alike)
        lines.append(
            f"Not significantly worse, {len(alike)} of {len(others)} others: {names} "
            "(all pairs judged at once, single-step max-T, 5 %)."
        )
    if behind:
        names = ", ".join(f"{place.label} {place.score.value:.3f}" for place in behind)
        lines.append(
            f"Significantly worse than another one, {len(behind)} of {len(others)} others: {names} "
            "(all pairs judged at once, single-step max-T, 5 %)."
        )
    if ranking.friedman is not None:
        lines.append(
            f"That all {len(ranking.places)} are the same has p = {ranking.friedman:.2g} (Friedman's test over "
            f"{count(ranking.tasks, 'task')})."
        )
    if first.power is not None and alike:
        lines.append(f"Not settled: {first.label} and {ranking.places[1].label} "
                     f"({first.power.text()}; power 80 %).")  # fmt: skip
    return lines


def task_sentences(table: Table, column: Column) -> list[str]:
    """Who is best on one task, with Welch's test against each other one, adjusted by Holm."""
    rows = [(row.label, row.entries[column]) for row in table.rows
            if column in row.entries and row.entries[column].scores]  # fmt: skip
    best = [(label, entry) for label, entry in rows if entry.standing == "best"]
    tied = [(label, entry) for label, entry in rows if entry.standing == "tied"]
    if not best and not tied:
        return []
    sign = 1 if column.direction == "maximise" else -1
    shown = best or sorted(tied, key=lambda one: -sign * float(np.mean(one[1].scores)))
    label, entry = shown[0]
    value = mean_text(entry.scores, column.metric)
    head = f"{column.task} ({column.metric} {column.arrow}): {label}, {value} (n = {len(entry.scores)})"
    if best:
        return [f"{head}, is better than each of {count(len(rows) - 1, 'other')} (Welch's t test, Holm, p < 0.05)."]
    names = ", ".join(one for one, _ in shown[1:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
    return [f"{head}, is not told from {len(shown) - 1} of {count(len(rows) - 1, 'other')}: {names} "
            "(Welch's t test, Holm, p ≥ 0.05)."]  # fmt: skip


def groups_of(table: Table) -> dict[str, list[Column]]:
    """The groups of a board's tasks, by name."""
    groups: dict[str, list[Column]] = defaultdict(list)
    for column in table.columns:
        if column in table.scoring:
            groups[table.scoring[column].group].append(column)
    return dict(sorted(groups.items()))


def findings(tables: Sequence[Table], statements: list[Statement]) -> str:
    """All sentences as Markdown, a part for each track; for all runs where there is none."""
    parts = ["# Findings", INTRODUCTION]
    for table in [one for one in tables if one.name != OTHER_RUNS] or tables:
        parts += [f"## {table.title or 'All runs'}", *_of_track(table, statements)]
    return "\n\n".join(parts) + "\n"


def _of_track(table: Table, statements: list[Statement]) -> list[str]:
    scores = scores_of(table)
    ranking = rank(scores)
    overall = _ranked(table, scores, ranking) if ranking else ["No two architectures share a task and a seed."]
    parts = ["### Over all tasks", _bullets(overall)]
    for name, columns in groups_of(table).items():
        group = scores_of(table, columns.__contains__)
        lines = _ranked(table, group, own) if (own := rank(group)) else []
        lines += [line for column in columns for line in task_sentences(table, column)]
        if lines:
            parts += [f"### {name.capitalize()}", _bullets(lines)]
    return [*parts, "### What the literature says", _literature(table, scores, statements)]


def _ranked(table: Table, scores: Scores, ranking: Ranking) -> list[str]:
    """What a ranking says, and who is not in it."""
    lines = ranking_sentences(ranking)
    rows = {row.label: row for row in table.rows}
    left = [f"{label}, {_lacks(rows[label], scores)}" for label in sorted(ranking.left)]
    total = len(ranking.places) + len(left)
    return [*lines, f"Not ranked, {len(left)} of {total}, as they lack scores: {'; '.join(left)}."] if left else lines


def _lacks(row: Row, scores: Scores) -> str:
    """How many runs a row has, and where it has fewer than others."""
    entries = [(column.task, len(row.entries[column].scores_by_seed) if column in row.entries else 0)
               for column in scores.columns]  # fmt: skip
    by_number: dict[int, list[str]] = defaultdict(list)
    for task, number in entries:
        by_number[number].append(task)
    few = [f"{number or 'none'} of {len(scores.seeds)} on {', '.join(by_number[number])}"
           for number in sorted(by_number) if number < len(scores.seeds)]  # fmt: skip
    return f"n = {sum(number for _, number in entries)} ({'; '.join(few)})"


def _literature(table: Table, scores: Scores, statements: list[Statement]) -> str:
    lines = ["| claim | source | here | verdict |", "|---|---|---|---|"]
    verdicts = Counter[str]()
    for one in statements:
        labels, within = [label_of(table, name) for name in one.pair], _within(table, scores, one)
        found = difference(within, *labels)
        what = verdict(one, found)
        verdicts[what] += 1
        if found:
            on = one.groups or [task for task in one.tasks if any(column.task == task for column in table.columns)]
            where = f" (on {', '.join(on)})" if on else ""
            here = f"{' against '.join(one.pair)}: {found.text()}{_without(within, labels)}"
            cells = [one.claim + where, one.source, here, what]
            lines.append(f"| {' | '.join(map(escape, cells))} |")
    counts = ", ".join(f"{number} {what}" for what, number in verdicts.most_common())
    table_lines = ["", *lines] if len(lines) > 2 else []
    return "\n".join([f"{count(len(statements), 'claim')}: {counts}.", *table_lines])


def _without(scores: Scores, labels: Sequence[str | None]) -> str:
    """The tasks on which one of two has a score, and the other has none."""
    there = {label: ~np.isnan(scores.values[scores.configurations.index(str(label))]).all(1) for label in labels}
    notes = []
    for label, own in there.items():
        others = np.logical_or.reduce([one for other, one in there.items() if other != label])
        tasks = [scores.columns[task].task for task in np.flatnonzero(others & ~own)]
        notes += [f"; not on {', '.join(tasks)}, where {label} has no score"] if tasks else []
    return "".join(notes)


def _within(table: Table, scores: Scores, statement: Statement) -> Scores:
    """The scores of the tasks that a claim is about."""
    if statement.tasks:
        return scores_of(table, lambda column: column.task in statement.tasks)
    if statement.groups:
        return scores_of(
            table, lambda column: column in table.scoring and table.scoring[column].group in statement.groups
        )
    return scores


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def write_findings(leaderboard: Path, tables: Sequence[Table]) -> Path:
    """Write `FINDINGS.md` of the tables of a leaderboard.

    Raises:
        RnnbenchError: it cannot be written, or the claims of the literature cannot be read.
    """
    path = leaderboard / "FINDINGS.md"
    write_whole(path, findings(tables, read_statements()))
    return path
