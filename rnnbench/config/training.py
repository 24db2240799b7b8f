"""How the Trainer of a run trains: precision, compilation, arguments of `lightning.Trainer`, and callbacks.

Also loggers and callbacks by import path, as LightningCLI writes them.
"""

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator

from rnnbench.config.cards import ClassSpec
from rnnbench.config.schema import Arguments, StrictModel, short_repr
from rnnbench.errors import RnnbenchError, unknown

PRECISIONS = (
    "transformer-engine",
    "transformer-engine-float16",
    "16-true",
    "16-mixed",
    "bf16-true",
    "bf16-mixed",
    "32-true",
    "64-true",
)
"""Lightning's names, which a test compares with Lightning's own list: nothing heavy is imported to read a record."""
PRECISION_ALIASES = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""Lightning's short names."""
DEFAULT_PRECISION = "32-true"
OWNED = {
    "accelerator": "the executor chooses the device (executor: {local: {gpu_ids: …}})",
    "strategy": "a run on several devices is trained by DDP (devices)",
    "devices": "use the field devices of the grid",
    "num_nodes": "a run is on one machine",
    "precision": "use the field precision of the grid",
    "logger": "use the field loggers of the grid",
    "callbacks": "use the field callbacks of the grid",
    "plugins": "use the fields precision and executor of the grid",
    "fast_dev_run": "use a short budget (budget: {steps: 1})",
    "max_epochs": "the budget says when training ends (budget: {epochs: …})",
    "min_epochs": "the budget says when training ends (budget: {epochs: …})",
    "max_steps": "the budget says when training ends (budget: {steps: …})",
    "min_steps": "the budget says when training ends (budget: {steps: …})",
    "max_time": "the budget says when training ends (budget: {minutes: …})",
    "val_check_interval": "the budget says how often a run is validated (budget: {validate_every: …})",
    "check_val_every_n_epoch": "the budget says how often a run is validated (budget: {validate_every: …})",
    "overfit_batches": "the score would be of the training part",
    "limit_test_batches": "the score is of the whole test part",
    "limit_predict_batches": "a run predicts nothing",
    "num_sanity_val_steps": "every validation is a point of the learning curve",
    "enable_checkpointing": "the checkpoint that is tested, and the one from which a run goes on, are always kept",
    "enable_progress_bar": "`rnnbench watch` shows progress",
    "enable_model_summary": "the record has the number of parameters",
    "log_every_n_steps": "loggers get a point at each validation",
    "use_distributed_sampler": "the data module divides batches among devices",
    "barebones": "the record needs checkpoints and validation scores",
    "default_root_dir": "use the option --runs",
    "model_registry": "the weights stay in the folder of the run",
}
"""Arguments of `lightning.Trainer` that the harness sets itself, and why, or what to use instead."""
POSITIVE = ("limit_train_batches", "limit_val_batches", "accumulate_grad_batches")
"""Arguments for which 0 would leave nothing to train on, no step, or nothing by which the checkpoint is chosen."""


def _precision(value: Any) -> Any:
    """The unified name of a precision."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"give one of {', '.join(PRECISIONS)}, got {short_repr(value)}")
    name = PRECISION_ALIASES.get(str(value), str(value))
    if name not in PRECISIONS:
        raise ValueError(str(unknown("precision", name, PRECISIONS)))
    return name


def _not_owned(arguments: dict[str, Any]) -> dict[str, Any]:
    for name, value in arguments.items():
        if name in OWNED:
            raise ValueError(f"{name} cannot be set here: {OWNED[name]}")
        if name in POSITIVE and isinstance(value, int | float) and value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")
    return arguments


Precision = Annotated[str | None, BeforeValidator(_precision)]
TrainerArguments = Annotated[Arguments, AfterValidator(_not_owned)]


def _class_spec(value: Any, module: str, what: str) -> Any:
    """An import path, or `class_path` with `init_args`, as a `ClassSpec`; a name without a module is Lightning's."""
    if isinstance(value, ClassSpec):
        return value
    content = {"class_path": value} if isinstance(value, str) else value
    if not isinstance(content, dict):
        raise ValueError(f"give an import path, or class_path and init_args, got {short_repr(value)}")
    path = content.get("class_path")
    if isinstance(path, str) and path and "." not in path:
        content = {**content, "class_path": f"{module}.{path}"}
    try:
        return ClassSpec.read(content, what)
    except RnnbenchError as error:
        raise ValueError(str(error)) from None


def _callback(value: Any) -> Any:
    return _class_spec(value, "lightning.pytorch.callbacks", "callback")


LOGGERS = ("csv", "wandb", "tensorboard")


def _logger(value: Any) -> Any:
    if not isinstance(value, str) or "." in value:
        return _class_spec(value, "lightning.pytorch.loggers", "logger")
    if value not in LOGGERS:
        raise ValueError(f"{unknown('logger', value, LOGGERS)}; others by class_path and init_args")
    return value


CallbackSpec = Annotated[ClassSpec, BeforeValidator(_callback)]
LoggerSpec = Annotated[str | ClassSpec, BeforeValidator(_logger)]


class Training(StrictModel):
    """How the Trainer of a run trains, where that is not the default. Part of the run's identity.

    Args:
        precision: Lightning's name, `bf16-mixed`; None for float32.
        compile: whether the module is compiled by `torch.compile`.
        trainer: other arguments of `lightning.Trainer`, by name.
        callbacks: Lightning's callbacks, or a user's own.
    """

    precision: Precision = None
    compile: bool = False
    trainer: TrainerArguments = {}
    callbacks: list[CallbackSpec] = []

    @classmethod
    def of(
        cls, precision: str | None, compile: bool, trainer: dict[str, Any], callbacks: list[ClassSpec]
    ) -> Self | None:
        """What the fields of a grid ask for; None if all of it is the default."""
        own = None if precision == DEFAULT_PRECISION else precision
        training = cls(precision=own, compile=compile, trainer=trainer, callbacks=callbacks)
        return training if training.content else None

    @cached_property
    def content(self) -> dict[str, Any]:
        """The settings that are not the default, as JSON has them."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The same with a name for each value, `trainer.gradient_clip_val`; for people."""
        content = dict(self.content)
        arguments = content.pop("trainer", {})
        return content | {f"trainer.{name}": value for name, value in arguments.items()}
