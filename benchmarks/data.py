"""What reading data costs beside training on it: `python -m benchmarks.data [TASK…]`.

For every task whose data can be had: seconds of preparing it once the archive is there, size of what was prepared,
sequences a second from the loader alone, and the loader's share of a training step of a small LSTM on one thread. Both
are timed in turn; medians over rounds. Of data that rnnbench generates itself, also the values (tokens, or numbers of a
step's input) that its generator makes a second of processor time, as arrays: the best of as many rounds.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # as in a worker; read when torch is imported

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from rich.console import Console
from rich.table import Table

from rnnbench.architectures import LSTM
from rnnbench.config.cards import TaskCard
from rnnbench.config.registry import catalogue
from rnnbench.data import EmbeddedReber, FactQuestions, ListOps
from rnnbench.data.chaos import GeneratedSeries
from rnnbench.data.listops import draw_expressions
from rnnbench.data.module import SPLITS
from rnnbench.data.questions import draw_stories
from rnnbench.data.synthetic import Generated
from rnnbench.errors import DataUnavailable
from rnnbench.harness.instantiate import construct
from rnnbench.utils.files import CACHE_VARIABLE, cache_folder

HIDDEN, BATCHES = 64, 20
SHARE, SECONDS, BYTES, VALUES = 0.10, 30.0, 2e9, 1e6  # goals; values a second
DRAWN = 10_000
"""Expressions and stories that are drawn to time their generators."""


def read(data: Any) -> tuple[float, int]:
    """Seconds of reading some training batches, and their sequences."""
    begin = time.perf_counter()
    sequences = sum(len(batch[0]) for batch in islice(iter(data.train_dataloader()), BATCHES))
    return time.perf_counter() - begin, sequences


def train(data: Any, model: LSTM, optimizer: torch.optim.Optimizer) -> float:
    """Seconds of training steps on as many batches, all read before."""
    batches = list(islice(iter(data.train_dataloader()), BATCHES))
    begin = time.perf_counter()
    for batch in batches:
        predictions, _ = model.training_outputs(batch)
        summed, count = model.objective.loss(predictions, model.objective.known_targets(batch[1], batch[2]))
        optimizer.zero_grad()
        (summed / count).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return time.perf_counter() - begin


def prepare(card: TaskCard) -> tuple[Any, float, int]:
    """The data of a task, prepared anew in a cache of its own; seconds that took, and bytes.

    Raises:
        DataUnavailable: an archive cannot be had.
    """
    data = construct(card.data, LightningDataModule, card.name, set())
    archives = [source.fetch() for source in data.sources]
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get(CACHE_VARIABLE)
        os.environ[CACHE_VARIABLE] = folder
        try:
            for archive in archives:
                (cache_folder("archives") / archive.name).symlink_to(archive)
            begin = time.perf_counter()
            data.prepare_data()
            seconds = time.perf_counter() - begin
            size = sum(path.stat().st_size for path in Path(data.folder).rglob("*") if path.is_file())
            data.setup()
            data.metadata()
        finally:
            os.environ.pop(CACHE_VARIABLE)
            if before is not None:
                os.environ[CACHE_VARIABLE] = before
    return data, seconds, size


def generate(data: Any) -> int | None:
    """Generate all inputs of a task once and return the number of their values; None if rnnbench does not make them."""
    if isinstance(data, Generated):
        parts = [inputs for split in SPLITS for inputs, _ in data.drawn(split)]
        return sum(part.size if isinstance(part, np.ndarray) else sum(map(np.size, part)) for part in parts)
    if isinstance(data, GeneratedSeries):
        return data.series().size
    random = np.random.default_rng(data.data_seed)
    if isinstance(data, EmbeddedReber):
        return sum(len(string) for string, _ in data.strings(random))
    if isinstance(data, ListOps):
        return int((draw_expressions(random, DRAWN, data.depth, data.longest)[0] >= 0).sum())
    if isinstance(data, FactQuestions):
        stories = draw_stories(random, DRAWN, data.facts)
        return int((stories.sentences > 0).sum() + (stories.questions > 0).sum())
    return None


def generated_per_second(data: Any, rounds: int) -> float | None:
    """Values that the generator of a task makes a second of processor time; None as `generate` says."""
    rates = []
    for _ in range(rounds):
        begin = time.process_time()
        if not (values := generate(data)):
            return None
        rates.append(values / (time.process_time() - begin))
    return max(rates)


def row(card: TaskCard, rounds: int) -> list[str]:
    """The figures of one task."""
    try:
        data, seconds, size = prepare(card)
    except DataUnavailable as error:
        return [card.name, *["–"] * 5, str(error)]
    made = generated_per_second(data, rounds)
    model = LSTM.from_data(data, hidden_size=HIDDEN)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    train(data, model, optimizer)
    loads, steps, rates = [], [], []
    for _ in range(rounds):
        load, sequences = read(data)
        loads.append(load)
        rates.append(sequences / load)
        steps.append(train(data, model, optimizer))
    share = statistics.median(loads) / statistics.median(steps)
    passed = share <= SHARE and seconds <= SECONDS and size <= BYTES and (made is None or made >= VALUES)
    verdict = "[green]pass[/green]" if passed else "[red]FAIL[/red]"
    rate = f"{statistics.median(rates):,.0f}"
    generated = "–" if made is None else f"{made / 1e6:.1f} M"
    return [card.name, f"{seconds:.1f} s", f"{size / 1e6:.1f} MB", generated, rate, f"{100 * share:.1f} %", verdict]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("tasks", nargs="*", default=list(catalogue("task")))
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    goals = f"≤ {SECONDS:.0f} s", f"≤ {BYTES / 1e9:.0f} GB", f"≥ {VALUES / 1e6:.0f} M", "", f"≤ {100 * SHARE:.0f} %"
    heads = ("task", "prepared in", "size", "generated/s", "sequences/s", "loader / step", "verdict")
    table = Table(*heads, title="data")
    for name in given.tasks:
        table.add_row(*row(TaskCard.load(name), given.rounds))
    table.add_row("goal", *goals, "")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
