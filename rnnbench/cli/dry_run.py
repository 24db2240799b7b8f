"""`rnnbench run --dry-run`: what would be run, how long it may take, what is cached, what cannot be run and why."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.config.cards import Budget
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.errors import DataUnavailable
from rnnbench.harness.executors import make_executor
from rnnbench.harness.grid import check_loggers
from rnnbench.harness.measure import Facts, Measured, unequal_networks
from rnnbench.records.record import Cost, Record
from rnnbench.records.selection import awaited
from rnnbench.records.status import Cell
from rnnbench.utils.fingerprint import digest

MAX_MEASURED = 24
"""Kinds of runs (a network on a task) that a dry run measures at most; each takes a few seconds."""


class CostEstimate:
    """Expected time and memory of runs, from the records of similar ones, or from a few steps that were measured."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.measured: dict[tuple[str, ...], Measured] = {}
        self.costs: dict[tuple[str, ...], list[Cost]] = defaultdict(list)
        for record in records:
            if record.cost is not None:
                for kind in _kinds(record.spec):
                    self.costs[kind].append(record.cost)

    def expected(self, spec: RunSpec) -> tuple[float | None, int | None]:
        """Seconds and bytes of a run: from records of the same network on the task; else as measured; else from records
        of the same architecture, else of the same task.

        The time of training is proportional to the number of steps; start, data, validations and test take as long as
        on record. Patience may end a run earlier; without any other end of the budget, the time is None.
        """
        exact, architecture, task = _kinds(spec)
        if exact not in self.costs and (measured := self.measured.get(architecture)):
            return measured.seconds(spec.budget), measured.memory
        costs = next((self.costs[kind] for kind in (exact, architecture, task) if kind in self.costs), [])
        if not costs:
            return None, None
        beside = median(cost.total_seconds - cost.train_seconds for cost in costs)
        step = median(cost.train_seconds / max(1, cost.steps) for cost in costs)
        training, memory = _training(spec.budget, costs, step), max(cost.peak_memory_bytes for cost in costs)
        return None if training is None else beside + training, memory

    def unknown(self, specs: Iterable[RunSpec]) -> dict[tuple[str, ...], RunSpec]:
        """A run of each kind that no record tells of: of a network, or for a trial of an architecture, on a task."""
        kinds: dict[tuple[str, ...], RunSpec] = {}
        for spec in specs:
            exact, architecture, _ = _kinds(spec)
            if exact not in self.costs and not (spec.trial and architecture in self.costs):
                kinds.setdefault(architecture, spec)
        return kinds


def _training(budget: Budget, costs: Sequence[Cost], step: float) -> float | None:
    """Seconds of training until the first limit of the budget; None if no limit says how long."""
    epochs = [cost.steps_per_epoch for cost in costs if cost.steps_per_epoch]
    limits = [
        budget.steps and budget.steps * step,
        budget.epochs and epochs and budget.epochs * median(epochs) * step,
        budget.minutes and budget.minutes * 60,
    ]
    return min((limit for limit in limits if limit), default=None)


def _kinds(spec: RunSpec) -> list[tuple[str, ...]]:
    task, model = spec.task.name, spec.architecture.name
    return [(task, model, digest(spec.network)), (task, model), (task,)]


def show_plan(
    grid: GridSpec, cells: Sequence[Cell], todo: Sequence[Cell], records: Iterable[Record], console: Console
) -> None:
    """Print the plan of a grid, after all checks of a real run.

    Raises:
        RnnbenchError: a check fails.
    """
    executor = make_executor(grid)
    executor.check([cell.spec for cell in todo])
    check_loggers(grid.loggers)
    facts, estimate = executor.preflight([cell.spec for cell in todo]), CostEstimate(records)
    ready = [cell.spec for cell in todo if facts[cell.spec.id].cached and not facts[cell.spec.id].why_not]
    kinds = estimate.unknown(ready)
    some = dict(list(kinds.items())[:MAX_MEASURED])
    if some:
        left = f" ({len(kinds) - len(some)} more are not measured)" if len(kinds) > len(some) else ""
        console.print(f"measuring a few steps of {len(some)} kinds of runs of which no record tells{left}")
    measured = executor.measure([*some.values()])
    estimate.measured = {kind: measured[spec.id] for kind, spec in some.items() if spec.id in measured}
    grouped: dict[tuple[str, str], list[RunSpec]] = defaultdict(list)
    for cell in todo:
        kind = f"{cell.spec.architecture.name} trials" if cell.spec.trial else cell.spec.row
        grouped[cell.spec.task.name, kind].append(cell.spec)
    sized = any(known.width for known in facts.values())
    heads = ["task", "architecture", "runs", "minutes", "memory", *["width"] * sized, "data", ""]
    table = Table(*heads, box=box.SIMPLE, pad_edge=False)
    total, unknown = 0.0, 0
    for (task, kind), specs in grouped.items():
        why_not = Counter(why for spec in specs if (why := facts[spec.id].why_not))
        expected = [estimate.expected(spec) for spec in specs if not facts[spec.id].why_not]
        known = [seconds for seconds, _ in expected if seconds is not None]
        memory = max((size for _, size in expected if size), default=None)
        total, unknown = total + sum(known), unknown + len(expected) - len(known)
        table.add_row(
            Text(task),
            Text(kind),
            str(len(specs)),
            _value(f"{sum(known) / 60:.1f}", len(known) == len(expected), expected),
            _value(f"{(memory or 0) / 1e9:.2f} GB", memory is not None, expected),
            *([_widths(facts[spec.id].width for spec in specs)] if sized else []),
            _data(facts[specs[0].id]),
            Text("; ".join(_infeasible(why, count, len(specs)) for why, count in why_not.items()), style="yellow"),
        )
    if todo:
        console.print(table)
    costs = {cell.spec.id: estimate.expected(cell.spec) for cell in todo}
    for warning in unequal_networks([cell.spec for cell in todo], facts, costs):
        console.print(Text(f"warning: {warning}", style="yellow"))
    counts = Counter(cell.state for cell in cells)
    console.print(f"{len(cells)} cells: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    places = executor.capacity()
    hours = total / 3600 / places
    duration = f"about {hours:.2f} hours on {places} at a time" if total or not unknown else "time unknown"
    more = f", and {unknown} runs of which nothing is on record" if unknown and total else ""
    later = awaited(grid, (cell.spec for cell in todo))
    then = f", then up to {later} tuned runs" if later else ""
    hopeless = sum(bool(facts[cell.spec.id].why_not) for cell in todo)
    but = f", {hopeless} of them cannot be run" if hopeless else ""
    console.print(f"{len(todo)} to run{but}{then}: {duration}{more}; nothing was started", highlight=False)


def _widths(widths: Iterable[int | None]) -> str:
    known = sorted({width for width in widths if width is not None})
    return "" if not known else f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,}–{known[-1]:,}"


def _data(known: Facts) -> str:
    unavailable = known.why_not.startswith(DataUnavailable.PREFIX)
    return "cached" if known.cached else "unavailable" if unavailable else "to prepare"


def _value(value: str, known: bool, of: Sequence[object]) -> str:
    return "" if not of else value if known else "?"


def _infeasible(why: str, count: int, of: int) -> str:
    reason = why if why.startswith(DataUnavailable.PREFIX) else f"infeasible: {why}"
    return reason if count == of else f"{count} {reason}"
