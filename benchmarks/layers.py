"""The recurrent layers beside those of torch, in one run: `python -m benchmarks.layers`.

Every figure is a ratio of medians of calls that were timed in turn (A, B, C, A, B, C, …) in one process; one process
has the C library's allocator as it is, another one keeps freed memory, since that cannot be taken back. With `--json`
records of earlier runs are read first, replaced where they are measured again, and judged together with the new ones.
"""

import argparse
import fnmatch
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import layer_device, layer_memory
from benchmarks.layer_cases import GROUPS, entries
from benchmarks.layer_goals import ROWS, Row, group_tables, summary
from benchmarks.layer_timing import Key, Record, Shape, interleave, label
from rnnbench.utils.allocator import keep_freed_memory

DEFAULT, KEPT = "glibc", "kept"  # allocator settings
NO_DEVICE = (
    "there is no CUDA device that torch can use here: nothing was measured. --dry-run makes all calls on the CPU, with "
    "tiny shapes, to see that they run."
)
DONE = "done"  # what a process that measures says after each job


@dataclass(frozen=True)
class Job:
    """One group at one shape."""

    group: str
    shape: Shape
    allocator: str
    names: list[str] = field(default_factory=list)
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 7
    budget: float = 3.0
    cap: float = 50.0

    def run(self) -> Iterator[Record]:
        """Measure."""
        if self.group == "first use":
            yield from layer_memory.first_use(self.allocator, self.names, self.rounds)
            return
        torch.set_num_threads(1)
        if self.group in ("memory", "growth"):
            yield from layer_memory.memory(self.group, self.shape, self.allocator, self.names)
        if self.group == "memory":
            return
        timed = entries(self.group, self.shape, self.names)
        for entry, threads, samples in interleave(timed, self.threads, self.rounds, self.budget, self.cap):
            flops = entry.flops * (threads if entry.parallel else 1)
            yield Record.of(self.group, self.shape, self.allocator, threads, entry.name, samples, flops)


def jobs(given: argparse.Namespace, rows: list[Row]) -> Iterator[Job]:
    """What is to be run, those of one allocator after those of the other."""
    for allocator in given.allocators:
        for group in GROUPS.values():
            wanted = [row for row in rows if row.job == group.name]
            if not wanted or not (group.varied or allocator == given.allocators[-1]):
                continue
            names = list(dict.fromkeys(name for row in wanted for name in row.entries))
            threads = tuple(given.threads) if group.varied else (1,)
            least, budget = given.rounds or group.least, group.budget if given.budget is None else given.budget
            cap = math.inf if given.rounds else group.cap
            if given.quick:
                least, budget = given.rounds or 2, 0.0
            for shape in _shapes(given, group.name):
                some = layer_memory.growth_names(shape) if group.name == "growth" else names
                if group.name == "first use":
                    some = [n for n in layer_memory.FIRST if any(name.startswith(f"{n} ") for name in names)]
                    some, least = (some[:1], 1) if given.quick else (some, given.rounds or layer_memory.FIRST_ROUNDS)
                yield Job(group.name, shape, allocator, some, threads, least, budget, cap)


def _shapes(given: argparse.Namespace, name: str) -> list[Shape]:
    group = GROUPS[name]
    shapes = group.few if given.quick else group.shapes
    if not given.shapes or name in ("first use", "growth"):
        return shapes
    fits = [shape for shape in given.shapes if len(shape) == len(shapes[0])]
    return [shape for shape in fits if name != "one step" or shape[:2] == (1, 1)]


# --- processes


def work() -> None:
    """Run the jobs that come in on standard input, one a line, and put their records out, one a line."""
    for line in sys.stdin:
        content: dict[str, Any] = json.loads(line)
        content |= {"shape": tuple(content["shape"]), "threads": tuple(content["threads"])}
        job = Job(**content)
        if job.allocator == KEPT:
            keep_freed_memory()
        for record in job.run():
            print(json.dumps(record.content()), flush=True)
        print(DONE, flush=True)


def in_processes(some: list[Job], console: Console, failed: list[str]) -> Iterator[Record]:
    """The jobs' records, as they come from a new process; after a job that ends it, those from another new one."""
    left = some
    while left:
        done = 0
        for record in in_process(left, console):
            done += record is None
            if record is not None:
                yield record
        if done < len(left):
            failed.append(f"no figures, an error: {_title(left[done])}")
        left = left[done + 1 :]


