"""Everything that needs a GPU, in one command of at most ten minutes: `python -m benchmarks.gpu`.

The tests marked `gpu`, the table of the layers on a device, what 1, 2, 4 and 8 runs on one card yield, and one small
grid on the card beside the same grid on the CPU. All of it goes into one JSON and one page, docs/gpu.md, which say on
which card and commit it was measured. `--dry-run` prints the plan and makes everything on the CPU, as small as can be.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.console import Console

from benchmarks import layer_device
from benchmarks.gpu_report import report
from benchmarks.layers import NO_DEVICE
from rnnbench.config.executors import LocalSettings
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.harness.events import Event, Finished, Started
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.executors.loop import run_jobs
from rnnbench.harness.job import Job
from rnnbench.records.record import Record

HOME = Path(__file__).parents[1]
JSON, REPORT = HOME / "docs" / "gpu.json", HOME / "docs" / "gpu.md"
SHARES = {"tests": 0.25, "packing": 0.2, "grid": 0.1, "layers": 0.45}
"""Parts of the time, in the order in which they are run; what one does not need is left to those after it."""
PACKED = (1, 2, 4, 8)
"""Runs on one card at a time."""
DRY_MINUTES = 60
"""For a dry run, which ends by itself, on however slow a machine."""
RUNS = 8
"""Runs that are done with each of these numbers."""
Say = Callable[[str], object]


class Plan:
    """What is run on a device, or tiny on the CPU.

    Args:
        device: `cuda`, or `cpu` for a dry run.
        minutes: for all of it.
    """

    def __init__(self, device: str, minutes: float) -> None:
        self.device, self.minutes, self.tiny = device, minutes, device == "cpu"
        self.packed = PACKED[:2] if self.tiny else PACKED
        self.runs = 2 if self.tiny else RUNS
        self.layers = layer_device.most_wanted_first(layer_device.jobs(device, tiny=self.tiny))
        if self.tiny:
            self.layers = [job for job in self.layers if job.group in ("gates", "packed", "scan", "step", "memory")]

    @property
    def packing_specs(self) -> list[RunSpec]:
        """Runs of small cells, of which a card has room for many."""
        budget = {"steps": 2 if self.tiny else 400}
        content = {"name": "packing", "architectures": ["lstm-peephole"], "tasks": ["adding"], "seeds": self.runs,
                   "budget": budget, "model": {"hidden_size": 4 if self.tiny else 64}}  # fmt: skip
        return GridSpec.read(content, "packing").expand()

    @property
    def grid_specs(self) -> list[RunSpec]:
        """The grid that is run on the card and on the CPU."""
        small = {"architectures": ["gru"], "tasks": ["adding"], "seeds": 1, "budget": {"steps": 2}}
        large = {"architectures": ["elman", "lstm", "gru", "lstm-peephole"], "tasks": ["adding", "copy-memory"],
                 "seeds": 2, "budget": {"steps": 150}}  # fmt: skip
        content = {"name": "both", "model": {"hidden_size": 4 if self.tiny else 32}, **(small if self.tiny else large)}
        return GridSpec.read(content, "both").expand()

    def settings(self, runs_at_a_time: int, on_card: bool = True) -> LocalSettings:
        """The executor: one card, or the cores."""
        if self.tiny or not on_card:
            return LocalSettings(gpu_ids=[], workers=None if not self.tiny else runs_at_a_time)
        return LocalSettings(gpu_ids=[0], runs_per_device=runs_at_a_time)

    def lines(self) -> list[str]:
        """What will be done, a line a step."""
        groups = {job.group: sum(one.group == job.group for one in self.layers) for job in self.layers}
        return [
            f"tests: pytest -m gpu, at most {60 * SHARES['tests'] * self.minutes:.0f} s",
            f"packing: {self.runs} runs of {self.packing_specs[0].architecture.name} on one card, "
            f"{', '.join(map(str, self.packed))} at a time",
            f"grid: {len(self.grid_specs)} runs on the card, and the same on the CPU",
            "layers: " + ", ".join(f"{count} × {name}" for name, count in groups.items()),
        ]


# --- steps


def run_tests(plan: Plan, deadline: float, say: Say) -> dict[str, Any]:
    """The tests marked `gpu`; in a dry run they are only collected."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.xml")
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={results}"]
        command += ["--collect-only"] if plan.tiny else []
        left = max(1.0, deadline - time.monotonic())
        try:
            ended = subprocess.run(
                [*command, str(HOME / "tests")], capture_output=True, text=True, timeout=left, cwd=HOME
            )
        except subprocess.TimeoutExpired:
            return {"error": f"took longer than {left:.0f} s"}
        if ended.returncode not in (0, 1, 5):  # passed, failed, none there
            return {"error": (ended.stdout + ended.stderr)[-2000:]}
        if plan.tiny:
            collected = [line for line in ended.stdout.splitlines() if "::" in line]
            say(f"tests: {len(collected)} of a GPU can be collected")
            return {"collected": len(collected)}
        return read_results(results.read_text())


