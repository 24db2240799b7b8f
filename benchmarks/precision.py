"""What inference in bfloat16 and with int8 weights costs in score and saves in time: `python -m benchmarks.precision`.

Three small LSTMs are trained for some seconds each, then tested in float32, under autocast to bfloat16 and with int8
weights. Times are the least of calls in turn, one thread: of a batch, and of a step of one row as generation takes it.
"""

import math
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # as on one core; read when torch is imported

import torch
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from rich.console import Console
from rich.table import Table

from rnnbench.architectures import LSTM
from rnnbench.config.cards import TaskCard
from rnnbench.harness.instantiate import construct
from rnnbench.nn import quantise

TASKS = {"embedded-reber": (128, 300), "sentiment-movies": (256, 60), "shakespeare-char": (256, 40)}
"""Hidden size and steps of training of each task."""
TESTED = 10
"""Batches of the test part."""
ROUNDS = 150
ROWS, STEPS = 16, 20
"""What is timed of a batch; and so many steps of one row. Calls are short, so that the least is of an idle moment."""
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "num_sanity_val_steps": 0,
}  # fmt: skip


def trained(card: TaskCard, data: Any, hidden_size: int, steps: int) -> Any:
    """An LSTM that has seen a few batches of a task."""
    seed_everything(0, verbose=False)
    model = LSTM(hidden_size=hidden_size, **{"learning_rate": 2e-3, **data.model_kwargs()})
    Trainer(max_steps=steps, limit_val_batches=0, **QUIET).fit(model, datamodule=data)
    return model.eval()


def least(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least seconds of each call, made in turn."""
    best = dict.fromkeys(calls, math.inf)
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


def steps_of(model: Any) -> Callable[[], None]:
    """Steps of one row."""
    inputs = torch.zeros(1, model.layer.input_size)

    def call() -> None:
        state = None
        with model.inference_mode():
            for _ in range(STEPS):
                _, state = model.layer.step(inputs, state)

    return call


def measure(name: str, hidden_size: int, steps: int) -> list[str]:
    """A row of the table."""
    card = TaskCard.load(name)
    data: Any = construct(card.data, LightningDataModule, name, set())
    data.prepare_data()
    data.setup()
    plain = trained(card, data, hidden_size, steps)
    models = {"float32": plain, "bf16": LSTM(**plain.hparams), "int8": quantise(plain)}
    models["bf16"].load_state_dict(plain.state_dict())
    models["bf16"].eval().low_precision = True
    scores = []
    for kind, model in models.items():
        trainer = Trainer(limit_test_batches=TESTED, precision="bf16-mixed" if kind == "bf16" else "32-true", **QUIET)
        scores.append(f"{trainer.test(model, datamodule=data, verbose=False)[0][f'test/{card.metric}']:.4f}")
    loader = data.test_dataloader()
    inputs = next(iter(loader[0] if isinstance(loader, list) else loader))[0][:ROWS, :STEPS]

    def batch_of(model: Any) -> Callable[[], None]:
        def call() -> None:
            with model.inference_mode():
                model(inputs)

        return call

    batches = least({kind: batch_of(model) for kind, model in models.items()})
    tokens = least({kind: steps_of(model) for kind, model in models.items()})
    shares = [f"{times[kind] / times['float32']:.2f}" for times in (batches, tokens) for kind in ("bf16", "int8")]
    return [f"{name}, H = {hidden_size}", card.metric, *scores, *shares]


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    table = Table("task", "score", "float32", "bf16", "int8", title="time as a share of that in float32")
    for column in ("batch bf16", "batch int8", "step bf16", "step int8"):
        table.add_column(column)
    for name, (hidden_size, steps) in TASKS.items():
        row = measure(name, hidden_size, steps)
        print(" | ".join(row), flush=True)
        table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
