"""How the board grows with its records: `python -m benchmarks.board`.

Each figure is of a process of its own, from the call to a written page: seconds on the wall and of the processor, and
the most memory over what the process has after its imports. `README.md` is what `rnnbench run` writes at its end, from
every record; `with index.html` is all that `rnnbench board` writes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.made_up import made_up
from benchmarks.scale import peak
from rnnbench.config.grid import GridSpec
from rnnbench.config.registry import catalogue
from rnnbench.leaderboard.html.build import write_html
from rnnbench.leaderboard.html.tracks import whole_board
from rnnbench.leaderboard.render import write_markdown
from rnnbench.leaderboard.table import read_board
from rnnbench.records.record import RecordStore
from rnnbench.utils.files import CACHE_VARIABLE

SHAPES = {1_000: (10, 10, 10), 20_000: (25, 20, 40), 100_000: (25, 20, 200)}
"""Tasks, architectures and seeds."""
STEPS = ("README.md", "with index.html")
GOALS = {(20_000, "README.md"): "< 5 s", (100_000, "README.md"): "< 20 s, < 2 GB"}


def write(leaderboard: Path, records: int) -> None:
    """Write made-up records."""
    tasks, architectures, count = SHAPES[records]
    content = {
        "name": "board",
        "tasks": list(catalogue("task"))[:tasks],
        "architectures": list(catalogue("architecture"))[:architectures],
        "seeds": list(range(count)),
    }
    store = RecordStore(leaderboard)
    for spec in GridSpec.read(content, "board").expand():
        record = made_up(spec)
        path = store.folder / record.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record.model_dump(mode="json", exclude_defaults=True), indent=1))


def measure(leaderboard: Path, step: str) -> dict[str, float]:
    """Draw the board once, in this process."""
    me = psutil.Process()
    before, wall, processor = me.memory_info().rss, time.perf_counter(), time.process_time()
    table, problems = read_board(leaderboard)
    write_markdown(leaderboard, table)
    if step == "with index.html":
        write_html(leaderboard, [whole_board(table)], problems)
    figures = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    assert not problems
    return figures | {"memory": peak(me) - before, "rows": len(table.rows), "columns": len(table.columns)}


def measured(leaderboard: Path, step: str) -> dict[str, float]:
    """The same, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.board", "--one", step, "--leaderboard", str(leaderboard)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout
    return dict(json.loads(said))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, nargs="+", choices=list(SHAPES), default=list(SHAPES))
    options.add_argument("--one", help="measure one step in this process, and print JSON")
    options.add_argument("--leaderboard", type=Path)
    given = options.parse_args()
    if given.one:
        print(json.dumps(measure(given.leaderboard, given.one)))
        return
    table = Table("records", "board", *STEPS, title="seconds on the wall (of the processor), memory")
    for records in given.records:
        with tempfile.TemporaryDirectory() as folder:
            os.environ[CACHE_VARIABLE] = str(Path(folder) / "cache")
            table.add_row(*row(Path(folder) / "leaderboard", records))
    Console(width=170).print(table)


def row(leaderboard: Path, records: int) -> list[str]:
    """All steps for so many records."""
    write(leaderboard, records)
    fields = [f"{records:,}"]
    for step in STEPS:
        found = measured(leaderboard, step)
        if step == STEPS[0]:
            fields.append(f"{found['rows']:g} × {found['columns']:g}")
        goal = f" [goal {GOALS[records, step]}]" if (records, step) in GOALS else ""
        told = f"{found['wall']:.2f} s ({found['processor']:.2f} s), {found['memory'] / 1e6:.0f} MB{goal}"
        fields.append(told.replace("[", r"\["))
    return fields


if __name__ == "__main__":
    main()