def read_results(text: str) -> dict[str, Any]:
    """Counts, and the names of tests that failed, of a file in JUnit's format."""
    suites = list(xml.fromstring(text).iter("testsuite"))
    counts = {
        name: sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    }
    failed = [f"{case.get('classname')}::{case.get('name')}" for suite in suites for case in suite.iter("testcase")
              if case.find("failure") is not None or case.find("error") is not None]  # fmt: skip
    return {**counts, "failed": failed[:50]}


class Clock:
    """A watcher that notes when runs started and ended, and their records."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.ended: list[float] = []
        self.records: list[Record] = []

    def on_event(self, event: Event) -> None:
        """Note the time."""
        match event:
            case Started():
                self.started.append(time.monotonic())
            case Finished(record):
                self.ended.append(time.monotonic())
                self.records.append(record)


def run_specs(specs: Sequence[RunSpec], settings: LocalSettings, deadline: float) -> Clock:
    """Run some specs; those that are not done at the deadline are stopped.

    Raises:
        RnnbenchError: the runs, or the devices, are not there.
        RuntimeError: a run has failed.
    """
    clock, executor = Clock(), LocalExecutor(settings)
    executor.check(specs)
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(spec, "gpu", Path(folder) / spec.id, loggers=()) for spec in specs]
        for record in run_jobs(executor, jobs, clock):
            if record.status != "done":
                raise RuntimeError(f"{record.spec.label}: {record.reason}")
            if time.monotonic() > deadline:
                break
    return clock


def run_packing(plan: Plan, deadline: float, say: Say) -> dict[str, Any]:
    """How many runs a minute one card does with so many at a time."""
    run_specs(plan.packing_specs[:1], plan.settings(1), deadline)  # data is prepared, kernels are compiled
    rows: list[dict[str, Any]] = []
    for count in plan.packed:
        if time.monotonic() > deadline:
            return {"rows": rows, "error": "no time was left for the rest"}
        clock = run_specs(plan.packing_specs, plan.settings(count), deadline)
        seconds = max(clock.ended) - min(clock.started)
        costs = [record.cost for record in clock.records if record.cost]
        rows.append({
            "at_a_time": count,
            "runs": len(clock.records),
            "seconds": round(seconds, 3),
            "runs_a_minute": 60 * len(clock.records) / seconds,
            "train_seconds": fmean(cost.train_seconds for cost in costs),
            "peak_memory_mb": max(cost.peak_memory_bytes for cost in costs) / 1e6,
            "backend": clock.records[0].backend,
        })  # fmt: skip
        say(f"packing: {count} at a time, {rows[-1]['runs_a_minute']:.1f} runs a minute")
    return {"rows": rows}


def run_both(plan: Plan, deadline: float, say: Say) -> dict[str, Any]:
    """The scores of a grid on the card, beside those of the same runs on the CPU."""
    specs = plan.grid_specs
    card, cpu = (run_specs(specs, plan.settings(4, on_card), deadline) for on_card in (True, False))
    by_id = {record.id: record for record in cpu.records}
    cells = []
    for record in sorted(card.records, key=lambda one: one.spec.label):
        if (other := by_id.get(record.id)) is None or record.score is None or other.score is None:
            continue
        cells.append({
            "run": record.spec.label,
            "metric": record.spec.task.metric,
            "card": record.score,
            "cpu": other.score,
            "card_device": record.environment.device if record.environment else "",
            "card_backend": record.backend,
            "cpu_backend": other.backend,
            "card_seconds": record.cost.train_seconds if record.cost else None,
            "cpu_seconds": other.cost.train_seconds if other.cost else None,
        })  # fmt: skip
    say(f"grid: {len(cells)} of {len(specs)} runs on both")
    result: dict[str, Any] = {"cells": cells}
    return (
        result if len(cells) == len(specs) else {**result, "error": f"{len(specs) - len(cells)} runs are not on both"}
    )


def run_layers(plan: Plan, deadline: float, say: Say) -> dict[str, Any]:
    """The table of the layers, as far as there is time; `python -m benchmarks.layers --device cuda` makes all of it."""
    measured = layer_device.in_processes(plan.layers, deadline, lambda line: say(f"layers: {line}"))
    return {"figures": [asdict(one) for one in measured.figures], "failed": measured.failed, "late": measured.late}


STEPS: dict[str, Callable[[Plan, float, Say], dict[str, Any]]] = {
    "tests": run_tests,
    "packing": run_packing,
    "grid": run_both,
    "layers": run_layers,
}


# --- all of it


def machine(device: str) -> dict[str, Any]:
    """The card, the versions and the commit."""
    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "triton": _version("triton"),
                             "python": sys.version.partition(" ")[0]}  # fmt: skip
    if device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        found |= {"card": properties.name, "capability": f"{properties.major}.{properties.minor}",
                  "memory_gb": round(properties.total_memory / 1e9, 1)}  # fmt: skip
    return found | {"commit": _git("rev-parse", "HEAD"), "clean": not _git("status", "--porcelain")}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _git(*arguments: str) -> str:
    ended = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=HOME)
    return ended.stdout.strip() if ended.returncode == 0 else ""


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """All steps; one that raises, or has no time, says so in the place of its figures."""
    begin = time.monotonic()
    content: dict[str, Any] = {"machine": machine(plan.device), "started": time.strftime("%Y-%m-%d", time.gmtime())}
    share = 0.0
    for name, step in STEPS.items():
        share += SHARES[name]
        started = time.monotonic()
        try:
            content[name] = step(plan, begin + 60 * plan.minutes * share, say)
        except Exception as error:  # noqa: BLE001  # the other steps are measured all the same
            content[name] = {"error": f"{type(error).__name__}: {error}"[:2000]}
        content[name]["took_seconds"] = round(time.monotonic() - started, 1)
        if "error" in content[name]:
            say(f"{name}: {content[name]['error']}")
    return content


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="print the plan, and make all of it tiny on the CPU")
    parser.add_argument("--minutes", type=float, default=10, help="that all of it may take")
    parser.add_argument("--json", type=Path, default=JSON, help="where the figures go")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the page goes")
    return parser


def _has_failed(step: dict[str, Any]) -> bool:
    return "error" in step or bool(step.get("failed"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write, or see that everything runs; 2 without a device, 1 if a step has failed."""
    given = options().parse_args(arguments)
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    if not given.dry_run and not torch.cuda.is_available():
        say(NO_DEVICE)
        return 2
    for line in Plan("cuda", given.minutes).lines():
        say(f"plan: {line}")
    plan = Plan("cpu", DRY_MINUTES) if given.dry_run else Plan("cuda", given.minutes)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in a worker
    content = measure(plan, say)
    failed = [name for name in STEPS if _has_failed(content[name])]
    if given.dry_run:
        report(content)
        say(f"dry run: nothing was written; {', '.join(failed) + ' failed' if failed else 'every step runs'}")
    else:
        given.json.write_text(json.dumps(content, indent=1) + "\n")
        given.report.write_text(report(content))
        say(f"written: {given.json} and {given.report}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
