"""When each value of a step is computed: phases between products and row means, and loops over the units of a row."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from rnnbench.nn.compiler.trace import Node


def closure(roots: Sequence[Node], stop: Callable[[Node], bool] = lambda node: False) -> set[Node]:
    """`roots` and everything that they are computed from, up to nodes at which `stop` holds."""
    seen, todo = set[Node](), list(roots)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            if not stop(node):
                todo += node.inputs
    return seen


def make_phase_of(leaf: Callable[[Node], int], available: set[Node] | None = None) -> Callable[[Node], int]:
    """A function that gives the phase in which a node can be computed.

    That is one more after each row mean; `leaf` gives it for leaves, what is `available` is in phase 0.
    """
    known: dict[Node, int] = {}

    def phase_of(node: Node) -> int:
        if node not in known:
            if available is not None and node in available:
                known[node] = 0
            elif not node.inputs:
                known[node] = leaf(node)
            else:
                known[node] = max(map(phase_of, node.inputs)) + (node.op == "row_mean")
        return known[node]

    return phase_of


@dataclass(frozen=True)
class Output:
    """A value to be written to place `index` of the array `array`; `last`: not before the last phase."""

    array: str
    index: int
    node: Node
    width: str
    last: bool = False


@dataclass
class LoopNest:
    """One loop over the units of a row of one width: what is computed, summed and written."""

    phase: int
    width: str
    outputs: list[Output] = field(default_factory=list)
    carried: list[Node] = field(default_factory=list)  # written for later loops
    means: list[Node] = field(default_factory=list)  # row means that this loop sums up
    nodes: list[Node] = field(default_factory=list)  # computed here, in order

    @property
    def targets(self) -> list[Node]:
        """The values that it has to compute."""
        return [*(out.node for out in self.outputs), *self.carried, *(mean.args[0] for mean in self.means)]


@dataclass
class Schedule:
    """All loops of a step, by phase; `carried` and `means` number what loops leave for later ones."""

    loops: list[LoopNest]
    carried: list[Node]
    means: list[Node]

    def of_phase(self, phase: int) -> list[LoopNest]:
        """The loops of one phase."""
        return [loop for loop in self.loops if loop.phase == phase]

    @property
    def phases(self) -> int:
        """The number of phases."""
        return 1 + max((loop.phase for loop in self.loops), default=-1)


def make_schedule(
    outputs: Sequence[Output], phase_of: Callable[[Node], int], available: set[Node], written: Container[Node] = ()
) -> Schedule:
    """Loops that write `outputs`; any of them can load what is `available`, and later ones what is `written`."""
    last = max((phase_of(out.node) for out in outputs), default=0)
    loops: dict[tuple[int, str], LoopNest] = {}
    carried: dict[Node, None] = {}
    means: dict[Node, None] = {}

    def loop_at(phase: int, width: str) -> LoopNest:
        return loops.setdefault((phase, width), LoopNest(phase, width))

    def is_loaded(node: Node, phase: int) -> bool:
        """Whether a loop of this phase loads the node rather than computing it."""
        if node in available or not node.inputs or node.op == "row_mean":
            return True
        return (node.heavy or node in written) and phase_of(node) < phase

    def needed(loop: LoopNest) -> list[Node]:
        return sorted(closure(loop.targets, lambda node: is_loaded(node, loop.phase)), key=lambda node: node.index)

    for out in outputs:
        loop_at(last if out.last else phase_of(out.node), out.width).outputs.append(out)
    for phase in range(last, -1, -1):
        for loop in [loop for loop in loops.values() if loop.phase == phase]:
            for node in needed(loop):
                if node in available or not node.inputs:
                    continue
                if node.op == "row_mean" and node not in means:
                    means[node] = None
                    loop_at(phase_of(node) - 1, node.width or "H").means.append(node)
                elif node.op != "row_mean" and is_loaded(node, phase) and node not in written:
                    if node not in carried:
                        loop_at(phase_of(node), node.width or "H").carried.append(node)
                    carried[node] = None
    for (phase, _), loop in loops.items():
        loop.nodes = [node for node in needed(loop) if node.inputs and not is_loaded(node, phase)]
    return Schedule([loops[key] for key in sorted(loops)], list(carried), list(means))
