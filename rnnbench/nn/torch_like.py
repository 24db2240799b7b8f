"""What people expect of a layer who know `torch.nn.LSTM`, beside its constructor and its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from torch import Tensor, nn

from rnnbench.nn import fused
from rnnbench.nn.checks import check_settings

if TYPE_CHECKING:
    from rnnbench.nn.layer import Recurrent

FIXED = {
    "bias", "bidirectional", "cell", "connections", "hidden_size", "input_size", "num_layers", "proj_size",
    "variational_dropout", "zoneout",
}  # fmt: skip
"""Arguments that shape the parameters or the equation: known when the layer is made, and kept."""

FREE = {"batch_first", "checkpoint_steps", "chrono", "dropout", "engine", "recurrent_init", "weight_dropout"}
"""Arguments that may be changed; the initialisers count when parameters are reset."""


class TorchLike(nn.Module):
    """The part of `Recurrent` that is torch's own interface."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that the layer was made from cannot be changed, others hold from the next call on.

        Raises:
            AttributeError: the layer would not be what the attribute then says.
            ValueError: a value that the constructor does not take.
            TypeError: the same.
        """
        made = "cells" in self.__dict__
        if name in FIXED and made:
            raise AttributeError(f"{name} is fixed when a {type(self).__name__} is made: make another one")
        before: Any = self.__dict__.get(name)
        super().__setattr__(name, value)
        if name in FREE and made:
            try:
                check_settings(cast("Recurrent", self))
            except (TypeError, ValueError):
                super().__setattr__(name, before)
                raise

    @property
    def any_weight(self) -> Tensor:
        """One of the parameters, for their type and device: not one that is to be worked out first, if possible."""
        for parameter in self._parameters.values():
            if parameter is not None:
                return parameter
        return cast("Recurrent", self).parameters_of(0, "_l0")["weight_ih"]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as torch lists them."""
        one = cast("Recurrent", self)
        return [
            list(one.parameters_of(layer, suffix).values())
            for layer in range(one.num_layers)
            for suffix in one.suffixes(layer)
        ]

    def flatten_parameters(self) -> None:
        """Do nothing: no engine needs the parameters in one piece of memory; torch's own layers get copies that are."""

    def to_torch(self) -> nn.RNNBase:
        """The layer of `torch.nn` with the same weights.

        Raises:
            ValueError: torch has no such layer.
        """
        return fused.to_torch(cast("Recurrent", self))

    @classmethod
    def from_torch(cls, layer: nn.RNNBase, **options: Any) -> Self:
        """This layer with the weights of one of `torch.nn`.

        Raises:
            ValueError: `layer` is of another kind.
        """
        return cast("Self", fused.from_torch(cast("type[Recurrent]", cls), layer, options))

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults, those of the cell among them."""
        one = cast("Recurrent", self)
        defaults = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
            "connections": "plain", "variational_dropout": 0.0, "zoneout": (0.0,) * len(one.cell.states),
            "weight_dropout": 0.0, "recurrent_init": "torch", "chrono": None, "engine": None, "checkpoint_steps": None,
        }  # fmt: skip
        given = {name: getattr(one, name) for name, default in defaults.items() if getattr(one, name) != default}
        for name in sorted(one.cell_options()):
            if (value := getattr(one.cell, name, None)) != getattr(type(one.cell), name, None):
                given[name] = value
        cell = [f"cell={type(one.cell).__name__}"] if one.cell_class is None else []
        arguments = [f"{name}={value!r}" for name, value in given.items()]
        return ", ".join([f"{one.input_size}, {one.hidden_size}", *cell, *arguments])
