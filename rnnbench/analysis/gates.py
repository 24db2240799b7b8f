"""Activations of the gates and states of any cell over a sequence."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rnnbench.analysis.record_steps import record_steps
from rnnbench.nn import Cell, Recurrent

ACTIVATIONS = {
    "sigmoid",
    "tanh",
    "relu",
    "exp",
    "hardsigmoid",
    "hardtanh",
    "elu",
    "silu",
    "gelu",
    "softsign",
    "sin",
    "erf",
}
"""Functions that turn a pre-activation into a gate."""
PRESERVING = {"neg", "mul", "rmul", "div", "true_divide", "logsigmoid", "log_sigmoid", "softplus", "log", "where"}
"""Operations whose result still belongs to a gate if any of their operands does."""
PRESERVING_FIRST = {"add", "radd", "sub", "rsub"}
"""Operations whose result still belongs to a gate if their first operand does: `z.i + p * c` belongs to i, but
`f * c + z.g` no longer to g."""
LINEAR = "linear"


@dataclass(frozen=True)
class GateTrace:
    """Gates and states of a layer in one direction over a sequence, in the order of time.

    Args:
        layer: its number.
        reverse: whether it reads backwards.
        gates: activations `[T, B, W]` by gate.
        functions: the function of each gate: `sigmoid`, `tanh`, …, or `linear` if no function is applied.
        states: states after each step, `[T, B, W]` by name.
    """

    layer: int
    reverse: bool
    gates: dict[str, Tensor]
    functions: dict[str, str]
    states: dict[str, Tensor]


def trace_gates(layer: Recurrent, run: Callable[[], Any]) -> list[GateTrace]:
    """Gates and states of every layer and direction of `layer` while `run()` calls it.

    The activation of a gate is the result of the last nonlinear function that the step applies to its pre-activation,
    after whatever was added or scaled: peepholes, normalisation, a recurrent product. A gate without such a function is
    its pre-activation. A function of several gates, as `i / (f + i)` of a minLSTM, has the names of all of them.
    """

    def traced_step(cell: Cell, step: Any, z: Sequence[Tensor], s: Sequence[Tensor]) -> tuple[Any, Any]:
        with _Tracer(cell, z) as tracer, tracer.recurrent_products(cell):
            after = step(z, s)
        return after, (tracer.values(), after)

    with torch.no_grad(), record_steps(layer, traced_step) as places:
        run()
    return [_trace_of(layer, place, steps) for place, steps in enumerate(places)]


def _trace_of(layer: Recurrent, place: int, steps: list[Any]) -> GateTrace:
    number, reverse = divmod(place, layer.directions)
    ordered = steps[::-1] if reverse else steps
    names = list(ordered[0][0])
    gates = {name: torch.stack([values[name][1] for values, _ in ordered]) for name in names}
    functions = {name: ordered[0][0][name][0] for name in names}
    states = {name: torch.stack([after[k] for _, after in ordered]) for k, name in enumerate(layer.cell.states)}
    return GateTrace(number, bool(reverse), gates, functions, states)


class _Tracer(TorchFunctionMode):
    """Follows gates' pre-activations through the operations of one step."""

    def __init__(self, cell: Cell, z: Sequence[Tensor]) -> None:
        super().__init__()
        self.gates = cell.gates
        self.before = dict(zip(cell.gates, z, strict=False))
        self.owner: dict[int, tuple[Tensor, str]] = {}
        self.activations: dict[str, tuple[str, Tensor]] = {}
        for name, value in zip((*cell.gates, *cell.split_gates), z, strict=True):
            self.own(value, name)

    def own(self, value: Any, name: str) -> None:
        """Note the gate of a tensor; the tensor is kept, so that no other tensor gets its id."""
        if isinstance(value, Tensor):
            self.owner[id(value)] = value, name

    def owner_of(self, value: Any) -> str | None:
        """The gate, or gates, of a tensor; None if it belongs to none."""
        return self.owner[id(value)][1] if id(value) in self.owner else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note what gate its result belongs to."""
        result = func(*args, **(kwargs or {}))
        name = str(getattr(func, "__name__", "")).strip("_")
        owners = [self.owner_of(argument) for argument in args if isinstance(argument, Tensor)]
        gate = next((owner for owner in owners if owner), None)
        if gate and name in ACTIVATIONS:
            self.activations[gate] = name, result
        elif gate and name in PRESERVING:
            self.own(result, gate)
        elif owners and owners[0] and name in PRESERVING_FIRST:
            self.own(result, ", ".join(dict.fromkeys(owner for owner in owners if owner)))
        return result

    @contextmanager
    def recurrent_products(self, cell: Cell) -> Iterator[None]:
        """Within this context, recurrent products that a step computes itself belong to their gates."""
        recur = cell.recur

        def owned(value: Tensor, *gates: str) -> Any:
            parts = recur(value, *gates)
            for part, gate in zip(parts if isinstance(parts, tuple) else (parts,), gates, strict=True):
                self.own(part, gate)
            return parts

        vars(cell)["recur"] = owned
        try:
            yield
        finally:
            vars(cell)["recur"] = recur

    def values(self) -> dict[str, tuple[str, Tensor]]:
        """Function and activation of every gate, in the order of the cell."""
        traced = {gate for name in self.activations for gate in name.split(", ")}
        linear = {gate: (LINEAR, self.before[gate]) for gate in self.gates if gate not in traced}
        every = self.activations | linear
        return dict(sorted(every.items(), key=lambda item: self.gates.index(item[0].split(", ")[0])))


def most_varied(values: Tensor, count: int) -> list[int]:
    """Indices of the `count` units of `[T, W]` with the largest deviation over the steps, in ascending order."""
    spread = values.std(0, correction=0)
    return sorted(spread.topk(min(count, values.shape[1])).indices.tolist())
