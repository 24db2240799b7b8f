"""The board as a table: tasks as columns, architectures as rows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rnnbench.board.states import STATES, Cell
from rnnbench.board.statistics import half_width, separable
from rnnbench.card import Budget, Chance, Direction, TaskCard
from rnnbench.fingerprint import digest
from rnnbench.record import Record
from rnnbench.resources import catalogue
from rnnbench.spec import RunSpec

DEFAULT = "default"


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

    @classmethod
    def of(cls, spec: RunSpec) -> "Column":
        """The column of a run."""
        task = spec.task
        batch_size = task.data.init_args.get("batch_size")
        return cls(task.name, task.version, task.fingerprint, task.metric, task.direction, spec.budget, batch_size)

    @property
    def order(self) -> tuple[str, ...]:
        """Where it stands: by task, then by whatever else differs, the same every time."""
        return (self.task, str(self.version), self.budget.model_dump_json(), str(self.batch_size), self.fingerprint)

    @property
    def details(self) -> list[str]:
        """What a heading leaves out as long as it is the same for all."""
        every = f", validated every {self.budget.validate_every}" if self.budget.validate_every else ""
        return [f"batch {self.batch_size or 'default'}{every}", f"version {self.version} ({self.fingerprint[:6]})"]

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↓" if self.direction == "minimise" else "↑"


@dataclass(frozen=True)
class Entry:
    """All seeds of one architecture in one column."""

    cells: tuple[Cell, ...]
    best: bool = False

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
    """One architecture."""

    label: str
    entries: dict[Column, Entry]

    def spread(self, values: Iterable[float]) -> str:
        """Smallest to largest, for people."""
        shown = sorted(values)
        if not shown:
            return ""
        low, high = amount(shown[0]), amount(shown[-1])
        return low if low == high else f"{low}–{high}"

    @property
    def parameters(self) -> str:
        """Trainable numbers; they differ from task to task by input and head."""
        return self.spread(record.parameters or 0 for entry in self.entries.values() for record in entry.done)

    @property
    def seconds(self) -> str:
        """Mean training seconds of a run, by task."""
        times = [[record.cost.train_seconds for record in entry.done if record.cost] for entry in self.entries.values()]
        return self.spread(fmean(some) for some in times if some)


@dataclass(frozen=True)
class Table:
    """The board."""

    columns: list[Column]
    rows: list[Row]
    headings: dict[Column, list[str]]
    chance: dict[Column, Chance]
    reasons: list[tuple[str, str]]

    def text(self, row: Row, column: Column) -> str:
        """An entry; `≈ chance` where its mean is not better than chance by the card's margin."""
        entry = row.entries[column]
        chance = self.chance.get(column)
        if chance is None or not entry.values or chance.beaten(fmean(entry.values), column.direction):
            return entry.text()
        return f"{entry.text()} ≈ chance"


def make_table(cells: Sequence[Cell]) -> Table:
    """The board of some cells; rows by name, columns by task. Only scores that can be averaged share an entry."""
    columns = sorted({Column.of(cell.spec) for cell in cells}, key=lambda column: column.order)
    labels = _labels(cells)
    grouped: dict[str, dict[Column, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        grouped[labels[cell.spec.id]][Column.of(cell.spec)].append(cell)
    rows = [
        Row(label, {column: Entry(tuple(some)) for column, some in by_column.items()})
        for label, by_column in sorted(grouped.items())
    ]
    rows = [
        Row(
            row.label,
            {column: Entry(entry.cells, _is_best(row, column, rows)) for column, entry in row.entries.items()},
        )
        for row in rows
    ]
    return Table(columns, rows, _headings(columns), _chances(columns, cells), _reasons(cells, labels))


def _headings(columns: Sequence[Column]) -> dict[Column, list[str]]:
    """Task, metric and budget; where two columns would read the same, also whatever else there is."""
    short = {column: [column.task, f"{column.metric} {column.arrow}", budget_text(column.budget)] for column in columns}
    times = Counter(map(tuple, short.values()))
    return {column: [*lines, *(column.details if times[tuple(lines)] > 1 else [])] for column, lines in short.items()}


def _is_best(row: Row, column: Column, rows: Sequence[Row]) -> bool:
    """Whether a row has the best mean of a column, and is separable from the second."""
    sign = 1 if column.direction == "maximise" else -1
    filled = [other for other in rows if column in other.entries and other.entries[column].values]
    ranked = sorted(filled, key=lambda other: -sign * fmean(other.entries[column].values))
    if len(ranked) < 2 or ranked[0].label != row.label:
        return False
    return separable(ranked[0].entries[column].values, ranked[1].entries[column].values)


def _labels(cells: Sequence[Cell]) -> dict[str, str]:
    """A label for each run: the architecture's name, with class and arguments where one name stands for several."""
    variants: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for cell in cells:
        variants[cell.spec.architecture.name][_variant(cell.spec)] = _arguments(cell.spec)
    return {cell.spec.id: _label(cell.spec, variants[cell.spec.architecture.name]) for cell in cells}


def _label(spec: RunSpec, variants: dict[str, dict[str, Any]]) -> str:
    if len(variants) == 1:
        return spec.architecture.name
    own = _arguments(spec)
    keys = sorted({key for other in variants.values() for key in {**other, **own} if _differ(key, own, other)})
    return f"{spec.architecture.name} ({', '.join(f'{key}={own.get(key, DEFAULT)}' for key in keys)})"


def _differ(key: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (key in one) != (key in other) or digest(one.get(key)) != digest(other.get(key))


def _arguments(spec: RunSpec) -> dict[str, Any]:
    size = {"size": str(spec.size)} if spec.size else {}
    return {"class": spec.architecture.class_path, **spec.arguments, **size}


def _variant(spec: RunSpec) -> str:
    return digest(_arguments(spec))


def _chances(columns: Sequence[Column], cells: Sequence[Cell]) -> dict[Column, Chance]:
    """The reference of each column: as a record of it computed it, else as its card says."""
    found: dict[Column, Chance] = {}
    known = catalogue("task")
    for column in columns:
        if column.task in known and (card := TaskCard.load(column.task)).fingerprint == column.fingerprint:
            found[column] = card.chance
    for cell in cells:
        if cell.state == "done" and cell.record and cell.spec.task.metric in cell.record.baseline_scores:
            value = cell.record.baseline_scores[cell.spec.task.metric]
            column = Column.of(cell.spec)
            margin = found[column].margin if column in found else 0.0
            found[column] = Chance(value=value, of=cell.record.baseline, margin=margin)
    return found


def _reasons(cells: Sequence[Cell], labels: dict[str, str]) -> list[tuple[str, str]]:
    """Why cells are not done: where, and the reason, each once."""
    told = {
        (f"{cell.state}: {cell.spec.task.name} × {labels[cell.spec.id]}", cell.reason) for cell in cells if cell.reason
    }
    return sorted(told)


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
