"""`rnnbench run --dry-run`: what would be run, how long it may take, what is cached, what cannot be run and why."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.board.states import Cell
from rnnbench.fingerprint import digest
from rnnbench.harness.executors import make_executor
from rnnbench.record import Record
from rnnbench.spec import GridSpec, RunSpec


class Past:
    """What records say of the time and memory that runs of a kind need."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self.memory: dict[tuple[str, ...], int] = defaultdict(int)
        for record in records:
            if record.cost is None:
                continue
            for kind in _kinds(record.spec):
                self.seconds[kind].append(record.cost.total_seconds / max(1, record.cost.steps))
                self.memory[kind] = max(self.memory[kind], record.cost.peak_memory_bytes)

    def expected(self, spec: RunSpec) -> tuple[float | None, int | None]:
        """Seconds and bytes of a run, from the most similar ones that there are: the same model, else the same task.

        Time goes with the number of steps; of a budget without one it is not known.
        """
        for kind in _kinds(spec):
            if kind in self.seconds:
                steps = spec.budget.steps
                return fmean(self.seconds[kind]) * steps if steps else None, self.memory[kind]
        return None, None


def _kinds(spec: RunSpec) -> list[tuple[str, ...]]:
    task, model = spec.task.name, spec.architecture.name
    return [(task, model, digest(spec.network)), (task, model), (task,)]


def show_plan(
    grid: GridSpec, cells: Sequence[Cell], todo: Sequence[Cell], records: Iterable[Record], console: Console
) -> None:
    """Print the plan of a grid; everything that a run would check is checked.

    Raises:
        RnnbenchError: what a run would refuse.
    """
    executor = make_executor(grid)
    executor.check([cell.spec for cell in todo])
    facts, past = executor.survey([cell.spec for cell in todo]), Past(records)
    grouped: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in todo:
        grouped[cell.spec.task.name, cell.spec.architecture.name].append(cell)
    table = Table("task", "architecture", "runs", "minutes", "memory", "data", "", box=box.SIMPLE, pad_edge=False)
    total, unknown = 0.0, 0
    for (task, model), some in grouped.items():
        cached, why_not = facts[some[0].spec.id]
        seconds, memory = past.expected(some[0].spec)
        if why_not:
            seconds = 0.0
        if seconds is None:
            unknown += len(some)
        else:
            total += seconds * len(some)
        table.add_row(
            Text(task),
            Text(model),
            str(len(some)),
            "?" if seconds is None else f"{seconds * len(some) / 60:.1f}",
            f"{memory / 1e9:.2f} GB" if memory else "?",
            "cached" if cached else "to prepare",
            Text(f"infeasible: {why_not}" if why_not else "", style="yellow"),
        )
    if todo:
        console.print(table)
    counts = Counter(cell.state for cell in cells)
    console.print(f"{len(cells)} cells: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    places = executor.places()
    hours = total / 3600 / places
    known = f"about {hours:.2f} hours on {places} at a time" if len(todo) > unknown else "time unknown"
    more = f", and {unknown} runs of which nothing is on record" if unknown and len(todo) > unknown else ""
    console.print(f"{len(todo)} to run: {known}{more}; nothing was started", highlight=False)
