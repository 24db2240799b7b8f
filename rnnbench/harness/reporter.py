"""A callback that tells how a run goes, keeps its learning curve and training time, and stops it when it diverges."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from rnnbench.errors import Diverged
from rnnbench.harness.job import Progress
from rnnbench.record import Point
from rnnbench.spec import RunSpec

INTERVAL = 0.25
"""Seconds between two reports; reading the loss costs a device's queue."""


def number_of(value: Any) -> float:
    """A number to its last bit, in the fewest digits that tell it from its neighbours in its own precision."""
    if isinstance(value, torch.Tensor):
        return float(str(value.detach().cpu().numpy().reshape(())[()]))
    return float(value)


class Reporter(Callback):
    """Reports a run's progress.

    `validations` has all scores by the step they were taken at; `train_seconds` is the time between the first step and
    the last without that of validations.

    Raises (into the run):
        Diverged: the training loss or a validation score is not a finite number.
    """

    state_key = "reporter"

    def __init__(self, spec: RunSpec, report: Callable[[Progress], None]) -> None:
        self.spec, self.report = spec, report
        self.validations: dict[int, dict[str, float]] = {}
        self.curve: list[Point] = []
        self.train_seconds = 0.0
        self._loss: float | None = None
        self._score: float | None = None
        self._ended = False
        self._paused = False
        self._next = self._begun = self._resumed = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Curve, scores and time so far: a run that was cut off goes on with them."""
        running = 0.0 if self._paused else time.monotonic() - self._resumed
        return {
            "validations": self.validations,
            "curve": [list(point) for point in self.curve],
            "train_seconds": self.train_seconds + running,
            "loss": self._loss,
            "score": self._score,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.validations = state_dict["validations"]
        self.curve = [Point(*point) for point in state_dict["curve"]]
        self.train_seconds = state_dict["train_seconds"]
        self._loss, self._score = state_dict["loss"], state_dict["score"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._begun = self._resumed = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report now and then; a loss that is not finite is noticed then."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, torch.Tensor):
            self._loss = self._finite("training loss", float(loss), trainer)
        self._tell(trainer, now)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        if not self._ended:
            self.train_seconds += time.monotonic() - self._resumed
            self._paused = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores, start the clock again."""
        logged = {name: number_of(value) for name, value in trainer.callback_metrics.items()}
        scores = {name.removeprefix("val/"): value for name, value in logged.items() if name.startswith("val/")}
        for name, value in scores.items():
            self._finite(f"validation {name}", value, trainer)
        self._score = scores[self.spec.task.metric]
        self.validations[trainer.global_step] = scores
        loss = logged.get("train/loss")
        if loss is not None:
            self._finite("training loss", loss, trainer)
        self.curve.append(Point(step=trainer.global_step, train_loss=loss, score=self._score))
        self._resumed, self._paused = time.monotonic(), False
        self._tell(trainer, self._resumed)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock for good."""
        self.train_seconds += time.monotonic() - self._resumed
        self._ended = self._paused = True

    def _finite(self, what: str, value: float, trainer: Trainer) -> float:
        if not math.isfinite(value):
            raise Diverged(f"{what} is {value} at step {trainer.global_step}")
        return value

    def _tell(self, trainer: Trainer, now: float) -> None:
        budget = self.spec.budget
        steps = trainer.estimated_stepping_batches
        shares = [trainer.global_step / steps if 0 < steps < math.inf else 0.0]
        if budget.minutes:
            shares.append((now - self._begun) / (60 * budget.minutes))
        self.report(Progress("train", trainer.global_step, min(1.0, max(shares)), self._loss, self._score))
