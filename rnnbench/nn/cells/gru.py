"""The gated recurrent unit and its simplifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from rnnbench.nn.cell import Cell
from rnnbench.nn.checks import check_number


@dataclass(eq=False)
class GRUCell(Cell):
    """`r, z = σ(W x_t + b + U h_{t-1} + c)`, `h_t = (1 − z) ⊙ n + z ⊙ h_{t-1}`, with, if `reset_gate` is

    `after` (cuDNN, torch): `n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + c_n))`,
    `before` (Cho et al. 2014, eq. 8): `n = tanh(W_n x_t + b_n + U_n (r ⊙ h_{t-1}) + c_n)`.

    Here z keeps the old state (Cho et al. 2014, eq. 7; torch); Chung et al. 2014 call `1 − z` z.

    Raises:
        ValueError: `reset_gate` is neither.
    """

    reset_gate: Literal["after", "before"] = "after"

    gates = ("r", "z", "n")
    forget_gates = ("z",)

    def __post_init__(self) -> None:
        if self.reset_gate not in ("after", "before"):
            raise ValueError(f"reset_gate must be after or before, got {self.reset_gate!r}")
        if self.reset_gate == "after":
            self.split_gates, self.torch_mode = ("n",), "GRU"
        else:
            self.deferred_gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        r = torch.sigmoid(z.r)
        n = torch.tanh(z.n + (r * z.n_h if self.reset_gate == "after" else self.recur(r * s.h, "n")))
        return n + torch.sigmoid(z.z) * (s.h - n)


@dataclass(eq=False)
class MGUCell(Cell):
    """Minimal gated unit (Zhou, Wu, Zhang & Zhou 2016, eq. 7): `f = σ(W_f x_t + b_f + U_f h_{t-1} + c_f)`,
    `n = tanh(W_n x_t + b_n + U_n (f ⊙ h_{t-1}) + c_n)`, `h_t = (1 − f) ⊙ h_{t-1} + f ⊙ n`.
    """

    gates = ("f", "n")
    deferred_gates = ("n",)
    input_gates = ("f",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        f = torch.sigmoid(z.f)
        n = torch.tanh(z.n + self.recur(f * s.h, "n"))
        return s.h + f * (n - s.h)


@dataclass(eq=False)
class JANETCell(Cell):
    """Just another network (van der Westhuizen & Lasenby 2018, eq. 8): an LSTM with only a forget gate.

    `a = W_f x_t + b_f + U_f h_{t-1} + c_f`, `n = tanh(W_n x_t + b_n + U_n h_{t-1} + c_n)`,
    `h_t = σ(a) ⊙ h_{t-1} + (1 − σ(a − β)) ⊙ n`.
    """

    beta: float = 1.0

    gates = ("f", "n")
    forget_gates = ("f",)

    def __post_init__(self) -> None:
        check_number("beta", self.beta)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        take = torch.sigmoid(self.beta - z.f)  # 1 − σ(a − β)
        return torch.sigmoid(z.f) * s.h + take * torch.tanh(z.n)


@dataclass(eq=False)
class UGRNNCell(Cell):
    """Update gate RNN (Collins, Sohl-Dickstein & Sussillo 2017, eq. 5–7): `g = σ(W_g x_t + b_g + U_g h_{t-1} + c_g)`,
    `n = tanh(W_n x_t + b_n + U_n h_{t-1} + c_n)`, `h_t = g ⊙ h_{t-1} + (1 − g) ⊙ n`.
    """

    gates = ("g", "n")
    forget_gates = ("g",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        n = torch.tanh(z.n)
        return n + torch.sigmoid(z.g) * (s.h - n)


@dataclass(eq=False)
class MUTCell(Cell):
    """The three cells that evolution found (Jozefowicz, Zaremba & Sutskever 2015, section 3.4).

    `h_t = z ⊙ n + (1 − z) ⊙ h_{t-1}`, and, with every W x_t and U h having its own bias,

    1. `z = σ(W_z x_t)`, `r = σ(W_r x_t + U_r h_{t-1})`, `n = tanh(U_n (r ⊙ h_{t-1}) + tanh(W_n x_t))`
    2. `z = σ(W_z x_t + U_z h_{t-1})`, `r = σ(W_r x_t + U_r h_{t-1})`, `n = tanh(U_n (r ⊙ h_{t-1}) + W_n x_t)`
    3. `z = σ(W_z x_t + U_z tanh(h_{t-1}))`, `r = σ(W_r x_t + U_r h_{t-1})`, `n = tanh(U_n (r ⊙ h_{t-1}) + W_n x_t)`

    The paper has the bare `x_t` in `tanh(x_t)` of 1 and in r of 2, its inputs being as wide as h; here they are
    projected.

    Raises:
        ValueError: `variant` is not 1, 2 or 3.
    """

    variant: Literal[1, 2, 3] = 1

    gates = ("z", "r", "n")
    input_gates = ("z",)

    def __post_init__(self) -> None:
        if isinstance(self.variant, (bool, float)) or self.variant not in (1, 2, 3):
            raise ValueError(f"variant must be 1, 2 or 3, got {self.variant!r}")
        self.deferred_gates = ("z", "n") if self.variant == 3 else ("n",)
        if self.variant == 1:
            self.recurrent = ("r", "n")

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        take = torch.sigmoid(z.z + self.recur(torch.tanh(s.h), "z") if self.variant == 3 else z.z)
        inputs = torch.tanh(z.n) if self.variant == 1 else z.n
        n = torch.tanh(self.recur(torch.sigmoid(z.r) * s.h, "n") + inputs)
        return s.h + take * (n - s.h)
