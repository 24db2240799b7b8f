"""The simple recurrent network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from rnnbench.nn.cell import Cell


@dataclass(eq=False)
class ElmanCell(Cell):
    """`h_t = f(W x_t + b + U h_{t-1} + c)`, `f` tanh or ReLU (Elman 1990).

    Raises:
        ValueError: `nonlinearity` is neither.
    """

    nonlinearity: Literal["tanh", "relu"] = "tanh"

    gates = ("n",)

    def __post_init__(self) -> None:
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be tanh or relu, got {self.nonlinearity!r}")
        self.torch_mode = f"RNN_{self.nonlinearity.upper()}"

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        return torch.tanh(z.n) if self.nonlinearity == "tanh" else torch.relu(z.n)
