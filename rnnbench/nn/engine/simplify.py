"""What of an operation is known before any number is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnbench.nn.engine.graph import Node


def _number(node: Node) -> float | None:
    return node.args[0] if node.op == "const" else None


def simplify(op: str, args: tuple[Node, ...]) -> Node | None:
    """A simpler node of the same value; None if there is none."""
    numbers = [_number(arg) for arg in args]
    graph = args[0].graph
    if op in ("add", "sub", "mul", "div", "neg") and None not in numbers:
        known: list[float] = [number for number in numbers if number is not None]
        if op != "div" or known[1] != 0:
            value = {"add": sum, "sub": lambda x: x[0] - x[1], "mul": math.prod, "div": lambda x: x[0] / x[1],
                     "neg": lambda x: -x[0]}[op](known)  # fmt: skip
            return graph.node(value)
    if op == "neg" and args[0].op == "neg":
        return args[0].inputs[0]
    if op == "add":
        for one, other in ((0, 1), (1, 0)):
            if numbers[one] == 0:
                return args[other]
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
    alone = node.graph.node(0.0)
    parts: dict[Node, Node] = {}

    def collect(one: Node, factor: Node, negative: bool) -> None:
        nonlocal alone
        if one.uniform:
            alone = alone - one * factor if negative else alone + one * factor
        elif one.op == "neg":
            collect(one.inputs[0], factor, not negative)
        elif one.op in ("add", "sub"):
            first, second = one.inputs
            collect(first, factor, negative)
            collect(second, factor, negative ^ (one.op == "sub"))
        elif one.op == "div" and one.inputs[1].uniform:
            collect(one.inputs[0], factor / one.inputs[1], negative)
        elif one.op == "mul" and any(arg.uniform for arg in one.inputs):
            first, second = sorted(one.inputs, key=lambda arg: arg.uniform)
            collect(first, factor * second, negative)
        elif factor in parts:
            parts[factor] = parts[factor] - one if negative else parts[factor] + one
        else:
            parts[factor] = -one if negative else one

    collect(node, node.graph.node(1.0), False)
    return alone, parts
