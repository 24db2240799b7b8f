"""All scores of a small training, in one process or several: `python -m tests.score_path DEVICES DATA`."""

import json
import os
import sys
import warnings
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import Callback, Trainer, seed_everything

from rnnbench import data as modules
from rnnbench.architectures import GRU

Scores = dict[str, float]


class Path(Callback):
    """Keeps what each validation says."""

    def __init__(self) -> None:
        self.scores: list[Scores] = []

    def on_validation_end(self, trainer: Trainer, pl_module: pl.LightningModule) -> None:
        self.scores.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def score_path(devices: int, name: str) -> tuple[list[Scores], Scores]:
    """Scores of each validation, and of the test."""
    seed_everything(0, verbose=False)
    data: Any = getattr(modules, name)(5, 130, 16)
    model = GRU.from_data(data, hidden_size=6, learning_rate=1e-2, clip_norm=0.1)
    path = Path()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_steps=24,
            val_check_interval=4, check_val_every_n_epoch=None, num_sanity_val_steps=0, callbacks=[path],
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, data)
        (test,) = trainer.test(model, data, verbose=False)
    return path.scores, dict(test)


if __name__ == "__main__":
    found = score_path(int(sys.argv[1]), sys.argv[2])
    if os.environ.get("LOCAL_RANK", "0") == "0":  # both processes write into one pipe
        print("\nRESULT", json.dumps(found), flush=True)
