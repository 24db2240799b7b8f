"""A program as C: the steps of one cell, between the text that all share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from rnnbench.nn.engine.graph import OPERATIONS, Node
from rnnbench.nn.engine.program import INPUT, RECURRENT, Product, Program
from rnnbench.nn.engine.tiles import tiles
from rnnbench.nn.engine.schedule import Output, Pass, Schedule, make_schedule

# what Python passes, in this order: name, C type, number (a name is a constant of the program)
FIELDS = (
    *((name, "long", None) for name in ("T", "B", "I", "H", "P")),
    *((name, "long", None) for name in ("reverse", "packed", "training", "threads", "chunk", "plain", "direct")),
    *((name, "const long *", None) for name in ("offset", "count")),
    ("x", "const real *", None),
    ("dx", "real *", None),
    ("w", "const real *", "MATRICES"),
    ("dw", "real *", "MATRICES"),
    ("b", "const real *", "2"),
    ("db", "real *", None),
    ("vec", "const real *", "VECTORS"),
    ("dvec", "real *", "VECTORS"),
    ("raw", "const real *", "RAWS"),
    ("raw_steps", "long", "RAWS"),
    ("raw_width", "long", "RAWS"),
    ("init", "const real *", "STATES"),
    ("next", "real *", "STATES"),
    ("prev", "real *", "STATES"),
    ("ds", "real *", "STATES"),
    ("gy", "const real *", "EMITTED"),
    ("saved", "real *", None),
    ("means", "real *", None),
    ("scratch", "real *", None),
)


def size(widths: Iterable[str]) -> str:
    """The sum of widths, as C."""
    widths = list(widths)
    return "(" + "+".join(f"{widths.count(one)}*{one}" for one in ("H", "P") if one in widths or one == "H") + ")"


@cache
def _text(name: str) -> str:
    return (files("rnnbench.nn.engine") / "native" / name).read_text()


class Layout:
    """Where everything of a program lies: counts, planes, matrices."""

    def __init__(self, program: Program, direct: bool) -> None:
        self.program, self.direct, cell = program, direct, program.cell
        self.matrices = [INPUT, RECURRENT, *cell.matrices]
        self.operands = [
            k for k, p in enumerate(program.products) if p.operand is not None and p.operand.op != "state"
        ]
        adjoint = program.adjoint
        level, after = program.level(), {node: k for k, node in enumerate(program.after)}
        outputs = [Output("next", k, node, program.states[k]) for k, node in enumerate(program.after)]
        outputs += [Output("kept", k, node, node.width or "H") for k, node in enumerate(adjoint.saved)]
        outputs += [
            Output("operand", k, _operand(program.products[k]), program.products[k].columns) for k in self.operands
        ]
        self.slot_level = [level(program.slot(k)) for k in range(len(program.slots))]
        self.forward = make_schedule([*outputs, *_kept_means(adjoint.means)], level, set())
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


def emit(program: Program, double: bool, direct: bool = False) -> str:
    """C source of a program."""
    lay = Layout(program, direct)
    parts = [
        "#define REAL_DOUBLE" if double else "",
        _text("kernels.h").replace("\nTILES\n", f"\n{tiles()}\n"),
        _declarations(lay),
        _passes(lay, lay.forward, "forward"),
        _passes(lay, lay.backward, "backward"),
        _forward_step(lay),
        _backward_step(lay),
        _text("driver.h"),
    ]
    return "\n".join(parts)


def _declarations(lay: Layout) -> str:
    program, cell = lay.program, lay.program.cell
    carried = max(
        ([node.width or "H" for node in plan.carried] for plan in (lay.forward, lay.backward)), key=len, default=[]
    )
    extra = ["P" if _wide(program) else "H"] * (len(carried) + len(program.products))
    counts = {
        "STATES": len(program.states),
        "EMITTED": len(program.emitted),
        "VECTORS": len(cell.vectors),
        "RAWS": len(cell.raws),
        "MATRICES": len(lay.matrices),
        "PRODUCTS": len(program.products),
        "MEANS": max(len(lay.forward.means), len(lay.backward.means)),
        "KEPT_MEANS": len(program.adjoint.means),
        "PIECES_FORWARD": sum(len(sources) for _, _, sources in _ranges(lay)),
        "PIECES_BACKWARD": len(program.products),
        "MAX_RUNS": 1 + max(len(p.blocks) for p in program.products),
        "LD": size(program.slots),
        "LE": f"({len(extra)}*(H>P?H:P))",
        "LV": size(program.products[k].columns for k in lay.again),
        "LS": size(lay.kept_widths),
    }
    lines = [f"#define {name} {value}" for name, value in counts.items()]
    bound = lambda count: f"[{count} ? {count} : 1]" if count else ""  # noqa: E731
    lines.append(
        "typedef struct {" + " ".join(f"{kind} {name}{bound(count)};" for name, kind, count in FIELDS) + "} args;"
    )
    lines.append(
        "typedef struct { long n, H, P, training, plain, ldm; const real *x, *bias; real *g, *e, *mean, *sv, *sc, *d,"
        " *v; const real *sp[STATES]; real *sn[STATES], *ds[STATES]; const real *gy[EMITTED]; long gs[EMITTED];"
        " const real *raw[RAWS ? RAWS : 1]; const real *const *vec; real *dvec[VECTORS ? VECTORS : 1]; } frame;"
    )
    lines.append("typedef struct { weight w; long depth, n; real *packed; } piece;")
    lines.append("typedef struct { int matrix; long row, at, width; } run;")
    lines.append(f"static const int emitted[] = {{{', '.join(map(str, program.emitted))}}};")
    lines.append("static const int zero_block[] = {0};")
    lines.append(
        "INLINE long state_width(const args *A, int k) { return "
        + "".join(f"k == {k} ? A->{width} : " for k, width in enumerate(program.states))
        + "0; }"
    )
    lines.append("INLINE long slots_width(const args *A) { long H = A->H, P = A->P; (void)P; return LD; }")
    lines.append(_bias(lay))
    inputs = program.slots[: program.products[0].stop]
    lines.append(f"INLINE long input_slots(const args *A) {{ long H = A->H, P = A->P; (void)P; return {size(inputs)}; }}")
    # operand_state: which state a product reads, -1 if none; operand_after: the one after the step
    state, behind = [], []
    for p in program.products:
        node = p.operand
        behind.append(int(node in lay.after))
        state.append(-1 if node is None else lay.after[node] if node in lay.after else node.args[0] if node.op == "state" else -1)  # fmt: skip  # noqa: E501
    lines.append(f"static const int operand_state[] = {{{', '.join(map(str, state))}}};")
    lines.append(f"static const int operand_after[] = {{{', '.join(map(str, behind))}}};")
    cases = " ".join(
        f"if (p == {k}) return {size(program.products[j].columns for j in lay.again[:i])};" for i, k in enumerate(lay.again)
    )
    lines.append(
        f"INLINE long operand_at(const args *A, int p) {{ long H = A->H, P = A->P; (void)H, (void)P, (void)p; {cases} return 0; }}"
    )
    lines.append(_runs(lay))
    lines.append(_describe(lay))
    return "\n".join(lines)


def _wide(program: Program) -> bool:
    return "P" in program.states


def _bias(lay: Layout) -> str:
    """The bias of every slot: the sum of those of its products."""
    lines = []
    for k, width in enumerate(lay.program.slots):
        at = size(lay.program.slots[:k])
        terms = [
            f"(A->b[{int(p.matrix == RECURRENT)}] ? A->b[{int(p.matrix == RECURRENT)}][{p.blocks[k - p.start]}*{width}+j] : 0)"
            for p in lay.program.products
            if k in p.slots and p.bias and not (lay.direct and p.matrix == INPUT)
        ]
        lines.append(f"for (long j = 0; j < {width}; j++) bias[{at}+j] = {' + '.join(terms) or '0'};")
    return "static void assemble_bias(const args *A, real *bias) { long H = A->H, P = A->P; (void)P; " + " ".join(lines) + "}"


def _runs(lay: Layout) -> str:
    """For the gradient of its matrix: the runs of rows of a product that lie together in matrix and slots."""
    cases = []
    for number, product in enumerate(lay.program.products):
        runs: list[tuple[int, int, int]] = []  # first block, first slot, length
        for k, block in enumerate(product.blocks):
            slot = product.start + k
            if runs and runs[-1][0] + runs[-1][2] == block:
                runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
            else:
                runs.append((block, slot, 1))
        width = lay.program.slots[product.start]
        matrix = lay.matrices.index(product.matrix)
        text = " ".join(
            f"u[{i}] = (run){{{matrix}, {block}*{width}, {size(lay.program.slots[:slot])}, {length}*{width}}};"
            for i, (block, slot, length) in enumerate(runs)
        )
        cases.append(f"if (p == {number}) {{ {text} u[{len(runs)}].width = 0; return {product.columns}; }}")
    return (
        "static long runs_of(const args *A, int p, run *u) { long H = A->H, P = A->P, I = A->I; (void)P, (void)I; "
        + " ".join(cases)
        + " return 0; }"
    )


def _ranges(lay: Layout) -> list[tuple[int, int, list[Product]]]:
    """Runs of slots that sum the same products, `start … stop`."""
    found: list[tuple[int, int, list[Product]]] = []
    for k in range(len(lay.program.slots)):
        sources = [p for p in lay.program.products if k in p.slots and not (lay.direct and p.matrix == INPUT)]
        if found and found[-1][2] == sources and found[-1][1] == k:
            found[-1] = (found[-1][0], k + 1, sources)
        else:
            found.append((k, k + 1, sources))
    return found


def _describe(lay: Layout) -> str:
    """The packed pieces: forwards one for each range and source, backwards one for each product."""
    program = lay.program

    def piece(number: int, name: str, product: Product, start: int, stop: int, back: bool) -> list[str]:
        blocks = product.blocks[start - product.start : stop - product.start]
        width, columns = program.slots[start], product.columns
        rows = size(program.slots[start:stop])
        shape = f"{rows}, {columns}" if back else f"{columns}, {rows}"
        table = f"{name}_blocks_{number}"
        return [
            f"static const int {table}[] = {{{', '.join(map(str, blocks))}}};",
            f"p[{number}] = (piece){{{{A->w[{lay.matrices.index(product.matrix)}], {columns}, {width}, {table}}}, "
            f"{shape}, 0}};",
        ]

    def function(name: str, pieces: list[list[str]]) -> str:
        return (
            f"static void describe_{name}(const args *A, piece *p) {{ long H = A->H, P = A->P, I = A->I; "
            "(void)H, (void)P, (void)I, (void)p; " + " ".join(line for one in pieces for line in one) + " }"
        )

    forward, number = [], 0
    for start, stop, sources in _ranges(lay):
        for product in sources:
            forward.append(piece(number, "f", product, start, stop, False))
            number += 1
    backward = [piece(k, "b", p, p.start, p.stop, True) for k, p in enumerate(program.products)]
    return function("forward", forward) + "\n" + function("backward", backward)


# --- the steps


def _carried_at(plan: Schedule, k: int) -> str:
    return f"({k}*(H>P?H:P))"


def _place_of(lay: Layout, plan: Schedule, product: int) -> str:
    """Carried plane of a product's operand, or of what it pulls back."""
    return f"({len(plan.carried)}+{product})*(H>P?H:P)"


