"""What is known of runs before they start: errors, whether their data is cached, and what is infeasible."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from rnnbench.config.grid import RunSpec
from rnnbench.config.model_size import NO_WIDTH
from rnnbench.errors import DataUnavailable, Infeasible, RnnbenchError, unknown
from rnnbench.harness.fit_size import fit_size, narrowest, width_argument
from rnnbench.harness.instantiate import make_data, make_model
from rnnbench.harness.measure import Facts
from rnnbench.harness.trainer import check_training
from rnnbench.objectives import find_objective
from rnnbench.utils.files import CACHE, cache_folder, writable_folder
from rnnbench.utils.fingerprint import digest


def check(specs: Sequence[RunSpec], here: bool = False) -> None:
    """Construct every data module, every model and every kind of Trainer of a grid once, without data, so that nothing
    wrong is ever started.

    Args:
        specs: all runs.
        here: whether they will run on the devices of this machine.

    Raises:
        RnnbenchError: what is wrong with the first that is.
    """
    for spec in {_data_key(spec) + str(spec.trial is None): spec for spec in specs}.values():
        _check_task(spec)
    for spec in {digest(spec.training.content): spec for spec in specs if spec.training}.values():
        check_training(spec, here)
    for spec in {digest([spec.network, _is_open_ended(spec)]): spec for spec in specs}.values():
        try:
            _check_schedule(spec, make_model(spec))
            _check_width(spec)
        except RnnbenchError as error:
            if spec.trial is None:
                raise
            raise RnnbenchError(f"space {spec.trial.space!r}, trial {spec.trial.index}: {error}") from None


def preflight(specs: Sequence[RunSpec]) -> dict[str, Facts]:
    """Of each run, whether its data is in the cache, why the run is infeasible, or nothing, and its width.

    Of a run whose data is not in the cache that is what can be known without it: that the data cannot be had, that the
    architecture cannot do such a task, or that even its narrowest network is larger than it should be.
    """
    answers: dict[str, Facts] = {}
    model_kwargs: dict[str, dict[str, Any] | None] = {}
    modules: dict[str, Any] = {}
    found: dict[str, tuple[str, int | None]] = {}
    for spec in specs:
        task = _data_key(spec)
        if task not in model_kwargs:
            modules[task] = data = make_data(spec)
            model_kwargs[task] = data.model_kwargs() if getattr(data, "prepared", False) else None
        own = model_kwargs[task]
        kind = digest([task, spec.network])
        if kind not in found:
            found[kind] = (
                (_why_infeasible_without_data(spec, modules[task]), None) if own is None else _fitted(spec, own)
            )
        answers[spec.id] = Facts(own is not None, *found[kind])
    return answers


def _why_infeasible_without_data(spec: RunSpec, data: Any) -> str:
    """Why a run is infeasible whatever its data is: the smallest network, of one input and one output, tells."""
    if why := data.unavailable() if hasattr(data, "unavailable") else "":
        return f"{DataUnavailable.PREFIX}{why}"
    if spec.arguments.get("embedding") not in (None, "learned", "one-hot"):
        return ""  # whether it can be read is known when the data has a tokenizer
    model_kwargs = {"objective": spec.task.objective, "input_kind": getattr(data, "input_kind", "features")}
    model_kwargs |= {"input_size": 1, "output_size": 1}
    try:
        return _fitted(spec, model_kwargs)[0] if spec.size is None else _why_too_large(spec, model_kwargs)
    except Infeasible as error:
        return str(error)
    except Exception:  # noqa: BLE001  # a network that cannot be built from these placeholders may be possible with the real ones
        return ""


def _why_too_large(spec: RunSpec, model_kwargs: dict[str, Any]) -> str:
    """Why even the narrowest network is too large for the rule of a run, or nothing."""
    assert spec.size is not None
    try:
        width, count = narrowest(spec, model_kwargs)
    except Infeasible as error:
        with torch.device("meta"):
            make_model(spec, **model_kwargs)  # raises what keeps every width from being built
        return str(error)
    if count <= spec.size.target or spec.size.met_by(count):
        return ""
    return (f"{NO_WIDTH} {100 * spec.size.tolerance:g} % of {spec.size.target:,}: {width_argument(spec)} {width} gives "
            f"{count:,} already for one input and one output")  # fmt: skip


def _fitted(spec: RunSpec, model_kwargs: dict[str, Any]) -> tuple[str, int | None]:
    """Why a run is infeasible, or nothing; and the width that its rule leads to, if it has one."""
    try:
        sized, fit = fit_size(spec, model_kwargs)
        with torch.device("meta"):
            make_model(sized, **model_kwargs)
    except Infeasible as error:
        return str(error), None
    return "", fit.width if fit else None


def _val_loader(cls: type[LightningDataModule]) -> Any:
    return cls.val_dataloader


def _data_key(spec: RunSpec) -> str:
    """Equal for runs that read the same data."""
    return f"{spec.task.model_dump_json()} {spec.data_seed}"


def _check_width(spec: RunSpec) -> None:
    if spec.size is None:
        return
    width = width_argument(spec)
    if spec.trial is not None and width in spec.trial.arguments:
        raise RnnbenchError(f"{width} is chosen so that a network has {spec.size}; it cannot be tuned as well")


def _is_open_ended(spec: RunSpec) -> bool:
    """Whether a run's budget does not say after how many steps it ends."""
    return spec.budget.steps is spec.budget.epochs is None


def _check_schedule(spec: RunSpec, model: Any) -> None:
    schedule = getattr(model.hparams, "schedule", "constant")
    if schedule != "constant" and _is_open_ended(spec):
        raise RnnbenchError(
            f"architecture {spec.architecture.name!r}: schedule {schedule!r} needs a budget in steps or epochs"
        )


def _check_task(spec: RunSpec) -> None:
    where = f"task {spec.task.name!r}"
    data = make_data(spec)
    if lacking := [name for name in ("objective", "model_kwargs", "metadata") if not hasattr(data, name)]:
        raise RnnbenchError(f"{where}: {type(data).__name__} is no SequenceDataModule: it has no {', '.join(lacking)}")
    if data.objective != spec.task.objective:
        raise RnnbenchError(f"{where}: objective is {spec.task.objective!r}, but its data has {data.objective!r}")
    if spec.trial is not None and _val_loader(type(data)) is _val_loader(LightningDataModule):
        raise RnnbenchError(f"{where}: {type(data).__name__} has no validation part (val_dataloader) to tune by")
    names = find_objective(spec.task.objective).example().score_names()
    if spec.task.metric not in names:
        raise unknown(f"metric of objective {spec.task.objective!r}", spec.task.metric, names, where)
    if not getattr(data, "prepared", True):
        writable_folder(cache_folder(), CACHE)
        for source in data.sources:
            source.cached()  # a wrong hash raises now, not in the middle of the grid
