"""The equation of one time step as a graph, recorded by running a cell's `step` on symbols instead of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from rnnbench.nn.engine.operations import OPERATIONS
from rnnbench.nn.engine.recordable import Untranslatable, check_derived
from rnnbench.nn.engine.simplify import linear_parts, simplify


class Node:
    """A value `[B, width]` in the equation of a step. Equal values of one graph are one node.

    `op` is a leaf (`slot`, `state`, `vector`, `raw`, `const`; in a derivative also `grad`, `pulled`), `row_mean`,
    or an elementwise operation of `OPERATIONS`. `uniform`: it is the same in every place of a row.
    """

    __slots__ = ("args", "graph", "index", "op", "uniform", "width")
    args: tuple[Any, ...]
    graph: Graph

    def __init__(self, graph: Graph, op: str, args: tuple[Any, ...], width: str | None) -> None:
        self.graph, self.op, self.args, self.width, self.index = graph, op, args, width, len(graph.nodes)
        self.uniform: bool = op in ("const", "row_mean") or (
            bool(self.inputs) and all(one.uniform for one in self.inputs)
        )

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(str, self.args))})"

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that it is computed from."""
        return tuple(arg for arg in self.args if isinstance(arg, Node))

    @property
    def heavy(self) -> bool:
        """Whether it is worth keeping rather than computing again."""
        return self.op == "row_mean" or (self.op in OPERATIONS and OPERATIONS[self.op].heavy and not self.uniform)

    def __add__(self, other: Any) -> Node:
        return self.graph.make("add", *_numbers(self, other))

    def __sub__(self, other: Any) -> Node:
        return self.graph.make("sub", *_numbers(self, other))

    def __eq__(self, other: object) -> bool:
        if self.graph.recording:
            raise Untranslatable("a comparison with == or !=")
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __abs__(self) -> Node:
        return self.graph.make("abs", self)

    def __iadd__(self, other: Any) -> Node:
        raise Untranslatable("an operation in place")

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
            raise Untranslatable(f"power {exponent} (2 and 0.5 are known)")
        return self * self if exponent == 2 else self.graph.make("sqrt", self)

    __radd__, __rmul__ = __add__, __mul__

    def __bool__(self) -> bool:
        raise Untranslatable("a decision that depends on the values of a tensor")

    def __getattr__(self, name: str) -> Callable[..., Node]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in OPERATIONS and name not in _WORDS:
            raise Untranslatable(f"{name} (known: {', '.join(sorted({*OPERATIONS, *_WORDS}))})")
        if name == "where":  # as a method, the tensor is not the condition
            return lambda condition, other: _call(name, (condition, self, other), {})
        return lambda *args, **kwargs: _call(name, (self, *args), kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise Untranslatable("a copy")

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Node:
        return _call(func.__name__, args, kwargs or {})


# what else of torch is known, by name, in words of the above
_WORDS: dict[str, Callable[..., Node]] = {
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


_TRUTHS = ("gt", "ge")


def _numbers(a: Any, b: Any) -> tuple[Any, Any]:
    """Both as they are, unless they are truth values: torch adds those to a truth value, not to a number."""
    if _is_truth(a) and _is_truth(b):
        raise Untranslatable("arithmetic of two comparisons")
    return a, b


def _is_truth(value: Any) -> bool:
    """Whether torch has a truth value there, as it has where all that a value is made of are some."""
    if not isinstance(value, Node):
        return isinstance(value, bool)
    if value.op in ("mul", "maximum", "minimum", "detach", "where"):
        return all(map(_is_truth, value.args[value.op == "where" :]))
    return value.op in _TRUTHS


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
        raise Untranslatable(f"{name}, an operation in place")
    name = name.strip("_")
    if kwargs.get("inplace"):
        raise Untranslatable(f"{name} in place")
    kwargs = {key: value for key, value in kwargs.items() if value is not None and key != "inplace"}
    if name == "softplus" and (len(args) > 1 or kwargs):
        raise Untranslatable("softplus with beta or threshold")
    graph = next((arg.graph for arg in args if isinstance(arg, Node)), None)
    if graph is None:
        raise Untranslatable(f"{name} of keyword arguments only")
    if name in ("add", "sub"):
        args = _numbers(*args)
    if name in OPERATIONS and not kwargs:
        return graph.make(name, *args)
    if name in _WORDS:
        nodes = 1 if name in _SCALARS else len(args)
        try:
            return _WORDS[name](*map(graph.node, args[:nodes]), *args[nodes:], **kwargs)
        except TypeError as error:
            raise Untranslatable(f"{name} with these arguments: {error}") from None
    raise Untranslatable(f"{name} (known: {', '.join(sorted({*OPERATIONS, *_WORDS}))})")


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
            raise Untranslatable(
                "a tensor that is none of the cell's declared states, gates, vectors or matrices"
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
            raise Untranslatable(f"{op} of values of different width ({' and '.join(sorted(widths))})")
        if op in ("add", "mul", "maximum", "minimum"):
            args = tuple(sorted(args, key=lambda node: (node.op == "const", node.index)))
        return self._intern(op, args, widths.pop() if widths else None)

    def row_mean(self, value: Any) -> Node:
        """The mean over a row, in every place of it: of a sum, what is the same in all of a row is taken out of it."""
        total, parts = linear_parts(self.node(value))
        for factor, rest in parts.items():
            one = rest.inputs[0] if rest.op == "neg" else rest
            mean = factor * self._intern("row_mean", (one,), one.width)
            total = total + mean if one is rest else total - mean
        return total

    def sum(self, values: Iterable[Node]) -> Node:
        """Their sum; 0 of none."""
        total = self.node(0.0)
        for value in values:
            total = self.make("add", total, value)
        return total

    def _intern(self, op: str, args: tuple[Any, ...], width: str | None) -> Node:
        key = (op, *(id(arg) if isinstance(arg, Node) else arg for arg in args))
        if key not in self.nodes:
            self.nodes[key] = Node(self, op, args, width)
        return self.nodes[key]
