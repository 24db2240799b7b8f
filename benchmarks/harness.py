"""What the harness costs, side by side in one run: `python -m benchmarks.harness`.

Each figure is a ratio or a difference of two things timed in turn on the same machine; medians over rounds.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # as in a worker; read when torch is imported

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from rnnbench.architectures import LSTM
from rnnbench.config.cards import TaskCard
from rnnbench.config.executors import LocalSettings
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.data import Adding
from rnnbench.harness.callbacks import Reporter
from rnnbench.harness.events import Event, Finished, Progressed, Started
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.executors.loop import run_jobs
from rnnbench.harness.job import Job
from rnnbench.harness.trainer import VALIDATIONS, BestCheckpoint, make_trainer

HIDDEN, CLIP, RATE = 64, 1.0, 1e-3


class Times:
    """A watcher that notes when each run started, took its first step, and ended."""

    def __init__(self) -> None:
        self.started_at: dict[str, float] = {}
        self.stepped_at: dict[str, float] = {}
        self.ended_at: dict[str, float] = {}

    def on_event(self, event: Event) -> None:
        """Note the time."""
        match event:
            case Started(spec, _):
                self.started_at[spec.id] = time.perf_counter()
            case Progressed(spec, progress) if progress.phase == "train":
                self.stepped_at.setdefault(spec.id, time.perf_counter())
            case Finished(record):
                assert record.status == "done", record.reason + record.log_tail
                self.ended_at[record.id] = time.perf_counter()


def specs(steps: int, seeds: list[int]) -> list[RunSpec]:
    """Runs of an LSTM on the adding problem."""
    content = {
        "name": "bench",
        "architectures": ["lstm"],
        "tasks": ["adding"],
        "seeds": seeds,
        "budget": {"steps": steps},
        "model": {"hidden_size": HIDDEN, "learning_rate": RATE, "clip_norm": CLIP},
    }
    return GridSpec.read(content, "bench").expand()


def through_grid(executor: LocalExecutor, runs: list[RunSpec]) -> Times:
    """Run some cells, with the server warm and the data prepared."""
    times = Times()
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(spec, "bench", Path(folder) / spec.id) for spec in runs]
        for _ in run_jobs(executor, jobs, times):
            pass
    return times


def bare_loop(steps: int, data: Adding) -> float:
    """Seconds of the same cell without Lightning or harness: same steps, validations and test, tensors sliced."""
    begin = time.perf_counter()
    torch.manual_seed(0)
    data.setup()
    train, validation, test = (data.stores[split] for split in ("train", "validation", "test"))
    layer, head = nn.LSTM(2, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 1)
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
    order = torch.randperm(len(train))
    for step in range(steps):
        start = step * data.batch_size % (len(train) - data.batch_size)
        rows = order[start : start + data.batch_size]
        loss = nn.functional.mse_loss(head(layer(train.inputs[rows])[0][:, -1]), train.targets[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        if (step + 1) % (steps // VALIDATIONS) == 0:
            _score(layer, head, validation, data.batch_size)
    _score(layer, head, test, data.batch_size)
    return time.perf_counter() - begin


@torch.no_grad()
def _score(layer: nn.Module, head: nn.Module, part: Any, size: int) -> float:
    total = 0.0
    for start in range(0, len(part), size):
        inputs, targets = part.inputs[start : start + size], part.targets[start : start + size]
        total += nn.functional.mse_loss(head(layer(inputs)[0][:, -1]), targets, reduction="sum").item()
    return total / len(part)


def lightning_per_step(steps: int) -> tuple[float, float]:
    """Milliseconds a step of a tiny model: through the Trainer of a run, and in a bare loop over the same modules."""
    data = Adding(length=2, train_size=32 * 500, batch_size=32)
    data.prepare_data()
    data.setup()
    spec = specs(steps, [0])[0].model_copy(update={"budget": TaskCard.load("adding").budget.model_copy(
        update={"steps": steps, "validate_every": steps})})  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        model = LSTM.from_data(data, hidden_size=8)
        reporter = Reporter(spec, lambda _: None)
        job = Job(spec, "bench", Path(folder))
        make_trainer(job, [reporter, BestCheckpoint(job)]).fit(model, data)
    model = LSTM.from_data(data, hidden_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    store, order = data.stores["train"], torch.randperm(32 * 500).reshape(-1, 32)
    begin = time.perf_counter()
    for step in range(steps):
        inputs, targets, _ = store.batch(order[step % 500].tolist())
        summed, count = model.objective.loss(model(inputs), targets)
        optimizer.zero_grad()
        (summed / count).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    bare = time.perf_counter() - begin
    return 1e3 * reporter.training.seconds[0] / steps, 1e3 * bare / steps


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def rounds_of(count: int, *measures: Callable[[], Any]) -> list[list[Any]]:
    """Measure in turn, `count` times."""
    return [list(some) for some in zip(*[[measure() for measure in measures] for _ in range(count)], strict=True)]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=700, help="of a cell of about ten seconds")
    given = options.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    card = TaskCard.load("adding")
    data = Adding(**card.data.init_args)
    data.prepare_data()
    alone, pair = LocalExecutor(LocalSettings(workers=1)), LocalExecutor(LocalSettings(workers=2))
    through_grid(alone, specs(10, [99]))  # the server imports, the first start is not counted

    def one_cell() -> tuple[float, float]:
        times, spec = Times(), specs(given.steps, [0])[0]
        times = through_grid(alone, [spec])
        begin = times.started_at[spec.id]
        return times.ended_at[spec.id] - begin, times.stepped_at[spec.id] - begin

    def wall(executor: LocalExecutor) -> float:
        times = through_grid(executor, specs(given.steps // 3, list(range(6))))
        return max(times.ended_at.values()) - min(times.started_at.values())

    bare, cells = rounds_of(given.rounds, lambda: bare_loop(given.steps, data), one_cell)
    grid, first_step = [cell[0] for cell in cells], [cell[1] for cell in cells]
    single, double = rounds_of(given.rounds, lambda: wall(alone), lambda: wall(pair))
    (steps,) = rounds_of(7 * given.rounds, lambda: lightning_per_step(600))  # short: the machine's own pace wanders
    trainer, loop = [both[0] for both in steps], [both[1] for both in steps]

    table = Table("what", "ours", "reference", "figure", "goal", title="harness, medians of interleaved rounds")
    ratio = median([a / b for a, b in zip(grid, bare, strict=True)])
    table.add_row("a cell through the grid / bare loop", f"{median(grid):.2f} s", f"{median(bare):.2f} s",
                  f"{ratio:.3f}×", "≤ 1.15×")  # fmt: skip
    table.add_row("free slot to first training step", f"{median(first_step):.3f} s", "", "", "≤ 0.2 s")
    gain = median([a / b for a, b in zip(single, double, strict=True)])
    table.add_row(
        "throughput of 2 workers / 1", f"{median(double):.2f} s", f"{median(single):.2f} s", f"{gain:.2f}×", "≥ 1.8×"
    )
    cost = median([a - b for a, b in zip(trainer, loop, strict=True)])
    table.add_row("Lightning a step, over a bare loop", f"{median(trainer):.3f} ms", f"{median(loop):.3f} ms",
                  f"{cost:.3f} ms", "≤ 0.5 ms")  # fmt: skip
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
