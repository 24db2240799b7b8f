"""The equation of one time step as a graph, recorded by running a cell's `step` on symbols instead of tensors."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch

from rnnbench.nn.compiler.captured_state import functions, names


class UnsupportedOperation(Exception):
    """A step uses something that the graph has no operation for; only plain autograd can run it."""


class CellDefinitionError(ValueError):
    """A step does not fit what its cell declares, whatever it runs on."""


class Node:
    """A value `[B, width]` in the equation of a step. Equal values of one graph are one node.

    `op` is a leaf (`slot`, `state`, `vector`, `noise`, `const`; in a derivative also `grad`, `pulled`), `row_mean`,
    or an elementwise operation of `OPERATIONS`. `uniform`: it is the same in every place of a row.
    """

    __slots__ = ("args", "graph", "index", "op", "uniform", "width")
    args: tuple[Any, ...]
    graph: Graph

    def __init__(self, graph: Graph, op: str, args: tuple[Any, ...], width: str | None) -> None:
        self.graph, self.op, self.args, self.width, self.index = graph, op, args, width, len(graph.nodes)
        self.uniform: bool = op in ("const", "row_mean") or (
            bool(self.inputs) and all(value.uniform for value in self.inputs)
        )

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(str, self.args))})"

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that this one is computed from."""
        return tuple(arg for arg in self.args if isinstance(arg, Node))

    @property
    def heavy(self) -> bool:
        """Whether it is worth keeping rather than computing again."""
        return self.op == "row_mean" or (self.op in OPERATIONS and OPERATIONS[self.op].heavy and not self.uniform)

    def __add__(self, other: Any) -> Node:
        return self.graph.make("add", *_check_numbers(self, other))

    def __sub__(self, other: Any) -> Node:
        return self.graph.make("sub", *_check_numbers(self, other))

    def __eq__(self, other: object) -> bool:
        if self.graph.recording:
            raise UnsupportedOperation("a comparison with == or !=")
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __abs__(self) -> Node:
        return self.graph.make("abs", self)

    def __iadd__(self, other: Any) -> Node:
        raise UnsupportedOperation("an operation in place")

    __isub__ = __imul__ = __itruediv__ = __iadd__

    def __mul__(self, other: Any) -> Node:
        return self.graph.make("mul", self, other)

    def __truediv__(self, other: Any) -> Node:
        return self.graph.make("div", self, other)

    def __rsub__(self, other: Any) -> Node:
        return self.graph.make("sub", other, self)

    def __rtruediv__(self, other: Any) -> Node:
        return self.graph.make("div", other, self)

    def __neg__(self) -> Node:
        return self.graph.make("neg", self)

    def __gt__(self, other: Any) -> Node:
        return self.graph.make("gt", self, other)

    def __lt__(self, other: Any) -> Node:
        return self.graph.make("gt", other, self)

    def __ge__(self, other: Any) -> Node:
        return self.graph.make("ge", self, other)

    def __le__(self, other: Any) -> Node:
        return self.graph.make("ge", other, self)

    def __pow__(self, exponent: Any) -> Node:
        if exponent not in (2, 0.5):
            raise UnsupportedOperation(f"power {exponent} (2 and 0.5 are known)")
        return self * self if exponent == 2 else self.graph.make("sqrt", self)

    __radd__, __rmul__ = __add__, __mul__

    def __bool__(self) -> bool:
        raise UnsupportedOperation("a decision that depends on the values of a tensor")

    def __getattr__(self, name: str) -> Callable[..., Node]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in OPERATIONS and name not in _DERIVED:
            raise UnsupportedOperation(f"{name} (known: {', '.join(sorted({*OPERATIONS, *_DERIVED}))})")
        if name == "where":  # as a method, the tensor is not the condition
            return lambda condition, other: _call(name, (condition, self, other), {})
        return lambda *args, **kwargs: _call(name, (self, *args), kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise UnsupportedOperation("a copy")

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Node:
        return _call(func.__name__, args, kwargs or {})


# what else of torch is known, by name, as operations of the graph
_DERIVED: dict[str, Callable[..., Node]] = {
    "max": lambda a, b: a.graph.make("maximum", a, b),
    "min": lambda a, b: a.graph.make("minimum", a, b),
    "square": lambda a: a * a,
    "pow": lambda a, b: a**b,
    "reciprocal": lambda a: 1.0 / a,
    "rsqrt": lambda a: 1.0 / a.sqrt(),
    "logsigmoid": lambda a: -(-a).softplus(),
    "log_sigmoid": lambda a: -(-a).softplus(),
    "silu": lambda a: _silu(a),
    "clamp": lambda a, min=None, max=None: _clamp(a, min, max),
    "clip": lambda a, min=None, max=None: _clamp(a, min, max),
    "hardtanh": lambda a, min_val=-1.0, max_val=1.0: _between(a, min_val, max_val),
    "hardsigmoid": lambda a: _hardsigmoid(a),
    "lerp": lambda a, b, weight: a + weight * (b - a),
    "addcmul": lambda a, b, c: a + b * c,
    "lt": lambda a, b: a < b,
    "detach": lambda a: a.graph.make("detach", a),
}


_COMPARISONS = ("gt", "ge")


def _check_numbers(a: Any, b: Any) -> tuple[Any, Any]:
    """Both as they are, unless they are truth values: torch adds those to a truth value, not to a number."""
    if _is_comparison(a) and _is_comparison(b):
        raise UnsupportedOperation("arithmetic of two comparisons")
    return a, b


def _is_comparison(value: Any) -> bool:
    """Whether torch has a truth value there, as it has where all that a value is made of are some."""
    if not isinstance(value, Node):
        return isinstance(value, bool)
    if value.op in ("mul", "maximum", "minimum", "detach", "where"):
        return all(map(_is_comparison, value.args[value.op == "where" :]))
    return value.op in _COMPARISONS


def _clamp(a: Node, low: float | None, high: float | None) -> Node:
    # the derivative is 1 at a bound and 0 at NaN, as in torch
    make = a.graph.make
    if low is not None:
        a = make("where", a >= low, a, make("where", a < low, low, a.detach()))
    return a if high is None else make("where", a <= high, a, make("where", a > high, high, a.detach()))


def _hardsigmoid(a: Node) -> Node:
    # the derivative is 0 at a bound and at NaN, as in torch
    make, a = a.graph.make, a / 6.0 + 0.5
    a = make("where", a > 0.0, a, make("where", a <= 0.0, 0.0, a.detach()))
    return make("where", a < 1.0, a, make("where", a >= 1.0, 1.0, a.detach()))


def _between(a: Node, low: float, high: float) -> Node:
    # the derivative is 0 at a bound and 1 at NaN, as in torch
    a = a.graph.make("where", a <= low, low, a)
    return a.graph.make("where", a >= high, high, a)


def _silu(a: Node) -> Node:
    # NaN at -inf, and so is the derivative, as in torch: a kernel's sigmoid is tiny there, not 0
    return a.graph.make("where", a < -3.4028234663852886e38, a * 0.0 * a, a * a.sigmoid())


def _call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Node:
    if name.endswith("_") and not name.endswith("__"):
        raise UnsupportedOperation(f"{name}, an operation in place")
    name = name.strip("_")
    if kwargs.get("inplace"):
        raise UnsupportedOperation(f"{name} in place")
    kwargs = {key: value for key, value in kwargs.items() if value is not None and key != "inplace"}
    if name == "softplus" and (len(args) > 1 or kwargs):
        raise UnsupportedOperation("softplus with beta or threshold")
    graph = next((arg.graph for arg in args if isinstance(arg, Node)), None)
    if graph is None:
        raise UnsupportedOperation(f"{name} of keyword arguments only")
    if name in ("add", "sub"):
        args = _check_numbers(*args)
    if name in OPERATIONS and not kwargs:
        return graph.make(name, *args)
    if name in _DERIVED:
        nodes = 1 if name in _SCALARS else len(args)
        try:
            return _DERIVED[name](*map(graph.node, args[:nodes]), *args[nodes:], **kwargs)
        except TypeError as error:
            raise UnsupportedOperation(f"{name} with these arguments: {error}") from None
    raise UnsupportedOperation(f"{name} (known: {', '.join(sorted({*OPERATIONS, *_DERIVED}))})")


_SCALARS = {"pow", "clamp", "clip", "hardtanh"}


class Graph:
    """All nodes of one step; makes each value once, with what is constant worked out."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[Any, ...], Node] = {}
        self.recording = False

    def leaf(self, op: str, name: Any, width: str | None) -> Node:
        """A value from outside: `op` says of what kind, `name` which."""
        return self._intern(op, (name,), width)

    def node(self, value: Any) -> Node:
        """A number as a node; a node as it is."""
        if isinstance(value, Node):
            return value
        if not isinstance(value, (int, float)):
            raise UnsupportedOperation(
                "a tensor that is not among the cell's declared states, gates, vectors or matrices"
                if isinstance(value, torch.Tensor)
                else f"a value of type {type(value).__name__}"
            )
        return self._intern("const", (float(value),), None)

    def make(self, op: str, *values: Any) -> Node:
        """The node of an operation."""
        if self.recording:
            check_derived()
        args = tuple(self.node(value) for value in values)
        if (simple := simplify(op, args)) is not None:
            return simple
        widths = {arg.width for arg in args if arg.width is not None}
        if len(widths) > 1:
            raise UnsupportedOperation(f"{op} of values of different width ({' and '.join(sorted(widths))})")
        if op in ("add", "mul", "maximum", "minimum"):
            args = tuple(sorted(args, key=lambda node: (node.op == "const", node.index)))
        return self._intern(op, args, widths.pop() if widths else None)

    def row_mean(self, value: Any) -> Node:
        """The mean over a row, in every place of it: of a sum, what is the same in all of a row is taken out of it."""
        total, parts = linear_parts(self.node(value))
        for factor, rest in parts.items():
            positive = rest.inputs[0] if rest.op == "neg" else rest
            mean = factor * self._intern("row_mean", (positive,), positive.width)
            total = total + mean if positive is rest else total - mean
        return total

    def sum(self, values: Iterable[Node]) -> Node:
        """Their sum; 0 without any."""
        total = self.node(0.0)
        for value in values:
            total = self.make("add", total, value)
        return total

    def _intern(self, op: str, args: tuple[Any, ...], width: str | None) -> Node:
        key = (op, *(id(arg) if isinstance(arg, Node) else arg for arg in args))
        if key not in self.nodes:
            self.nodes[key] = Node(self, op, args, width)
        return self.nodes[key]


@dataclass(frozen=True)
class Operation:
    """An elementwise operation: C expression, torch function, derivative.

    `derivative(node, gradient)` gives the gradient of each argument, or None where there is none.
    """

    c: str
    torch: Callable[..., Any]
    derivative: Callable[[Node, Node], tuple[Node | None, ...]]
    heavy: bool = False


def _divide(y: Node, g: Node) -> tuple[Node, Node]:
    first = g / y.args[1]
    return first, -(first * y)


def _greatest(y: Node, g: Node) -> tuple[Node, Node]:
    # torch halves the gradient where both are equal, and gives all of it to both where one is NaN
    a, b = y.args
    return g * _share(a, b), g * _share(b, a)


def _least(y: Node, g: Node) -> tuple[Node, Node]:
    a, b = y.args
    return g * _share(b, a), g * _share(a, b)


def _share(a: Node, b: Node) -> Node:
    """1 where a > b, 1/2 where they are equal, 0 where a < b; 1 where one is NaN."""
    return (1.0 - 0.5 * (b >= a)) - 0.5 * (b > a)


def _rectified(y: Node, g: Node) -> tuple[Node]:
    return (y.graph.make("where", y <= 0.0, 0.0, g),)  # 1 at NaN, as in torch


OPERATIONS: dict[str, Operation] = {
    "add": Operation("{0}+{1}", torch.add, lambda y, g: (g, g)),
    "sub": Operation("{0}-{1}", torch.sub, lambda y, g: (g, -g)),
    "mul": Operation("{0}*{1}", torch.mul, lambda y, g: (g * y.args[1], g * y.args[0])),
    "div": Operation("{0}/{1}", torch.div, _divide),
    "neg": Operation("-{0}", torch.neg, lambda y, g: (-g,)),
    "sigmoid": Operation("vsigmoid({0})", torch.sigmoid, lambda y, g: (g * (y * (1.0 - y)),), True),
    "tanh": Operation("vtanh({0})", torch.tanh, lambda y, g: (g * (1.0 - y * y),), True),
    "exp": Operation("vexp({0})", torch.exp, lambda y, g: (g * y,), True),
    "log": Operation("vlog({0})", torch.log, lambda y, g: (g / y.args[0],), True),
    "sqrt": Operation("vsqrt({0})", torch.sqrt, lambda y, g: (g * 0.5 / y,), True),
    "softplus": Operation(
        "vsoftplus({0})",
        lambda x: torch.clamp(x, min=0) + torch.log1p(torch.exp(-x.abs())),
        lambda y, g: (g * y.graph.make("sigmoid", y.args[0]),),
        True,
    ),
    "relu": Operation("vrelu({0})", torch.relu, _rectified),
    "abs": Operation("vabs({0})", torch.abs, lambda y, g: (g * y.graph.make("sub", y.args[0] > 0.0, y.args[0] < 0.0),)),
    "maximum": Operation("vmax({0},{1})", torch.maximum, _greatest),
    "minimum": Operation("vmin({0},{1})", torch.minimum, _least),
    "gt": Operation("vgt({0},{1})", lambda a, b: torch.gt(a, b).to(a.dtype), lambda y, g: (None, None)),
    "detach": Operation("{0}", torch.detach, lambda y, g: (None,)),
    "ge": Operation("vge({0},{1})", lambda a, b: torch.ge(a, b).to(a.dtype), lambda y, g: (None, None)),
    "where": Operation(
        "vwhere({0},{1},{2})",
        lambda c, a, b: torch.where(c != 0, a, b),
        lambda y, g: (None, y.graph.make("where", y.args[0], g, 0.0), y.graph.make("where", y.args[0], 0.0, g)),
    ),
}


def _number(node: Node) -> float | None:
    return node.args[0] if node.op == "const" else None


def simplify(op: str, args: tuple[Node, ...]) -> Node | None:
    """A simpler node of the same value; None if there is none."""
    numbers = [_number(arg) for arg in args]
    graph = args[0].graph
    if op in ("add", "sub", "mul", "div", "neg") and None not in numbers:
        values: list[float] = [number for number in numbers if number is not None]
        if op != "div" or values[1] != 0:
            value = {"add": sum, "sub": lambda x: x[0] - x[1], "mul": math.prod, "div": lambda x: x[0] / x[1],
                     "neg": lambda x: -x[0]}[op](values)  # fmt: skip
            return graph.node(value)
    if op == "neg" and args[0].op == "neg":
        return args[0].inputs[0]
    if op == "add":
        for first, second in ((0, 1), (1, 0)):
            if numbers[first] == 0:
                return args[second]
        if args[1].op == "neg":
            return args[0] - args[1].inputs[0]
        if args[0].op == "neg":
            return args[1] - args[0].inputs[0]
        if args[0].op == args[1].op == "row_mean" and args[0].width == args[1].width:  # one sum over a row for two
            return graph.row_mean(args[0].inputs[0] + args[1].inputs[0])
    if op == "sub":
        if numbers[1] == 0:
            return args[0]
        if numbers[0] == 0:
            return -args[1]
        if args[1].op == "neg":
            return args[0] + args[1].inputs[0]
    if op in ("mul", "div") and numbers[1] == 1:
        return args[0]
    if op == "mul" and numbers[0] == 1:
        return args[1]
    if op == "div" and args[1].uniform and args[1].op != "const" and not args[0].uniform:  # one division a row
        return args[0] * (1.0 / args[1])
    return None


def linear_parts(node: Node) -> tuple[Node, dict[Node, Node]]:
    """`node` as `rest + Σ factor · part`, by factor; rest and factors are the same in all of a row."""
    rest = node.graph.node(0.0)
    parts: dict[Node, Node] = {}

    def collect(value: Node, factor: Node, negative: bool) -> None:
        nonlocal rest
        if value.uniform:
            rest = rest - value * factor if negative else rest + value * factor
        elif value.op == "neg":
            collect(value.inputs[0], factor, not negative)
        elif value.op in ("add", "sub"):
            first, second = value.inputs
            collect(first, factor, negative)
            collect(second, factor, negative ^ (value.op == "sub"))
        elif value.op == "div" and value.inputs[1].uniform:
            collect(value.inputs[0], factor / value.inputs[1], negative)
        elif value.op == "mul" and any(arg.uniform for arg in value.inputs):
            first, second = sorted(value.inputs, key=lambda arg: arg.uniform)
            collect(first, factor * second, negative)
        elif factor in parts:
            parts[factor] = parts[factor] - value if negative else parts[factor] + value
        else:
            parts[factor] = -value if negative else value

    collect(node, node.graph.node(1.0), False)
    return rest, parts


_TYPE_CHECKS = {"isinstance", "issubclass", "is_tensor", "type"}


def check_step(cell: Any) -> None:
    """Check that a step does not look at the types of its values: they are not tensors while it is recorded.

    Raises:
        UnsupportedOperation: it, or a function that it calls, does.
    """
    if used := {name for function in functions(cell) for name in names(function)} & _TYPE_CHECKS:
        raise UnsupportedOperation(min(used))


def check_derived() -> None:
    """Check that torch would derive by its own rules what the running step computes.

    Raises:
        UnsupportedOperation: gradients are off, or an `autograd.Function` brings a derivative of its own.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__") != "rnnbench.nn.cell":  # what called the step
        if frame.f_code.co_name == "apply" and frame.f_code.co_filename == torch.autograd.function.__file__:
            raise UnsupportedOperation("a torch.autograd.Function")
        frame = frame.f_back
    if not torch.is_grad_enabled():
        raise UnsupportedOperation("torch.no_grad")
