"""What scores cost: one row for a configuration, a task, a machine and a backend, so that times are never mixed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from rnnbench.leaderboard.table import Column, Row, Table
from rnnbench.records.record import Cost, Environment, Record

Measure = Callable[[Record], float | None]


@dataclass(frozen=True)
class Quantity:
    """One kind of cost; smaller is better."""

    name: str
    title: str
    of: Measure


def _of_cost(measure: Callable[[Cost], float | None]) -> Measure:
    return lambda record: None if record.cost is None else measure(record.cost)


def _step_ms(record: Record) -> float | None:
    cost, seconds = record.cost, record.training_seconds
    return 1000 * seconds / cost.steps if cost and seconds is not None and cost.steps else None


def _epoch_seconds(record: Record) -> float | None:
    step, cost = _step_ms(record), record.cost
    return None if step is None or cost is None or cost.steps_per_epoch is None else step / 1000 * cost.steps_per_epoch


QUANTITIES = (
    Quantity("parameters", "parameters in all", lambda record: record.parameters),
    Quantity("state_bytes", "state bytes per sequence", _of_cost(lambda cost: cost.state_bytes)),
    Quantity("flops", "FLOPs per step", _of_cost(lambda cost: cost.flops_per_step)),
    Quantity("step_ms", "ms per training step", _step_ms),
    Quantity("epoch_seconds", "s per epoch", _epoch_seconds),
    Quantity("train_seconds", "training s", lambda record: record.training_seconds),
    Quantity("memory_mb", "peak memory MB", _of_cost(lambda cost: cost.peak_memory_bytes / 1e6)),
)


@dataclass(frozen=True)
class CostRow:
    """Means over the seeds that ran on one kind of machine with one backend.

    Args:
        label: the configuration's.
        family: the configuration's.
        column: where; None for the mean over tasks.
        machine: device, processor and threads.
        backend: what computed the recurrence.
        count: how many seeds.
        score: mean test score; over tasks, the mean normalised score.
        costs: by quantity; None where the records do not say.
        fronts: quantities in which nobody on this machine and task is at least as good for less.
        training: precision, compilation and whatever else of the Trainer is not as usual.
    """

    label: str
    family: str
    column: Column | None
    machine: str
    backend: str
    count: int
    score: float
    costs: dict[str, float | None]
    fronts: frozenset[str] = frozenset()
    training: str = ""


def machine_of(environment: Environment | None) -> str:
    """The machine in a few words."""
    if environment is None:
        return "unknown machine"
    threads = f", {environment.threads} thread{'s' * (environment.threads != 1)}"
    where = environment.processor if environment.device == "cpu" else f"{environment.device} ({environment.processor})"
    return f"{where}{threads if environment.device == 'cpu' else ''}"


def cost_rows(table: Table) -> list[CostRow]:
    """All rows, by task, machine and configuration."""
    grouped: dict[tuple[Column, str], list[CostRow]] = defaultdict(list)
    for row in table.rows:
        for column, entry in row.entries.items():
            together: dict[tuple[str, str], list[Record]] = defaultdict(list)
            for record in entry.done:
                together[machine_of(record.environment), record.backend or "unknown"].append(record)
            for (machine, backend), records in together.items():
                made = _row(row, column, machine, backend, records)
                grouped[column, machine].append(made)
    rows: list[tuple[Column, CostRow]] = []
    for (column, _), some in grouped.items():
        rows += [(column, one) for one in with_fronts(some, column.direction == "maximise")]
    rows.sort(key=lambda one: (one[0].order, one[1].machine, one[1].label, one[1].backend))
    return [row for _, row in rows]


def mean_cost_rows(rows: Iterable[CostRow], columns: Sequence[Column], scores: Mapping[str, float]) -> list[CostRow]:
    """Means over the tasks `columns`, each counting the same, of the configurations in `scores` that have a cost row of
    all of them on one machine; by machine and configuration. Of two backends on one task, that with more seeds counts.

    Args:
        rows: of single tasks.
        columns: the tasks.
        scores: mean normalised score of each label.
    """
    together: dict[tuple[str, str], dict[Column, CostRow]] = defaultdict(dict)
    wanted = set(columns)
    for row in rows:
        if row.column in wanted and row.label in scores:
            own = together[row.machine, row.label]
            if row.column not in own or own[row.column].count < row.count:
                own[row.column] = row
    by_machine: dict[str, list[CostRow]] = defaultdict(list)
    for (machine, label), own in sorted(together.items()):
        if len(own) == len(wanted):
            some = list(own.values())
            costs = {one.name: _mean(row.costs[one.name] for row in some) for one in QUANTITIES}
            backend = ", ".join(sorted({row.backend for row in some}))
            count = sum(row.count for row in some)
            made = CostRow(
                label, some[0].family, None, machine, backend, count, scores[label], costs, training=some[0].training
            )
            by_machine[machine].append(made)
    return [row for some in by_machine.values() for row in with_fronts(some, maximise=True)]


def _row(row: Row, column: Column, machine: str, backend: str, records: list[Record]) -> CostRow:
    costs = {quantity.name: _mean(map(quantity.of, records)) for quantity in QUANTITIES}
    score = fmean(record.score for record in records if record.score is not None)
    family, training = row.configuration.family, row.configuration.trained
    return CostRow(row.label, family, column, machine, backend, len(records), score, costs, training=training)


def _mean(values: Iterable[float | None]) -> float | None:
    some = list(values)
    known = [value for value in some if value is not None]
    return fmean(known) if known and len(known) == len(some) else None


def with_fronts(rows: list[CostRow], maximise: bool) -> list[CostRow]:
    """Rows of one task and machine, each with the quantities in which it is on the Pareto front."""
    sign = 1 if maximise else -1
    result = []
    for row in rows:
        fronts = frozenset(name for name, cost in row.costs.items() if cost is not None and not any(
            _dominates(sign * other.score, other.costs[name], sign * row.score, cost) for other in rows))  # fmt: skip
        result.append(replace(row, fronts=fronts))
    return result


def _dominates(score: float, cost: float | None, than_score: float, than_cost: float) -> bool:
    return cost is not None and score >= than_score and cost <= than_cost and (score, cost) != (than_score, than_cost)
