"""ONNX's own operators `LSTM`, `GRU` and `RNN`, in the place of a loop, where `torch.onnx.export` records a cell that
they compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.cells.elman import ElmanCell
from rnnbench.nn.cells.gru import GRUCell
from rnnbench.nn.cells.lstm import LSTMCell
from rnnbench.nn.compiler.sequence import CallTensors, Result, SequenceCall

GATES = {"LSTM": "iofg", "GRU": "zrn", "RNN": "n"}
"""The gates of each operator in its order, by our names (what ONNX calls c in an LSTM and h in a GRU is the candidate,
g and n here)."""
VERSION = 14
"""Of the three operators: the opset in which they last changed before 22, which takes further types only."""


def operator_of(cell: Cell) -> str | None:
    """The operator that computes a cell: `LSTM`, `GRU` or `RNN`; None if there is none."""
    if cell.zoneout or cell.noise_inputs or cell.reworks:
        return None
    if type(cell).step is ElmanCell.step:
        return "RNN"
    if type(cell).step is GRUCell.step:
        return "GRU"
    if type(cell).step is not LSTMCell.step or cell.projected or not {"NP", "CIFG"} >= {*cell.ablations}:
        return None
    peepholes = [name for name in cell.vectors if name.startswith("peephole")]
    if cell.matrices or (peepholes and cell.output_peek != "new"):
        return None
    return "LSTM"


def records_operator(call: SequenceCall, inputs: Tensor) -> bool:
    """Whether `torch.onnx.export` records this call now, and there is an operator for it."""
    return (
        torch.onnx.is_in_onnx_export()
        and torch.compiler.is_exporting()
        and inputs.dtype == torch.float32  # ONNX Runtime has them for no other type
        and operator_of(call.cell) is not None
    )


def run(call: SequenceCall, inputs: Tensor, tensors: CallTensors) -> Result:
    """Sequences and final states of a call as one operator; `inputs` is `[T, B, I]`."""
    cell = call.cell
    operator = operator_of(cell)
    assert operator is not None
    steps, batch, size = inputs.shape[0], inputs.shape[1], call.hidden_size
    states = [
        (inputs.new_zeros(batch, width) if state is None else state).unsqueeze(0)
        for state, width in zip(tensors.states, call.widths, strict=True)
    ]
    weights = [_rows(cell, operator, matrix, size) for matrix in tensors.matrices[:2]]
    lengths = None if call.padding is None else (~call.padding).sum(0).squeeze(-1).to(torch.int32)
    operands: list[Tensor | None] = [
        inputs,
        *(weight.unsqueeze(0) for weight in weights),
        _biases(cell, operator, tensors.biases, size),
        lengths,
        *states,
    ]
    if operator == "LSTM" and cell.vectors:
        by_name = dict(zip(cell.vectors, tensors.vectors, strict=True))
        zero = inputs.new_zeros(size)
        operands.append(torch.cat([by_name.get(f"peephole_{gate}", zero) for gate in "iof"]).unsqueeze(0))
    sequence_shape = [steps, 1, batch, size]
    results = torch.onnx.ops.symbolic_multi_out(
        operator, operands, _attributes(call, operator, size), version=VERSION,
        dtypes=[inputs.dtype] * (1 + len(states)), shapes=[sequence_shape, *([1, batch, size] for _ in states)],
    )  # fmt: skip
    return (results[0].squeeze(1),), tuple(state.squeeze(0) for state in results[1:])


def _attributes(call: SequenceCall, operator: str, size: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {"hidden_size": size, "direction": "reverse" if call.reverse else "forward"}
    if operator == "GRU":
        attributes["linear_before_reset"] = int(call.cell.reset_gate == "after")
    elif operator == "LSTM":
        attributes["input_forget"] = int("CIFG" in call.cell.ablations)
    else:
        attributes["activations"] = ["Tanh" if call.cell.nonlinearity == "tanh" else "Relu"]
    return attributes


def _rows(cell: Cell, operator: str, weight: Tensor | None, size: int) -> Tensor:
    """Rows of a weight, gate by gate in the order of the operator; zeros for the forget gate of a cell without one."""
    assert weight is not None
    by_gate = dict(zip(cell.gates, torch.split(weight, size), strict=True))
    zeros = torch.zeros_like(next(iter(by_gate.values())))
    return torch.cat([by_gate.get(gate, zeros) for gate in GATES[operator]])


def _biases(cell: Cell, operator: str, biases: Sequence[Tensor | None], size: int) -> Tensor | None:
    """Both biases one after the other, `[1, 2·G·H]`."""
    if any(bias is None for bias in biases):
        return None
    return torch.cat([_rows(cell, operator, bias, size) for bias in biases]).unsqueeze(0)
