"""The board as a table: tasks as columns, architectures as rows."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from rnnbench.board.contender import Contender, labels_of
from rnnbench.board.states import STATES, Cell
from rnnbench.board.statistics import half_width, same_as_best
from rnnbench.board.tuning import Study, studies, up_to_date
from rnnbench.card import Budget, Chance, Direction, TaskCard
from rnnbench.record import Record
from rnnbench.resources import catalogue
from rnnbench.selection import study_of
from rnnbench.spec import RunSpec

Standing = Literal["best", "tied"]
"""`best`: separable from all others; `tied`: nobody can be told from the best (see `same_as_best`)."""


@dataclass(frozen=True)
class Column:
    """Scores that can be compared: one task, one batch size, one budget."""

    task: str
    version: int
    fingerprint: str
    metric: str
    direction: Direction
    budget: Budget
    batch_size: Any
    data_seed: int | None = None

    @classmethod
    def of(cls, spec: RunSpec) -> "Column":
        """The column of a run."""
        task = spec.task
        known = (task.name, task.version, task.fingerprint, task.metric, task.direction, spec.budget)
        return cls(*known, task.data.init_args.get("batch_size"), spec.data_seed)

    @property
    def order(self) -> tuple[str, ...]:
        """Where it stands: by task, then by whatever else differs, the same every time."""
        rest = (str(self.batch_size), str(self.data_seed), self.fingerprint)
        return (self.task, str(self.version), self.budget.model_dump_json(), *rest)

    @property
    def details(self) -> list[str]:
        """What a heading leaves out as long as it is the same for all."""
        every = f", validated every {self.budget.validate_every}" if self.budget.validate_every else ""
        seed = "" if self.data_seed is None else f", data seed {self.data_seed}"
        return [
            f"batch {self.batch_size or 'default'}{every}{seed}",
            f"version {self.version} ({self.fingerprint[:6]})",
        ]

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↓" if self.direction == "minimise" else "↑"


@dataclass(frozen=True)
class Entry:
    """All seeds of one architecture in one column."""

    cells: tuple[Cell, ...]
    standing: Standing | None = None

    @property
    def done(self) -> list[Record]:
        """Records that count."""
        return [cell.record for cell in self.cells if cell.state == "done" and cell.record]

    @property
    def values(self) -> list[float]:
        """Their scores."""
        return [record.score for record in self.done if record.score is not None]

    @property
    def others(self) -> Counter[str]:
        """How many cells are in which other state."""
        return Counter(cell.state for cell in self.cells if cell.state != "done")

    def text(self) -> str:
        """Mean ± interval (n), and the states of whatever is not done."""
        parts = []
        if self.values:
            width = half_width(self.values)
            interval = "" if width is None else f" ± {number(width)}"
            parts.append(f"{number(fmean(self.values))}{interval} (n={len(self.values)})")
        alone = len(self.others) == 1 and not self.values
        parts += [state if alone else f"{self.others[state]} {state}" for state in STATES if self.others[state]]
        return ", ".join(parts)


@dataclass(frozen=True)
class Row:
    """One contender."""

    label: str
    contender: Contender
    entries: dict[Column, Entry]
    studies: tuple[Study, ...] = ()

    def spread(self, values: Iterable[float]) -> str:
        """Smallest to largest, for people."""
        shown = sorted(values)
        if not shown:
            return ""
        low, high = amount(shown[0]), amount(shown[-1])
        return low if low == high else f"{low}–{high}"

    @property
    def parameters(self) -> str:
        """Trainable numbers; they differ from task to task by input and head. Then how many of them were matched."""
        done = [record for entry in self.entries.values() for record in entry.done]
        total = self.spread(record.parameters or 0 for record in done)
        sized = [one for one in done if one.spec.size and one.spec.size.quantity == "parameters"]
        matched = self.spread(one.size.count for one in sized if one.size)
        return f"{total} ({matched} matched)" if matched not in ("", total) else total

    @property
    def least_parameters(self) -> float:
        """What the column of parameters is sorted by."""
        counts = [record.parameters or 0 for entry in self.entries.values() for record in entry.done]
        return min(counts, default=math.inf)

    @property
    def seconds(self) -> str:
        """Mean training seconds of a run, by task."""
        times = [[record.cost.train_seconds for record in entry.done if record.cost] for entry in self.entries.values()]
        return self.spread(fmean(some) for some in times if some)

    @property
    def trials(self) -> str:
        """Configurations that were tried to find these, on each task."""
        return self.spread(study.trials for study in self.studies)

    @property
    def tuning_seconds(self) -> str:
        """What that took, by task."""
        return self.spread(study.seconds for study in self.studies)


@dataclass(frozen=True)
class Table:
    """The board."""

    columns: list[Column]
    rows: list[Row]
    headings: dict[Column, list[str]]
    cards: dict[Column, TaskCard]
    chance: dict[Column, Chance]
    reasons: list[tuple[str, str]]

    def text(self, row: Row, column: Column) -> str:
        """An entry; `=` where it is the same as the best, `≈ chance` where it is not better than chance."""
        entry = row.entries[column]
        tied = " =" if entry.standing == "tied" else ""
        return f"{entry.text()}{tied}{' ≈ chance' if self.is_chance(row, column) else ''}"

    def is_chance(self, row: Row, column: Column) -> bool:
        """Whether the mean of an entry is not better than chance by the margin on the task's card."""
        values, chance = row.entries[column].values, self.chance.get(column)
        return bool(values) and chance is not None and not chance.beaten(fmean(values), column.direction)


