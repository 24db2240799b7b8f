"""How a grid's cost grows with its cells: `python -m benchmarks.scale`.

Each size is measured in a process of its own: seconds to plan a grid that nothing is known of; seconds to find that all
of it is done (records read, checked, planned); and the most memory of that process over what it has after its imports,
with all cells handed to an executor.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.made_up import made_up
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.harness import grid as harness_grid
from rnnbench.harness.events import Event
from rnnbench.harness.executors.inline import InlineExecutor
from rnnbench.harness.executors.loop import Report
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.job import Ended, Job
from rnnbench.harness.paths import Folders
from rnnbench.records.store import RecordStore

ARCHITECTURES = ["elman", "elman-relu", "gru", "gru-before", "irnn", "janet", "lstm", "lstm-peephole", "mgu", "mingru"]
TASKS = ["adding", "copy-memory", "parity", "selective-copy", "mnist1d"]
GOALS = {10_000: ("< 5 s", "< 3 s", ""), 100_000: ("< 40 s", "", "< 500 MB")}


def grid_of(cells: int) -> GridSpec:
    """A grid of so many cells."""
    seeds = cells // (len(ARCHITECTURES) * len(TASKS))
    content = {"name": "scale", "architectures": ARCHITECTURES, "tasks": TASKS, "seeds": list(range(seeds))}
    return GridSpec.read(content, "scale")


class Quiet:
    """A watcher that does nothing."""

    def on_event(self, event: Event) -> None:
        """Nothing."""


class Instant(InlineExecutor):
    """An executor whose runs take no time: what is left is what the driver does for each."""

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Nothing: classes and arguments are the same in all cells of a kind."""

    def prepare(self, job: Job) -> Ended:
        """Nothing."""
        return Ended(None)

    def start(self, job: Job, report: Report) -> Ended:
        """A made-up record."""
        return Ended(made_up(job.spec))


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    begin = time.perf_counter()
    result = what()
    return time.perf_counter() - begin, result


def measure(cells: int, folder: Path, driven: int) -> dict[str, float]:
    """All figures of one size, in this process."""
    me = psutil.Process()
    before = me.memory_info().rss
    grid = grid_of(cells)
    planning, (_, todo) = timed(lambda: plan(grid, {}))
    assert len(todo) == cells
    harness_grid.make_executor = lambda grid: Instant()  # type: ignore[attr-defined]
    driving, ended = timed(lambda: run_grid(grid, todo[:driven], Folders(folder / "driven", folder / "runs"), Quiet()))
    assert ended == Counter(done=driven)
    _write_all(todo, RecordStore(folder))
    todo.clear()
    resuming, (_, left) = timed(lambda: plan(grid, RecordStore(folder).read(slim=True)[0]))
    assert not left
    memory = peak(me) - before
    return {"plan": planning, "resume": resuming, "memory": memory, "driver": driving / driven}


def peak(process: psutil.Process) -> int:
    """The most memory that a process has had, in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc")


def _write_all(todo: Iterable[Any], store: RecordStore) -> None:
    for cell in todo:
        record = made_up(cell.spec)
        path = store.folder / record.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json(exclude_defaults=True))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cells", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options.add_argument("--one", type=int, help="measure one size in this process, and print JSON")
    given = options.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(given.one, Path(folder), driven=min(given.one, 1_000))))
        return
    table = Table("cells", "plan", "resume", "driver a cell", "memory", "goals", title="a grid of so many cells")
    for cells in given.cells:
        command = [sys.executable, "-m", "benchmarks.scale", "--one", str(cells)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        goals = zip(("plan", "resume", "memory", "driver"), (*GOALS.get(cells, ("", "", "")), "< 30 ms"), strict=True)
        table.add_row(
            f"{cells:,}",
            f"{found['plan']:.2f} s",
            f"{found['resume']:.2f} s",
            f"{1e3 * found['driver']:.1f} ms",
            f"{found['memory'] / 1e6:.0f} MB",
            ", ".join(f"{name} {goal}" for name, goal in goals if goal),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
