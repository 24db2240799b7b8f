"""One run, from its spec to its record."""

import math
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import torch
from lightning.pytorch import LightningModule, seed_everything
from lightning.pytorch.utilities.compile import to_uncompiled

from rnnbench.analysis.callbacks import GradientWatch
from rnnbench.config.sampling import SampleConfig
from rnnbench.errors import Diverged, Infeasible, Preempted, RnnbenchError, Unprepared, told
from rnnbench.harness.callbacks import Reporter, Resume, Snapshots, number_of
from rnnbench.harness.fit_size import check_size, fit_size, flops_of_a_step, state_bytes
from rnnbench.harness.hardware import environment, peak_memory
from rnnbench.harness.instantiate import make_data, make_model, prepare
from rnnbench.harness.job import ARTEFACTS, OUT_OF_MEMORY, Job, Progress, failure_record
from rnnbench.harness.samples import make_artefacts
from rnnbench.harness.take_probe import set_micro_batches, take_probe
from rnnbench.harness.trainer import (
    BestCheckpoint,
    check_precision,
    close_loggers,
    make_callbacks,
    make_trainer,
    use_deterministic_cublas,
)
from rnnbench.records.artefacts import Artefact, write_artefacts
from rnnbench.records.probe import code_version, main_scores
from rnnbench.records.record import Cost, LengthPoint, Record, thinned

LENGTH = "length_"
"""How the test loader of one length is named, before the length."""


def run(job: Job, report: Callable[[Progress], None]) -> Record | None:
    """Run a job; whatever happens, the outcome is a record. Of several processes only the first has one, or fails.

    Raises:
        Preempted: SIGTERM came; the run goes on later from its checkpoint.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    use_deterministic_cublas(job.spec)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # a warning belongs into the log, whatever it is outside
            warnings.filterwarnings("ignore", ".*exists and is not empty")  # a run that goes on
            warnings.filterwarnings("ignore", ".*smaller than the logging interval")  # nothing is logged per step
            return _run(job, report, started)
    except SystemExit as error:
        if isinstance(
            error.__context__, KeyboardInterrupt
        ):  # Lightning makes an exit of an interrupt, and ignores others
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from None
        return failure_record(job, "failed", f"the run called exit({error.code})", started)
    except Preempted:
        raise
    except Infeasible as error:
        return failure_record(job, "infeasible", str(error), started)
    except (MemoryError, torch.OutOfMemoryError) as error:
        traceback.print_exc()
        return failure_record(job, "failed", f"{OUT_OF_MEMORY}: {error}", started)
    except RnnbenchError as error:
        return failure_record(job, "failed", str(error), started)
    except Exception as error:  # noqa: BLE001  # whatever a third party's class does is this run's failure only
        traceback.print_exc()
        memory = "alloc_cpu.cpp" in str(error)  # torch's CPU allocator raises a plain RuntimeError
        callbacks = [one.class_path for one in job.spec.training.callbacks] if job.spec.training else []
        classes = (job.spec.architecture.class_path, job.spec.task.data.class_path, *callbacks)
        reason = f"{OUT_OF_MEMORY}: " * memory + told(error, *classes)
        return failure_record(job, "failed", reason, started)


def prepare_data(job: Job) -> Record | None:
    """Prepare the data of a job's task; return the record of a run whose data cannot be prepared, else None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # a warning belongs into the log, whatever it is outside
            prepare(make_data(job.spec))
    except RnnbenchError as error:
        return failure_record(job, "infeasible" if isinstance(error, Infeasible) else "failed", str(error))
    except SystemExit as error:
        return failure_record(job, "failed", f"{Unprepared.PREFIX}exit({error.code}) was called")
    return None


