"""The elementwise operations that a graph knows: in C, in torch, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from rnnbench.nn.engine.graph import Node


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
