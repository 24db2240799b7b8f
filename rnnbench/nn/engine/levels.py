"""What a node depends on, and how many passes over a row that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rnnbench.nn.engine.graph import Node


def closure(roots: Sequence[Node], stop: Callable[[Node], bool] = lambda node: False) -> set[Node]:
    """`roots` and everything that they are computed from, short of what `stop` says is there."""
    seen, todo = set[Node](), list(roots)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            if not stop(node):
                todo += node.inputs
    return seen


def leveller(leaf: Callable[[Node], int], there: set[Node] | None = None) -> Callable[[Node], int]:
    """A function that says in which phase a node can be computed; `leaf` says it of leaves, what is `there` is in 0."""
    known: dict[Node, int] = {}

    def level(node: Node) -> int:
        if node not in known:
            if there is not None and node in there:
                known[node] = 0
            elif not node.inputs:
                known[node] = leaf(node)
            else:
                known[node] = max(map(level, node.inputs)) + (node.op == "row_mean")
        return known[node]

    return level
