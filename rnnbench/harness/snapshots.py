"""Weights of some steps of a training, to look back from noise to what it has learnt."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

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
        """Keep what nothing was learnt in."""
        if trainer.global_step == 0:
            self._keep(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the weights if it is time to."""
        if is_kept(trainer.global_step):
            self._keep(trainer)

    def _keep(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / f"{PREFIX}{trainer.global_step:08}.ckpt", weights_only=True)


def is_kept(step: int) -> bool:
    """Whether a step after the first is a power of four."""
    while step > 1 and step % RATIO == 0:
        step //= RATIO
    return step == 1


def snapshots(folder: Path) -> dict[int, Path]:
    """The checkpoints of a folder by step, in order."""
    found = {int(path.stem.removeprefix(PREFIX)): path for path in folder.glob(f"{PREFIX}[0-9]*.ckpt")}
    return dict(sorted(found.items()))
