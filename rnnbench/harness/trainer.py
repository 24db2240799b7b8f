"""The Trainer of a run: nothing printed, nothing logged per step, the budget of the spec."""

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.profilers import PassThroughProfiler

from rnnbench.config.grid import RunSpec
from rnnbench.harness.job import Job

VALIDATIONS = 10
"""How often a run with a budget in steps is validated, unless its budget says otherwise."""


class NoProfiler(PassThroughProfiler):
    """Measures nothing, without the generator that Lightning's own makes for each of some thirty actions a step."""

    nothing: AbstractContextManager[None] = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do nothing around an action."""
        return self.nothing


def make_trainer(job: Job, callbacks: list[Callback], **changes: Any) -> Trainer:
    """A Trainer on the devices of the job that stops where the budget of the job's spec ends.

    `changes` are arguments of `Trainer` in the place of those of a run.
    """
    budget = job.spec.budget
    if budget.patience:
        callbacks = [
            *callbacks,
            EarlyStopping(**monitored(job.spec), patience=budget.patience, check_on_train_epoch_end=False),
        ]
    settings: dict[str, Any] = {
        "devices": job.spec.devices,
        "strategy": "ddp" if job.spec.devices > 1 else "auto",
        "max_steps": budget.steps or -1,
        "max_epochs": budget.epochs or -1,
        "max_time": timedelta(minutes=budget.minutes) if budget.minutes else None,
        "logger": [make_logger(name, job) for name in job.loggers],
        "callbacks": callbacks,
        "default_root_dir": job.folder,
        "num_sanity_val_steps": 0,
        "deterministic": "warn" if torch.cuda.is_available() else None,  # the same run gives the same score
        "log_every_n_steps": 1_000_000,  # nothing is logged per step
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "profiler": NoProfiler(),
        "plugins": [LightningEnvironment()],  # a run on a cluster's node is still one process on one device
        **_validations(job.spec),
    }
    return Trainer(**{**settings, **changes})


def _validations(spec: RunSpec) -> dict[str, Any]:
    budget = spec.budget
    every = budget.validate_every or (max(1, budget.steps // VALIDATIONS) if budget.steps else None)
    if every is None:
        return {"check_val_every_n_epoch": 1}
    return {"val_check_interval": min(every, budget.steps or every), "check_val_every_n_epoch": None}


class BestCheckpoint(ModelCheckpoint):
    """Keeps the weights of the best validation so far, and nothing else."""

    state_key = "best"  # Lightning's own is put together anew for each of six hooks a step

    def __init__(self, job: Job) -> None:
        self.path = job.folder / "checkpoints" / "best.ckpt"
        super().__init__(
            dirpath=self.path.parent,
            filename=self.path.stem,
            **monitored(job.spec),
            save_weights_only=True,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )


def monitored(spec: RunSpec) -> dict[str, Any]:
    """The score that selection compares, as arguments of Lightning's callbacks."""
    return {"monitor": f"val/{spec.task.metric}", "mode": "min" if spec.task.direction == "minimise" else "max"}


def make_logger(name: str, job: Job) -> Logger:
    """A logger of Lightning, writing into the run's folder."""
    folder: Path = job.folder
    if name == "csv":
        return CSVLogger(folder, name="curves", version="")
    if name == "wandb":
        return WandbLogger(
            project="rnnbench", id=job.spec.id, name=job.spec.label, group=job.grid, save_dir=folder, resume="allow"
        )
    return TensorBoardLogger(folder, name="tensorboard", version="")


def close_loggers(loggers: list[Logger]) -> None:
    """Write out what loggers hold back; W&B otherwise does so at the exit of the interpreter, which a worker skips."""
    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
