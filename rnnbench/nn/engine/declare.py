"""The declarations of a program in C: its sizes, tables, and what Python passes."""

from __future__ import annotations

from rnnbench.nn.engine.layout import Layout, ranges, size
from rnnbench.nn.engine.program import RECURRENT, Product

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
