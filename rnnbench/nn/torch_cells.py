"""One step by torch's own cells, for the cells that torch has: with a gradient nothing costs less to call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn import fused

FUNCTIONS: dict[str, Any] = {
    "LSTM": torch._VF.lstm_cell,
    "GRU": torch._VF.gru_cell,
    "RNN_TANH": torch._VF.rnn_tanh_cell,
    "RNN_RELU": torch._VF.rnn_relu_cell,
}
"""Functions of input `[B, I]`, states `[B, H]` and the four weights of a layer, by what torch calls the cell."""


def run_stack(
    mode: str, inputs: Tensor, states: Sequence[Tensor], weights: Sequence[Sequence[Tensor]], dropout: float
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output `[1, B, H]` and states `[L, B, H]` after one step of a stack; none shares memory with another.

    `inputs` is `[B, I]`, `states` are `[L, B, H]`, `weights` those of each layer in torch's order; `dropout` is the
    probability on the output of every layer but the last.
    """
    function = FUNCTIONS[mode]
    if len(weights) == 1:
        before: Any = (states[0][0], states[1][0]) if mode == "LSTM" else states[0][0]
        after = function(inputs, before, *weights[0])
        if mode == "LSTM":
            h = after[0].unsqueeze(0)
            return h.clone(), (h, after[1].unsqueeze(0))
        h = after.unsqueeze(0)
        # an RNN's derivative reads h itself, which the caller may change in place
        return h.clone(), (h if mode == "GRU" else h.clone(),)
    ends = []
    for layer, own in enumerate(weights):
        before = (states[0][layer], states[1][layer]) if mode == "LSTM" else states[0][layer]
        after = function(inputs, before, *own)
        ends.append(after if mode == "LSTM" else (after,))
        inputs = F.dropout(ends[-1][0], dropout) if dropout and layer < len(weights) - 1 else ends[-1][0]
    return inputs.unsqueeze(0).clone(), tuple(torch.stack(column) for column in zip(*ends, strict=True))


def run(layer: Any, input: Tensor, states: Any, time: int) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """Output `[1, B, H]` and states of a layer's call with one step; None if torch's cell cannot give them.

    `layer` is a `rnnbench.nn.Recurrent` in one direction, `input` is `[1, B, I]`, or `[B, 1, I]` if `time` is 1.
    """
    if layer.engine is not None or layer.proj_size or fused.unsupported_reason(layer.cell, vars(layer)):
        return None
    parameters = layer._parameters
    weights: Any = [[parameters.get(name) for name in names] for names in layer._all_weights]
    if any(weight is None for one in weights for weight in one):  # computed from others
        return None
    weight, batch = weights[0][0], input.shape[1 - time]
    if not (input.is_cpu and weight.is_cpu and input.dtype == weight.dtype and input.numel()):
        return None
    if input.shape[2] != layer.input_size:
        return None
    shape = (layer.num_layers, batch, layer.hidden_size)
    if states is None:
        states = [torch.zeros(shape, dtype=input.dtype, device="cpu") for _ in layer.cell.states]
    elif not isinstance(states, (tuple, list)) or len(states) != len(layer.cell.states):
        return None
    for state in states:
        if type(state) is not Tensor or state.shape != shape or state.dtype != input.dtype or not state.is_cpu:
            return None
    dropout = layer.dropout if layer.training else 0.0
    return run_stack(layer.mode, input.squeeze(time), states, weights, dropout)