def _run(job: Job, report: Callable[[Progress], None], started: str) -> Record | None:
    spec, begun, version = job.spec, time.monotonic(), code_version(job.spec)
    check_precision(spec)
    report(Progress("data"))
    data = make_data(spec)
    prepare(data)
    model_kwargs = data.model_kwargs()
    sized, fit = fit_size(spec, model_kwargs)
    first = spec.devices == 1 or os.environ.get("LOCAL_RANK", "0") == "0"
    probe = take_probe(job, sized, data, model_kwargs) if first else None
    seed_everything(spec.seed, verbose=False)
    model = make_model(sized, **model_kwargs)
    check_size(spec, fit, model)
    set_micro_batches(model, job.micro_batches, getattr(data, "batch_size", math.inf) / spec.devices)
    backend_of(model)  # compiles what has to be compiled, before the clock starts
    metadata = data.metadata()
    reporter, best = Reporter(spec, report), BestCheckpoint(job)
    made_by = {"id": spec.id, "data": metadata["fingerprint"], "code": version, "micro_batches": job.micro_batches}
    resume = Resume(best.path.with_stem("resume"), made_by, begun)
    watches = [GradientWatch()] if "gradients" in job.watch else []
    snapshots = [Snapshots(best.path.parent)] if job.replay else []
    callbacks = make_callbacks(spec)
    trainer = make_trainer(job, [reporter, best, resume, *watches, *snapshots, *callbacks])
    compiled = torch.compile(model) if spec.training and spec.training.compile else model
    trainer.fit(compiled, data, ckpt_path=resume.usable(), weights_only=True)  # type: ignore[arg-type]
    steps = trainer.global_step
    steps_per_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    epochs = math.ceil(steps / steps_per_epoch)  # begun; a run that had ended before it went on counts none
    if not (checkpoint := best.best_model_path):  # the budget ended before the first validation
        trainer.validate(model, data, verbose=False)
        checkpoint = str(best.path)
        trainer.save_checkpoint(checkpoint, weights_only=True)
    if spec.devices > 1:
        rank = trainer.global_rank
        close_loggers(trainer.loggers)
        teardown_ddp()
        if rank:
            return None
        trainer = make_trainer(replace(job, spec=spec.model_copy(update={"devices": 1}), loggers=()), callbacks)
    scores = {} if spec.trial else _test(trainer, model, data, checkpoint, report)
    scores, length_curve = split_by_length(scores, spec.task.metric, getattr(data, "test_lengths", ()))
    close_loggers(trainer.loggers)
    if compiled is not model:
        to_uncompiled(model)  # what follows calls it with other shapes
    model.float()  # and with inputs in float32, whatever the precision was
    if job.samples:
        write_artefacts(job.folder / ARTEFACTS, spec, _make_samples(model, data, job.samples))
    chosen = torch.load(checkpoint, weights_only=True)["global_step"]
    device = trainer.strategy.root_device
    wall_seconds, cpu_seconds = reporter.training.seconds
    resume.forget()
    return Record(
        schema_version=2,
        id=spec.id,
        spec=spec,
        status="done",
        started=started,
        score=None if spec.trial else scores[spec.task.metric],
        scores=scores,
        length_curve=length_curve,
        validation=main_scores(reporter.validations[chosen], spec.task.metric),
        best_step=chosen,
        curve=thinned(reporter.curve, chosen),
        baseline="" if spec.trial else metadata["baseline"],
        baseline_scores={} if spec.trial else metadata["baseline_scores"],
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        size=fit,
        cost=Cost(
            train_seconds=round(wall_seconds, 3),
            cpu_seconds=round(cpu_seconds, 3) if device.type == "cpu" else None,
            total_seconds=round(resume.seconds, 3),
            steps=steps,
            epochs=epochs,
            peak_memory_bytes=peak_memory(device),
            steps_per_epoch=steps_per_epoch,
            state_bytes=state_bytes(model),
            flops_per_step=_flops(model),
            micro_batches=job.micro_batches,
        ),
        backend=backend_of(model),
        data_fingerprint=metadata["fingerprint"],
        code_version=version,
        probe=probe,
        environment=environment(device),
        attempts=list(job.attempts),
    )


def _make_samples(model: LightningModule, data: Any, samples: SampleConfig) -> list[Artefact]:
    """Samples of a trained model. An input that it cannot read costs no score: the artefact says so."""
    try:
        return make_artefacts(model, data, samples)
    except RnnbenchError as error:
        return [Artefact(title="no answer", text=str(error))]


def _flops(model: LightningModule) -> int | None:
    try:
        return flops_of_a_step(model)
    except RnnbenchError:  # a network of somebody else, which cannot be run on made-up inputs
        return None


def teardown_ddp() -> None:
    """Leave the group of processes that trained together: a test is on one device, where no batch is padded."""
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK"):
        os.environ.pop(name, None)


def _test(trainer: Any, model: LightningModule, data: Any, checkpoint: str, report: Any) -> dict[str, float]:
    """Test scores of a checkpoint; the only place where the test part is read. Of some data what the model writes by
    itself is judged as well.

    Raises:
        Diverged: a score is not finite.
    """
    report(Progress("test", trainer.global_step, 1.0))
    logged = trainer.test(model, data, ckpt_path=checkpoint, weights_only=True, verbose=False)[0]
    scores = {name.removeprefix("test/"): number_of(trainer.callback_metrics.get(name, value))
              for name, value in logged.items()}  # fmt: skip
    if hasattr(data, "sampled_scores") and hasattr(model, "generate"):
        writer: Any = model
        scores |= data.sampled_scores(lambda count, length: writer.generate([""] * count, length))
    for name, value in scores.items():
        if not math.isfinite(value):
            raise Diverged(f"test {name} is {value}")
    return scores


def split_by_length(
    scores: dict[str, float], metric: str, lengths: Sequence[int] = ()
) -> tuple[dict[str, float], list[LengthPoint]]:
    """Scores that are means over all loaders of the test part, and the `metric` at each of the test `lengths`.

    Numbers are rounded to six digits in the curve, which is drawn and never averaged.
    """
    marked = f"{metric}/{LENGTH}"
    by_length = {int(name.removeprefix(marked)): score for name, score in scores.items() if name.startswith(marked)}
    if len(lengths) == 1 and metric in scores:  # a single loader has no name
        by_length[lengths[0]] = scores[metric]
    curve = [LengthPoint(length, float(f"{score:.6g}")) for length, score in by_length.items()]
    return {name: score for name, score in scores.items() if "/" not in name}, curve


def backend_of(model: LightningModule) -> str:
    """What computes the recurrence: `backend` of the model or of its layer, else the torch layer it derives from."""
    if name := getattr(model, "backend", None):
        return str(name)
    layer = getattr(model, "layer", model)
    if name := getattr(layer, "backend", None):
        return str(name)
    bases = type(layer).__mro__
    return next((f"torch.nn.{base.__name__}" for base in bases if base.__module__ == "torch.nn.modules.rnn"), "other")
