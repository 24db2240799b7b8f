"""A program as C: the steps of one cell, between the text that all share."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from rnnbench.nn.engine.declare import declarations
from rnnbench.nn.engine.layout import Layout, place_of, ranges, size
from rnnbench.nn.engine.passes import rows
from rnnbench.nn.engine.schedule import Pass, Schedule
from rnnbench.nn.engine.tiles import tiles


@cache
def _text(name: str) -> str:
    return (files("rnnbench.nn.engine") / "native" / name).read_text("utf-8")


def shared_text(double: bool, *more: str) -> str:
    """The C text below every kernel, and further files."""
    kernels = _text("kernels.h").replace("\nTILES\n", f"\n{tiles()}\n")
    return "\n".join(["#define REAL_DOUBLE" if double else "", kernels, *map(_text, more)])


def emit(lay: Layout, double: bool) -> str:
    """C source of a program."""
    parts = [
        shared_text(double),
        declarations(lay),
        _forward_step(lay),
        _backward_step(lay),
        _text("driver.h"),
    ]
    return "\n".join(parts)


class _Step:
    """The C function of a step as it grows: products, and between them passes over the rows."""

    def __init__(self, lay: Layout, plan: Schedule, name: str) -> None:
        self.lay, self.plan, self.name = lay, plan, name
        self.functions: list[str] = []
        self.lines: list[str] = []
        self.waiting: list[Pass] = []

    def passes(self, phase: int) -> None:
        """The passes of a phase, together with those before them that no product parts from them."""
        self.waiting += self.plan.of_phase(phase)

    def product(self, line: str) -> None:
        """A product, after all passes so far."""
        self._flush()
        self.lines.append(line)

    def _flush(self) -> None:
        if self.waiting:
            name = f"{self.name}_rows_{len(self.functions)}"
            self.functions.append(rows(self.lay, self.plan, self.waiting, name))
            self.lines.append(f"{name}(F);")
            self.waiting = []

    def text(self) -> str:
        """C text."""
        self._flush()
        body = "\n".join(self.lines)
        head = f"static void {self.name}_step(const args *A, const frame *F, const piece *q)"
        sizes = "long H = A->H, P = A->P, I = A->I; (void)H, (void)P, (void)I, (void)q;"
        return "\n".join([*self.functions, f"{head} {{ {sizes}\n{body}\n}}"])


def _forward_step(lay: Layout) -> str:
    program, plan = lay.program, lay.forward
    step, number = _Step(lay, plan, "forward"), 0
    numbered = []
    for start, stop, sources in ranges(lay):
        numbered.append((start, stop, sources, number))
        number += len(sources)
    for phase in range(max(plan.phases, 1 + max(lay.slot_level))):
        for start, stop, sources, first in numbered:
            if lay.slot_level[start] != phase or not sources:
                continue
            columns, at = size(program.slots[start:stop]), size(program.slots[:start])
            entries = []
            for i, product in enumerate(sources):
                if product.operand is None:
                    place = ("F->x", "A->I")
                elif product.operand.op == "state":
                    place = (f"F->sp[{product.operand.args[0]}]", product.columns)
                else:
                    place = (f"F->e + {place_of(lay, plan, program.products.index(product))}", "LE")
                entries.append((*place, f"q[{first + i}].packed", product.columns, first + i))
            text = ", ".join(f"{{{a}, {row}, 1, {b}, 0, {depth}, {depth}}}" for a, row, b, depth, _ in entries)
            few = " ".join(
                f"dots(F->n, {columns}, &q[{n}].w, {a}, {row}, {depth}, F->g + {at}, LD);"
                for a, row, _, depth, n in entries
            )
            fill = (
                f"for (long b = 0; b < F->n; b++) memcpy(F->g + b*LD + {at}, F->bias + {at}, {columns} * sizeof(real));"
            )
            step.product(
                f"if (F->plain) {{ {fill} {few} }} else {{ source s[] = {{{text}}}; "
                f"multiply(F->n, {columns}, s, {len(entries)}, F->g + {at}, LD, F->bias + {at}, BIAS); }}"
            )
        step.passes(phase)
    return step.text()


def _backward_step(lay: Layout) -> str:
    program, plan = lay.program, lay.backward
    step, done, last = _Step(lay, plan, "backward"), set[int](), list[str]()
    for phase in range(plan.phases):
        step.passes(phase)
        for k, product in enumerate(program.products):
            ready = max(lay.back_level(program.adjoint.slots[slot]) for slot in product.slots)
            if product.operand is None or k in done or ready > phase:
                continue
            done.add(k)
            depth, at = size(program.slots[s] for s in product.slots), size(program.slots[: product.start])
            operand = product.operand
            state = operand.op == "state"
            into = f"F->ds[{operand.args[0]}]" if state else f"F->e + {place_of(lay, plan, k)}"
            row, begin = (product.columns, "KEEP") if state else ("LE", "ZERO")
            text = (
                f"{{ source s = {{F->d + {at}, F->ldd, 1, q[{k}].packed, 0, {depth}, {depth}}}; "
                f"multiply(F->n, {product.columns}, &s, 1, {into}, {row}, 0, {begin}); }}"
            )
            if state:
                last.append(text)
            else:
                step.product(text)
    for text in last:
        step.product(text)
    return step.text()
