"""One pass over the units of a row, as a C function."""

from __future__ import annotations

from rnnbench.nn.engine.graph import Node
from rnnbench.nn.engine.layout import Layout, carried_at, place_of, size
from rnnbench.nn.engine.operations import OPERATIONS
from rnnbench.nn.engine.schedule import Output, Pass, Schedule


def rows(lay: Layout, plan: Schedule, some: list[Pass], name: str) -> str:
    """A C function that does the given passes row by row: what one leaves the next finds in the nearest cache."""
    blocks = "\n".join(_Pass(lay, plan, one, name.startswith("forward")).text() for one in some)
    # a copy of the frame that no store can reach: its pointers stay in registers
    return (
        f"NOINLINE void {name}(const frame *rows) {{ const frame own = *rows, *F = &own; long H = F->H, P = F->P; "
        f"(void)H, (void)P;\nfor (long b = 0; b < F->n; b++) {{\n{blocks}\n}} }}"
    )


class _Pass:
    """The C block of one pass over one row."""

    def __init__(self, lay: Layout, plan: Schedule, one: Pass, forward: bool) -> None:
        self.lay, self.plan, self.one, self.forward = lay, plan, one, forward
        self.kept = {node: k for k, node in enumerate(lay.program.adjoint.saved)}
        self.kept_means = {node: k for k, node in enumerate(lay.program.adjoint.means)}
        self.uniform = dict[Node, str]()  # names of what is the same in all of a row
        self.once = list[str]()  # how it is computed

    def text(self) -> str:
        one = self.one
        sums = [f"vec sum{self.plan.means.index(mean)} = {{0}};" for mean in one.means]
        ends = []
        for mean in one.means:
            k = self.plan.means.index(mean)
            ends.append(f"real mean{k} = total(sum{k}) / {one.width}; F->mean[{k}*F->ldm+b] = mean{k};")
            if self.forward and mean in self.kept_means:
                ends.append(f"if (F->training) F->sc[b*KEPT_MEANS+{self.kept_means[mean]}] = mean{k};")
        whole, rest = self.body("VL"), self.body("n")
        return (
            f"{{ {' '.join([*sums, *self.once])} long j = 0;\n"
            f"for (; j + VL <= {one.width}; j += VL) {{ {whole} }}\n"
            f"if (j < {one.width}) {{ long n = {one.width} - j; {rest} }}\n{' '.join(ends)} }}"
        )

    def body(self, n: str) -> str:
        """The loop's body; all lanes, or the first `n`."""
        lines, names = list[str](), dict[Node, str]()

        def load(place: str) -> str:
            return f"load({place})" if n == "VL" else f"loadn({place}, n)"

        def value(node: Node) -> str:
            if node.op == "const":
                return f"fill((real){node.args[0]!r})".replace("inf", "INFINITY").replace("nan", "NAN")
            known, code, letter = (self.uniform, self.once, "u") if node.uniform else (names, lines, "t")
            if node not in known:
                computed = node.inputs and node in self.one.nodes
                text = compute(node) if computed else self.given(node, load)
                known[node] = f"{letter}{len(known)}"
                code.append(f"vec {known[node]} = {text};")
            return known[node]

        def compute(node: Node) -> str:
            return OPERATIONS[node.op].c.format(*(value(arg) for arg in node.args))

        for node in self.one.nodes:
            value(node)
        stores = []
        for out in self.one.outputs:
            if out.array == "mean":
                continue
            stores.append(self.put(out, value(out.node), n))
        for node in self.one.carried:
            k = self.plan.carried.index(node)
            stores.append(self.store(f"F->e + b*LE + {carried_at(self.plan, k)} + j", value(node), n))
        for mean in self.one.means:
            term = value(mean.args[0])
            keep = term if n == "VL" else f"first_lanes({term}, n)"
            stores.append(f"sum{self.plan.means.index(mean)} += {keep};")
        return "\n".join([*lines, *stores])

    def given(self, node: Node, load: object) -> str:
        """C of a value that this pass finds in memory."""
        assert callable(load)
        program, kind = self.lay.program, node.op
        width = node.width or "H"
        if not self.forward:
            if node in self.kept_means:
                return f"fill(F->sc[b*KEPT_MEANS+{self.kept_means[node]}])"
            if node in self.kept:
                k = self.kept[node]
                return str(load(f"F->sv + b*LS + {size(self.lay.kept_widths[:k])} + j"))
        if node in self.lay.after and (node.inputs or not self.forward):
            k = self.lay.after[node]
            return str(load(f"F->sn[{k}] + b*{program.states[k]} + j"))
        if kind == "slot":
            k = node.args[0]
            return str(load(f"F->g + b*LD + {size(program.slots[:k])} + j"))
        if kind == "state":
            return str(load(f"F->sp[{node.args[0]}] + b*{width} + j"))
        if kind == "vector":
            return str(load(f"F->vec[{program.cell.vectors.index(node.args[0])}] + j"))
        if kind == "raw":
            return str(load(f"F->raw[{list(program.cell.raws).index(node.args[0])}] + b*{width} + j"))
        if kind == "grad":
            k = node.args[0]
            text = load(f"F->ds[{k}] + b*{width} + j")
            if k in program.emitted:
                i = program.emitted.index(k)
                text = f"{text} + {load(f'F->gy[{i}] + b*F->gs[{i}] + j')}"
            return str(text)
        if kind == "pulled":
            return str(load(f"F->e + b*LE + {place_of(self.lay, self.plan, node.args[0])} + j"))
        if kind == "row_mean":
            return f"fill(F->mean[{self.plan.means.index(node)}*F->ldm+b])"
        return str(load(f"F->e + b*LE + {carried_at(self.plan, self.plan.carried.index(node))} + j"))

    def store(self, place: str, value: str, n: str) -> str:
        return f"store({place}, {value});" if n == "VL" else f"storen({place}, {value}, n);"

    def put(self, out: Output, value: str, n: str) -> str:
        """C that writes one output."""
        program, k = self.lay.program, out.index
        if out.array == "next":
            return self.store(f"F->sn[{k}] + b*{out.width} + j", value, n)
        if out.array == "kept":
            place = f"F->sv + b*LS + {size(self.lay.kept_widths[:k])} + j"
            return f"if (F->training) {self.store(place, value, n)}"
        if out.array == "operand":
            return self.store(f"F->e + b*LE + {place_of(self.lay, self.plan, k)} + j", value, n)
        if out.array == "d":
            return self.store(f"F->d + b*F->ldd + {size(program.slots[:k])} + j", value, n)
        if out.array == "ds":
            return self.store(f"F->ds[{k}] + b*{out.width} + j", value, n)
        if out.array == "v":
            i = self.lay.again.index(k)
            widths = [program.products[p].columns for p in self.lay.again[:i]]
            return self.store(f"F->v + b*LV + {size(widths)} + j", value, n)
        place = f"F->dvec[{k}] + j"
        if n == "VL":
            return f"store({place}, load({place}) + {value});"
        return f"storen({place}, loadn({place}, n) + {value}, n);"
