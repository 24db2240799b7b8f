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
    return None
