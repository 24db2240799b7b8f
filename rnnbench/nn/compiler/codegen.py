"""The declarations of a program in C: its sizes, tables, and what Python passes."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from rnnbench.nn.compiler.autodiff import RECURRENT, Product
from rnnbench.nn.compiler.layout import Layout, carried_at, place_of, ranges, size
from rnnbench.nn.compiler.schedule import Output, Pass, Schedule
from rnnbench.nn.compiler.trace import OPERATIONS, Node

# what Python passes, in this order: name, C type, number (a name is a constant of the program)
FIELDS = (
    *((name, "long", None) for name in ("T", "B", "I", "H", "P")),
    *((name, "long", None) for name in ("reverse", "packed", "training", "threads", "chunk", "plain")),
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


def declarations(lay: Layout) -> str:
    """Everything of a program that the shared text refers to."""
    program, cell = lay.program, lay.program.cell
    carried = max(
        ([node.width or "H" for node in plan.carried] for plan in (lay.forward, lay.backward)), key=len, default=[]
    )
    extra = ["P" if "P" in program.states else "H"] * (len(carried) + len(program.products))
    counts = {
        "STATES": len(program.states),
        "EMITTED": len(program.emitted),
        "VECTORS": len(cell.vectors),
        "RAWS": len(cell.raws),
        "MATRICES": len(lay.matrices),
        "PRODUCTS": len(program.products),
        "MEANS": max(len(lay.forward.means), len(lay.backward.means)),
        "KEPT_MEANS": len(program.adjoint.means),
        "PIECES_FORWARD": sum(len(sources) for _, _, sources in ranges(lay)),
        "PIECES_BACKWARD": len(program.products),
        "MAX_RUNS": 1 + max(len(p.blocks) for p in program.products),
        "LD": size(program.slots),
        "LE": f"({len(extra)}*(H>P?H:P))",
        "LV": size(program.products[k].columns for k in lay.again),
        "LS": size(lay.kept_widths),
    }
    lines = [f"#define {name} {value}" for name, value in counts.items()]
    lines.append(
        "typedef struct {" + " ".join(f"{kind} {name}{_bound(count)};" for name, kind, count in FIELDS) + "} args;"
    )
    lines.append(
        "typedef struct { long n, H, P, training, plain, ldm, ldd; const real *x, *bias; real *g, *e, *mean, *sv, *sc,"
        " *d, *v; const real *sp[STATES]; real *sn[STATES], *ds[STATES]; const real *gy[EMITTED]; long gs[EMITTED];"
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
    lines.append(
        f"INLINE long input_slots(const args *A) {{ long H = A->H, P = A->P; (void)P; return {size(inputs)}; }}"
    )
    # operand_state: which state a product reads, -1 if none; operand_after: the one after the step
    state, behind = [], []
    for p in program.products:
        node = p.operand
        behind.append(int(node in lay.after))
        state.append(-1 if node is None else lay.after[node] if node in lay.after else node.args[0] if node.op == "state" else -1)  # fmt: skip  # noqa: E501
    lines.append(f"static const int operand_state[] = {{{', '.join(map(str, state))}}};")
    lines.append(f"static const int operand_after[] = {{{', '.join(map(str, behind))}}};")
    columns = " ".join(f"if (p == {k}) return {p.columns};" for k, p in enumerate(program.products))
    lines.append(
        f"INLINE long operand_width(const args *A, int p) {{ long H = A->H, P = A->P, I = A->I; (void)H, (void)P; "
        f"(void)I; {columns} return 0; }}"
    )
    cases = " ".join(
        f"if (p == {k}) return {size(program.products[j].columns for j in lay.again[:i])};"
        for i, k in enumerate(lay.again)
    )
    lines.append(
        f"INLINE long operand_at(const args *A, int p) {{ long H = A->H, P = A->P; (void)H, (void)P, (void)p; "
        f"{cases} return 0; }}"
    )
    lines.append(_runs(lay))
    lines.append(_describe(lay))
    return "\n".join(lines)


def _bound(count: str | None) -> str:
    return f"[{count} ? {count} : 1]" if count else ""  # C has no empty arrays


def _bias(lay: Layout) -> str:
    """The bias of every slot: the sum of those of its products."""
    lines = []
    for k, width in enumerate(lay.program.slots):
        at = size(lay.program.slots[:k])
        terms = [
            f"bias_at(A->b[{int(p.matrix == RECURRENT)}], {p.blocks[k - p.start]}*{width}+j)"
            for p in lay.program.products
            if k in p.slots and p.bias
        ]
        lines.append(f"for (long j = 0; j < {width}; j++) bias[{at}+j] = {' + '.join(terms) or '0'};")
    return (
        "INLINE real bias_at(const real *b, long j) { return b ? b[j] : 0; }\n"
        "static void assemble_bias(const args *A, real *bias) { long H = A->H, P = A->P; (void)P; "
        + " ".join(lines)
        + "}"
    )


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
        cases.append(f"if (p == {number}) {{ {text} u[{len(runs)}].width = 0; }}")
    return (
        "static void runs_of(const args *A, int p, run *u) { long H = A->H, P = A->P, I = A->I; (void)P, (void)I; "
        + " ".join(cases)
        + " }"
    )


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
    for start, stop, sources in ranges(lay):
        for product in sources:
            forward.append(piece(number, "f", product, start, stop, False))
            number += 1
    backward = [piece(k, "b", p, p.start, p.stop, True) for k, p in enumerate(program.products)]
    return function("forward", forward) + "\n" + function("backward", backward)


SHAPES = {"__AVX512F__": (8, 3), "__AVX2__": (4, 3), "": (8, 2)}  # rows and vectors of the largest tile


@cache
def tiles() -> str:
    """All tiles, for each kind of processor."""
    parts: list[str] = []
    for condition, (rows, vectors) in SHAPES.items():
        word = "#if defined" if not parts else "#elif defined"
        parts.append(f"{word}({condition})" if condition else "#else")
        parts += [_tile(r, v) for r in range(1, rows + 1) for v in range(1, vectors + 1)]
        table = ", ".join(
            "{" + ", ".join(f"tile_{r}_{v}" for v in range(1, vectors + 1)) + "}" for r in range(1, rows + 1)
        )
        parts.append(f"static const tile_function tile[MR][NR] = {{{table}}};")
    return "\n".join([*parts, "#endif"])


def _tile(rows: int, vectors: int) -> str:
    each = [(r, v) for r in range(rows) for v in range(vectors)]
    names = ", ".join(f"c{r}{v}" for r, v in each)

    def load(place: str, v: int) -> str:
        return f"loadn({place}, tail)" if v == vectors - 1 else f"load({place})"

    def store(r: int, v: int) -> str:
        place = f"c + {r} * ldc + {v} * VL"
        return f"storen({place}, c{r}{v}, tail);" if v == vectors - 1 else f"store({place}, c{r}{v});"

    zero = " ".join(f"c{r}{v} = fill(0);" for r, v in each)
    bias = " ".join(f"vec b{v} = {load(f'bias + {v} * VL', v)};" for v in range(vectors))
    copies = " ".join(f"c{r}{v} = b{v};" for r, v in each)
    keep = " ".join(f"c{r}{v} = {load(f'c + {r} * ldc + {v} * VL', v)};" for r, v in each)
    weights = " ".join(f"vec w{v} = {load(f'b + {v} * VL', v)};" for v in range(vectors))
    # byte offsets that an address can hold: once, twice, four and eight times a row, and of three, five, seven rows
    offsets = ["0", "row", "2 * row", "row3", "4 * row", "row5", "2 * row3", "row7"]
    prefetch = " ".join(f"__builtin_prefetch(b + AHEAD * ldb + {v} * VL);" for v in range(vectors))
    products = " ".join(
        f"x = fill(*(const real *)(a + {offsets[r]})); " + " ".join(f"c{r}{v} += x * w{v};" for v in range(vectors))
        for r in range(rows)
    )
    return f"""
NOINLINE void tile_{rows}_{vectors}(const source *s, long sources, long at, long panel, real *c, long ldc,
                          const real *bias, int start, long tail) {{
  vec {names};
  if (start == ZERO) {{ {zero} }}
  else if (start == BIAS) {{ {bias} {copies} }}
  else {{ {keep} }}
  for (; sources--; s++) {{
    const char *a = (const char *)(s->a + at * s->row);
    long row = s->row * sizeof(real), step = s->step * sizeof(real), row3 = 3 * row, row5 = 5 * row, row7 = 7 * row;
    long ldb = s->ldb ? s->ldb : {vectors} * VL;
    const real *b = s->b + (s->ldb ? panel * VL : panel * VL * s->whole);
    (void)row3, (void)row5, (void)row7;
    for (long k = s->depth; k--; a += step, b += ldb) {{
      {prefetch}
      vec x; {weights}
      {products}
    }}
  }}
  {" ".join(store(r, v) for r, v in each)}
}}"""


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


@cache
def _text(name: str) -> str:
    return (files("rnnbench.nn.compiler") / "csrc" / name).read_text("utf-8")


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
