"""Multiplicative and exponential gating."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.cell import Cell
from rnnbench.nn.checks import check_whole


@dataclass(eq=False)
class MultiplicativeLSTMCell(Cell):
    """Multiplicative LSTM (Krause, Lu, Murray & Renals 2016, eq. 9–15):

    `m = (W_m x_t + b_m) ⊙ (U_m h_{t-1} + c_m)`, and with it

    `i, f, o = σ(W x_t + b + U m + c)`, `g = tanh(W x_t + b + U m + c)`, `c_t = f ⊙ c_{t-1} + i ⊙ g`,
    `h_t = o ⊙ tanh(c_t)`.
    """

    states = ("h", "c")
    gates = ("m", "i", "f", "g", "o")
    deferred_gates = gates
    forget_gates = ("f",)
    input_gates = ("i",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state and cell state."""
        m = z.m * self.recur(s.h, "m")
        i, f, g, o = (x + h for x, h in zip((z.i, z.f, z.g, z.o), self.recur(m, "i", "f", "g", "o"), strict=True))
        c = torch.sigmoid(f) * s.c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


@dataclass(eq=False)
class ScalarLSTMCell(Cell):
    """sLSTM (Beck et al. 2024, eq. 8–17): exponential input gate, a normaliser n and a stabiliser m.

    `i' = W_i x_t + U_i h_{t-1} + b`, likewise f', g', o'; `m_t = max(log σ(f') + m_{t-1}, i')`,
    `i = exp(i' − m_t)`, `f = exp(log σ(f') + m_{t-1} − m_t)`, `c_t = f ⊙ c_{t-1} + i ⊙ tanh(g')`,
    `n_t = f ⊙ n_{t-1} + i`, `h_t = σ(o') ⊙ c_t / n_t`; `m_t = i'` as long as n is 0, as in the authors' code.

    `heads`: units of one head see each other only (a block-diagonal U). Initial states: zeros.

    Raises:
        ValueError: `heads` does not divide the hidden size.
        TypeError: `heads` is not a whole number.
    """

    heads: int = 1

    states = ("h", "c", "n", "m")
    gates = ("i", "f", "g", "o")
    forget_gates = ("f",)

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """All H."""
        check_whole("heads", self.heads)
        if hidden_size % self.heads:
            raise ValueError(f"heads must divide hidden_size {hidden_size}, got {self.heads}")
        return super().state_sizes(hidden_size)

    def effective_weights(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Only blocks on the diagonal count."""
        if self.heads == 1:
            return parameters
        weight = parameters["weight_hh"]
        size = weight.shape[1] // self.heads
        head = torch.arange(weight.shape[1], device=weight.device) // size
        same = (head.unsqueeze(1) == head).repeat(len(self.gates), 1)
        return parameters | {"weight_hh": weight * same}

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state, cell state, normaliser and stabiliser."""
        kept = torch.where(s.n > 0, F.logsigmoid(z.f) + s.m, z.i)  # nothing is there to be kept at first
        m = torch.maximum(kept, z.i)
        i, f = torch.exp(z.i - m), torch.exp(kept - m)
        c = f * s.c + i * torch.tanh(z.g)
        n = f * s.n + i
        return torch.sigmoid(z.o) * c / n, c, n, m
