"""Recurrences that are linear in the state: the gates see the input alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.cell import Cell
from rnnbench.nn.checks import check_flag, check_number


@dataclass(eq=False)
class MinGRUCell(Cell):
    """minGRU (Feng et al. 2024, section 3.1.3): `z = σ(W_z x_t + b_z)`, `n = W_n x_t + b_n`,
    `h_t = (1 − z) ⊙ h_{t-1} + z ⊙ n`.

    `positive`: n is `n + 0.5` for n ≥ 0 and `σ(n)` below, as the paper's version in log space needs (appendix B).
    """

    positive: bool = False

    gates = ("z", "n")
    recurrent = ()
    input_gates = ("z",)

    def __post_init__(self) -> None:
        check_flag("positive", self.positive)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        n = torch.where(z.n < 0, torch.sigmoid(z.n), z.n + 0.5) if self.positive else z.n
        return s.h + torch.sigmoid(z.z) * (n - s.h)


@dataclass(eq=False)
class MinLSTMCell(Cell):
    """minLSTM (Feng et al. 2024, section 3.2.3): `f, i = σ(W x_t + b)`, `n = W_n x_t + b_n`,
    `h_t = f / (f + i) ⊙ h_{t-1} + i / (f + i) ⊙ n`.
    """

    gates = ("f", "i", "n")
    recurrent = ()
    forget_gates = ("f",)
    input_gates = ("i",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        take = torch.sigmoid(F.softplus(-z.f) - F.softplus(-z.i))  # i / (f + i), also where both are very small
        return s.h + take * (z.n - s.h)


@dataclass(eq=False)
class LRUCell(Cell):
    """Linear recurrent unit (Orvieto et al. 2023, eq. 7 and section 3): a complex diagonal recurrence.

    `s_t = λ ⊙ s_{t-1} + γ ⊙ (B x_t)`, `y_t = Re(C s_t) + D ⊙ x_t` (D x_t with a matrix where y is not as wide as x);
    `λ = exp(−exp(ν) + i exp(θ))`, `γ` starts at `√(1 − |λ|²)`. States are the real and the imaginary part of s.

    Args:
        r_min: smallest |λ| at the start.
        r_max: largest.
        max_phase: largest angle of λ at the start, in radians.

    Raises:
        ValueError: a value out of range.
        TypeError: a value that is not a number.
    """

    r_min: float = 0.0
    r_max: float = 1.0
    max_phase: float = 2 * math.pi

    states = ("re", "im")
    outputs = ("re", "im")
    gates = ("re", "im")
    recurrent = ()
    vectors = ("decay_re", "decay_im")

    def __post_init__(self) -> None:
        for name in ("r_min", "r_max", "max_phase"):
            check_number(name, getattr(self, name))
        if self.max_phase < 0:
            raise ValueError(f"max_phase must be at least 0, got {self.max_phase}")
        if not 0 <= self.r_min < self.r_max <= 1:
            raise ValueError(f"r_min and r_max must fulfil 0 ≤ r_min < r_max ≤ 1, got {self.r_min} and {self.r_max}")

    def parameters(self) -> tuple[str, ...]:
        """None of the vectors is a parameter itself."""
        return ()

    def extra_parameters(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """ν, θ, γ, C and D."""
        return {
            "nu_log": (hidden_size,), "theta_log": (hidden_size,), "gamma_log": (hidden_size,),
            "weight_c": (hidden_size, 2 * hidden_size),
            "weight_d": (hidden_size,) if input_size == hidden_size else (hidden_size, input_size),
        }  # fmt: skip

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """λ uniform on a ring, B, C normal after Glorot, γ so that states have the variance of inputs."""
        radius = torch.rand_like(parameters["nu_log"]) * (self.r_max**2 - self.r_min**2) + self.r_min**2
        radius = radius.clamp(1e-6, 1 - 1e-6)
        parameters["nu_log"].copy_((-0.5 * radius.log()).log())
        angle = self.max_phase * torch.rand_like(parameters["theta_log"])
        parameters["theta_log"].copy_(angle.clamp(min=1e-6).log())
        parameters["gamma_log"].copy_(0.5 * (1 - radius).log())
        parameters["weight_ih"].normal_(std=1 / math.sqrt(2 * parameters["weight_ih"].shape[1]))
        parameters["weight_c"].normal_(std=1 / math.sqrt(hidden_size))
        parameters["weight_d"].normal_()
        if parameters["weight_d"].ndim == 2:
            parameters["weight_d"].div_(math.sqrt(parameters["weight_d"].shape[1]))
        if "bias_ih" in parameters:
            parameters["bias_ih"].zero_()

    def effective_weights(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """λ as its two parts; γ goes into B."""
        size, angle = torch.exp(-torch.exp(parameters["nu_log"])), torch.exp(parameters["theta_log"])
        gain = torch.exp(parameters["gamma_log"]).repeat(2)
        weights = parameters | {
            "decay_re": size * torch.cos(angle),
            "decay_im": size * torch.sin(angle),
            "weight_ih": parameters["weight_ih"] * gain.unsqueeze(1),
        }
        if "bias_ih" in weights:
            weights["bias_ih"] = weights["bias_ih"] * gain
        return weights

    def readout(self, sequences: tuple[Tensor, ...], inputs: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """`Re(C s) + D x`."""
        states = torch.cat([sequences[0], -sequences[1]], -1)
        direct = parameters["weight_d"]
        direct = inputs * direct if direct.ndim == 1 else F.linear(inputs, direct)
        return F.linear(states, parameters["weight_c"]) + direct

    def step(self, z: Any, s: Any) -> Any:
        """New real and imaginary part."""
        return self.decay_re * s.re - self.decay_im * s.im + z.re, self.decay_re * s.im + self.decay_im * s.re + z.im


@dataclass(eq=False)
class SRUCell(Cell):
    """Simple recurrent unit (Lei, Zhang, Wang, Dai & Artzi 2018, eq. 1–4): `f = σ(W_f x_t + v_f ⊙ c_{t-1} + b_f)`,
    `c_t = f ⊙ c_{t-1} + (1 − f) ⊙ (W_n x_t)`, `r = σ(W_r x_t + v_r ⊙ c_{t-1} + b_r)`,
    `h_t = r ⊙ c_t + (1 − r) ⊙ α x_t`, `α = √3` (section 3.2, with no bias on r at the start); x_t is projected where it
    is not as wide as h. The bias of n, which the paper lacks, starts at 0. States are c and r; the output is h.
    """

    states = ("c", "r")
    outputs = ("c", "r")
    gates = ("f", "r", "n")
    recurrent = ()
    vectors = ("peephole_f", "peephole_r")
    forget_gates = ("f",)

    def extra_parameters(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """The projection of the highway, if one is needed."""
        return {} if input_size == hidden_size else {"weight_highway": (hidden_size, input_size)}

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """Weights with variance 1/I, as in section 3.2; biases 0."""
        for name, value in parameters.items():
            if name.startswith("bias"):
                value.zero_()
            elif value.ndim == 2:
                bound = math.sqrt(3 / value.shape[1])
                value.uniform_(-bound, bound)

    def readout(self, sequences: tuple[Tensor, ...], inputs: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """The highway between state and input."""
        c, r = sequences
        highway = F.linear(inputs, parameters["weight_highway"]) if "weight_highway" in parameters else inputs
        return r * c + (1 - r) * (math.sqrt(3) * highway)

    def step(self, z: Any, s: Any) -> Any:
        """New cell state and reset gate."""
        f, r = torch.sigmoid(z.f + self.peephole_f * s.c), torch.sigmoid(z.r + self.peephole_r * s.c)
        return z.n + f * (s.c - z.n), r


@dataclass(eq=False)
class QRNNCell(Cell):
    """Quasi-recurrent network with fo-pooling (Bradbury, Merity, Xiong & Socher 2017, eq. 1–4), windows of one step:

    `n = tanh(W_n x_t + b_n)`, `f, o = σ(W x_t + b)`, `c_t = f ⊙ c_{t-1} + (1 − f) ⊙ n`, `h_t = o ⊙ c_t`.
    Wider windows are the same cell on inputs that are joined with those before.
    """

    states = ("h", "c")
    gates = ("n", "f", "o")
    recurrent = ()
    forget_gates = ("f",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state and cell state."""
        n = torch.tanh(z.n)
        c = n + torch.sigmoid(z.f) * (s.c - n)
        return torch.sigmoid(z.o) * c, c
