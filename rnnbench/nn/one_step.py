"""A call of a layer with a single step, for little more than the step.

Without a gradient the prepared step of the native engine runs it; with one torch's own cell, for the cells that torch
has: nothing costs less to call on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn import fused
from rnnbench.nn.compiler.torch_mode import is_autocast, is_eager

FUNCTIONS: dict[str, Any] = {
    "LSTM": torch._VF.lstm_cell,
    "GRU": torch._VF.gru_cell,
    "RNN_TANH": torch._VF.rnn_tanh_cell,
    "RNN_RELU": torch._VF.rnn_relu_cell,
}
"""Functions of input `[B, I]`, states `[B, H]` and the four weights of a layer, by what torch calls the cell."""


def forward(layer: Any, input: Tensor, hx: Any) -> tuple[Tensor, Any] | None:
    """What a `rnnbench.nn.Recurrent` returns for a call with one step; None if it has to be made as any other call."""
    if not is_eager(input) or input.ndim != 3 or layer.bidirectional or is_autocast(input.device):
        return None
    time = 1 if layer.batch_first else 0
    if input.shape[time] != 1:
        return None
    states = (hx,) if type(hx) is Tensor else hx
    if torch.is_grad_enabled():
        result = by_torch(layer, input, states, time)
        if result is None:
            return None
        output, after = result
    else:
        stepper = layer._stepper(input.shape[1 - time])
        if stepper is None:
            return None
        if states is None:
            states = [torch.zeros(shape, dtype=stepper.dtype, device="cpu") for shape in stepper.shapes]
        if not stepper.fits_memory(input, states):
            return None
        after = stepper.run(input, states)
        output = (after[0] if layer.num_layers == 1 else after[0][-1:]).clone()
    if time:
        output = output.transpose(0, 1)
    return output, after if len(after) > 1 else after[0]


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
            h, c = after
            return torch.stack((h,)), (h[None], c[None])
        # an RNN's derivative reads h itself, which the caller may change in place
        return torch.stack((after,)), (after[None] if mode == "GRU" else torch.stack((after,)),)
    ends = []
    for layer, own in enumerate(weights):
        before = (states[0][layer], states[1][layer]) if mode == "LSTM" else states[0][layer]
        after = function(inputs, before, *own)
        ends.append(after if mode == "LSTM" else (after,))
        inputs = F.dropout(ends[-1][0], dropout) if dropout and layer < len(weights) - 1 else ends[-1][0]
    return inputs.unsqueeze(0).clone(), tuple(torch.stack(column) for column in zip(*ends, strict=True))


def by_torch(layer: Any, input: Tensor, states: Any, time: int) -> tuple[Tensor, tuple[Tensor, ...]] | None:
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
