"""Callbacks of a run: progress and learning curve (`Reporter`), checkpoints to resume from (`Resume`), `Snapshots`."""

import math
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint

from rnnbench.config.grid import RunSpec
from rnnbench.errors import Diverged, Preempted
from rnnbench.harness.job import Progress
from rnnbench.records.record import Point
from rnnbench.utils.files import discard, move_over

PROGRESS_INTERVAL = 0.25
"""Seconds between two reports; reading the loss costs a device's queue."""


def number_of(value: Any) -> float:
    """A value as the float of the fewest digits that identify it in its own precision."""
    if isinstance(value, torch.Tensor):
        return float(str(value.detach().cpu().numpy().reshape(())[()]))
    return float(value)


class Stopwatch:
    """Seconds of wall-clock time and of CPU time of this process, while it runs."""

    def __init__(self) -> None:
        self._sums = (0.0, 0.0)
        self._since: tuple[float, float] | None = None

    def start(self) -> None:
        """Go on."""
        self._since = time.monotonic(), time.process_time()

    def stop(self) -> None:
        """Stand still."""
        self._sums, self._since = self.seconds, None

    @property
    def seconds(self) -> tuple[float, float]:
        """Both until now."""
        wall, cpu = self._sums
        if self._since is None:
            return wall, cpu
        return wall + time.monotonic() - self._since[0], cpu + time.process_time() - self._since[1]

    @seconds.setter
    def seconds(self, sums: tuple[float, float]) -> None:
        self._sums = sums


