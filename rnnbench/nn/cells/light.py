"""Simpler recurrences than the LSTM, and a deeper one, with which the literature compares it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.errors import unknown
from rnnbench.nn.cell import Cell
from rnnbench.nn.checks import check_flag, check_number, check_whole

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


def _check_activation(name: Any) -> None:
    if name not in ACTIVATIONS:
        raise ValueError(str(unknown("nonlinearity", str(name), ACTIVATIONS)))


@dataclass(eq=False)
class IndRNNCell(Cell):
    """Independently recurrent network (Li, Li, Cook, Zhu & Gao 2018, eq. 2): `h_t = φ(W x_t + b + u ⊙ h_{t-1})`; each
    unit sees of the state itself alone. u starts uniform on [0, 1), the paper's range for long sequences (section 4.1).

    Args:
        nonlinearity: φ, `relu` or `tanh`.

    Raises:
        ValueError: another nonlinearity.
    """

    nonlinearity: str = "relu"

    gates = ("n",)
    recurrent = ()
    vectors = ("weight_own",)

    def __post_init__(self) -> None:
        _check_activation(self.nonlinearity)

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """u uniform on [0, 1)."""
        parameters["weight_own"].uniform_(0, 1)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        return ACTIVATIONS[self.nonlinearity](z.n + self.weight_own * s.h)


@dataclass(eq=False)
class RHNCell(Cell):
    """Recurrent highway network (Zilly, Srivastava, Koutník & Schmidhuber 2017, eq. 6–9) with coupled carry gates, as
    in the paper's experiments: L highway layers a step. With `s_0 = h_{t-1}`, for `l = 1 … L`

    `n = tanh(R_nl s_{l-1} + b_nl + [l = 1] W_n x_t)`, `k = σ(R_kl s_{l-1} + b_kl + [l = 1] W_k x_t)`,
    `s_l = k ⊙ n + (1 − k) ⊙ s_{l-1}`; `h_t = s_L`. Biases of layers after the first are there even without `bias`.

    Args:
        depth: L, at least 1.
        transform_bias: b_k of all layers at the start; negative keeps the state.

    Raises:
        ValueError: `depth` is less than 1.
        TypeError: an argument is not a number.
    """

    depth: int = 3
    transform_bias: float = -2.0

    gates = ("n", "k")
    input_gates = ("k",)

    def __post_init__(self) -> None:
        check_whole("depth", self.depth)
        check_number("transform_bias", self.transform_bias)
        deeper = range(2, self.depth + 1)
        self.matrices = {f"weight_{kind}{layer}": ("H", "H") for layer in deeper for kind in "nk"}
        self.vectors = tuple(f"bias_{kind}{layer}" for layer in deeper for kind in "nk")

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """Transform gates that are nearly closed."""
        if "bias_ih" in parameters:
            parameters["bias_ih"][hidden_size:] = self.transform_bias
            parameters["bias_hh"][hidden_size:] = 0.0
        for name in self.vectors:
            parameters[name].fill_(self.transform_bias if name.startswith("bias_k") else 0.0)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        h = s.h + torch.sigmoid(z.k) * (torch.tanh(z.n) - s.h)
        for layer in range(2, self.depth + 1):
            n, k = (
                getattr(self, f"weight_{kind}{layer}")(h) + getattr(self, f"bias_{kind}{layer}") for kind in ("n", "k")
            )
            h = h + torch.sigmoid(k) * (torch.tanh(n) - h)
        return h


@dataclass(eq=False)
class FastGRNNCell(Cell):
    """FastGRNN (Kusupati et al. 2018, eq. 3–4) of full rank: gate and candidate share their weights,

    `z = σ(W x_t + U h_{t-1} + b_z)`, `n = tanh(W x_t + U h_{t-1} + b_n)`, `h_t = (ζ (1 − z) + ν) ⊙ n + z ⊙ h_{t-1}`;
    ζ and ν are learned in (0, 1) as `σ(zeta)`, `σ(nu)`, and start at σ(1) and σ(−4), as in the authors' code. b_z is
    `gate_bias`, beside the layer's bias; b_n is the layer's.
    """

    gates = ("n",)
    vectors = ("gate_bias", "zeta_row", "nu_row")

    def parameters(self) -> tuple[str, ...]:
        """The gate's bias alone; ζ and ν are one number each."""
        return ("gate_bias",)

    def extra_parameters(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """ζ and ν before their sigmoid."""
        return {"zeta": (1,), "nu": (1,)}

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """ζ, ν and b_z at the values of the authors' code."""
        for name, value in (("zeta", 1.0), ("nu", -4.0), ("gate_bias", 1.0)):
            parameters[name].fill_(value)

    def effective_weights(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """ζ and ν in (0, 1), one for all units."""
        size = len(parameters["gate_bias"])
        return parameters | {f"{name}_row": torch.sigmoid(parameters[name]).expand(size) for name in ("zeta", "nu")}

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        gate = torch.sigmoid(z.n + self.gate_bias)
        return (self.zeta_row * (1 - gate) + self.nu_row) * torch.tanh(z.n) + gate * s.h


@dataclass(eq=False)
class CFNCell(Cell):
    """Chaos-free network (Laurent & von Brecht 2017, eq. 4–6): without inputs its state decays,

    `f, i = σ(W x_t + b + U h_{t-1} + c)`, `h_t = f ⊙ tanh(h_{t-1}) + i ⊙ tanh(W_n x_t + b_n)`.
    """

    gates = ("f", "i", "n")
    recurrent = ("f", "i")
    forget_gates = ("f",)
    input_gates = ("i",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        return torch.sigmoid(z.f) * torch.tanh(s.h) + torch.sigmoid(z.i) * torch.tanh(z.n)


@dataclass(eq=False)
class RANCell(Cell):
    """Recurrent additive network (Lee, Levy & Zettlemoyer 2017, eq. 1): an LSTM whose input is not gated by the state,

    `i, f = σ(W x_t + b + U h_{t-1} + c)`, `c_t = i ⊙ (W_n x_t + b_n) + f ⊙ c_{t-1}`, `h_t = tanh(c_t)`.
    """

    states = ("h", "c")
    gates = ("i", "f", "n")
    recurrent = ("i", "f")
    forget_gates = ("f",)
    input_gates = ("i",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state and cell state."""
        c = torch.sigmoid(z.i) * z.n + torch.sigmoid(z.f) * s.c
        return torch.tanh(c), c


@dataclass(eq=False)
class LiGRUCell(Cell):
    """Light GRU (Ravanelli, Brakel, Omologo & Bengio 2018, eq. 6) without its batch normalisation: no reset gate, ReLU,

    `z = σ(W_z x_t + b_z + U_z h_{t-1} + c_z)`, `h_t = z ⊙ h_{t-1} + (1 − z) ⊙ ReLU(W_n x_t + b_n + U_n h_{t-1} + c_n)`.
    """

    gates = ("z", "n")
    forget_gates = ("z",)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        n = torch.relu(z.n)
        return n + torch.sigmoid(z.z) * (s.h - n)


@dataclass(eq=False)
class MinimalRNNCell(Cell):
    """MinimalRNN (Chen 2017, eq. 1–4): the input is mapped to the space of the state, and the state follows it,

    `n = tanh(W x_t + b)`, `u = σ(U_h h_{t-1} + U_n n + b_u)`, `h_t = u ⊙ h_{t-1} + (1 − u) ⊙ n`.
    """

    gates = ("n",)
    recurrent = ()
    vectors = ("gate_bias",)
    matrices = {"weight_hu": ("H", "H"), "weight_nu": ("H", "H")}

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """A gate that begins half open."""
        parameters["gate_bias"].zero_()

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        n = torch.tanh(z.n)
        u = torch.sigmoid(self.weight_hu(s.h) + self.weight_nu(n) + self.gate_bias)
        return n + u * (s.h - n)


@dataclass(eq=False)
class SCRNCell(Cell):
    """Structurally constrained recurrent network (Mikolov, Joulin, Chopra, Mathieu & Ranzato 2015, eq. 6–8): a slow
    context beside a simple network, `s_t = (1 − α) (W_s x_t + b_s) + α s_{t-1}`,

    `h_t = σ(P s_t + W_h x_t + b_h + U h_{t-1} + c)`. The output is `h_t + V s_t`; the context is as wide as h.

    Args:
        alpha: α, the share of the context that is kept, in [0, 1].

    Raises:
        ValueError: α is out of range.
        TypeError: α is not a number.
    """

    alpha: float = 0.95

    states = ("h", "s")
    outputs = ("h", "s")
    gates = ("h", "s")
    recurrent = ("h",)
    matrices = {"weight_sh": ("H", "H")}

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha}")

    def extra_parameters(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """V, by which the context is read."""
        return {"weight_v": (hidden_size, hidden_size)}

    def readout(self, sequences: tuple[Tensor, ...], inputs: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """`h + V s`."""
        return sequences[0] + F.linear(sequences[1], parameters["weight_v"])

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state and context."""
        context = (1 - self.alpha) * z.s + self.alpha * s.s
        return torch.sigmoid(self.weight_sh(context) + z.h), context


@dataclass(eq=False)
class BRCCell(Cell):
    """Bistable recurrent cell (Vecoven, Ernst & Drion 2021, eq. 5–7), or its neuromodulated form (nBRC, eq. 8):

    `a = 1 + tanh(W_a x_t + b_a + w_a ⊙ h_{t-1})`, `c = σ(W_c x_t + b_c + w_c ⊙ h_{t-1})`,
    `h_t = c ⊙ h_{t-1} + (1 − c) ⊙ tanh(W_n x_t + b_n + a ⊙ h_{t-1})`; a unit with a > 1 has two stable states. In the
    nBRC matrices `U_a h_{t-1}`, `U_c h_{t-1}` stand for the two products.

    Args:
        neuromodulated: whether it is the nBRC.

    Raises:
        TypeError: `neuromodulated` is neither True nor False.
    """

    neuromodulated: bool = False

    gates = ("a", "c", "n")
    forget_gates = ("c",)

    def __post_init__(self) -> None:
        check_flag("neuromodulated", self.neuromodulated)
        self.recurrent = ("a", "c") if self.neuromodulated else ()
        self.vectors = () if self.neuromodulated else ("weight_own_a", "weight_own_c")

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state."""
        a, c = (z.a, z.c) if self.neuromodulated else (z.a + self.weight_own_a * s.h, z.c + self.weight_own_c * s.h)
        n = torch.tanh(z.n + (1 + torch.tanh(a)) * s.h)
        return n + torch.sigmoid(c) * (s.h - n)
