"""What a node depends on, and how many passes over a row that takes."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from rnnbench.nn.compiler.trace import Node


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


@dataclass(frozen=True)
class Output:
    """A value to be written to place `index` of the array `array`; `last`: not before the last pass."""

    array: str
    index: int
    node: Node
    width: str
    last: bool = False


@dataclass
class Pass:
    """One loop over the units of a row of one width: what is computed, summed and written."""

    phase: int
    width: str
    outputs: list[Output] = field(default_factory=list)
    carried: list[Node] = field(default_factory=list)  # written for later passes
    means: list[Node] = field(default_factory=list)  # row means that this pass sums up
    nodes: list[Node] = field(default_factory=list)  # computed here, in order

    @property
    def targets(self) -> list[Node]:
        """What it is there for."""
        return [*(out.node for out in self.outputs), *self.carried, *(mean.args[0] for mean in self.means)]


@dataclass
class Schedule:
    """All passes of a step, by phase; `carried` and `means` number what passes hand on."""

    passes: list[Pass]
    carried: list[Node]
    means: list[Node]

    def of_phase(self, phase: int) -> list[Pass]:
        """The passes of one phase."""
        return [one for one in self.passes if one.phase == phase]

    @property
    def phases(self) -> int:
        """How many there are."""
        return 1 + max((one.phase for one in self.passes), default=-1)


def make_schedule(
    outputs: Sequence[Output], level: Callable[[Node], int], there: set[Node], written: Container[Node] = ()
) -> Schedule:
    """Passes that write `outputs`; what is `there` can be loaded in any of them, what is `written` in later ones."""
    last = max((level(out.node) for out in outputs), default=0)
    passes: dict[tuple[int, str], Pass] = {}
    carried: dict[Node, None] = {}
    means: dict[Node, None] = {}

    def at(phase: int, width: str) -> Pass:
        return passes.setdefault((phase, width), Pass(phase, width))

    def given(node: Node, phase: int) -> bool:
        """Whether a pass of this phase loads the node rather than computing it."""
        if node in there or not node.inputs or node.op == "row_mean":
            return True
        return (node.heavy or node in written) and level(node) < phase

    def needed(one: Pass) -> list[Node]:
        return sorted(closure(one.targets, lambda node: given(node, one.phase)), key=lambda node: node.index)

    for out in outputs:
        at(last if out.last else level(out.node), out.width).outputs.append(out)
    for phase in range(last, -1, -1):
        for one in [one for one in passes.values() if one.phase == phase]:
            for node in needed(one):
                if node in there or not node.inputs:
                    continue
                if node.op == "row_mean" and node not in means:
                    means[node] = None
                    at(level(node) - 1, node.width or "H").means.append(node)
                elif node.op != "row_mean" and given(node, phase) and node not in written:
                    if node not in carried:
                        at(level(node), node.width or "H").carried.append(node)
                    carried[node] = None
    for (phase, _), one in passes.items():
        one.nodes = [node for node in needed(one) if node.inputs and not given(node, phase)]
    ordered = [passes[key] for key in sorted(passes)]
    return Schedule(ordered, list(carried), list(means))
