"""Torch's own fused layers (oneDNN, cuDNN), for the cells that torch has; weights to and from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnbench.nn.checks import check_weights

if TYPE_CHECKING:
    from rnnbench.nn.recurrent import Recurrent

CLASSES: dict[str, type[nn.RNNBase]] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN_TANH": nn.RNN, "RNN_RELU": nn.RNN}


def why_not(layer: Recurrent) -> str | None:
    """Why torch's fused layers do not compute what `layer` does; None if they do."""
    if layer.cell.torch_mode is None:
        return f"torch has no fused {type(layer.cell).__name__}"
    for name in ("variational_dropout", "weight_dropout", "checkpoint_steps", "bptt"):
        if getattr(layer, name):
            return f"torch has no {name}"
    if any(layer.zoneout):
        return "torch has no zoneout"
    return None if layer.connections == "plain" else f"torch has no {layer.connections} connections"


def _names(layer: Recurrent | nn.RNNBase) -> list[str]:
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if layer.bias else [])]
    kinds += ["weight_hr"] if layer.proj_size else []
    suffixes = ["", "_reverse"] if layer.bidirectional else [""]
    return [f"{kind}_l{k}{suffix}" for k in range(layer.num_layers) for suffix in suffixes for kind in kinds]


def run(
    layer: Recurrent, data: Tensor, states: tuple[Tensor, ...] | None, packed: PackedSequence | None, batch: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output and final states of the whole stack; `data` is `[T, B, I]`, or `[rows, I]` if packed."""
    count = layer.num_layers * layer.directions
    if states is None:
        states = tuple(data.new_zeros(count, batch, w) for w in layer.cell.state_sizes(layer.hidden_size))
    mode = str(layer.cell.torch_mode)
    hx: Any = states if mode == "LSTM" else states[0]
    for k in range(layer.num_layers):
        for suffix in layer.suffixes(k):
            check_weights(layer, k, layer.parameters_of(k, suffix), layer.any_weight)
    weights = [getattr(layer, name) for name in _names(layer)]
    settings = (layer.bias, layer.num_layers, layer.dropout, layer.training, layer.bidirectional)
    function = getattr(torch._VF, mode.lower())
    if packed is None:
        output, *final = function(data, hx, weights, *settings, False)
    else:
        output, *final = function(data, packed.batch_sizes, hx, weights, *settings)
    return output, tuple(final)


def to_torch(layer: Recurrent) -> nn.RNNBase:
    """The layer of `torch.nn` with the same weights.

    Raises:
        ValueError: torch has no such layer.
    """
    if why := why_not(layer):
        raise ValueError(f"there is no torch.nn layer that computes this: {why}")
    mode, more = str(layer.cell.torch_mode), dict[str, Any]()
    if mode.startswith("RNN"):
        more["nonlinearity"] = mode[4:].lower()
    if layer.proj_size:
        more["proj_size"] = layer.proj_size
    weight: Any = layer.weight_ih_l0
    make: Any = CLASSES[mode]
    result: nn.RNNBase = make(
        layer.input_size, layer.hidden_size, layer.num_layers, bias=layer.bias, batch_first=layer.batch_first,
        dropout=layer.dropout, bidirectional=layer.bidirectional, device=weight.device, dtype=weight.dtype, **more,
    )  # fmt: skip
    result.load_state_dict({name: getattr(layer, name) for name in _names(layer)})  # also what is made of others
    return result.train(layer.training)


def from_torch(cls: type[Recurrent], other: nn.RNNBase, options: dict[str, Any]) -> Recurrent:
    """A layer of class `cls` with the weights of one of `torch.nn`.

    Raises:
        ValueError: `other` is of another kind.
    """
    more = dict(options)
    if other.mode.startswith("RNN"):
        more["nonlinearity"] = other.mode[4:].lower()
    if other.proj_size:
        more["proj_size"] = other.proj_size
    weight: Any = other.weight_ih_l0
    try:
        result: Recurrent = cls(
            other.input_size, other.hidden_size, other.num_layers, bias=other.bias, batch_first=other.batch_first,
            dropout=other.dropout, bidirectional=other.bidirectional, device=weight.device, dtype=weight.dtype, **more,
        )  # fmt: skip
    except TypeError:
        result = None  # type: ignore[assignment]
    if result is None or result.cell.torch_mode != other.mode:
        raise ValueError(f"{cls.__name__} cannot take the weights of a torch.nn.{type(other).__name__} ({other.mode})")
    result.load_state_dict({name: getattr(other, name) for name in _names(other)})
    return result.train(other.training)
