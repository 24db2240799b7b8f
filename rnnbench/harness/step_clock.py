"""A clock for the first steps of a training."""

import time
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class StepClock(Callback):
    """Seconds of each optimiser step with its batch, and of each validation batch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.validations: list[float] = []
        self.last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self.last = _now(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step has ended: it began when the last one ended, as fetching a batch is part of it."""
        before, self.last = self.last, _now(pl_module)
        self.steps.append(self.last - before)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A validation batch begins."""
        self.last = _now(pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """It has ended."""
        before, self.last = self.last, _now(pl_module)
        self.validations.append(self.last - before)


def _now(module: LightningModule) -> float:
    """The time when everything that was asked of a device is done."""
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.monotonic()
