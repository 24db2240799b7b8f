"""Going on where a run was cut off: a checkpoint of everything that shapes what comes after."""

import random
import signal
import time
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from rnnbench.errors import Preempted
from rnnbench.files import discard

INTERVAL = 30.0
"""Most seconds of training that a run loses when it is killed, unless a validation takes longer."""


class Resume(Checkpoint):
    """Keeps a checkpoint from which a run ends with the score it would have had if it had never been cut off.

    Written after each validation, and in between every `INTERVAL` seconds and when SIGTERM comes. It holds beside what
    Lightning and the module keep the states of the random number generators of every process. (A `Checkpoint`, so that
    Lightning calls it after all others.)

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
        self._found: dict[str, Any] | None = None
        self._told = False
        self._begun, self._earlier = begun, 0.0
        self._next = time.monotonic() + INTERVAL

    @property
    def seconds(self) -> float:
        """How long the run has taken until now, the lives before this one included."""
        return self._earlier + time.monotonic() - self._begun

    def usable(self) -> Path | None:
        """The checkpoint of an earlier life of this run, if there is a whole one of the same code and data."""
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)["resume"]
            same = found["made_by"] == self.made_by
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
        if dist.is_initialized():
            mine, states = states[0], [{}] * dist.get_world_size()
            dist.all_gather_object(states, mine)
        stopping = bool(trainer.should_stop)
        checkpoint["resume"] = {"made_by": self.made_by, "processes": states, "stopping": stopping}
        checkpoint["resume"]["seconds"] = self.seconds

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep it until training starts: much is drawn and set to zero until then."""
        self._found = checkpoint["resume"]
        self._earlier = checkpoint["resume"]["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the states over; heed SIGTERM from now on."""
        if self._found is not None:
            trainer.should_stop = self._found["stopping"]
            _set_random_states(self._found["processes"][trainer.global_rank], trainer.strategy.root_device)
            self._found = None
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self._note)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write it if it is time to; not where a validation or an epoch's end follows, which Lightning would skip.

        Several processes would not agree on the time: they write after validations alone.
        """
        if dist.is_initialized():
            return
        if (self._told or time.monotonic() > self._next) and not _validates_next(trainer, batch_idx):
            self._keep(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._keep(trainer)

    def forget(self) -> None:
        """The run is over."""
        discard(self.path)

    def _note(self, number: int, frame: Any) -> None:
        self._told = True

    def _keep(self, trainer: Trainer) -> None:
        temporary = self.path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            temporary.replace(self.path)
        self._next = time.monotonic() + INTERVAL
        if self._told:
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
    return states


def _set_random_states(states: dict[str, Any], device: torch.device) -> None:
    version, inner, gauss = states["python"]
    random.setstate((version, tuple(inner), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
