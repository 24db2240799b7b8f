"""Options of a layer as YAML gives them: which names there are, and what lists stand for."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from rnnbench.nn import Recurrent

Option = bool | int | float | str | list[bool] | list[int] | list[float] | list[str] | None

SET_BY_THE_MODULE = {
    "input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional", "device", "dtype", "cell",
}  # fmt: skip


def options_of(layer: type[nn.Module]) -> set[str]:
    """Names of a layer's options: arguments of its constructor, of those it passes keywords on to, and of its cell,
    if it is recurrent.

    Arguments that the module sets itself are none.
    """
    names, passed_on, classes = set[str](), True, layer.__mro__
    for cls in classes[: classes.index(Recurrent) + 1 if Recurrent in classes else classes.index(nn.Module)]:
        if passed_on and "__init__" in vars(cls):
            found = keywords(cls)
            names |= {name for name, kind in found.items() if kind != inspect.Parameter.VAR_KEYWORD}
            passed_on = inspect.Parameter.VAR_KEYWORD in found.values()
    of_cell = layer.cell_options() if passed_on and issubclass(layer, Recurrent) else set()
    return (names | of_cell) - SET_BY_THE_MODULE


def keywords(cls: type) -> dict[str, Any]:
    """Arguments of a constructor that can be given by name, and `**keywords`, each with its kind."""
    skipped = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    _, *parameters = inspect.signature(cls.__init__).parameters.items()  # type: ignore[misc]
    return {name: one.kind for name, one in parameters if one.kind not in skipped}


def as_arguments(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options as arguments: YAML has lists where a layer takes tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in (options or {}).items()}
