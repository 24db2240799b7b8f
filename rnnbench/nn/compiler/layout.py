"""Where everything of a program lies in memory: slots, planes, matrices."""

from __future__ import annotations

from collections.abc import Iterable

from rnnbench.nn.compiler.autodiff import INPUT, RECURRENT, Product, Program
from rnnbench.nn.compiler.schedule import Output, Schedule, make_schedule


def size(widths: Iterable[str]) -> str:
    """The sum of widths, as C."""
    widths = list(widths)
    terms = [f"{widths.count(width)}*{width}" for width in ("H", "P") if width in widths or width == "H"]
    return f"({'+'.join(terms)})"


class Layout:
    """Where everything of a program lies, and the schedules of its two steps."""

    def __init__(self, program: Program) -> None:
        self.program, cell, adjoint = program, program.cell, program.adjoint
        self.matrices = [INPUT, RECURRENT, *cell.matrices]
        self.after = {node: k for k, node in enumerate(program.after)}
        operands = {
            k: p.operand for k, p in enumerate(program.products) if p.operand is not None and p.operand.op != "state"
        }
        outputs = [Output("next", k, node, program.states[k]) for k, node in enumerate(program.after)]
        outputs += [Output("kept", k, node, node.width or "H") for k, node in enumerate(adjoint.saved)]
        outputs += [Output("operand", k, node, program.products[k].columns) for k, node in operands.items()]
        # a kept mean has to be computed even if no loop needs it: it counts as needed where it is known
        outputs += [Output("mean", k, node, node.width or "H") for k, node in enumerate(adjoint.means)]
        self.slot_phases = [program.phase_of(program.slot(k)) for k in range(len(program.slots))]
        self.forward = make_schedule(outputs, program.phase_of, set(), self.after)
        outputs = [Output("d", k, node, program.slots[k]) for k, node in enumerate(adjoint.slots)]
        outputs += [Output("ds", k, node, program.states[k], True) for k, node in enumerate(adjoint.states)]
        outputs += [Output("dvec", k, node, "H") for k, node in enumerate(adjoint.vectors.values())]
        # an operand that is a state after the step lies in memory already; others are computed again
        self.recomputed = [k for k, node in operands.items() if node not in self.after]
        outputs += [Output("operand", k, operands[k], program.products[k].columns) for k in self.recomputed]
        self.backward = make_schedule(outputs, adjoint.phase_of, adjoint.available)

    @property
    def kept_widths(self) -> list[str]:
        """Widths of the planes that the forward pass keeps."""
        return [node.width or "H" for node in self.program.adjoint.saved]


def ranges(layout: Layout) -> list[tuple[int, int, list[Product]]]:
    """Runs of slots that sum the same products, `start … stop`."""
    runs: list[tuple[int, int, list[Product]]] = []
    for k in range(len(layout.program.slots)):
        sources = [p for p in layout.program.products if k in p.slots]
        if runs and runs[-1][2] == sources and runs[-1][1] == k:
            runs[-1] = (runs[-1][0], k + 1, sources)
        else:
            runs.append((k, k + 1, sources))
    return runs


def carried_at(plan: Schedule, k: int) -> str:
    """Place of the carried plane `k`, as C."""
    return f"({k}*(H>P?H:P))"


def place_of(plan: Schedule, product: int) -> str:
    """Carried plane of a product's operand, or of what it pulls back."""
    return f"({len(plan.carried)}+{product})*(H>P?H:P)"