class Reporter(Callback):
    """Reports a run's progress.

    `validations` has all scores by the step they were taken at; `training` is the time between the first step and the
    last without that of validations.

    Raises (into the run):
        Diverged: the training loss or a validation score is not a finite number.
    """

    state_key = "reporter"

    def __init__(self, spec: RunSpec, report: Callable[[Progress], None]) -> None:
        self.spec, self.report = spec, report
        self.validations: dict[int, dict[str, float]] = {}
        self.curve: list[Point] = []
        self.training = Stopwatch()
        self._loss: float | None = None
        self._score: float | None = None
        self._ended = False
        self._steps, self._validated = 0, -2
        self._next = self._begun = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Curve, scores and time so far: a run that was cut off goes on with them."""
        return {
            "validations": self.validations,
            "curve": [list(point) for point in self.curve],
            "training": list(self.training.seconds),
            "loss": self._loss,
            "score": self._score,
            "validated": self._validated,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the content of a `state_dict`."""
        self.validations = state_dict["validations"]
        self.curve = [Point(*point) for point in state_dict["curve"]]
        self.training.seconds = tuple(state_dict["training"])
        self._loss, self._score = state_dict["loss"], state_dict["score"]
        self._validated = state_dict["validated"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._begun, self._steps = time.monotonic(), trainer.global_step
        if _counts_steps(trainer):  # as it was when the checkpoint was written, if the run goes on from one
            _validate_now(trainer, trainer.fit_loop.total_batch_idx == self._validated)
        self.training.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report a few times a second. A loss that is not finite is noticed then; on a CPU, where looking is free, at
        its step.
        """
        if _counts_steps(trainer):
            every = int(trainer.val_check_interval)
            _validate_now(trainer, trainer.global_step > self._steps and trainer.global_step % every == 0)
            self._steps = trainer.global_step
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        now = time.monotonic()
        due = now >= self._next
        if isinstance(loss, torch.Tensor) and (due or loss.device.type == "cpu"):
            loss_of_batch = float(loss) * trainer.accumulate_grad_batches  # by which Lightning has divided it
            self._loss = self._finite("training loss", loss_of_batch, trainer)
        if due:
            self._next = now + PROGRESS_INTERVAL
            self._report_progress(trainer, now)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.training.stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores, start the clock again."""
        logged = {name: number_of(value) for name, value in trainer.callback_metrics.items()}
        scores = {name.removeprefix("val/"): value for name, value in logged.items() if name.startswith("val/")}
        for name, value in scores.items():
            self._finite(f"validation {name}", value, trainer)
        self._score, self._validated = scores[self.spec.task.metric], trainer.fit_loop.total_batch_idx
        self.validations[trainer.global_step] = scores
        loss = logged.get("train/loss")
        if loss is not None:
            self._finite("training loss", loss, trainer)
        self.curve.append(Point(step=trainer.global_step, train_loss=loss, score=self._score))
        if not self._ended:
            self.training.start()
        self._report_progress(trainer, time.monotonic())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock for good."""
        self.training.stop()
        self._ended = True

    def _finite(self, what: str, value: float, trainer: Trainer) -> float:
        if not math.isfinite(value):
            raise Diverged(f"{what} is {value} at step {trainer.global_step}")
        return value

    def _report_progress(self, trainer: Trainer, now: float) -> None:
        budget = self.spec.budget
        steps = trainer.estimated_stepping_batches
        shares = [trainer.global_step / steps if 0 < steps < math.inf else 0.0]
        if budget.minutes:
            shares.append((now - self._begun) / (60 * budget.minutes))
        self.report(Progress("train", trainer.global_step, min(1.0, max(shares)), self._loss, self._score))


def _counts_steps(trainer: Trainer) -> bool:
    """Whether a run is validated after so many optimiser steps of several batches each: Lightning counts batches."""
    return trainer.accumulate_grad_batches > 1 and trainer.check_val_every_n_epoch is None


def _validate_now(trainer: Trainer, now: bool) -> None:
    """Have Lightning validate after the last batch, or not."""
    trainer.val_check_batch = trainer.fit_loop.total_batch_idx + (1 if now else 2)


CHECKPOINT_INTERVAL = 30.0
"""Most seconds of training that a run loses when it is killed, unless a validation takes longer."""


class Resume(Checkpoint):
    """Keeps a checkpoint from which a run ends with the score it would have had if it had never been cut off.

    Written after each validation, and in between every `CHECKPOINT_INTERVAL` seconds and when SIGTERM comes. It holds
    beside what Lightning and the module keep the states of the random number generators of every process, and gradients
    that are being accumulated. (A
    `Checkpoint`, so that Lightning calls it after all others.)

    Args:
        path: of the checkpoint.
        made_by: what a run has to share with the one that wrote a checkpoint (code, data, devices), as JSON has it.
        begun: when the run began, by `time.monotonic`.

    Raises (into the run):
        Preempted: SIGTERM came, and the checkpoint is written.
    """

    state_key = "resume"

    def __init__(self, path: Path, made_by: dict[str, Any], begun: float) -> None:
        self.path, self.made_by = path, made_by
        self._loaded: dict[str, Any] | None = None
        self._stop_requested = False
        self._begun, self._seconds_before = begun, 0.0
        self._next = time.monotonic() + CHECKPOINT_INTERVAL

    @property
    def seconds(self) -> float:
        """How long the run has taken until now, in all attempts."""
        return self._seconds_before + time.monotonic() - self._begun

    def usable(self) -> Path | None:
        """The checkpoint of an earlier attempt at this run, if it can be read and is of the same code and data."""
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)["resume"]
            same = content["made_by"] == self.made_by
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the run begins anew and says so
            print(f"begins anew: {self.path.name} cannot be read: {type(error).__name__}: {error}")
            return None
        print(f"goes on from {self.path.name}" if same else f"begins anew: {self.path.name} is of other code or data")
        return self.path if same else None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning leaves out."""
        states = [_random_states(trainer.strategy.root_device)]
        if trainer.accumulate_grad_batches > 1:  # between two steps there are gradients that have not been used yet
            states[0]["gradients"] = {name: p.grad for name, p in pl_module.named_parameters() if p.grad is not None}
        if dist.is_initialized():
            mine, states = states[0], [{}] * dist.get_world_size()
            dist.all_gather_object(states, mine)
        stopping = bool(trainer.should_stop)
        checkpoint["resume"] = {"made_by": self.made_by, "processes": states, "stopping": stopping}
        checkpoint["resume"]["seconds"] = self.seconds

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the states until training starts: before that random numbers are drawn and counters reset."""
        self._loaded = checkpoint["resume"]
        self._seconds_before = checkpoint["resume"]["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the states; on SIGTERM write a checkpoint and stop from now on."""
        if self._loaded is not None:
            trainer.should_stop = self._loaded["stopping"]
            states = self._loaded["processes"][trainer.global_rank]
            _set_random_states(states, trainer.strategy.root_device)
            for name, gradient in states.get("gradients", {}).items():
                pl_module.get_parameter(name).grad = gradient.to(trainer.strategy.root_device)
            self._loaded = None
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self._request_stop)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write it if it is time to; not where a validation or an epoch's end follows, which Lightning would skip.

        Several processes would not agree on the time: they write after validations alone.
        """
        if dist.is_initialized():
            return
        if (self._stop_requested or time.monotonic() > self._next) and not _validates_next(trainer, batch_idx):
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)

    def forget(self) -> None:
        """Remove the checkpoint: the run is over."""
        discard(self.path)

    def _request_stop(self, number: int, frame: Any) -> None:
        self._stop_requested = True

    def _save(self, trainer: Trainer) -> None:
        temporary = self.path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            move_over(temporary, self.path)
        self._next = time.monotonic() + CHECKPOINT_INTERVAL
        if self._stop_requested:
            raise Preempted("stopped by SIGTERM; goes on from its checkpoint")


def _validates_next(trainer: Trainer, batch_idx: int) -> bool:
    every, total = trainer.val_check_batch, trainer.fit_loop.total_batch_idx + 1
    at_end = batch_idx + 1 >= trainer.num_training_batches
    return at_end or (isinstance(every, int) and total % every == 0)


def _random_states(device: torch.device) -> dict[str, Any]:
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    states: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    states["numpy"] = (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss)
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_random_states(states: dict[str, Any], device: torch.device) -> None:
    version, inner, gauss = states["python"]
    random.setstate((version, tuple(inner), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


PREFIX = "step-"
RATIO = 4


class Snapshots(Callback):
    """Keeps the weights at steps 0, 1, 4, 16, 64, … of a training, as `step-<number>.ckpt` in a folder.

    Nothing is drawn and nothing changed: a run with them has the score of one without.
    """

    state_key = "snapshots"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights before the first step."""
        if trainer.global_step == 0:
            self._save(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the weights if it is time to."""
        if is_kept(trainer.global_step):
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / f"{PREFIX}{trainer.global_step:08}.ckpt", weights_only=True)


def is_kept(step: int) -> bool:
    """Whether a step after the first is a power of four."""
    while step > 1 and step % RATIO == 0:
        step //= RATIO
    return step == 1


def snapshots(folder: Path) -> dict[int, Path]:
    """The checkpoints of a folder by step, in order."""
    paths = {int(path.stem.removeprefix(PREFIX)): path for path in folder.glob(f"{PREFIX}[0-9]*.ckpt")}
    return dict(sorted(paths.items()))