def in_process(some: list[Job], console: Console) -> Iterator[Record | None]:
    """The records, and None after each job, as far as one new process comes."""
    command = [sys.executable, "-m", "benchmarks.layers", "--worker"]
    quiet = os.environ | {"KINETO_LOG_LEVEL": "99"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.writelines(json.dumps(asdict(job)) + "\n" for job in some)
            process.stdin.close()
        begin, done, rounds = time.perf_counter(), 0, 0
        for line in process.stdout:
            if line.startswith("{"):
                record = Record.read(json.loads(line))
                rounds = record.rounds
                yield record
            elif line.strip() == DONE:  # others write there, too
                seconds = time.perf_counter() - begin
                console.print(f"{seconds:7.1f} s  {_title(some[done])}, {rounds} rounds", style="dim")
                done += 1
                yield None


def _title(job: Job) -> str:
    return " ".join(part for part in (job.group, label(job.shape), job.allocator) if part)


# --- command line


def shape_of(text: str) -> Shape:
    """`T×B×I×H` (or with x)."""
    return tuple(int(part) for part in text.replace("×", "x").split("x"))


def rows_of(patterns: list[str] | None) -> list[Row]:
    """The rows with these names, groups or patterns of names.

    Raises:
        SystemExit: there is none.
    """
    found: dict[str, Row] = {}
    for pattern in patterns or ["*"]:
        some = [row for row in ROWS if fnmatch.fnmatch(row.name, pattern) or row.job == pattern]
        if not some:
            raise SystemExit(f"there is no row {pattern!r}; rows are: {', '.join(row.name for row in ROWS)}")
        found |= {row.name: row for row in some}
    return [row for row in ROWS if row.name in found]


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, few small shapes: only whether everything runs"
    )
    parser.add_argument("--only", nargs="+", metavar="ROW", help=f"rows or groups ({', '.join(GROUPS)}), * allowed")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--shapes", nargs="+", type=shape_of, metavar="T×B×I×H", help="(T×B×H for the scan)")
    parser.add_argument("--allocators", nargs="+", choices=[DEFAULT, KEPT], default=[DEFAULT, KEPT])
    parser.add_argument(
        "--rounds", type=int, help="so many of each comparison at least (7; 3 to 6 where they are long)"
    )
    parser.add_argument("--budget", type=float, help="seconds of each comparison that more rounds may fill")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all medians and quartiles; added to what it holds")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture of the growth, as png, svg or pdf")
    parser.add_argument("--report", action="store_true", help="measure nothing: the tables and the plot of --json")
    parser.add_argument("--width", type=int, default=180, help="of the tables, in characters")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: the rows of a GPU, see --list")
    parser.add_argument("--dry-run", action="store_true", help="of --device cuda: all calls on the CPU, tiny")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--device-worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def on_device(given: argparse.Namespace) -> None:
    """Measure the rows of a GPU and print them; all figures go to `--json`.

    Raises:
        SystemExit: there is no GPU (2), no such group (1), or some rows could not be measured (1).
    """
    console, notes = Console(width=given.width), Console(stderr=True)
    if given.list:
        console.print("\n".join(f"{row.group}: {row.title}" for row in layer_device.rows()), highlight=False)
        return
    groups = given.only or list(layer_device.GROUPS)
    if unknown := [name for name in groups if name not in layer_device.GROUPS]:
        raise SystemExit(f"there is no group {unknown[0]!r} on a device; groups are: {', '.join(layer_device.GROUPS)}")
    if not given.dry_run and not torch.cuda.is_available():
        notes.print(NO_DEVICE, soft_wrap=True)
        raise SystemExit(2)
    device = "cpu" if given.dry_run else given.device
    some = layer_device.jobs(device, groups, tiny=given.dry_run, most_shapes=1 if given.quick else None)
    measured = layer_device.in_processes(some, say=lambda line: notes.print(line, style="dim"))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in measured.figures], indent=1))
    found = layer_device.ratios(measured.figures)
    for table in layer_device.tables(found):
        console.print(table)
    for line in layer_device.goal_lines(found):
        console.print("  ".join(line), highlight=False, soft_wrap=True)
    if given.dry_run:
        console.print("a dry run, on the CPU: its figures say nothing about a GPU", highlight=False)
    if measured.failed:
        raise SystemExit("\n".join(f"no figures, an error: {job}" for job in measured.failed))


def main() -> None:
    """Measure and print."""
    given = options().parse_args()
    if given.worker:
        work()
        return
    if given.device_worker:
        layer_device.work()
        return
    if given.device != "cpu":
        on_device(given)
        return
    rows, console, notes = rows_of(given.only), Console(width=given.width), Console(stderr=True)
    if given.list:
        console.print("\n".join(row.name for row in rows), highlight=False)
        return
    records: dict[Key, Record] = {}
    if given.json and given.json.exists():
        records = {one.key: one for one in map(Record.read, json.loads(given.json.read_text()))}
    all_jobs = [] if given.report else list(jobs(given, rows))
    if any("torchrecurrent" in name for job in all_jobs for name in job.names) and not find_spec("torchrecurrent"):
        notes.print("torchrecurrent is not installed: its cells are left out", style="dim")
    failed: list[str] = []
    for allocator in dict.fromkeys(job.allocator for job in all_jobs):
        for record in in_processes([job for job in all_jobs if job.allocator == allocator], notes, failed):
            records[record.key] = record
        if given.json:
            given.json.write_text(json.dumps([one.content() for one in records.values()], indent=1))
    judged = [row for row in ROWS if row in rows or row.values(records)]
    for table in group_tables(records, judged):
        console.print(table)
    if any(one.group == "growth" for one in records.values()):
        console.print(layer_memory.growth_table(list(records.values())))
    if any(row.goals for row in judged):
        console.print(summary(records, judged))
    if given.plot:
        layer_memory.plot(list(records.values()), given.plot)
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