def _forward_step(lay: Layout) -> str:
    program, plan = lay.program, lay.forward
    lines, number = [], 0
    ranges = []
    for start, stop, sources in _ranges(lay):
        ranges.append((start, stop, sources, number))
        number += len(sources)
    if lay.direct:
        width = size(program.slots[: program.products[0].stop])
        lines.append(f"for (long b = 0; b < F->n; b++) memcpy(F->g + b*LD, F->x + b*A->I, {width} * sizeof(real));")
    for phase in range(max(plan.phases, 1 + max(lay.slot_level))):
        for start, stop, sources, first in ranges:
            if lay.slot_level[start] != phase or not sources:
                continue
            columns, at = size(program.slots[start:stop]), size(program.slots[:start])
            begin = "KEEP" if lay.direct and start < program.products[0].stop else "BIAS"
            entries = []
            for i, product in enumerate(sources):
                if product.operand is None:
                    place = ("F->x", "A->I")
                elif product.operand.op == "state":
                    place = (f"F->sp[{product.operand.args[0]}]", product.columns)
                else:
                    place = (f"F->e + {_place_of(lay, plan, program.products.index(product))}", "LE")
                entries.append((*place, f"q[{first + i}].packed", product.columns, first + i))
            text = ", ".join(f"{{{a}, {row}, 1, {b}, 0, {depth}}}" for a, row, b, depth, _ in entries)
            few = " ".join(
                f"dots(F->n, {columns}, &q[{n}].w, {a}, {row}, {depth}, F->g + {at}, LD);"
                for a, row, _, depth, n in entries
            )
            fill = (
                ""
                if begin == "KEEP"
                else f"for (long b = 0; b < F->n; b++) memcpy(F->g + b*LD + {at}, F->bias + {at}, {columns}*sizeof(real));"
            )
            lines.append(
                f"if (F->plain) {{ {fill} {few} }} else {{ source s[] = {{{text}}}; "
                f"multiply(F->n, {columns}, s, {len(entries)}, F->g + {at}, LD, F->bias + {at}, {begin}); }}"
            )
        lines += [f"forward_{one.phase}_{one.width}(F);" for one in plan.of_phase(phase)]
    return (
        "static void forward_step(const args *A, const frame *F, const piece *q) { long H = A->H, P = A->P, I = A->I; "
        "(void)P, (void)I, (void)q;\n" + "\n".join(lines) + "\n}"
    )


