"""What the gates and states of any cell do over a sequence."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rnnbench.analysis.record_steps import watching
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
"""Functions that make a gate of its pre-activation."""
CARRIED = {"neg", "mul", "rmul", "div", "true_divide", "logsigmoid", "log_sigmoid", "softplus", "log", "where"}
"""What stays that of a gate, whichever of its operands is."""
CARRIED_FIRST = {"add", "radd", "sub", "rsub"}
"""What stays that of a gate if its first operand is: `z.i + p * c` is i's, `f * c + z.g` is no longer g's."""
LINEAR = "linear"


@dataclass(frozen=True)
class Trace:
    """One layer in one direction over a sequence, steps as they are in time.

    Args:
        layer: its number.
        reverse: whether it reads backwards.
        gates: activations `[T, B, H]` by gate.
        functions: what makes each of its pre-activation: `sigmoid`, `tanh`, …, or `linear`, if nothing does.
        states: states after each step, `[T, B, W]` by name.
    """

    layer: int
    reverse: bool
    gates: dict[str, Tensor]
    functions: dict[str, str]
    states: dict[str, Tensor]


def trace(layer: Recurrent, run: Callable[[], Any]) -> list[Trace]:
    """Gates and states of every layer and direction of `layer` while `run()` calls it.

    The activation of a gate is what its step makes of the pre-activation by its last nonlinear function, whatever was
    added to it or scaled before: peepholes, normalisation, a recurrent product. A gate that no such function is applied
    to is shown as its pre-activation. Where a function takes several gates at once, as `i / (f + i)` of a minLSTM, it
    goes by the name of all of them.
    """

    def traced(cell: Cell, step: Any, z: Sequence[Tensor], s: Sequence[Tensor]) -> tuple[Any, Any]:
        with _Tracer(cell, z) as tracer, tracer.of_recur(cell):
            after = step(z, s)
        return after, (tracer.values(), after)

    with torch.no_grad(), watching(layer, traced) as places:
        run()
    return [_joined(layer, place, steps) for place, steps in enumerate(places)]


def _joined(layer: Recurrent, place: int, steps: list[Any]) -> Trace:
    number, reverse = divmod(place, layer.directions)
    ordered = steps[::-1] if reverse else steps
    names = list(ordered[0][0])
    gates = {name: torch.stack([values[name][1] for values, _ in ordered]) for name in names}
    functions = {name: ordered[0][0][name][0] for name in names}
    states = {name: torch.stack([after[k] for _, after in ordered]) for k, name in enumerate(layer.cell.states)}
    return Trace(number, bool(reverse), gates, functions, states)


class _Tracer(TorchFunctionMode):
    """Follows gates' pre-activations through the operations of one step."""

    def __init__(self, cell: Cell, z: Sequence[Tensor]) -> None:
        super().__init__()
        self.gates = cell.gates
        self.before = dict(zip(cell.gates, z, strict=False))
        self.owner: dict[int, tuple[Tensor, str]] = {}
        self.found: dict[str, tuple[str, Tensor]] = {}
        for name, value in zip((*cell.gates, *cell.split_gates), z, strict=True):
            self.own(value, name)

    def own(self, value: Any, name: str) -> None:
        """Note whose a tensor is; it is kept, so that no other gets its place in memory."""
        if isinstance(value, Tensor):
            self.owner[id(value)] = value, name

    def whose(self, value: Any) -> str | None:
        """The gate, or gates, that a tensor is of."""
        return self.owner[id(value)][1] if id(value) in self.owner else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note what it makes of a gate."""
        result = func(*args, **(kwargs or {}))
        name = str(getattr(func, "__name__", "")).strip("_")
        owners = [self.whose(one) for one in args if isinstance(one, Tensor)]
        mine = next((one for one in owners if one), None)
        if mine and name in ACTIVATIONS:
            self.found[mine] = name, result
        elif mine and name in CARRIED:
            self.own(result, mine)
        elif owners and owners[0] and name in CARRIED_FIRST:
            self.own(result, ", ".join(dict.fromkeys(one for one in owners if one)))
        return result

    @contextmanager
    def of_recur(self, cell: Cell) -> Iterator[None]:
        """While it lasts, the recurrent products that a step applies itself are those of their gates."""
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
        taken = {gate for name in self.found for gate in name.split(", ")}
        linear = {gate: (LINEAR, self.before[gate]) for gate in self.gates if gate not in taken}
        every = self.found | linear
        return dict(sorted(every.items(), key=lambda item: self.gates.index(item[0].split(", ")[0])))


def most_varied(values: Tensor, count: int) -> list[int]:
    """Numbers of the `count` units of `[T, W]` that vary most over the steps, in order."""
    spread = values.std(0, correction=0)
    return sorted(spread.topk(min(count, values.shape[1])).indices.tolist())
