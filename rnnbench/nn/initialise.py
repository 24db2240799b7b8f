"""Which parameters a layer has, and how they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rnnbench.nn.cell import Cell

if TYPE_CHECKING:
    from rnnbench.nn.recurrent import Recurrent


def operand_shapes(layer: Recurrent, k: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all that the equation of layer `k` of a stack may use, in one direction."""
    cell, size = layer.cell, layer.hidden_size
    width, gates, hidden = cell.state_sizes(size)[0], len(cell.gates), len(cell.recurrent_gates())
    inputs = layer.input_size if k == 0 else layer.output_size + layer.input_size * (layer.connections == "skip")
    found: dict[str, tuple[int, ...]] = {"weight_ih": (gates * size, inputs), "weight_hh": (hidden * size, width)}
    found |= {"bias_ih": (gates * size,), "bias_hh": (hidden * size,)}
    widths = {"H": size, "P": width}
    found |= {name: (widths[rows], widths[columns]) for name, (rows, columns) in cell.matrices.items()}
    return found | dict.fromkeys(cell.vectors, (size,))


def shapes(layer: Recurrent, k: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters of layer `k` of a stack, in one direction."""
    cell, used = layer.cell, operand_shapes(layer, k)
    absent = {*cell.vectors} - {*cell.parameters()} | (set() if layer.bias else {"bias_ih", "bias_hh"})
    absent |= set() if cell.recurrent_gates() else {"weight_hh", "bias_hh"}
    found = {name: shape for name, shape in used.items() if name not in absent}
    return found | cell.extra_parameters(used["weight_ih"][1], layer.hidden_size)


def initialise(layer: Recurrent, parameters: dict[str, Tensor]) -> None:
    """Set the recurrent weight, gate by gate, and the biases of gates that keep or take in; runs without gradient.

    `orthogonal`: random orthogonal blocks (Saxe, McClelland & Ganguli 2014); `identity`: each block the identity (Le,
    Jaitly & Hinton 2015). `spectral_radius` ρ: each block is multiplied by `ρ / max |λ|` of its eigenvalues (Jaeger
    2001). `chrono`: `b ~ log U(1, T − 1)` for gates that keep the state and `−b` for those that take in (Tallec &
    Ollivier 2018, eq. 16).

    Raises:
        ValueError: `chrono` for a cell without such gates or without biases; `spectral_radius` without square blocks.
    """
    cell, chrono, hidden_size, recurrent = layer.cell, layer.chrono, layer.hidden_size, layer.recurrent_init
    weight = parameters.get("weight_hh")
    if recurrent != "torch" and weight is not None:
        for block in torch.split(weight, hidden_size):
            (nn.init.orthogonal_ if recurrent == "orthogonal" else nn.init.eye_)(block)
    if layer.spectral_radius is not None:
        if weight is None or weight.shape[1] != hidden_size:
            raise ValueError(f"spectral_radius needs square recurrent weights; those of {type(cell).__name__} are not")
        for block in torch.split(weight, hidden_size):
            block.mul_(layer.spectral_radius / torch.linalg.eigvals(block).abs().max())
    if chrono is None:
        return
    if not (cell.keeps or cell.takes):
        raise ValueError(f"chrono needs a gate that keeps the state; {type(cell).__name__} has none")
    if "bias_ih" not in parameters:
        raise ValueError("chrono sets biases, but the layer has none: leave chrono out or set bias=True")
    drawn = torch.rand(hidden_size, dtype=parameters["bias_ih"].dtype, device="cpu")
    bias = torch.log(1 + drawn * (chrono - 2)).to(parameters["bias_ih"].device)
    for gates, sign in ((cell.keeps, 1), (cell.takes, -1)):
        for gate in gates:
            set_bias(cell, parameters, gate, sign * bias)


def set_bias(cell: Cell, parameters: dict[str, Tensor], gate: str, value: Tensor | float) -> None:
    """Make a gate's biases add up to `value`."""
    size = parameters["bias_ih"].numel() // len(cell.gates)
    for name, gates in (("bias_ih", cell.gates), ("bias_hh", cell.recurrent_gates())):
        if name in parameters and gate in gates:
            k = gates.index(gate)
            parameters[name][k * size : (k + 1) * size] = value if name == "bias_ih" else 0.0
