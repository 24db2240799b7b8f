"""Which parameters a layer has, and their initial values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnbench.nn.cell import Cell


def weight_shapes(cell: Cell, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights that a cell's equation can use, in one layer and direction."""
    width, gates, hidden = (
        cell.state_sizes(hidden_size)[0],
        sum(cell.gate_sizes(hidden_size)),
        len(cell.recurrent_gates()),
    )
    widths = {"H": hidden_size, "P": width}
    return {
        "weight_ih": (gates, input_size),
        "weight_hh": (hidden * hidden_size, width),
        "bias_ih": (gates,),
        "bias_hh": (hidden * hidden_size,),
        **{name: (widths[rows], widths[columns]) for name, (rows, columns) in cell.matrices.items()},
        **dict.fromkeys(cell.vectors, (hidden_size,)),
    }


def parameter_shapes(
    cell: Cell, weights: dict[str, tuple[int, ...]], hidden_size: int, bias: bool
) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters of one layer and direction, from those of all `weights` that its cell can use."""
    absent = {*cell.vectors} - {*cell.parameters()} | (set() if bias else {"bias_ih", "bias_hh"})
    absent |= set() if cell.recurrent_gates() else {"weight_hh", "bias_hh"}
    shapes = {name: shape for name, shape in weights.items() if name not in absent}
    return shapes | cell.extra_parameters(weights["weight_ih"][1], hidden_size)


def initialise(
    cell: Cell, parameters: dict[str, Tensor], hidden_size: int, recurrent_init: str = "torch",
    spectral_radius: float | None = None, chrono: int | None = None,
) -> None:  # fmt: skip
    """Set the recurrent weight, gate by gate, and the biases of forget and input gates; runs without gradient.

    `orthogonal`: random orthogonal blocks (Saxe, McClelland & Ganguli 2014); `identity`: each block the identity (Le,
    Jaitly & Hinton 2015). `spectral_radius` ρ: each block is multiplied by `ρ / max |λ|` of its eigenvalues (Jaeger
    2001). `chrono`: `b ~ log U(1, T − 1)` for gates that keep the state and `−b` for those that take in (Tallec &
    Ollivier 2018, eq. 16).

    Raises:
        ValueError: `chrono` for a cell without such gates or without biases; `spectral_radius` without square blocks.
    """
    weight = parameters.get("weight_hh")
    if recurrent_init != "torch" and weight is not None:
        for block in torch.split(weight, hidden_size):
            host = torch.empty_like(block, device="cpu") if block.device.type == "mps" else block  # which has no QR
            block.copy_((nn.init.orthogonal_ if recurrent_init == "orthogonal" else nn.init.eye_)(host))
    if spectral_radius is not None:
        if weight is None or weight.shape[1] != hidden_size:
            raise ValueError(f"spectral_radius needs square recurrent weights; those of {type(cell).__name__} are not")
        for block in torch.split(weight, hidden_size):
            square = block.cpu() if block.device.type == "mps" else block
            block.mul_(spectral_radius / torch.linalg.eigvals(square).abs().max())
    if chrono is None:
        return
    if not (cell.forget_gates or cell.input_gates):
        raise ValueError(f"chrono needs a gate that keeps the state; {type(cell).__name__} has none")
    if "bias_ih" not in parameters:
        raise ValueError("chrono sets biases, but the layer has none: leave chrono out or set bias=True")
    drawn = torch.rand(hidden_size, dtype=parameters["bias_ih"].dtype, device="cpu")
    bias = torch.log(1 + drawn * (chrono - 2)).to(parameters["bias_ih"].device)
    for gates, sign in ((cell.forget_gates, 1), (cell.input_gates, -1)):
        for gate in gates:
            set_bias(cell, parameters, hidden_size, gate, sign * bias)


def set_bias(
    cell: Cell, parameters: dict[str, Tensor], hidden_size: int, gate: str, value: Tensor | float
) -> None:  # fmt: skip
    """Set a gate's biases so that they add up to `value`, of which a gate of fewer units takes the first ones."""
    sizes = dict(zip(cell.gates, cell.gate_sizes(hidden_size), strict=True))
    for name, gates in (("bias_ih", cell.gates), ("bias_hh", cell.recurrent_gates())):
        if name in parameters and gate in gates:
            rows = torch.split(parameters[name], [sizes[one] for one in gates])[gates.index(gate)]
            rows.zero_()
            if name == "bias_ih":
                rows += value[: len(rows)] if isinstance(value, Tensor) else value
