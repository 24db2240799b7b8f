"""Torch's own fused layers (oneDNN, cuDNN), for the cells that torch has, and what it takes to make one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rnnbench.nn.cell import Cell
from rnnbench.nn.cells.elman import ElmanCell
from rnnbench.nn.cells.gru import GRUCell
from rnnbench.nn.cells.lstm import LSTMCell

CLASSES: dict[str, type[nn.RNNBase]] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN_TANH": nn.RNN, "RNN_RELU": nn.RNN}
STEPS: dict[str, Any] = {
    "LSTM": LSTMCell.step, "GRU": GRUCell.step, "RNN_TANH": ElmanCell.step, "RNN_RELU": ElmanCell.step,
}  # fmt: skip
"""The equations that torch has: a subclass with another one is another cell."""
ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
"""Whether torch runs an LSTM on the CPU by oneDNN, whatever its states, in autocast's type."""


class TorchLayer(Protocol):
    """What `torch.nn.RNNBase` and `Recurrent` have in common."""

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int
    training: bool

    @property
    def mode(self) -> str:
        """`LSTM`, `GRU`, `RNN_TANH` or `RNN_RELU`."""


def unsupported_reason(cell: Cell, settings: Mapping[str, Any]) -> str | None:
    """Why torch's fused layers do not compute a layer with these constructor arguments; None if they do."""
    if cell.torch_mode is None:
        return f"torch has no fused {type(cell).__name__}"
    if type(cell).step is not STEPS[cell.torch_mode] or cell.reworks:
        return f"{type(cell).__name__} has a step of its own"
    for name in ("variational_dropout", "weight_dropout", "checkpoint_steps", "bptt"):
        if settings[name]:
            return f"torch has no {name}"
    if any(settings["zoneout"]):
        return "torch has no zoneout"
    return None if settings["connections"] == "plain" else f"torch has no {settings['connections']} connections"


def common_arguments(layer: TorchLayer) -> dict[str, Any]:
    """Constructor arguments of a layer that all layers have."""
    weight: Any = getattr(layer, "weight_ih_l0")  # noqa: B009
    return {
        "input_size": layer.input_size, "hidden_size": layer.hidden_size, "num_layers": layer.num_layers,
        "bias": layer.bias, "batch_first": layer.batch_first, "dropout": layer.dropout,
        "bidirectional": layer.bidirectional, "device": weight.device, "dtype": weight.dtype,
    }  # fmt: skip


def special_arguments(layer: TorchLayer) -> dict[str, Any]:
    """Constructor arguments of a layer that only some layers have."""
    arguments: dict[str, Any] = {"nonlinearity": layer.mode[4:].lower()} if layer.mode.startswith("RNN") else {}
    return arguments | ({"proj_size": layer.proj_size} if layer.proj_size else {})


def weight_names(layer: TorchLayer) -> list[str]:
    """Names of a layer's parameters, in torch's order."""
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if layer.bias else [])]
    kinds += ["weight_hr"] if layer.proj_size else []
    suffixes = ["", "_reverse"] if layer.bidirectional else [""]
    return [f"{kind}_l{k}{suffix}" for k in range(layer.num_layers) for suffix in suffixes for kind in kinds]


def torch_layer(layer: TorchLayer) -> nn.RNNBase:
    """The layer of `torch.nn` with the weights of one that it computes in evaluation."""
    layer_class: Any = CLASSES[layer.mode]
    made: nn.RNNBase = layer_class(**common_arguments(layer), **special_arguments(layer))
    made.load_state_dict({name: getattr(layer, name) for name in weight_names(layer)})
    return made.train(layer.training)


def run(
    layer: TorchLayer, data: Tensor, states: tuple[Tensor, ...], batch_sizes: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output and final states of the whole stack; `data` is `[T, B, I]`, or `[rows, I]` with `batch_sizes`."""
    hx: Any = states if layer.mode == "LSTM" else states[0]
    weights = [getattr(layer, name) for name in weight_names(layer)]
    settings = (layer.bias, layer.num_layers, layer.dropout, layer.training, layer.bidirectional)
    function = getattr(torch._VF, layer.mode.lower())
    if batch_sizes is None:
        output, *final = function(data, hx, weights, *settings, False)
    else:
        output, *final = function(data, batch_sizes, hx, weights, *settings)
    return output, tuple(final)