def _backward_step(lay: Layout) -> str:
    program, plan = lay.program, lay.backward
    lines, done, last = [], set[int](), []
    for phase in range(plan.phases):
        lines += [f"backward_{one.phase}_{one.width}(F);" for one in plan.of_phase(phase)]
        for k, product in enumerate(program.products):
            ready = max(lay.back_level(program.adjoint.slots[slot]) for slot in product.slots)
            if product.operand is None or k in done or ready > phase:
                continue
            done.add(k)
            depth, at = size(program.slots[s] for s in product.slots), size(program.slots[: product.start])
            operand = product.operand
            state = operand.op == "state"
            into = f"F->ds[{operand.args[0]}]" if state else f"F->e + {_place_of(lay, plan, k)}"
            row, begin = (product.columns, "KEEP") if state else ("LE", "ZERO")
            text = (
                f"{{ source s = {{F->d + {at}, LD, 1, q[{k}].packed, 0, {depth}}}; "
                f"multiply(F->n, {product.columns}, &s, 1, {into}, {row}, 0, {begin}); }}"
            )
            (last if state else lines).append(text)
    return (
        "static void backward_step(const args *A, const frame *F, const piece *q) { long H = A->H, P = A->P; "
        "(void)P, (void)q;\n" + "\n".join([*lines, *last]) + "\n}"
    )