def make_table(cells: Sequence[Cell]) -> Table:
    """The board of some cells; rows by name, columns by task. Only scores that can be averaged share an entry.

    Trials have no row: those that are tuned by them say how many there were, and what they took.
    """
    found = studies(cell.record for cell in cells if cell.record)
    groups = _groups(up_to_date(cell, found) for cell in cells if cell.spec.trial is None)
    columns = sorted({column for _, column, _ in groups}, key=lambda column: column.order)
    labels = labels_of(one for one, _, _ in groups)
    grouped: dict[Contender, dict[Column, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    used: dict[Contender, dict[str, Study]] = defaultdict(dict)
    for one, column, some in groups:
        if some[0].spec.selected and (study := study_of(some[0].spec)) in found:
            used[one][study] = found[study]
        grouped[one][column] += some
    entries = {one: {column: Entry(tuple(some)) for column, some in grouped[one].items()} for one in grouped}
    standings = {column: _standings(column, entries) for column in columns}
    rows = [
        Row(
            labels[one],
            one,
            {column: replace(entry, standing=standings[column].get(one)) for column, entry in entries[one].items()},
            tuple(used[one].values()),
        )
        for one in sorted(entries, key=labels.__getitem__)
    ]
    cards = _cards(columns)
    reasons = _reasons(((labels[one], some) for one, _, some in groups), found.values())
    return Table(columns, rows, _headings(columns), cards, _chances(cards, groups), reasons)


Group = tuple[Contender, Column, list[Cell]]


def _groups(cells: Iterable[Cell]) -> list[Group]:
    """Cells with their row and column: one group where specs share their parts, as those of an index do."""
    found: dict[tuple[int, ...], Group] = {}
    for cell in cells:
        parts = tuple([id(value) for name, value in vars(cell.spec).items() if name != "seed"])
        if parts not in found:
            found[parts] = Contender.of(cell.spec), Column.of(cell.spec), []
        found[parts][2].append(cell)
    return list(found.values())


def _headings(columns: Sequence[Column]) -> dict[Column, list[str]]:
    """Task, metric and budget; where two columns would read the same, also whatever else there is."""
    short = {column: [column.task, f"{column.metric} {column.arrow}", budget_text(column.budget)] for column in columns}
    times = Counter(map(tuple, short.values()))
    return {column: [*lines, *(column.details if times[tuple(lines)] > 1 else [])] for column, lines in short.items()}


def _standings(column: Column, entries: Mapping[Contender, Mapping[Column, Entry]]) -> dict[Contender, Standing]:
    """Who is the best of a column, or the same as the best as far as its seeds tell."""
    sign = 1 if column.direction == "maximise" else -1
    scores = {one: [sign * value for value in some[column].values] for one, some in entries.items() if column in some}
    tied = same_as_best({one: values for one, values in scores.items() if values})
    return dict.fromkeys(tied, "tied" if len(tied) > 1 else "best")


def _cards(columns: Sequence[Column]) -> dict[Column, TaskCard]:
    """The cards of columns whose scores they still describe."""
    known = catalogue("task")
    cards = {name: TaskCard.load(name) for name in sorted({column.task for column in columns} & set(known))}
    mine = {column: cards[column.task] for column in columns if column.task in cards}
    return {column: card for column, card in mine.items() if card.fingerprint == column.fingerprint}


def _chances(cards: Mapping[Column, TaskCard], groups: Iterable[Group]) -> dict[Column, Chance]:
    """The reference of each column: as a record of it computed it, else as its card says."""
    found = {column: card.chance for column, card in cards.items()}
    for _, column, cells in groups:
        if record := next((one for one in map(_baseline, reversed(cells)) if one), None):
            margin = cards[column].chance.margin if column in cards else 0.0
            found[column] = Chance(value=record.baseline_scores[column.metric], of=record.baseline, margin=margin)
    return found


def _baseline(cell: Cell) -> Record | None:
    """The record of a cell, if it counts and has computed the reference."""
    known = cell.record is not None and cell.spec.task.metric in cell.record.baseline_scores
    return cell.record if known and cell.state == "done" else None


def _reasons(groups: Iterable[tuple[str, Iterable[Cell]]], found: Iterable[Study]) -> list[tuple[str, str]]:
    """Why cells are not done, and trials without a score: where, and the reason, each once."""
    told = {(f"{cell.state}: {cell.spec.task.name} × {label}", cell.reason)
            for label, cells in groups for cell in cells if cell.reason}  # fmt: skip
    lost = {(f"trials: {one.spec.task.name} × {one.spec.architecture.name}", one.lost) for one in found if one.lost}
    return sorted(told | lost)


def number(value: float) -> str:
    """A score with three digits that matter."""
    return f"{value:.3f}" if 0.1 <= abs(value) < 10 or value == 0 else f"{value:.3g}"


def amount(value: float) -> str:
    """A count or a time, short."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def budget_text(budget: Budget) -> str:
    """A budget in a few words."""
    parts = budget.model_dump(exclude_none=True)
    words = [f"{value:g} {name}" for name, value in parts.items() if name in {"steps", "epochs", "minutes"}]
    return ", ".join([*words, *(f"{name.replace('_', ' ')} {parts[name]}" for name in ("patience",) if name in parts)])
