"""Where everything of a program lies in memory: slots, planes, matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rnnbench.nn.compiler.autodiff import INPUT, RECURRENT, Product, Program
from rnnbench.nn.compiler.schedule import Output, Schedule, make_schedule
from rnnbench.nn.compiler.trace import Node


def size(widths: Iterable[str]) -> str:
    """The sum of widths, as C."""
    widths = list(widths)
    return "(" + "+".join(f"{widths.count(one)}*{one}" for one in ("H", "P") if one in widths or one == "H") + ")"


class Layout:
    """Where everything of a program lies: counts, planes, matrices."""

    def __init__(self, program: Program) -> None:
        self.program, cell = program, program.cell
        self.matrices = [INPUT, RECURRENT, *cell.matrices]
        self.operands = [k for k, p in enumerate(program.products) if p.operand is not None and p.operand.op != "state"]
        adjoint = program.adjoint
        level, after = program.level(), {node: k for k, node in enumerate(program.after)}
        outputs = [Output("next", k, node, program.states[k]) for k, node in enumerate(program.after)]
        outputs += [Output("kept", k, node, node.width or "H") for k, node in enumerate(adjoint.saved)]
        outputs += [
            Output("operand", k, _operand(program.products[k]), program.products[k].columns) for k in self.operands
        ]
        self.slot_level = [level(program.slot(k)) for k in range(len(program.slots))]
        self.forward = make_schedule([*outputs, *_kept_means(adjoint.means)], level, set(), after)
        level = adjoint.level()
        there = {*adjoint.saved, *adjoint.means, *program.after}
        outputs = [Output("d", k, node, program.slots[k]) for k, node in enumerate(adjoint.slots)]
        outputs += [Output("ds", k, node, program.states[k], True) for k, node in enumerate(adjoint.states)]
        outputs += [Output("dvec", k, node, "H") for k, node in enumerate(adjoint.vectors.values())]
        # an operand that is a state after the step, or kept, lies somewhere already; others are worked out again
        self.again = [k for k in self.operands if _operand(program.products[k]) not in after]
        outputs += [Output("v", k, _operand(program.products[k]), program.products[k].columns) for k in self.again]
        self.backward = make_schedule(outputs, level, there)
        self.back_level, self.after = level, after

    @property
    def kept_widths(self) -> list[str]:
        """Widths of the planes that the forward pass keeps."""
        return [node.width or "H" for node in self.program.adjoint.saved]

    def columns(self, product: Product) -> str:
        """Width of what a product multiplies."""
        return product.columns


def _operand(product: Product) -> Node:
    assert product.operand is not None
    return product.operand


def _kept_means(means: Sequence[Node]) -> list[Output]:
    # a kept mean has to be worked out even if no pass needs it: it counts as needed where it is known
    return [Output("mean", k, node, node.width or "H") for k, node in enumerate(means)]


def ranges(lay: Layout) -> list[tuple[int, int, list[Product]]]:
    """Runs of slots that sum the same products, `start … stop`."""
    found: list[tuple[int, int, list[Product]]] = []
    for k in range(len(lay.program.slots)):
        sources = [p for p in lay.program.products if k in p.slots]
        if found and found[-1][2] == sources and found[-1][1] == k:
            found[-1] = (found[-1][0], k + 1, sources)
        else:
            found.append((k, k + 1, sources))
    return found


def carried_at(plan: Schedule, k: int) -> str:
    """Place of the carried plane `k`, as C."""
    return f"({k}*(H>P?H:P))"


def place_of(lay: Layout, plan: Schedule, product: int) -> str:
    """Carried plane of a product's operand, or of what it pulls back."""
    return f"({len(plan.carried)}+{product})*(H>P?H:P)"
