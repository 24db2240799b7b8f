"""Long short-term memory: the cell of torch, with peepholes, projections, coupled gates and ablations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from rnnbench.errors import unknown
from rnnbench.nn.cell import Cell, layer_norm
from rnnbench.nn.checks import check_number, check_whole
from rnnbench.nn.initialise import set_bias

ABLATIONS = {
    "NIG": "no input gate: i = 1",
    "NFG": "no forget gate: f = 1",
    "NOG": "no output gate: o = 1",
    "NIAF": "no input activation function: g is linear",
    "NOAF": "no output activation function: h = o ⊙ c",
    "CIFG": "coupled input and forget gate: f = 1 − i",
    "NP": "no peepholes",
    "FGR": "full gate recurrence: gates also see all gates of the step before",
}
_GATELESS = {"NIG": "i", "NFG": "f", "NOG": "o"}


@dataclass(eq=False)
class LSTMCell(Cell):
    """`i, f, o = σ(W x_t + b + U h_{t-1} + c [+ peephole])`, `g = tanh(W x_t + b + U h_{t-1} + c)`,
    `c_t = f ⊙ c_{t-1} + i ⊙ g`, `h_t = o ⊙ tanh(c_t)`.

    `peephole`: `diagonal`, `p ⊙ c` (Gers & Schmidhuber 2000), or `full`, `W_c c` with a matrix a gate; gates i and f
    look at `c_{t-1}`; o looks at `c_t` (`output_peek="new"`, Gers & Schmidhuber 2000; Graves 2013, eq. 10) or at
    `c_{t-1}` (`"previous"`, as in texts that write `W_o · [C, h, x]` with one C for all gates).
    `ablations`: any of those of Greff et al. 2015, combined where they can be.
    `proj_size`: `h_t = W_hr (o ⊙ tanh(c_t))` (Sak, Senior & Beaufays 2014).
    `forget_bias`: what the forget gate's biases add up to at the start (Jozefowicz, Zaremba & Sutskever 2015 advise 1).

    Raises:
        ValueError: an unknown value, or ablations that contradict each other.
        TypeError: a value of another type.
    """

    peephole: Literal["diagonal", "full"] | None = None
    output_peek: Literal["new", "previous"] = "new"
    ablations: tuple[str, ...] = ()
    proj_size: int = 0
    forget_bias: float | None = None

    def __post_init__(self) -> None:
        self._check()
        gone = [_GATELESS[name] for name in self.ablations if name in _GATELESS]
        gone += ["f"] if "CIFG" in self.ablations else []
        self.gates = tuple(gate for gate in "ifgo" if gate not in gone)
        self.forget_gates = tuple(gate for gate in "f" if gate in self.gates)
        self.input_gates = tuple(gate for gate in "i" if gate in self.gates)
        sigmoid = [gate for gate in self.gates if gate != "g"]
        self.states = ("h", "c")
        peeks = [] if "NP" in self.ablations or self.peephole is None else sigmoid
        if self.peephole == "diagonal":
            self.vectors = tuple(f"peephole_{gate}" for gate in peeks)
        matrices = {f"weight_c{gate}": ("H", "H") for gate in peeks} if self.peephole == "full" else {}
        if "FGR" in self.ablations:
            self.states = ("h", "c", *sigmoid)
            matrices |= {f"weight_{old}{new}": ("H", "H") for new in sigmoid for old in sigmoid}
        if self.proj_size:
            matrices["weight_hr"] = ("P", "H")
        self.matrices = matrices
        if self.peephole is None and not self.ablations:
            self.torch_mode = "LSTM"

    def _check(self) -> None:
        names = (self.ablations,) if isinstance(self.ablations, str) else self.ablations
        if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"ablations must be names ({', '.join(ABLATIONS)}), got {names!r}")
        self.ablations = tuple(dict.fromkeys(names))
        for name in self.ablations:
            if name not in ABLATIONS:
                raise ValueError(str(unknown("ablation", name, ABLATIONS)))
        for name in ("NIG", "NFG"):
            if "CIFG" in self.ablations and name in self.ablations:
                raise ValueError(f"ablations CIFG and {name} contradict each other")
        if self.peephole not in (None, "diagonal", "full"):
            raise ValueError(f"peephole must be diagonal, full or None, got {self.peephole!r}")
        if self.output_peek not in ("new", "previous"):
            raise ValueError(f"output_peek must be new or previous, got {self.output_peek!r}")
        check_whole("proj_size", self.proj_size, least=0)
        if self.forget_bias is not None:
            check_number("forget_bias", self.forget_bias)
        if self.forget_bias is not None and {"NFG", "CIFG"} & set(self.ablations):
            raise ValueError("forget_bias is set, but there is no forget gate")

    @property
    def projected(self) -> bool:
        """Whether h has a width of its own."""
        return self.proj_size > 0

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """h has `proj_size` units if projected."""
        if self.proj_size >= hidden_size:
            raise ValueError(f"proj_size must be smaller than hidden_size {hidden_size}, got {self.proj_size}")
        return (self.proj_size or hidden_size, *(hidden_size,) * (len(self.states) - 1))

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """Set the forget gate's bias, if it is set."""
        if self.forget_bias is not None:
            if "bias_ih" not in parameters:
                raise ValueError("forget_bias is set, but the layer has no bias: leave it out or set bias=True")
            set_bias(self, parameters, hidden_size, "f", self.forget_bias)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state and cell state (and gates, with full gate recurrence)."""

        def gate(name: str, cell: Tensor) -> Any:
            value = getattr(z, name)
            if f"peephole_{name}" in self.vectors:
                value = value + getattr(self, f"peephole_{name}") * cell
            if f"weight_c{name}" in self.matrices:
                value = value + getattr(self, f"weight_c{name}")(cell)
            if "FGR" in self.ablations:
                for old in self.states[2:]:
                    value = value + getattr(self, f"weight_{old}{name}")(getattr(s, old))
            return torch.sigmoid(value)

        i = gate("i", s.c) if "i" in self.gates else None
        f = gate("f", s.c) if "f" in self.gates else None
        g = z.g if "NIAF" in self.ablations else torch.tanh(z.g)
        new = g if i is None else i * g
        if f is not None:
            c = f * s.c + new
        else:
            c = (1 - i) * s.c + new if "CIFG" in self.ablations and i is not None else s.c + new
        o = gate("o", c if self.output_peek == "new" else s.c) if "o" in self.gates else None
        h = c if "NOAF" in self.ablations else torch.tanh(c)
        h = h if o is None else o * h
        h = self.weight_hr(h) if self.proj_size else h
        values = {"i": i, "f": f, "o": o}
        return (h, c, *(values[name] for name in self.states[2:]))


@dataclass(eq=False)
class LayerNormLSTMCell(Cell):
    """LSTM with layer normalisation (Ba, Kiros & Hinton 2016, appendix, eq. 20–22).

    `(i, f, g, o) = LN(W x_t) ⊙ α + LN(U h_{t-1}) ⊙ β + b`, each norm over all four gates together;
    `c_t = σ(f) ⊙ c_{t-1} + σ(i) ⊙ tanh(g)`, `h_t = σ(o) ⊙ tanh(LN(c_t) ⊙ γ + δ)`.
    The biases of the products are added before the norm, where the paper has none; b, after it, is `shift`. They begin
    as those of `torch.nn.LSTM`: without them the pre-activations of a blank input are all 0, where the derivative of a
    norm is 1/√ε = 316, and that at every step: after six blank rows of a picture gradients are 1e29.
    """

    forget_bias: float | None = None

    states = ("h", "c")
    gates = ("i", "f", "g", "o")
    split_gates = gates
    vectors = (
        *(f"gain_input_{gate}" for gate in "ifgo"), *(f"gain_hidden_{gate}" for gate in "ifgo"),
        *(f"shift_{gate}" for gate in "ifgo"), "gain_cell", "shift_cell",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.forget_bias is not None:
            check_number("forget_bias", self.forget_bias)

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """Gains 1 and shifts 0, but for the forget gate's; biases as they are."""
        for name, value in parameters.items():
            if name.startswith("gain"):
                value.fill_(1.0)
            elif name.startswith("shift"):
                value.zero_()
        if self.forget_bias is not None:
            parameters["shift_f"].fill_(self.forget_bias)

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state and cell state."""
        inputs, hidden = layer_norm(z.i, z.f, z.g, z.o), layer_norm(z.i_h, z.f_h, z.g_h, z.o_h)
        i, f, g, o = (
            getattr(self, f"gain_input_{gate}") * x
            + getattr(self, f"gain_hidden_{gate}") * h
            + getattr(self, f"shift_{gate}")
            for gate, x, h in zip(self.gates, inputs, hidden, strict=True)
        )
        c = torch.sigmoid(f) * s.c + torch.sigmoid(i) * torch.tanh(g)
        (norm,) = layer_norm(c)
        return torch.sigmoid(o) * torch.tanh(self.gain_cell * norm + self.shift_cell), c
