"""What people expect of a layer who know `torch.nn.LSTM`, beside its constructor and its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from torch import Tensor, nn

from rnnbench.nn import fused
from rnnbench.nn.checks import InputError, check_features, check_like, check_settings

if TYPE_CHECKING:
    from rnnbench.nn.recurrent import Recurrent

FIXED = {
    "bias", "bidirectional", "cell", "connections", "hidden_size", "input_size", "mode", "nonlinearity", "num_layers",
    "proj_size", "variational_dropout", "zoneout",
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
    def mode(self) -> str:
        """What torch calls the cell: `LSTM`, `GRU`, `RNN_TANH` or `RNN_RELU`.

        Raises:
            AttributeError: torch does not have it.
        """
        mode = cast("Recurrent", self).cell.torch_mode
        if mode is None:
            raise AttributeError(f"a {type(self).__name__} has no mode: torch does not have its cell")
        return mode

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

    @property
    def _flat_weights(self) -> list[Tensor]:
        """All parameters in one list, which code written for torch's layers reads."""
        return [weight for weights in self.all_weights for weight in weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        """The names of `_flat_weights`."""
        return [name for names in self._all_weights for name in names]

    @property
    def _all_weights(self) -> list[list[str]]:
        """The names of `all_weights`."""
        one = cast("Recurrent", self)
        return [
            [name + suffix for name in one.names[layer]]
            for layer in range(one.num_layers)
            for suffix in one.suffixes(layer)
        ]

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Check an input `[T, B, I]`, or `[rows, I]` with the `batch_sizes` of a `PackedSequence`.

        Raises:
            InputError: its rank or its number of features.
            InputTypeError: its dtype or device.
        """
        layer, ndim = cast("Recurrent", self), 3 if batch_sizes is None else 2
        if input.ndim != ndim:
            raise InputError(f"input must have {ndim} dimensions, got shape {list(input.shape)}")
        check_features(layer, input)
        check_like(layer, input, "input")

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape of the hidden state h for an input: `[L·D, B, H]`, or `[L·D, B, P]` if projected."""
        return self._state_shapes(input, batch_sizes)[0]

    def _state_shapes(self, input: Tensor, batch_sizes: Tensor | None) -> list[tuple[int, int, int]]:
        """The shape of each state."""
        layer = cast("Recurrent", self)
        batch = input.shape[0 if layer.batch_first else 1] if batch_sizes is None else int(batch_sizes[0])
        count = layer.num_layers * layer.directions
        return [(count, batch, width) for width in layer.cell.state_sizes(layer.hidden_size)]

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple[int, int, int], msg: str = "state must have shape {}, got {}"
    ) -> None:
        """Check the shape of a state; `msg` has places for the expected shape and that received.

        Raises:
            InputError: the shapes differ.
        """
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise InputError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(
        self, input: Tensor, hidden: Tensor | tuple[Tensor, ...], batch_sizes: Tensor | None
    ) -> None:
        """Check an input, as `check_input` does, and the states given with it.

        Raises:
            InputError: a shape that does not fit.
            InputTypeError: a dtype or device that does not fit.
        """
        self.check_input(input, batch_sizes)
        states = (hidden,) if isinstance(hidden, Tensor) else hidden
        names = cast("Recurrent", self).cell.states
        if len(states) != len(names):
            raise InputError(f"there must be {len(names)} states ({', '.join(names)}), got {len(states)}")
        for name, state, shape in zip(names, states, self._state_shapes(input, batch_sizes), strict=True):
            self.check_hidden_size(state, shape, f"state {name} must have shape {{}}, got {{}}")

    def permute_hidden(
        self, hx: Tensor | tuple[Tensor, ...], permutation: Tensor | None
    ) -> Tensor | tuple[Tensor, ...]:
        """States with their sequences in another order, as `PackedSequence` sorts them."""
        if permutation is None:
            return hx
        if isinstance(hx, Tensor):
            return hx.index_select(1, permutation)
        return tuple(state.index_select(1, permutation) for state in hx)

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
