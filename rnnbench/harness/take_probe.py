"""Taking a probe: the first steps of a run, in a training of their own beside it."""

import gc
import math
import traceback
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback

from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError, told
from rnnbench.harness.callbacks import number_of
from rnnbench.harness.fit_size import fit_size
from rnnbench.harness.hardware import environment
from rnnbench.harness.instantiate import make_data, make_model
from rnnbench.harness.job import Job, ProbeResult
from rnnbench.harness.trainer import check_precision, make_trainer, use_deterministic_cublas
from rnnbench.records.probe import BATCHES, STEPS, Probe, main_scores


class FirstSteps(Callback):
    """Keeps the losses of the first steps, each of so many batches, then has the training validate and stop."""

    def __init__(self, most: int, batches: int = 1) -> None:
        self.most, self.batches = most, batches
        self.losses: list[float | None] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep a loss; of several batches whose gradients are added up for one step, that of the last."""
        if (batch_idx + 1) % self.batches and batch_idx + 1 < trainer.num_training_batches:
            return
        loss = _number(outputs.get("loss") if isinstance(outputs, dict) else outputs)
        self.losses.append(None if loss is None else loss * self.batches)  # by which Lightning has divided it
        trainer.should_stop = len(self.losses) >= self.most  # Lightning validates before it stops


def take_probe(job: Job, sized: RunSpec, data: Any, model_kwargs: dict[str, Any]) -> Probe:
    """The probe of a job's run, on one device.

    The same seed, model, batches, precision and arguments of the Trainer as in the run, not compiled and without the
    callbacks of the grid, in a Trainer of its own: nothing of it is left behind but the states
    of the random number generators, which a run sets anew.

    Args:
        job: whose run.
        sized: its spec with the width that a rule for the size has led to.
        data: the data module of the run.
        model_kwargs: of the data module.
    """
    gc.freeze()  # so that only what the probe makes is looked through at its end
    try:
        return _first_steps(job, sized, data, model_kwargs)
    finally:
        gc.collect()  # a Trainer and its module refer to each other: the run is to have the memory
        gc.unfreeze()


def _first_steps(job: Job, sized: RunSpec, data: Any, model_kwargs: dict[str, Any]) -> Probe:
    spec = job.spec
    seed_everything(spec.seed, verbose=False)
    model = make_model(sized, **model_kwargs)
    with suppress(RnnbenchError) if spec.devices > 1 else nullcontext():  # the share of each device one after the other
        set_micro_batches(model, job.micro_batches * spec.devices, getattr(data, "batch_size", math.inf))
    budget = spec.budget.model_copy(update={"patience": None, "minutes": None, "validate_every": None})
    probe_job = replace(job, spec=spec.model_copy(update={"devices": 1, "budget": budget}), loggers=())
    batches = spec.training.trainer.get("accumulate_grad_batches", 1) if spec.training else 1
    first_steps = FirstSteps(min(STEPS, spec.budget.steps or STEPS), batches)
    trainer = make_trainer(
        probe_job,
        [first_steps],
        enable_checkpointing=False,
        limit_val_batches=BATCHES,
        val_check_interval=None,
        check_val_every_n_epoch=1,
    )
    trainer.fit(model, data if _is_ours(data) else make_data(spec))
    logged = {name: _number(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    scores = {name.removeprefix("val/"): value for name, value in logged.items() if value is not None}
    return Probe(losses=first_steps.losses, scores=main_scores(scores, spec.task.metric))


def probe_again(job: Job) -> ProbeResult:
    """The probe of a job's run, without the run."""
    use_deterministic_cublas(job.spec)
    try:
        check_precision(job.spec)
        data = make_data(job.spec)
        data.prepare_data()
        model_kwargs = data.model_kwargs()
        sized, _ = fit_size(job.spec, model_kwargs)
        probe = take_probe(job, sized, data, model_kwargs)
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        machine = environment(device or torch.device("cpu"))
        return ProbeResult(probe, data.metadata()["fingerprint"], machine)
    except (RnnbenchError, MemoryError, torch.OutOfMemoryError) as error:
        return ProbeResult(error=" ".join(str(error).split())[:500])
    except Exception as error:  # noqa: BLE001  # whatever a third party's class does
        traceback.print_exc()
        classes = (job.spec.architecture.class_path, job.spec.task.data.class_path)
        return ProbeResult(error=" ".join(told(error, *classes).split())[:500])


def set_micro_batches(model: LightningModule, parts: int, rows: float) -> None:
    """Have each batch of so many rows go through a network in so many parts.

    Raises:
        RnnbenchError: that would change the training, or the module cannot do it.
    """
    if parts == 1:
        return
    refused = "memory ran out, and its batches cannot go through the network in parts: "
    if parts >= 2 * rows:
        raise RnnbenchError(f"{refused}they have gone through row by row")
    if not hasattr(model, "micro_batches"):
        raise RnnbenchError(f"{refused}{type(model).__name__} is no SequenceModule")
    for name, part in model.named_modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            raise RnnbenchError(f"{refused}{name} normalises over the batch")
    model.micro_batches = parts  # type: ignore[assignment]


def _is_ours(data: Any) -> bool:
    """Whether a data module is one of rnnbench, which keep no state between two trainings; others are made anew."""
    return type(data).__module__.partition(".")[0] == "rnnbench"


def _number(value: Any) -> float | None:
    """A finite number as float, else None."""
    if isinstance(value, torch.Tensor) and value.numel() != 1:
        return None
    number = number_of(value) if isinstance(value, torch.Tensor | float | int) else math.nan
    return number if abs(number) <= 1e100 else None
