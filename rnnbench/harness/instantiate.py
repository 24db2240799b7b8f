"""Classes by import path, constructed from checked arguments."""

import inspect
import traceback
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any, NoReturn, get_type_hints

from lightning.pytorch import LightningDataModule, LightningModule
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from rnnbench.config.cards import ClassSpec
from rnnbench.config.grid import RunSpec
from rnnbench.errors import Infeasible, Preempted, RnnbenchError, Unprepared, raised_in, told, unknown

VAR_KEYWORD, VAR_POSITIONAL = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
FACTS = {"input_size", "output_size", "objective", "objective_options", "input_kind", "tokenizer"}
"""Arguments of a model that come from the data."""


def import_class(path: str, base: type, where: str) -> type:
    """The class at an import path.

    Raises:
        RnnbenchError: there is none, or it is no `base`.
    """
    module, _, name = path.rpartition(".")
    try:
        package = import_module(module)
    except Exception as error:  # a third party's module may raise anything
        raise RnnbenchError(f"{where}: class_path {path!r} cannot be imported: {_describe(error, module)}") from error
    cls = getattr(package, name, None)
    if cls is None and module == "__main__":
        raise RnnbenchError(
            f"{where}: class_path {path!r} is of a script or notebook, from which no other process can import it: "
            "put the class into a file of its own, or run the grid with executor: inline"
        )
    if cls is None:
        names = [other for other, value in vars(package).items() if inspect.isclass(value)]
        raise unknown(f"class in {module}", name, names, where)
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        raise RnnbenchError(f"{where}: class_path {path!r} is no {base.__name__}")
    return cls


def construct(spec: ClassSpec, base: type, where: str, taken: set[str], **more: Any) -> Any:
    """An object of the class, from checked arguments; `taken` are arguments that a card or grid may not set.

    Raises:
        RnnbenchError: no such class, no such argument, a wrong type, a value out of range.
    """
    cls = import_class(spec.class_path, base, where)
    check_arguments(cls, spec.init_args, where, taken)
    try:
        return cls(**spec.init_args, **more)
    except RnnbenchError:
        raise
    except Exception as error:  # a third party's constructor may raise anything
        raise RnnbenchError(f"{where}: {cls.__name__}: {_describe(error, cls.__module__)}") from error


def _describe(error: Exception, module: str) -> str:
    """An exception in one sentence, and which user's code raised it; without types that add nothing to the message."""
    if isinstance(error, SyntaxError) or not isinstance(error, ValueError | ImportError):
        return told(error, module)
    place = raised_in(error, module)
    return str(error).partition("\n")[0] + (f" (in {place})" if place else "")


def constructor_arguments(cls: type) -> dict[str, Any]:
    """Names and types of a constructor's arguments, and of those of the base class where it passes `**options` on."""
    arguments: dict[str, Any] = {}
    for base in cls.__mro__[:-1]:  # without object
        if "__init__" in vars(base):
            hints, kinds = _hints(base), {one.name: one.kind for one in inspect.signature(base).parameters.values()}
            named = [name for name, kind in kinds.items() if kind not in (VAR_KEYWORD, VAR_POSITIONAL)]
            arguments = {name: hints.get(name, Any) for name in named} | arguments
            if VAR_KEYWORD not in kinds.values():
                break
    return arguments


def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls.__init__)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):  # an annotation that only a type checker can resolve
        return {}


def check_arguments(cls: type, arguments: Mapping[str, Any], where: str, taken: Collection[str] = ()) -> None:
    """Check names and types of a constructor's arguments; `taken` are those that may not be given.

    Raises:
        RnnbenchError: no such argument, or a wrong type.
    """
    hints = constructor_arguments(cls)
    allowed = hints.keys() - set(taken)
    for name, value in arguments.items():
        if name not in allowed:
            raise unknown(f"argument of {cls.__name__}", name, allowed, where)
        _check_type(name, value, hints[name], where)


def _check_type(name: str, value: Any, hint: Any, where: str) -> None:
    try:
        adapter = TypeAdapter(hint)
    except PydanticUserError:  # a class that pydantic does not know is among the types
        adapter = TypeAdapter(hint, config={"arbitrary_types_allowed": True})
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise RnnbenchError(f"{where}: {name}: {reason[:1].lower() + reason[1:]}, got {value!r}") from None


def make_data(spec: RunSpec) -> Any:
    """The run's data module; its batches come in an order drawn from the run's seed. That of a trial has no test part.

    Raises:
        RnnbenchError: no such class or argument; a seed for data that takes none.
    """
    where = f"task {spec.task.name!r}"
    card, seeds = spec.task.data, {"shuffle_seed": spec.seed}
    if spec.data_seed is not None:
        card = ClassSpec(class_path=card.class_path, init_args={**card.init_args, "data_seed": spec.data_seed})
    data = construct(card, LightningDataModule, where, {"shuffle_seed"}, **seeds)
    return guard_test_split(data) if spec.trial else data


def prepare(data: Any) -> None:
    """Prepare the data of a data module, and check that its `model_kwargs` can be read.

    Raises:
        Infeasible: it cannot be had, or asks for what cannot be.
        Unprepared: whatever else went wrong; the traceback of an exception that is not ours is printed.
    """
    try:
        data.prepare_data()
        data.model_kwargs()
    except (Infeasible, Preempted, Unprepared):
        raise
    except RnnbenchError as error:
        raise Unprepared(str(error)) from error
    except Exception as error:  # a third party's class may raise anything
        traceback.print_exc()
        raise Unprepared(told(error, type(data).__module__)) from error


def make_model(spec: RunSpec, **model_kwargs: Any) -> Any:
    """The run's model, with the `model_kwargs` of its data, or without them before they are known."""
    where = f"architecture {spec.architecture.name!r}"
    taken = constructor_arguments(import_class(spec.architecture.class_path, LightningModule, where))
    if "tokenizer" not in taken:  # a module of somebody else need not keep it
        model_kwargs.pop("tokenizer", None)
    card = ClassSpec(class_path=spec.architecture.class_path, init_args=spec.arguments)
    return construct(card, LightningModule, where, FACTS, **model_kwargs)


class SplitAccessError(RnnbenchError):
    """A trial read the test part of its data."""


def guard_test_split(data: Any) -> Any:
    """The data module, which from now on raises whenever its test part is read.

    Raises (then):
        SplitAccessError: by `test_dataloader`, `predict_dataloader`, `setup` of these stages, or `table("test")`.
    """

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise SplitAccessError("the test part was asked for in a trial: trials are compared by validation scores alone")

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        def unless_test(*parts: Any, **more: Any) -> Any:
            return refuse() if {"test", "predict"} & {*parts, *more.values()} else method(*parts, **more)

        return unless_test

    data.test_dataloader = data.predict_dataloader = refuse
    for name in ("setup", "table", "_store"):
        if hasattr(data, name):
            setattr(data, name, guarded(getattr(data, name)))
    return data
