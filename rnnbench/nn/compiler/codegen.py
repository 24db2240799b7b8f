"""The C source of a program: declarations, one step forwards, one step backwards; the loops over steps are in csrc/.

Names in the C of this file and of `csrc/driver.h`:

    T B I H P       steps, sequences, features of a step, hidden size, width of h (less than H if projected)
    slot            the sum of all products of matrices that go into one gate; their sizes are SLOTS_WIDTH a row
    plane           one value of the step for all its rows, or all rows of the sequence
    SAVED_WIDTH     sizes of the planes that the forward pass keeps for the backward pass
    CARRIED_WIDTH   sizes of the planes that one loop over a row writes for a later one
    OPERANDS_WIDTH  sizes of the operands of products that the backward pass computes again
    d…              the gradient of …; `gy` are those of the emitted sequences of states
    args A          what Python passes, see `FIELDS`
    frame F         the rows of one step, for one thread: `n` rows; `before` and `after` (the states), `slots`,
                    `dslots`, `saved`, `saved_means`, `carried`, `operands`, `mean` (row means), and strides
    piece q         a part of a matrix, packed for `multiply`; run: rows of a matrix whose slots lie side by side
    VL MR NR        lanes of a vector; rows and vectors of a register tile
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import torch

from rnnbench.nn.compiler.autodiff import RECURRENT, Product
from rnnbench.nn.compiler.layout import Layout, carried_at, place_of, ranges, size
from rnnbench.nn.compiler.schedule import LoopNest, Output, Schedule
from rnnbench.nn.compiler.trace import OPERATIONS, Node

FIELDS = (
    *((name, "long", None) for name in ("T", "B", "I", "H", "P")),
    *((name, "long", None) for name in ("reverse", "packed", "training", "threads")),
    ("chunk", "long", None),  # rows of gate gradients that wait for their product
    ("plain", "long", None),  # so few rows that weights are not packed
    *((name, "const long *", None) for name in ("offset", "count")),  # first row and number of rows of each step
    ("x", "const real *", None),
    ("dx", "real *", None),
    ("w", "const real *", "MATRICES"),
    ("dw", "real *", "MATRICES"),
    ("b", "const real *", "2"),  # bias_ih, bias_hh
    ("db", "real *", None),  # of the slots
    ("vec", "const real *", "VECTORS"),
    ("dvec", "real *", "VECTORS"),
    ("noise", "const real *", "NOISE"),
    ("noise_steps", "long", "NOISE"),  # whether each step has values of its own
    ("noise_width", "long", "NOISE"),
    ("init", "const real *", "STATES"),  # before the first step
    ("next", "real *", "STATES"),  # after each step
    ("prev", "real *", "STATES"),  # before each step, if packed
    ("ds", "real *", "STATES"),  # of the final states, then of the initial ones
    ("gy", "const real *", "EMITTED"),
    ("saved", "real *", None),
    ("means", "real *", None),
    ("scratch", "real *", None),
)
"""What Python passes, in this order: name, C type, number (a name is a constant of the program)."""


def declarations(layout: Layout) -> str:
    """Everything of a program that the shared text refers to."""
    program, cell = layout.program, layout.program.cell
    carried = max(
        ([node.width or "H" for node in plan.carried] for plan in (layout.forward, layout.backward)),
        key=len,
        default=[],
    )
    extra = ["P" if "P" in program.states else "H"] * (len(carried) + len(program.products))
    counts = {
        "STATES": len(program.states),
        "EMITTED": len(program.emitted),
        "VECTORS": len(cell.vectors),
        "NOISE": len(cell.noise_inputs),
        "MATRICES": len(layout.matrices),
        "PRODUCTS": len(program.products),
        "MEANS": max(len(layout.forward.means), len(layout.backward.means)),
        "KEPT_MEANS": len(program.adjoint.means),
        "PIECES_FORWARD": sum(len(sources) for _, _, sources in ranges(layout)),
        "PIECES_BACKWARD": len(program.products),
        "MAX_RUNS": 1 + max(len(p.blocks) for p in program.products),
        "SLOTS_WIDTH": size(program.slots),
        "CARRIED_WIDTH": f"({len(extra)}*(H>P?H:P))",
        "OPERANDS_WIDTH": size(program.products[k].columns for k in layout.recomputed),
        "SAVED_WIDTH": size(layout.kept_widths),
    }
    lines = [f"#define {name} {value}" for name, value in counts.items()]
    lines.append(
        "typedef struct {" + " ".join(f"{kind} {name}{_bound(count)};" for name, kind, count in FIELDS) + "} args;"
    )
    lines.append(
        "typedef struct { long n, first, H, P, training, plain, mean_stride, dslots_stride; const real *x, *bias;"
        " real *slots, *carried, *mean, *saved, *saved_means, *dslots, *operands; const real *before[STATES];"
        " real *after[STATES], *ds[STATES]; const real *gy[EMITTED]; long gy_stride[EMITTED];"
        " const real *noise[NOISE ? NOISE : 1]; const real *const *vec; real *dvec[VECTORS ? VECTORS : 1]; } frame;"
    )
    lines.append("typedef struct { int matrix; long row, at, width; } run;")
    lines.append(f"static const int emitted[] = {{{', '.join(map(str, program.emitted))}}};")
    lines.append("static const int zero_block[] = {0};")
    lines.append(
        "INLINE long state_width(const args *A, int k) { return "
        + "".join(f"k == {k} ? A->{width} : " for k, width in enumerate(program.states))
        + "0; }"
    )
    lines.append("INLINE long slots_width(const args *A) { long H = A->H, P = A->P; (void)P; return SLOTS_WIDTH; }")
    lines.append(_bias(layout))
    inputs = program.slots[: program.products[0].stop]
    lines.append(
        f"INLINE long input_slots(const args *A) {{ long H = A->H, P = A->P; (void)P; return {size(inputs)}; }}"
    )
    # operand_state: which state a product reads, -1 if none; operand_after: the one after the step
    state, behind = [], []
    for p in program.products:
        node = p.operand
        behind.append(int(node in layout.after))
        state.append(-1 if node is None else layout.after[node] if node in layout.after else node.args[0] if node.op == "state" else -1)  # fmt: skip  # noqa: E501
    lines.append(f"static const int operand_state[] = {{{', '.join(map(str, state))}}};")
    lines.append(f"static const int operand_after[] = {{{', '.join(map(str, behind))}}};")
    columns = " ".join(f"if (p == {k}) return {p.columns};" for k, p in enumerate(program.products))
    lines.append(
        f"INLINE long operand_width(const args *A, int p) {{ long H = A->H, P = A->P, I = A->I; (void)H, (void)P; "
        f"(void)I; {columns} return 0; }}"
    )
    cases = " ".join(
        f"if (p == {k}) return {size(program.products[j].columns for j in layout.recomputed[:i])};"
        for i, k in enumerate(layout.recomputed)
    )
    lines.append(
        f"INLINE long operand_at(const args *A, int p) {{ long H = A->H, P = A->P; (void)H, (void)P, (void)p; "
        f"{cases} return 0; }}"
    )
    lines.append(_runs(layout))
    lines.append(_describe(layout))
    return "\n".join(lines)


def _bound(count: str | None) -> str:
    return f"[{count} ? {count} : 1]" if count else ""  # C has no empty arrays


def _bias(layout: Layout) -> str:
    """The bias of every slot: the sum of those of its products."""
    lines = []
    for k, width in enumerate(layout.program.slots):
        at = size(layout.program.slots[:k])
        terms = [
            f"bias_at(A->b[{int(p.matrix == RECURRENT)}], {p.blocks[k - p.start]}*{width}+j)"
            for p in layout.program.products
            if k in p.slots and p.bias
        ]
        lines.append(f"for (long j = 0; j < {width}; j++) bias[{at}+j] = {' + '.join(terms) or '0'};")
    return (
        "INLINE real bias_at(const real *b, long j) { return b ? b[j] : 0; }\n"
        "static void assemble_bias(const args *A, real *bias) { long H = A->H, P = A->P; (void)P; "
        + " ".join(lines)
        + "}"
    )


def _runs(layout: Layout) -> str:
    """For the gradient of its matrix: the runs of rows of a product that lie together in matrix and slots."""
    cases = []
    for number, product in enumerate(layout.program.products):
        runs: list[tuple[int, int, int]] = []  # first block, first slot, length
        for k, block in enumerate(product.blocks):
            slot = product.start + k
            if runs and runs[-1][0] + runs[-1][2] == block:
                runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
            else:
                runs.append((block, slot, 1))
        width = layout.program.slots[product.start]
        matrix = layout.matrices.index(product.matrix)
        text = " ".join(
            f"u[{i}] = (run){{{matrix}, {block}*{width}, {size(layout.program.slots[:slot])}, {length}*{width}}};"
            for i, (block, slot, length) in enumerate(runs)
        )
        cases.append(f"if (p == {number}) {{ {text} u[{len(runs)}].width = 0; }}")
    return (
        "static void runs_of(const args *A, int p, run *u) { long H = A->H, P = A->P, I = A->I; (void)P, (void)I; "
        + " ".join(cases)
        + " }"
    )


def _describe(layout: Layout) -> str:
    """The packed pieces: forwards one for each range and source, backwards one for each product."""
    program = layout.program

    def piece(number: int, name: str, product: Product, start: int, stop: int, back: bool) -> list[str]:
        blocks = product.blocks[start - product.start : stop - product.start]
        width, columns = program.slots[start], product.columns
        rows = size(program.slots[start:stop])
        shape = f"{rows}, {columns}" if back else f"{columns}, {rows}"
        table = f"{name}_blocks_{number}"
        return [
            f"static const int {table}[] = {{{', '.join(map(str, blocks))}}};",
            f"p[{number}] = (piece){{{{A->w[{layout.matrices.index(product.matrix)}], {columns}, {width}, {table}}}, "
            f"{shape}, 0, 0}};",
        ]

    def function(name: str, pieces: list[list[str]]) -> str:
        return (
            f"static void describe_{name}(const args *A, piece *p) {{ long H = A->H, P = A->P, I = A->I; "
            "(void)H, (void)P, (void)I, (void)p; " + " ".join(line for lines in pieces for line in lines) + " }"
        )

    forward, number = [], 0
    for start, stop, sources in ranges(layout):
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
        f"x = spread((const real *)(a + {offsets[r]})); "
        + " ".join(f"c{r}{v} = madd(c{r}{v}, x, w{v});" for v in range(vectors))
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


def rows(layout: Layout, plan: Schedule, loops: list[LoopNest], name: str) -> str:
    """A C function that runs loops row by row: what one writes is still in the nearest cache for the next."""
    blocks = "\n".join(_Loop(layout, plan, loop, name.startswith("forward")).text() for loop in loops)
    # a copy of the frame that no store can reach: its pointers stay in registers
    return (
        f"NOINLINE void {name}(const frame *rows) {{ const frame own = *rows, *F = &own; long H = F->H, P = F->P; "
        f"(void)H, (void)P;\nfor (long b = 0; b < F->n; b++) {{\n{blocks}\n}} }}"
    )


class _Loop:
    """The C block of one loop over the units of one row."""

    def __init__(self, layout: Layout, plan: Schedule, loop: LoopNest, forward: bool) -> None:
        self.layout, self.plan, self.loop, self.forward = layout, plan, loop, forward
        self.kept = {node: k for k, node in enumerate(layout.program.adjoint.saved)}
        self.kept_means = {node: k for k, node in enumerate(layout.program.adjoint.means)}
        self.uniform = dict[Node, str]()  # names of what is the same in all of a row
        self.once = list[str]()  # how it is computed

    def text(self) -> str:
        loop = self.loop
        sums = [f"vec sum{self.plan.means.index(mean)} = {{0}};" for mean in loop.means]
        ends = []
        for mean in loop.means:
            k = self.plan.means.index(mean)
            ends.append(f"real mean{k} = total(sum{k}) / {loop.width}; F->mean[{k}*F->mean_stride+b] = mean{k};")
            if self.forward and mean in self.kept_means:
                ends.append(f"if (F->training) F->saved_means[b*KEPT_MEANS+{self.kept_means[mean]}] = mean{k};")
        whole, rest = self.body("VL"), self.body("n")
        return (
            f"{{ {' '.join([*sums, *self.once])} long j = 0;\n"
            f"for (; j + VL <= {loop.width}; j += VL) {{ {whole} }}\n"
            f"if (j < {loop.width}) {{ long n = {loop.width} - j; {rest} }}\n{' '.join(ends)} }}"
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
                computed = node.inputs and node in self.loop.nodes
                text = compute(node) if computed else self.load_from_memory(node, load)
                known[node] = f"{letter}{len(known)}"
                code.append(f"vec {known[node]} = {text};")
            return known[node]

        def compute(node: Node) -> str:
            return OPERATIONS[node.op].c.format(*(value(arg) for arg in node.args))

        for node in self.loop.nodes:
            value(node)
        stores = []
        for out in self.loop.outputs:
            if out.array == "mean":
                continue
            stores.append(self.put(out, value(out.node), n))
        for node in self.loop.carried:
            k = self.plan.carried.index(node)
            stores.append(self.store(f"F->carried + b*CARRIED_WIDTH + {carried_at(self.plan, k)} + j", value(node), n))
        for mean in self.loop.means:
            term = value(mean.args[0])
            keep = term if n == "VL" else f"first_lanes({term}, n)"
            stores.append(f"sum{self.plan.means.index(mean)} += {keep};")
        return "\n".join([*lines, *stores])

    def load_from_memory(self, node: Node, load: object) -> str:
        """C of a value that is in memory before this loop."""
        assert callable(load)
        program, kind = self.layout.program, node.op
        width = node.width or "H"
        if not self.forward:
            if node in self.kept_means:
                return f"fill(F->saved_means[b*KEPT_MEANS+{self.kept_means[node]}])"
            if node in self.kept:
                k = self.kept[node]
                return str(load(f"F->saved + b*SAVED_WIDTH + {size(self.layout.kept_widths[:k])} + j"))
        if node in self.layout.after and (node.inputs or not self.forward):
            k = self.layout.after[node]
            return str(load(f"F->after[{k}] + b*{program.states[k]} + j"))
        if kind == "slot":
            k = node.args[0]
            return str(load(f"F->slots + b*SLOTS_WIDTH + {size(program.slots[:k])} + j"))
        if kind == "state":
            return str(load(f"F->before[{node.args[0]}] + b*{width} + j"))
        if kind == "vector":
            return str(load(f"F->vec[{program.cell.vectors.index(node.args[0])}] + j"))
        if kind == "noise":
            return str(load(f"F->noise[{list(program.cell.noise_inputs).index(node.args[0])}] + b*{width} + j"))
        if kind == "grad":
            k = node.args[0]
            text = load(f"F->ds[{k}] + b*{width} + j")
            if k in program.emitted:
                i = program.emitted.index(k)
                text = f"{text} + {load(f'F->gy[{i}] + b*F->gy_stride[{i}] + j')}"
            return str(text)
        if kind == "pulled":
            return str(load(f"F->carried + b*CARRIED_WIDTH + {place_of(self.plan, node.args[0])} + j"))
        if kind == "row_mean":
            return f"fill(F->mean[{self.plan.means.index(node)}*F->mean_stride+b])"
        return str(load(f"F->carried + b*CARRIED_WIDTH + {carried_at(self.plan, self.plan.carried.index(node))} + j"))

    def store(self, place: str, value: str, n: str) -> str:
        return f"store({place}, {value});" if n == "VL" else f"storen({place}, {value}, n);"

    def put(self, out: Output, value: str, n: str) -> str:
        """C that writes one output."""
        program, k = self.layout.program, out.index
        if out.array == "next":
            return self.store(f"F->after[{k}] + b*{out.width} + j", value, n)
        if out.array == "kept":
            place = f"F->saved + b*SAVED_WIDTH + {size(self.layout.kept_widths[:k])} + j"
            return f"if (F->training) {self.store(place, value, n)}"
        if out.array == "operand" and self.forward:
            return self.store(f"F->carried + b*CARRIED_WIDTH + {place_of(self.plan, k)} + j", value, n)
        if out.array == "d":
            return self.store(f"F->dslots + b*F->dslots_stride + {size(program.slots[:k])} + j", value, n)
        if out.array == "ds":
            return self.store(f"F->ds[{k}] + b*{out.width} + j", value, n)
        if out.array == "operand":
            i = self.layout.recomputed.index(k)
            widths = [program.products[p].columns for p in self.layout.recomputed[:i]]
            return self.store(f"F->operands + b*OPERANDS_WIDTH + {size(widths)} + j", value, n)
        place = f"F->dvec[{k}] + j"
        if n == "VL":
            return f"store({place}, load({place}) + {value});"
        return f"storen({place}, loadn({place}, n) + {value}, n);"


@cache
def _text(name: str) -> str:
    return (files("rnnbench.nn.compiler") / "csrc" / name).read_text("utf-8")


def shared_text(dtype: torch.dtype, *more: str) -> str:
    """The C text below every kernel, and further files."""
    kernels = _text("kernels.h").replace("\nTILES\n", f"\n{tiles()}\n")
    kind = {torch.float64: "#define REAL_DOUBLE", torch.bfloat16: "#define BF16"}.get(dtype, "")
    return "\n".join([kind, kernels, *map(_text, more)])


def emit(layout: Layout, dtype: torch.dtype) -> str:
    """C source of a program in float32 or float64; for bfloat16 in float32 with products of bfloat16."""
    parts = [
        shared_text(dtype),
        declarations(layout),
        _forward_step(layout),
        _backward_step(layout),
        _text("driver.h"),
    ]
    return "\n".join(parts)


class _Step:
    """The C function of a step as it grows: products, and between them loops over the rows."""

    def __init__(self, layout: Layout, plan: Schedule, name: str) -> None:
        self.layout, self.plan, self.name = layout, plan, name
        self.functions: list[str] = []
        self.lines: list[str] = []
        self.waiting: list[LoopNest] = []

    def loops(self, phase: int) -> None:
        """The loops of a phase, in one function with those before them if no product comes in between."""
        self.waiting += self.plan.of_phase(phase)

    def product(self, line: str) -> None:
        """A product, after all loops so far."""
        self._flush()
        self.lines.append(line)

    def _flush(self) -> None:
        if self.waiting:
            name = f"{self.name}_rows_{len(self.functions)}"
            self.functions.append(rows(self.layout, self.plan, self.waiting, name))
            self.lines.append(f"{name}(F);")
            self.waiting = []

    def text(self) -> str:
        """C text."""
        self._flush()
        body = "\n".join(self.lines)
        head = f"static void {self.name}_step(const args *A, const frame *F, const piece *q)"
        sizes = "long H = A->H, P = A->P, I = A->I; (void)H, (void)P, (void)I, (void)q;"
        return "\n".join([*self.functions, f"{head} {{ {sizes}\n{body}\n}}"])


def _forward_step(layout: Layout) -> str:
    program, plan = layout.program, layout.forward
    step, number = _Step(layout, plan, "forward"), 0
    numbered = []
    for start, stop, sources in ranges(layout):
        numbered.append((start, stop, sources, number))
        number += len(sources)
    for phase in range(max(plan.phases, 1 + max(layout.slot_phases))):
        for start, stop, sources, first in numbered:
            if layout.slot_phases[start] != phase or not sources:
                continue
            columns, at = size(program.slots[start:stop]), size(program.slots[:start])
            entries = []
            for i, product in enumerate(sources):
                if product.operand is None:
                    place = ("F->x", "A->I")
                elif product.operand.op == "state":
                    place = (f"F->before[{product.operand.args[0]}]", product.columns)
                else:
                    place = (f"F->carried + {place_of(plan, program.products.index(product))}", "CARRIED_WIDTH")
                entries.append((*place, product.columns, first + i))
            text = ", ".join(f"left_operand(&q[{n}], F->n, {a}, {row}, F->first)" for a, row, _, n in entries)
            few = " ".join(
                f"dots(F->n, {columns}, &q[{n}].w, {a}, {row}, {depth}, F->slots + {at}, SLOTS_WIDTH);"
                for a, row, depth, n in entries
            )
            fill = (
                f"for (long b = 0; b < F->n; b++) memcpy(F->slots + b*SLOTS_WIDTH + {at}, F->bias + {at}, "
                f"{columns} * sizeof(real));"
            )
            step.product(
                f"if (F->plain) {{ {fill} {few} }} else {{ source s[] = {{{text}}}; "
                f"multiply(F->n, {columns}, s, {len(entries)}, F->slots + {at}, SLOTS_WIDTH, F->bias + {at}, BIAS); }}"
            )
        step.loops(phase)
    return step.text()


def _backward_step(layout: Layout) -> str:
    program, plan = layout.program, layout.backward
    step, done, last = _Step(layout, plan, "backward"), set[int](), list[str]()
    for phase in range(plan.phases):
        step.loops(phase)
        for k, product in enumerate(program.products):
            ready = max(program.adjoint.phase_of(program.adjoint.slots[slot]) for slot in product.slots)
            if product.operand is None or k in done or ready > phase:
                continue
            done.add(k)
            at = size(program.slots[: product.start])
            operand = product.operand
            state = operand.op == "state"
            into = f"F->ds[{operand.args[0]}]" if state else f"F->carried + {place_of(plan, k)}"
            row, begin = (product.columns, "KEEP") if state else ("CARRIED_WIDTH", "ZERO")
            text = (
                f"{{ source s = left_operand(&q[{k}], F->n, F->dslots + {at}, F->dslots_stride, F->first); "
                f"multiply(F->n, {product.columns}, &s, 1, {into}, {row}, 0, {begin}); }}"
            )
            if state:
                last.append(text)
            else:
                step.product(text)
    for text in last:
        step.product(text)
    return step.text()
