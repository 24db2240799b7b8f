"""What a recurrent cell is: its states, its gates, and the equation of one step."""

from __future__ import annotations

import copy
import warnings
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.compiler.trace import CellDefinitionError, Node

FORMER_NAMES = {
    "apart": "split_gates", "held": "deferred_gates", "keeps": "forget_gates", "takes": "input_gates",
    "operands": "effective_weights",
}  # fmt: skip
"""What declarations of a cell were called in version 0.1; they still work, with a warning."""


class Cell:
    """A recurrent cell, written as its equation.

    A subclass names its states and gates and defines `step`, in plain PyTorch:

        class Leaky(Cell):
            states = ("h",)
            gates = ("k", "n")

            def step(self, z, s):
                k = torch.sigmoid(z.k)
                return k * s.h + (1 - k) * torch.tanh(z.n)

    For each gate `z.k` is `W_k x_t + b_k + U_k h_{t-1} + c_k`, `[B, H]`; `s` holds the states before the step; what
    `step` returns are the states after it, in the order of `states`. The first state is the hidden state h that the
    products read; `outputs` names the states whose whole sequences the layer needs.

    Declarations beside `states` and `gates`:

        recurrent: gates with a recurrent product (all, unless said otherwise).
        split_gates: gates whose two products stay apart: `z.k` from the input, `z.k_h` from the state.
        deferred_gates: gates whose recurrent product `step` applies itself: `self.recur(v, "k")` is `U_k v + c_k`
            (several names give a tuple); `z.k` is from the input alone.
        vectors: parameters with one value a unit; in `step` they are `self.name`, `[H]`.
        matrices: further matrices by name, `(rows, columns)` as "H" (hidden size) or "P" (size of h, if projected);
            in `step`, `self.name(v)` is the product with `v`.
        forget_gates, input_gates: gates that keep the old state when open, and that take in the new one (for `chrono`).

    A cell whose gates see the input alone may define, beside `step`, the same equation for many steps at once:

        chunk(z, s, missing): from gates `[L, B, W]` and the states before the first of these steps, h after each,
            `[L, B, H]`, and all states but h after the last; `missing` is None, or says which steps, `[L, B]`, have no
            input: they change no state. Operations are those of torch, derived by autograd.
        chunk_steps: the largest L.

    A layer sets for itself, from its regularisers:

        noise_inputs: random values, by name with their width: `[T, B, W]`, one a step, or `[B, W]`.
        recurrent_mask: the one of `noise_inputs` that h is multiplied by before every recurrent product.
        zoneout: for each state, how much of the old one stays: the name of one of `noise_inputs`, or a share.

    What `step` reads beside its arguments (an entry of a dictionary, a global) is read once, when the cell is first
    used; if it has changed later, the call is refused.

    The layer, its derivative and its compiled form follow from this alone. Operations that only plain autograd knows
    are allowed and slow.
    """

    states: tuple[str, ...] = ("h",)
    gates: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    recurrent: tuple[str, ...] | None = None
    split_gates: tuple[str, ...] = ()
    deferred_gates: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    matrices: Mapping[str, tuple[str, str]] = {}
    noise_inputs: Mapping[str, str] = {}
    zoneout: tuple[str | float, ...] = ()
    torch_mode: str | None = None  # what torch calls the same cell
    forget_gates: tuple[str, ...] = ()
    input_gates: tuple[str, ...] = ()
    recurrent_mask: str | None = None
    chunk: Callable[..., Any] | None = None
    chunk_steps: int = 64
    recur: Callable[..., Any]

    if TYPE_CHECKING:  # vectors and matrices are there while a step runs

        def __getattr__(self, name: str) -> Any: ...

    def step(self, z: Any, s: Any) -> Any:
        """States after one step, from the gates' pre-activations `z` and the states `s` before it."""
        raise TypeError(f"{type(self).__name__} does not define a step: define step(self, z, s)")

    # --- what a subclass may change beside the equation

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """Width of each state."""
        return (hidden_size,) * len(self.states)

    def gate_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """Width of each gate; one with a recurrent product is as wide as the state."""
        return (hidden_size,) * len(self.gates)

    def effective_weights(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights that the equation uses, from the layer's parameters (of one layer and direction)."""
        return parameters

    def readout(self, sequences: tuple[Tensor, ...], inputs: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """What the layer puts out, from the sequences of `outputs` (`[..., H]` each) and its inputs `[..., I]`."""
        return sequences[0]

    def extra_parameters(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Shapes of further parameters, which `effective_weights` or `readout` need."""
        return {}

    def reset(self, parameters: dict[str, Tensor], hidden_size: int) -> None:
        """Set initial values that differ from torch's U(−1/√H, 1/√H); runs without gradient."""

    @property
    def reworks(self) -> bool:
        """Whether weights go through `effective_weights` or states through `readout`."""
        own = type(self)
        return own.effective_weights is not Cell.effective_weights or own.readout is not Cell.readout

    def parameters(self) -> tuple[str, ...]:
        """Which of `vectors` are parameters; others are computed by `effective_weights`."""
        return self.vectors

    # --- regularisers

    def regularised(self, zoneout: tuple[float, ...], masked: bool, training: bool) -> Cell:
        """This cell with zoneout (random when training, else its expectation) and a mask on its recurrent products."""
        names = [f"zoneout_{name}" if share and training else share for name, share in zip(self.states, zoneout)]  # noqa: B905
        noise = {name: width for name, width in zip(names, self.state_widths(), strict=False) if isinstance(name, str)}
        if masked:
            noise["recurrent_dropout"] = self.state_widths()[0]
        mask = "recurrent_dropout" if masked else None
        return self.with_values(noise_inputs=noise, zoneout=tuple(names), recurrent_mask=mask)

    def draw_noise(
        self, like: Tensor, batch: int, hidden_size: int, rates: tuple[tuple[float, ...], float]
    ) -> tuple[Tensor, ...]:
        """Values of `noise_inputs` for a call with inputs `like`: zoneout's for each step, a mask's for each sequence.

        `rates` are those of zoneout, by state, and that of the mask.
        """
        sizes = self.state_sizes(hidden_size)
        noise, names = [], [f"zoneout_{name}" for name in self.states]
        for name in self.noise_inputs:
            if name in names:
                place = names.index(name)
                noise.append(torch.bernoulli(like.new_full((*like.shape[:-1], sizes[place]), rates[0][place])))
            else:
                noise.append(F.dropout(like.new_ones(batch, sizes[0]), rates[1]))
        return tuple(noise)

    @property
    def emitted(self) -> tuple[str, ...]:
        """States whose sequences the layer needs."""
        return self.outputs or self.states[:1]

    @property
    def projected(self) -> bool:
        """Whether the hidden state has a width of its own."""
        return False

    def state_widths(self) -> tuple[str, ...]:
        """The width of each state as "H" or "P"."""
        return ("P" if self.projected else "H",) + ("H",) * (len(self.states) - 1)

    def recurrent_gates(self) -> tuple[str, ...]:
        """Gates with rows in the recurrent weight, in their order there."""
        return self.gates if self.recurrent is None else self.recurrent

    def gate_names(self) -> tuple[str, ...]:
        """Names of the pre-activations `z`: of the gates, then of the recurrent products of split gates."""
        return (*self.gates, *(f"{name}_h" for name in self.split_gates))

    def weight_names(self) -> tuple[str, ...]:
        """Names of the weights of the equation, in the order in which engines take them."""
        return ("weight_ih", "weight_hh", *self.matrices, "bias_ih", "bias_hh", *self.vectors)

    # --- use by the engines

    def compile_cache(self) -> dict[Any, Any]:
        """What engines have compiled from this cell. From the first call on the cell cannot be changed.

        Its class can: a layer whose cell was compiled refuses to run when what its step reads has changed since
        (see `rnnbench.nn.compiler.captured_state`), and layers made after the change follow it.
        """
        return vars(self).setdefault("_compile_cache", {})  # type: ignore[no-any-return]

    def __setattr__(self, name: str, value: Any) -> None:
        self._check_unused(name)
        super().__setattr__(_current_name(type(self), name), value)

    def __delattr__(self, name: str) -> None:
        self._check_unused(name)
        super().__delattr__(name)

    def _check_unused(self, name: str) -> None:
        if "_compile_cache" in vars(self):
            raise AttributeError(f"a {type(self).__name__} that is in use cannot be changed: make another one")
        if "recur" in vars(self):  # it is running
            raise AttributeError(f"{type(self).__name__}.step sets {name}: what a step hands on to the next are states")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_compile_cache"}

    def with_values(self, **values: Any) -> Cell:
        """A copy of this cell with other attributes: tensors, or symbols, for its parameters."""
        cell = copy.copy(self)
        vars(cell).update(values)
        return cell

    def pack(self, kind: str, values: Sequence[Any]) -> Any:
        """`values` by name: `states`, or `gates`."""
        return namedtuple(kind, self.states if kind == "states" else self.gate_names())(*values)

    def checked_step(self, z: Sequence[Any], s: Sequence[Any]) -> tuple[Any, ...]:
        """`step` on bare sequences, its result checked."""
        result = self.step(self.pack("gates", z), self.pack("states", s))
        result = tuple(result) if isinstance(result, (tuple, list)) else (result,)
        if len(result) != len(self.states):
            raise CellDefinitionError(
                f"{type(self).__name__}.step returned {len(result)} states, it has {len(self.states)}: "
                f"{', '.join(self.states)}"
            )
        if not self.zoneout:
            return result
        shares = [getattr(self, share) if isinstance(share, str) else share for share in self.zoneout]
        return tuple(new + share * (old - new) for new, old, share in zip(result, s, shares, strict=True))

    def check_deferred(self, gate: str) -> None:
        """Check a gate whose recurrent product `step` asks for.

        Raises:
            ValueError: its recurrent product is not deferred.
        """
        if gate not in self.deferred_gates:
            raise CellDefinitionError(
                f"recur names {gate!r}; {type(self).__name__} defers: {', '.join(self.deferred_gates) or 'no gate'}"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in FORMER_NAMES.keys() & vars(cls).keys():
            setattr(cls, _current_name(cls, name), vars(cls)[name])
        check_declaration(cls)


def _current_name(cls: type[Cell], name: str) -> str:
    if name in FORMER_NAMES:
        message = f"{cls.__name__}.{name} is called {FORMER_NAMES[name]} now: rename it"
        warnings.warn(message, FutureWarning, stacklevel=4)
    return FORMER_NAMES.get(name, name)


def check_declaration(cell: Cell | type[Cell]) -> None:
    """Check that the names a cell declares fit together.

    Raises:
        ValueError: a name is not an identifier, is declared twice, or is unknown.
        TypeError: it is not a cell, or has no step.
    """
    if not (issubclass(cell, Cell) if isinstance(cell, type) else isinstance(cell, Cell)):
        raise TypeError(f"cell must be an instance of a subclass of Cell, got {cell!r}")
    who = cell.__name__ if isinstance(cell, type) else type(cell).__name__
    names = (*cell.states, *cell.vectors, *cell.matrices, *cell.noise_inputs)
    for name in (*names, *cell.gates):
        if not name.isidentifier() or iskeyword(name):
            raise ValueError(f"{who}: {name!r} is not a name")
    for kind, declared in (("state", cell.states), ("gate", cell.gates), ("parameter", names[len(cell.states) :])):
        if twice := {name for name in declared if declared.count(name) > 1}:
            raise ValueError(f"{who}: {kind} {', '.join(sorted(twice))} is declared twice")
    if not isinstance(cell, type) and type(cell).step is Cell.step:
        raise TypeError(f"{who} does not define a step: define step(self, z, s)")
    if not isinstance(cell, type) and not cell.gates:
        raise ValueError(f"{who} declares no gates: it would not see its input")
    for kind in ("recurrent", "split_gates", "deferred_gates"):
        allowed = cell.gates if kind == "recurrent" or cell.recurrent is None else cell.recurrent
        for name in getattr(cell, kind) or ():
            if name not in allowed:
                raise ValueError(f"{who}.{kind} names {name!r}; it can name: {', '.join(allowed) or 'no gate'}")
    for name in cell.outputs:
        if name not in cell.states:
            raise ValueError(f"{who}.outputs names {name!r}; its states are: {', '.join(cell.states)}")


def row_mean(value: Tensor) -> Tensor:
    """Mean over the units of each row, `[B, H]` → `[B, H]`, the same in every place of a row."""
    if isinstance(value, Node):
        return value.graph.row_mean(value)
    return value.mean(-1, keepdim=True).expand_as(value)


def layer_norm(*values: Tensor, eps: float = 1e-5) -> tuple[Tensor, ...]:
    """Layer normalisation (Ba, Kiros & Hinton 2016, eq. 3) of the row that `values` make up side by side.

    Each of `values` is `[B, H]`; mean and variance are over all of them. There is no gain or bias: multiply and add
    your own.
    """
    mean = sum(map(row_mean, values)) / len(values)
    centred = [value - mean for value in values]
    scale = 1 / torch.sqrt(sum(row_mean(value * value) for value in centred) / len(values) + eps)  # type: ignore[arg-type]
    return tuple(value * scale for value in centred)


def product(weight: Tensor, bias: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """The function `v ↦ W v + b`."""
    return lambda value: F.linear(value, weight, bias)
