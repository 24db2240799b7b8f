"""Recurrences that are steps of a differential equation, by which gradients neither vanish nor explode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.checks import check_flag, check_number


def _check_positive(cell: Cell, *names: str) -> None:
    for name in names:
        check_number(name, getattr(cell, name))
        if getattr(cell, name) <= 0:
            raise ValueError(f"{name} must be greater than 0, got {getattr(cell, name)}")


@dataclass(eq=False)
class AntisymmetricRNNCell(Cell):
    """AntisymmetricRNN (Chang, Chen, Haber & Chi 2019, eq. 10; gated: eq. 11–12): with `A = U − Uᵀ − γI`,

    `h_t = h_{t-1} + ε tanh(A h_{t-1} + W_n x_t + b_n)`; gated, the tanh is multiplied by
    `z = σ(A h_{t-1} + W_z x_t + b_z)`.

    Args:
        step_size: ε, greater than 0.
        diffusion: γ, greater than 0.
        gated: whether there is a gate.

    Raises:
        ValueError: ε or γ is not greater than 0.
        TypeError: an argument of the wrong type.
    """

    step_size: float = 0.1
    diffusion: float = 0.01
    gated: bool = False

    gates = tuple("n")
    recurrent = ("n",)
    split_gates = ("n",)

    def __post_init__(self) -> None:
        _check_positive(self, "step_size", "diffusion")
        check_flag("gated", self.gated)
        if self.gated:
            self.gates = ("n", "z")

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """U from N(0, 1 / H), as in the paper's experiments (section 4.1)."""
        parameters["weight_hh"].normal_(std=hidden_size**-0.5)

    def effective_weights(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """`U − Uᵀ − γI` in the place of U."""
        weight = parameters["weight_hh"]
        eye = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
        return parameters | {"weight_hh": weight - weight.T - self.diffusion * eye}

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        change = torch.tanh(z.n + z.n_h)
        if self.gated:
            change = torch.sigmoid(z.z + z.n_h) * change
        return s.h + self.step_size * change


@dataclass(eq=False)
class CoRNNCell(Cell):
    """Coupled oscillatory RNN (Rusch & Mishra 2021, eq. 3, with the damping explicit as in the authors' code):

    `v_t = v_{t-1} + Δt (tanh(W x_t + b + U h_{t-1} + c + V v_{t-1}) − γ h_{t-1} − ε v_{t-1})`,
    `h_t = h_{t-1} + Δt v_t`; v is the velocity of the oscillators h.

    Args:
        step_size: Δt, greater than 0.
        gamma: γ, greater than 0: the oscillators' squared frequency.
        epsilon: ε, greater than 0: their damping.

    Raises:
        ValueError: an argument is not greater than 0.
        TypeError: it is not a number.
    """

    step_size: float = 0.05
    gamma: float = 3.0
    epsilon: float = 5.0

    states = ("h", "v")
    gates = ("n",)
    matrices = {"weight_v": ("H", "H")}

    def __post_init__(self) -> None:
        _check_positive(self, "step_size", "gamma", "epsilon")

    def step(self, z: Any, s: Any) -> Any:
        """New positions and velocities."""
        force = torch.tanh(z.n + self.weight_v(s.v)) - self.gamma * s.h - self.epsilon * s.v
        v = s.v + self.step_size * force
        return s.h + self.step_size * v, v


@dataclass(eq=False)
class UnICORNNCell(Cell):
    """Undamped independent controlled oscillatory RNN (Rusch & Mishra 2021b, eq. 4): units see only themselves,

    `v_t = v_{t-1} − Δt σ(c) ⊙ (tanh(w ⊙ h_{t-1} + W x_t + b) + α h_{t-1})`, `h_t = h_{t-1} + Δt σ(c) ⊙ v_t`.

    Args:
        step_size: Δt, greater than 0.
        alpha: α, greater than 0.

    Raises:
        ValueError: an argument is not greater than 0.
        TypeError: it is not a number.
    """

    step_size: float = 0.05
    alpha: float = 1.0

    states = ("h", "v")
    gates = ("n",)
    recurrent = ()
    vectors = ("weight_own", "control")

    def __post_init__(self) -> None:
        _check_positive(self, "step_size", "alpha")

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """w uniform on [0, 1), c on [−0.1, 0.1), as in the authors' code."""
        parameters["weight_own"].uniform_(0, 1)
        parameters["control"].uniform_(-0.1, 0.1)

    def step(self, z: Any, s: Any) -> Any:
        """New positions and velocities."""
        size = self.step_size * torch.sigmoid(self.control)
        v = s.v - size * (torch.tanh(self.weight_own * s.h + z.n) + self.alpha * s.h)
        return s.h + size * v, v


@dataclass(eq=False)
class LEMCell(Cell):
    """Long expressive memory (Rusch, Mishra, Erichson & Mahoney 2022, eq. 3): two states with time steps of their own,

    `d, e = Δt σ(W x_t + b + U h_{t-1} + c)`, `m_t = (1 − d) ⊙ m_{t-1} + d ⊙ tanh(W_m x_t + b_m + U_m h_{t-1} + c_m)`,
    `h_t = (1 − e) ⊙ h_{t-1} + e ⊙ tanh(W_n x_t + b_n + U_n m_t + c_n)`.

    Args:
        step_size: Δt, greater than 0.

    Raises:
        ValueError: `step_size` is not greater than 0.
        TypeError: it is not a number.
    """

    step_size: float = 1.0

    states = ("h", "m")
    gates = ("d", "e", "m", "n")
    deferred_gates = ("n",)
    input_gates = ("d", "e")

    def __post_init__(self) -> None:
        _check_positive(self, "step_size")

    def step(self, z: Any, s: Any) -> Any:
        """New slow and fast state."""
        m = s.m + self.step_size * torch.sigmoid(z.d) * (torch.tanh(z.m) - s.m)
        n = torch.tanh(z.n + self.recur(m, "n"))
        return s.h + self.step_size * torch.sigmoid(z.e) * (n - s.h), m
