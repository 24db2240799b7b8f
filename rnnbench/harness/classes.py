"""Classes by import path, and checking a run before it starts."""

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any, get_type_hints

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from pydantic import TypeAdapter, ValidationError

from rnnbench.card import ClassSpec
from rnnbench.errors import Infeasible, RnnbenchError, unknown
from rnnbench.files import CACHE, cache_folder, writable_folder
from rnnbench.objectives import find_objective
from rnnbench.spec import RunSpec

FACTS = {"input_size", "output_size", "objective", "objective_options", "input_kind", "tokenizer"}
"""Arguments of a model that come from the data."""


def import_class(path: str, base: type, where: str) -> type:
    """The class at an import path.

    Raises:
        RnnbenchError: there is none, or it is no `base`.
    """
    module, _, name = path.rpartition(".")
    try:
        home = import_module(module)
    except Exception as error:  # a third party's module may raise anything
        raise RnnbenchError(f"{where}: class_path {path!r} cannot be imported: {_told(error)}") from error
    found = getattr(home, name, None)
    if found is None:
        names = [other for other, thing in vars(home).items() if inspect.isclass(thing)]
        raise unknown(f"class in {module}", name, names, where)
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise RnnbenchError(f"{where}: class_path {path!r} is no {base.__name__}")
    return found


def construct(spec: ClassSpec, base: type, where: str, taken: set[str], **more: Any) -> Any:
    """An object of the class, from checked arguments; `taken` are arguments that a card or grid may not set.

    Raises:
        RnnbenchError: no such class, no such argument, a wrong type, a value out of range.
    """
    cls = import_class(spec.class_path, base, where)
    hints = _hints(cls)
    allowed = {name for name in inspect.signature(cls).parameters if name not in taken}
    for name, value in spec.init_args.items():
        if name not in allowed:
            raise unknown(f"argument of {cls.__name__}", name, allowed, where)
        _check_type(name, value, hints.get(name, Any), where)
    try:
        return cls(**spec.init_args, **more)
    except RnnbenchError:
        raise
    except Exception as error:  # a third party's constructor may raise anything
        raise RnnbenchError(f"{where}: {cls.__name__}: {_told(error)}") from error


def _told(error: Exception) -> str:
    said = str(error).partition("\n")[0]  # torch adds its own stack
    return said if isinstance(error, ValueError | ImportError) else f"{type(error).__name__}: {said}"


def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls.__init__)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):  # an annotation that only a type checker can resolve
        return {}


def _check_type(name: str, value: Any, hint: Any, where: str) -> None:
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise RnnbenchError(f"{where}: {name}: {reason[:1].lower() + reason[1:]}, got {value!r}") from None


def make_data(spec: RunSpec) -> Any:
    """The run's data module; its batches come in an order drawn from the run's seed."""
    where = f"task {spec.task.name!r}"
    return construct(spec.task.data, LightningDataModule, where, {"shuffle_seed"}, shuffle_seed=spec.seed)


def make_model(spec: RunSpec, **facts: Any) -> Any:
    """The run's model, with the facts of its data, or before these are known without."""
    where = f"architecture {spec.architecture.name!r}"
    taken = inspect.signature(import_class(spec.architecture.class_path, LightningModule, where)).parameters
    if "tokenizer" not in taken:  # a module of somebody else need not keep it
        facts.pop("tokenizer", None)
    return construct(spec.architecture, LightningModule, where, FACTS, **facts)


def check(specs: Sequence[RunSpec]) -> None:
    """Construct every data module and every model of a grid once, without data, so that nothing wrong is ever started.

    Raises:
        RnnbenchError: what is wrong with the first that is.
    """
    for spec in {spec.task.model_dump_json(): spec for spec in specs}.values():
        _check_task(spec)
    for spec in {spec.architecture.model_dump_json() + spec.budget.model_dump_json(): spec for spec in specs}.values():
        _check_schedule(spec, make_model(spec))


def survey(specs: Sequence[RunSpec]) -> dict[str, tuple[bool, str]]:
    """Of each run, whether its data is in the cache, and if it is, why the run is infeasible, or nothing."""
    found: dict[str, tuple[bool, str]] = {}
    facts: dict[str, dict[str, Any] | None] = {}
    known: dict[str, str] = {}
    for spec in specs:
        task = spec.task.model_dump_json()
        if task not in facts:
            data = make_data(spec)
            facts[task] = data.facts() if getattr(data, "prepared", False) else None
        own = facts[task]
        kind = task + spec.architecture.model_dump_json()
        if kind not in known:
            known[kind] = "" if own is None else _why_infeasible(spec, own)
        found[spec.id] = (own is not None, known[kind])
    return found


def _why_infeasible(spec: RunSpec, facts: dict[str, Any]) -> str:
    try:
        with torch.device("meta"):
            make_model(spec, **facts)
    except Infeasible as error:
        return str(error)
    return ""


def _check_schedule(spec: RunSpec, model: Any) -> None:
    schedule = getattr(model.hparams, "schedule", "constant")
    if schedule != "constant" and spec.budget.steps is spec.budget.epochs is None:
        raise RnnbenchError(
            f"architecture {spec.architecture.name!r}: schedule {schedule!r} needs a budget in steps or epochs"
        )


def _check_task(spec: RunSpec) -> None:
    where = f"task {spec.task.name!r}"
    data = make_data(spec)
    if lacking := [name for name in ("objective", "facts", "about") if not hasattr(data, name)]:
        raise RnnbenchError(f"{where}: {type(data).__name__} is no SequenceDataModule: it has no {', '.join(lacking)}")
    if data.objective != spec.task.objective:
        raise RnnbenchError(f"{where}: objective is {spec.task.objective!r}, but its data has {data.objective!r}")
    names = find_objective(spec.task.objective).example().score_names()
    if spec.task.metric not in names:
        raise unknown(f"metric of objective {spec.task.objective!r}", spec.task.metric, names, where)
    if not getattr(data, "prepared", True):
        writable_folder(cache_folder(), CACHE)
        for source in data.sources:
            source.cached()  # a wrong hash is told now, not in the middle of the grid
