"""Checks of the arguments of a `SequenceModule`: names of layer options, and ranges of values."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from rnnbench.architectures.embedding import check_embedding
from rnnbench.errors import Infeasible, unknown
from rnnbench.nn import Recurrent
from rnnbench.nn.decoder import ATTENTIONS
from rnnbench.objectives import Objective

Option = bool | int | float | str | list[bool] | list[int] | list[float] | list[str] | None

SET_BY_MODULE = {
    "input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional", "device", "dtype", "cell",
}  # fmt: skip


def layer_options(layer: type[nn.Module]) -> set[str]:
    """Names of a layer's options: arguments of its constructor, of the constructors that its `**keywords` go to, and of
    the cell of a recurrent layer, except arguments that the module sets itself.
    """
    names, passed_on, classes = set[str](), True, layer.__mro__
    for cls in classes[: classes.index(Recurrent) + 1 if Recurrent in classes else classes.index(nn.Module)]:
        if passed_on and "__init__" in vars(cls):
            arguments = keyword_arguments(cls)
            names |= {name for name, kind in arguments.items() if kind != inspect.Parameter.VAR_KEYWORD}
            passed_on = inspect.Parameter.VAR_KEYWORD in arguments.values()
    of_cell = layer.cell_options() if passed_on and issubclass(layer, Recurrent) else set()
    return (names | of_cell) - SET_BY_MODULE


def keyword_arguments(cls: type) -> dict[str, Any]:
    """Arguments of a constructor that can be passed by name, and `**keywords`, each with its kind."""
    skipped = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    _, *parameters = inspect.signature(cls.__init__).parameters.items()  # type: ignore[misc]
    return {name: parameter.kind for name, parameter in parameters if parameter.kind not in skipped}


def as_arguments(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of YAML as arguments of a layer, which takes tuples where YAML has lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in (options or {}).items()}


def check_settings(p: Any, least_layers: int) -> None:
    """Check the values of the arguments `p`; `least_layers` is the smallest `num_layers`.

    Raises:
        ValueError: a value is out of its range.
        RnnbenchError: an unknown name.
    """
    for name, least in (("hidden_size", 1), ("num_layers", least_layers), ("embedding_size", 1)):
        if p[name] < least:
            raise ValueError(f"{name} must be at least {least}, got {p[name]}")
    for name in ("learning_rate", "clip_norm", "clip_value"):
        if p[name] is not None and not p[name] > 0:
            raise ValueError(f"{name} must be greater than 0, got {p[name]}")
    for name in ("weight_decay", "warmup_steps", "activation_penalty", "temporal_penalty"):
        if p[name] < 0:
            raise ValueError(f"{name} must be at least 0, got {p[name]}")
    if p.teacher_forcing is not None and not 0 <= p.teacher_forcing <= 1:
        raise ValueError(f"teacher_forcing must be at least 0 and at most 1, got {p.teacher_forcing}")
    check_embedding(p.embedding)
    if p.attention not in ATTENTIONS:
        raise unknown("attention", p.attention, ATTENTIONS)
    for name in ("dropout", "momentum"):
        if not 0 <= p[name] < 1:
            raise ValueError(f"{name} must be at least 0 and less than 1, got {p[name]}")


def check_decoding(objective: type[Objective], p: Any, name: str, stateful: bool) -> None:
    """Check that an objective that runs the layers itself can do so.

    Raises:
        Infeasible: no final states to decode from, or a penalty on states that the module does not see.
    """
    if objective.decodes and not stateful:
        raise Infeasible(f"objective {p.objective!r} needs final states to decode from: {name} has none")
    if objective.unrolls and (p.activation_penalty or p.temporal_penalty):
        raise Infeasible(f"objective {p.objective!r} runs the layers itself: no penalty on their states can be added")
