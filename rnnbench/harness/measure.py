"""What runs cost that nobody has done yet, by a few steps that are measured; and which networks are very unequal."""

import tempfile
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rnnbench.config.cards import Budget
from rnnbench.config.grid import RunSpec
from rnnbench.harness.job import Job

WARM_UP, STEPS = 1, 2
"""Optimiser steps before the clock starts (they compile kernels and fill caches), and those that are measured."""
VALIDATIONS = 10
"""Validations of a run with a budget in steps that does not say how many, as its Trainer has them."""
UNEQUAL = 4.0
"""Width, time or memory of a network is very unequal if it is so many times the least on its task."""


class Facts(NamedTuple):
    """What is known of a run before it starts.

    Args:
        cached: whether its data is in the cache.
        why_not: why the run is infeasible, or nothing.
        width: of its network, if a rule for the size chooses it and the data is in the cache.
    """

    cached: bool
    why_not: str
    width: int | None = None


class Measured(NamedTuple):
    """The cost of a run, as far as a few steps tell.

    Args:
        setup_seconds: until the clock of training starts: data, model, first step.
        step_seconds: of one optimiser step.
        evaluation_seconds: of one pass over the validation part.
        steps_per_epoch: optimiser steps of a pass over the training part.
        memory: most bytes used so far: of the device, or without one of the process.
    """

    setup_seconds: float
    step_seconds: float
    evaluation_seconds: float
    steps_per_epoch: int
    memory: int

    def seconds(self, budget: Budget) -> float | None:
        """Expected seconds of a run, test included; None if nothing in the budget says how long it trains."""
        steps = [
            limit
            for limit in (
                budget.steps,
                budget.epochs and budget.epochs * self.steps_per_epoch,
                budget.minutes and budget.minutes * 60 / self.step_seconds,
            )
            if limit
        ]
        if not steps:
            return None
        count = min(steps)
        every = budget.validate_every or (max(1, budget.steps // VALIDATIONS) if budget.steps else self.steps_per_epoch)
        passes = count // every + 1  # and one over the test part, which is about as large
        return self.setup_seconds + count * self.step_seconds + passes * self.evaluation_seconds


def measure(spec: RunSpec) -> Measured | None:
    """Train a run's network for a few steps in this process, and leave nothing behind; None if that fails.

    Its data must be in the cache.
    """
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run itself will say them
            return _measure(spec, Path(folder), begun)
    except Exception:  # noqa: BLE001  # a run that cannot be measured has no estimate; what is wrong, its run will say
        traceback.print_exc()
        return None


def _measure(spec: RunSpec, folder: Path, begun: float) -> Measured:
    from lightning.pytorch import seed_everything

    from rnnbench.harness.fit_size import fit_size
    from rnnbench.harness.hardware import peak_memory
    from rnnbench.harness.instantiate import make_data, make_model
    from rnnbench.harness.step_clock import StepClock
    from rnnbench.harness.trainer import make_trainer

    seed_everything(spec.seed, verbose=False)
    data = make_data(spec)
    model_kwargs = data.model_kwargs()
    sized, _ = fit_size(spec, model_kwargs)
    model = make_model(sized, **model_kwargs)
    budget = Budget(steps=WARM_UP + STEPS, validate_every=WARM_UP + STEPS)
    job = Job(spec.model_copy(update={"devices": 1, "budget": budget}), "measure", folder, loggers=())
    clock = StepClock()
    trainer = make_trainer(job, [clock], enable_checkpointing=False, limit_val_batches=2)
    trainer.fit(model, data)
    steps = clock.steps[WARM_UP:] or clock.steps
    evaluation = min(clock.validations, default=0.0) * _length(data.val_dataloader())
    spent = time.monotonic() - begun - sum(steps) - sum(clock.validations)
    return Measured(spent, median(steps), evaluation, int(trainer.num_training_batches),
                    peak_memory(trainer.strategy.root_device))  # fmt: skip


def _length(loader: Any) -> int:
    """Batches of a loader; 1 where it does not say."""
    return len(loader) if hasattr(loader, "__len__") else 1


def unequal_networks(
    specs: Sequence[RunSpec],
    facts: Mapping[str, Facts],
    costs: Mapping[str, tuple[float | None, int | None]] | None = None,
) -> list[str]:
    """Warnings of a grid whose networks are made equal in size: which are very unequal in width, time or memory.

    Args:
        specs: its runs.
        facts: of each run, by its id.
        costs: expected seconds and bytes of each run, by its id, as far as they are known.
    """
    rows: dict[str, dict[str, RunSpec]] = defaultdict(dict)
    for spec in specs:
        if spec.id in facts and spec.trial is None and facts[spec.id].width is not None:
            rows[spec.task.name].setdefault(spec.architecture.name, spec)
    return [line for task, some in rows.items() for line in _unequal(task, some.values(), facts, costs or {})]


def _unequal(
    task: str,
    specs: Collection[RunSpec],
    facts: Mapping[str, Facts],
    costs: Mapping[str, tuple[float | None, int | None]],
) -> Iterator[str]:
    measures: dict[str, dict[str, float]] = {"width": {}, "time": {}, "memory": {}}
    for spec in specs:
        values = facts[spec.id].width, *costs.get(spec.id, (None, None))
        for name, value in zip(measures, values, strict=True):
            if value:
                measures[name][spec.id] = value
    narrowest = min(specs, key=lambda spec: facts[spec.id].width or 0)
    for spec in specs:
        times = {name: values[spec.id] / min(values.values()) for name, values in measures.items() if spec.id in values}
        large = [f"{value:.0f} × the least {name}" for name, value in times.items() if value >= UNEQUAL]
        if large:
            seconds, memory = (measures[name].get(spec.id) for name in ("time", "memory"))
            expected = [f"{seconds:,.0f} s"] if seconds else []
            expected += [f"{memory / 1e9:.2f} GB"] if memory else []
            yield (
                f"{task}: with {spec.size} {spec.architecture.name} is {facts[spec.id].width:,} wide, "
                f"{narrowest.architecture.name} {facts[narrowest.id].width:,}: {', '.join(large)}"
                + (f"; expected {' and '.join(expected)} a run" if expected else "")
            )
