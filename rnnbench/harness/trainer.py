"""The Trainer of a run: nothing printed, nothing logged per step, the budget of the spec; its callbacks and loggers."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.profilers import PassThroughProfiler

from rnnbench.config.cards import ClassSpec
from rnnbench.config.grid import RunSpec
from rnnbench.config.training import OWNED
from rnnbench.errors import RnnbenchError, told
from rnnbench.harness.instantiate import check_arguments, construct, constructor_arguments, import_class
from rnnbench.harness.job import Job

CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""The variable by which cuBLAS is deterministic, read when torch first uses it, and one of its two values."""
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
    budget, training = job.spec.budget, job.spec.training
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
    if training is not None:
        settings |= {"precision": training.precision, **training.trainer}
    return Trainer(**{**settings, **changes})


def check_training(spec: RunSpec, here: bool) -> None:
    """Check how a run is trained, by making its callbacks and a Trainer with its arguments.

    Args:
        spec: of the run.
        here: whether it will run on the devices of this machine.

    Raises:
        RnnbenchError: an argument of the Trainer, or a callback, is wrong.
    """
    if spec.training is None:
        return
    if here:
        check_precision(spec)
    check_arguments(Trainer, spec.training.trainer, "trainer", OWNED)
    callbacks = make_callbacks(spec)
    job = Job(spec.model_copy(update={"devices": 1}), "check", Path(gettempdir()), loggers=())
    with _restored(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            make_trainer(job, [*callbacks, BestCheckpoint(job)])
        except RnnbenchError:
            raise
        except Exception as error:  # Lightning's, or that of a callback which the Trainer calls
            raise RnnbenchError(f"trainer: {told(error)}") from error


@contextmanager
def _restored() -> Iterator[None]:
    """Nothing is logged meanwhile, and what a Trainer changes for the whole process is afterwards as it was before."""
    disabled, deterministic = logging.root.manager.disable, torch.are_deterministic_algorithms_enabled()
    warns, benchmark = torch.is_deterministic_algorithms_warn_only_enabled(), torch.backends.cudnn.benchmark
    logging.disable()
    try:
        yield
    finally:
        logging.disable(disabled)
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.backends.cudnn.benchmark = benchmark


def use_deterministic_cublas(spec: RunSpec) -> None:
    """Set what cuBLAS needs to be deterministic, unless the caller has; called before torch starts CUDA."""
    if spec.training is None or spec.training.trainer.get("deterministic") is not False:
        os.environ.setdefault(*CUBLAS_WORKSPACE)


def check_precision(spec: RunSpec) -> None:
    """Check that the device of this process can train a run in its precision.

    Raises:
        RnnbenchError: it is `16-mixed` without a GPU: Lightning would use `bf16-mixed` instead.
    """
    if spec.training and spec.training.precision == "16-mixed" and not torch.accelerator.is_available():
        raise RnnbenchError(
            "precision '16-mixed' needs a GPU, and there is none here: Lightning has no float16 autocast on a CPU; "
            "bf16-mixed runs there"
        )


def make_callbacks(spec: RunSpec) -> list[Callback]:
    """The callbacks that a grid asks for.

    Raises:
        RnnbenchError: one is no Callback, or an argument of it is wrong.
    """
    asked = spec.training.callbacks if spec.training else []
    return [construct(one, Callback, f"callback {one.class_path!r}", set()) for one in asked]


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


def make_logger(name: str | ClassSpec, job: Job) -> Logger:
    """A logger of Lightning, or one by its class, writing into the run's folder.

    One by its class gets the folder as `save_dir` and the run's label as `run_name`, if it has such arguments and the
    grid does not give them.
    """
    folder: Path = job.folder
    if isinstance(name, ClassSpec):
        where = f"logger {name.class_path!r}"
        allowed = constructor_arguments(import_class(name.class_path, Logger, where))
        usual = {"save_dir": str(folder), "run_name": job.spec.label}
        more = {key: value for key, value in usual.items() if key in allowed and key not in name.init_args}
        return construct(name, Logger, where, set(), **more)  # type: ignore[no-any-return]
    if name == "csv":
        return CSVLogger(folder, name="curves", version="")
    if name == "wandb":
        return WandbLogger(
            project="rnnbench", id=job.spec.id, name=job.spec.label, group=job.grid, save_dir=folder, resume="allow"
        )
    return TensorBoardLogger(folder, name="tensorboard", version="")


PACKAGES = {"MLFlowLogger": "mlflow", "NeptuneLogger": "neptune", "CometLogger": "comet_ml"}
"""What Lightning's loggers need that look for it when they are made."""


def check_logger(logger: ClassSpec) -> None:
    """Check a logger that a grid names by its class, without making it: some call their server when they are made.

    Raises:
        RnnbenchError: it is no Logger, an argument of it is wrong, or its package is not installed.
    """
    where = f"logger {logger.class_path!r}"
    cls = import_class(logger.class_path, Logger, where)
    check_arguments(cls, logger.init_args, where)
    package = PACKAGES.get(cls.__name__) if cls.__module__.startswith("lightning.") else None
    if package and find_spec(package) is None:
        raise RnnbenchError(f"{where} needs the package {package}, which is not installed: pip install {package}")


def close_loggers(loggers: list[Logger]) -> None:
    """Write out what loggers hold back; W&B otherwise does so at the exit of the interpreter, which a worker skips."""
    for logger in loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