def _passes(lay: Layout, plan: Schedule, name: str) -> str:
    return "\n".join(_Pass(lay, plan, one, name == "forward").text(name) for one in plan.passes)


class _Pass:
    """The C function of one pass."""

    def __init__(self, lay: Layout, plan: Schedule, one: Pass, forward: bool) -> None:
        self.lay, self.plan, self.one, self.forward = lay, plan, one, forward
        self.kept = {node: k for k, node in enumerate(lay.program.adjoint.saved)}
        self.kept_means = {node: k for k, node in enumerate(lay.program.adjoint.means)}

    def text(self, name: str) -> str:
        one = self.one
        sums = [f"vec sum{self.plan.means.index(mean)} = {{0}};" for mean in one.means]
        ends = []
        for mean in one.means:
            k = self.plan.means.index(mean)
            ends.append(f"real mean{k} = total(sum{k}, VL) / {one.width}; F->mean[{k}*F->ldm+b] = mean{k};")
            if self.forward and mean in self.kept_means:
                ends.append(f"if (F->training) F->sc[b*KEPT_MEANS+{self.kept_means[mean]}] = mean{k};")
        body = self.body("VL"), self.body("n")
        return (
            f"NOINLINE void {name}_{one.phase}_{one.width}(const frame *F) {{ long H = F->H, P = F->P; (void)P;\n"
            f"for (long b = 0; b < F->n; b++) {{ {' '.join(sums)} long j = 0;\n"
            f"for (; j + VL <= {one.width}; j += VL) {{ {body[0]} }}\n"
            f"if (j < {one.width}) {{ long n = {one.width} - j; {body[1]} }}\n{' '.join(ends)} }} }}"
        )

    def body(self, n: str) -> str:
        """The loop's body; all lanes, or the first `n`."""
        lines, names = [], dict[Node, str]()

        def load(place: str) -> str:
            return f"load({place})" if n == "VL" else f"loadn({place}, n)"

        def value(node: Node) -> str:
            if node.op == "const":
                return f"fill((real){node.args[0]!r})".replace("inf", "INFINITY")
            if node not in names:
                names[node] = f"t{len(names)}"
                lines.append(f"vec {names[node]} = {self.given(node, load)};")
            return names[node]

        for node in self.one.nodes:
            expression = OPERATIONS[node.op].c.format(*(value(arg) for arg in node.args))
            names[node] = f"t{len(names)}"
            lines.append(f"vec {names[node]} = {expression};")
        stores = []
        for out in self.one.outputs:
            if out.array == "mean":
                continue
            stores.append(self.put(out, value(out.node), n))
        for node in self.one.carried:
            k = self.plan.carried.index(node)
            stores.append(self.store(f"F->e + b*LE + {_carried_at(self.plan, k)} + j", value(node), n))
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
            if node in self.lay.after:
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
            return str(load(f"F->e + b*LE + {_place_of(self.lay, self.plan, node.args[0])} + j"))
        if kind == "row_mean":
            return f"fill(F->mean[{self.plan.means.index(node)}*F->ldm+b])"
        return str(load(f"F->e + b*LE + {_carried_at(self.plan, self.plan.carried.index(node))} + j"))

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
            return self.store(f"F->e + b*LE + {_place_of(self.lay, self.plan, k)} + j", value, n)
        if out.array == "d":
            return self.store(f"F->d + b*LD + {size(program.slots[:k])} + j", value, n)
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
