"""The Triton kernels of cells without a product or a row mean in their step: units have nothing to do with each other.

A program of a kernel's grid has BB rows of the batch and BN units, and keeps their states in registers from step to
step. What a step does to the states is affine in many of these cells (`linear_coefficients`), and what a step backwards
does to their gradients is in all of them. Steps are then split into chunks, which run beside each other (Blelloch 1990,
section 1.4, in two levels):

1. `forward_summary`: the matrix and the term by which a chunk maps the states before it to those after it
2. `combine` (in `triton_functions`): from these, chunk after chunk, the states before each chunk
3. `forward`: all states, each chunk from its own

and backwards alike, with gradients of states in the place of states.

Names in the source, beside those of `triton_codegen`:

    initial                 states before each chunk, [K, chunks, B, H]; backwards: before the first step, [K, B, H]
    ds                      gradients of the states after each chunk, and in the end of those before it
    local                   what comes out of a chunk that begins with zeros, [K, chunks, B, H]
    matrix                  what a chunk multiplies states, or gradients of states, by, [K, K, chunks, B, H]
    dvec                    gradients of the vectors, of each chunk and sequence: [V, chunks, B, H]
    chunks, length          how many chunks there are; steps of each
    begin, end              steps of a program's chunk, in the order in which the sequence is read
    finite, known           whether all numbers of all chunks are finite; the chunk whose gradients are known at first
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnbench.nn.compiler.autodiff import Program
from rnnbench.nn.compiler.schedule import closure
from rnnbench.nn.compiler.trace import Node
from rnnbench.nn.compiler.triton_codegen import HEAD, check_known, expression, literal

Coefficients = list[list[Node]]


def is_elementwise(program: Program) -> bool:
    """Whether a step multiplies nothing but the input, and has no mean of a row."""
    nodes = closure([*program.forward_nodes, *program.adjoint.roots])
    return len(program.products) == 1 and all(node.op != "row_mean" for node in nodes)


class _NotAffine(Exception):
    """A value depends on leaves in another way."""


def linear_coefficients(values: Sequence[Node], leaf: str) -> Coefficients | None:
    """`a[i][j]` of `value_i = Σ_j a[i][j] · leaf_j + …`, for as many leaves of a kind (`state`, `grad`) as values.

    None if a value is not affine in the leaves, by rules of addition, multiplication, division and choice.
    """
    graph, known = values[0].graph, dict[Node, dict[int, Node]]()
    make, zero = graph.make, graph.node(0.0)

    def each(parts: dict[int, Node], function: Callable[[Node], Node]) -> dict[int, Node]:
        return {k: function(part) for k, part in parts.items()}

    def of(node: Node) -> dict[int, Node]:
        """By leaf, the coefficient of a value; none where it does not depend on the leaf."""
        if node not in known:
            known[node] = {node.args[0]: graph.node(1.0)} if node.op == leaf else compute(node)
        return known[node]

    def compute(node: Node) -> dict[int, Node]:
        parts = [of(argument) for argument in node.inputs]
        if not any(parts):
            return {}
        if node.op == "neg":
            return each(parts[0], lambda part: -part)
        if node.op in ("add", "sub"):
            first, second = parts
            both = {k: make(node.op, first[k], second[k]) for k in first.keys() & second.keys()}
            return first | (second if node.op == "add" else each(second, lambda part: -part)) | both
        if node.op == "mul" and not all(parts):
            factor = node.args[1] if parts[0] else node.args[0]
            return each(parts[0] or parts[1], lambda part: part * factor)
        if node.op == "div" and not parts[1]:
            return each(parts[0], lambda part: part / node.args[1])
        if node.op == "where" and not parts[0]:
            condition, first, second = node.args[0], parts[1], parts[2]
            keys = first.keys() | second.keys()
            return {k: make("where", condition, first.get(k, zero), second.get(k, zero)) for k in keys}
        raise _NotAffine

    try:
        rows = [of(node) for node in values]
    except _NotAffine:
        return None
    return [[row.get(k, zero) for k in range(len(rows))] for row in rows]


# --- source


SIZES = ("H", "BB", "BN", "PACKED", "REVERSE")
"""Constants that a launch chooses."""


@dataclass(frozen=True)
class ScanSource:
    """The kernels of a program: their text, and the names of their arguments but for `SIZES`.

    Those of chunks, `forward_summary` and `backward_summary`, are there where a step is affine.
    """

    text: str
    kernels: dict[str, tuple[str, ...]]

    def arguments(self, name: str) -> tuple[str, ...]:
        """The names of the arguments of a kernel."""
        return self.kernels[name]


def emit(program: Program) -> ScanSource:
    """The Triton source of a program that is elementwise.

    Raises:
        UnsupportedOperation: one of its operations has no Triton expression.
    """
    check_known(closure([*program.forward_nodes, *program.adjoint.roots]))
    kernels = [_forward(program, None), _backward(program, None)]
    if (coefficients := linear_coefficients(program.after, "state")) is not None:
        kernels.append(_forward(program, coefficients))
    if (coefficients := linear_coefficients(program.adjoint.states, "grad")) is not None:
        kernels.append(_backward(program, coefficients))
    text = "\n\n".join([HEAD, *(kernel.text() for kernel in kernels)])
    return ScanSource(text, {kernel.name: tuple(kernel.arguments) for kernel in kernels})


ALONE = """
    if finite is not None:
        split = tl.load(finite) != 0
        begin = tl.where(split, begin, 0)
        end = tl.where(split, end, tl.where(chunk == 0, steps, 0))
        known = tl.where(split, chunk, chunks - 1)"""
"""If something in a chunk is not finite, inf · 0 would arise between chunks: the first then takes all steps."""


class _Kernel:
    """The text of a kernel as it grows: lines before the loop over its steps, in it, and after it."""

    def __init__(self, name: str, program: Program, arguments: Sequence[str]) -> None:
        self.name, self.program, self.arguments = name, program, list(arguments)
        self.before: list[str] = []
        self.steps: list[str] = []
        self.after: list[str] = []
        self.names: dict[Node, str] = {}
        self.reads: dict[Node, tuple[str, str]] = {}  # of values in memory: an expression, and a line that adds to it
        for k, name in enumerate(program.cell.vectors):
            node = program.graph.leaf("vector", name, "H")
            self.names[node] = f"p{k}"
            self.before.append(f"p{k} = load_row(vector_{k}, cols, H, BN)")
        for k, (name, width) in enumerate(program.cell.noise_inputs.items()):
            node = program.graph.leaf("noise", name, width)
            self.reads[node] = f"load(noise_{k}, here if each_{k} else rows, cols, H, mask)", ""

    def value(self, node: Node) -> str:
        """The name of a value, which is computed or read at the first call."""
        if node.op == "const":
            return literal(node)
        if node not in self.names:
            text, more = self.reads.get(node) or (expression(node, [self.value(arg) for arg in node.args]), "")
            name = self.names[node] = f"v{len(self.names)}"
            self.steps += [f"{name} = {text}", *([more.format(name)] if more else [])]
        return self.names[node]

    def keep(self, prefix: str, values: Sequence[str]) -> None:
        """Take values over into the next step, in the rows that are live; one may be what another was before."""
        self.steps += [f"{prefix}{k}_next = tl.where(live, {name}, {prefix}{k})" for k, name in enumerate(values)]
        self.steps += [f"{prefix}{k} = {prefix}{k}_next" for k in range(len(values))]

    def text(self) -> str:
        """The whole kernel."""
        arguments = [*self.arguments, "T", "B", "chunks", "length", *(f"{name}: tl.constexpr" for name in SIZES)]
        backward = self.name.startswith("backward")
        alone = ALONE if "finite" in self.arguments else ""
        head = f"""@triton.jit(do_not_specialize=["T", "B", "chunks", "length"])
def {self.name}({", ".join(arguments)}):
    rows = (tl.program_id(0) * BB + tl.arange(0, BB)[:, None]).to(tl.int64)
    cols = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]
    chunk = tl.program_id(2)
    tile = inside(rows < B, cols, H, BN)
    steps = T
    if PACKED:
        steps = tl.load(lengths + tl.program_id(0) * BB)  # sequences lie in the order of their lengths
    begin = tl.minimum(chunk * length, steps)
    end = tl.minimum(begin + length, steps)
    known = chunk{alone}"""
        loop = f"""    for k in range(begin, end):
        s = {"begin + end - 1 - k" if backward else "k"}
        t = s
        if REVERSE:
            t = steps - 1 - s
        if PACKED:
            here = tl.load(offset + t) + rows
            live = rows < tl.load(count + t)
        else:
            here = t * B + rows
            live = rows < B
        mask = inside(live, cols, H, BN)"""
        indent = "    "
        lines = [head, *(indent + line for line in self.before), loop, *(2 * indent + line for line in self.steps)]
        return "\n".join([*lines, *(indent + line for line in self.after)]) + "\n"


def _plane(tensor: str, *indices: int, sizes: int, chunk: str = "chunk") -> str:
    """The place of a chunk in a tensor `[K, …, chunks, B, H]`; `sizes` is K."""
    number = 0
    for index in indices:
        number = number * sizes + index
    return f"{tensor} + ({number} * chunks + {chunk}).to(tl.int64) * B * H"


def _common_arguments(program: Program) -> list[str]:
    return [
        *(f"vector_{k}" for k in range(len(program.cell.vectors))),
        *(f"noise_{k}" for k in range(len(program.cell.noise_inputs))),
        *(f"each_{k}: tl.constexpr" for k in range(len(program.cell.noise_inputs))), "count", "offset", "lengths",
    ]  # fmt: skip


def _forward(program: Program, coefficients: Coefficients | None) -> _Kernel:
    """The kernel forwards; with coefficients, that of what a chunk does to the states."""
    states, slots, saved = len(program.states), len(program.slots), program.adjoint.saved
    arguments = ["xz", *_common_arguments(program)]
    if coefficients is None:
        arguments += [
            "initial", "finite", *(f"seq_{k}" for k in range(states)), *(f"saved_{k}" for k in range(len(saved))),
        ]  # fmt: skip
    else:
        arguments += ["local", "matrix"]
    kernel = _Kernel("forward" if coefficients is None else "forward_summary", program, arguments)
    for k in range(slots):
        kernel.reads[program.slot(k)] = f"load(xz, here, {k} * H + cols, ({slots} * H), mask)", ""
    for k in range(states):
        kernel.names[program.state(k)] = f"s{k}"
        if coefficients is None:
            kernel.before.append(f"s{k} = load({_plane('initial', k, sizes=states)}, rows, cols, H, tile)")
    after = [kernel.value(node) for node in program.after]
    if coefficients is None:
        for k, name in enumerate(after):
            kernel.steps.append(f"store(seq_{k}, here, cols, H, mask, {name})")
        for k, node in enumerate(saved):
            name = kernel.value(node)
            kernel.steps += [f"if saved_{k} is not None:", f"    store(saved_{k}, here, cols, H, mask, {name})"]
    else:
        _summarise(kernel, coefficients, "s")
    kernel.keep("s", after)
    return kernel


def _summarise(kernel: _Kernel, coefficients: Coefficients, state: str) -> None:
    """What a chunk that begins with zeros ends with, and its matrix: the product of those of its steps."""
    count = range(len(coefficients))
    new: list[str] = []
    for k in count:
        kernel.before.append(f"{state}{k} = tl.zeros([BB, BN], dtype=tl.float32)")
        kernel.after.append(f"store({_plane('local', k, sizes=len(count))}, rows, cols, H, tile, {state}{k})")
    for i in count:
        for j in count:
            kernel.before.append(f"m{i}{j} = tl.full([BB, BN], {float(i == j)}, tl.float32)")
            terms = [
                f"{kernel.value(coefficients[i][k])} * m{k}{j}"
                for k in count
                if coefficients[i][k] is not coefficients[i][k].graph.node(0.0)
            ]
            kernel.steps.append(f"n{i}{j} = {' + '.join(terms) or 'tl.zeros([BB, BN], dtype=tl.float32)'}")
            new.append(f"m{i}{j} = tl.where(live, n{i}{j}, m{i}{j})")
            place = _plane("matrix", i, j, sizes=len(coefficients))
            kernel.after.append(f"store({place}, rows, cols, H, tile, m{i}{j})")
    kernel.steps += new


def _backward(program: Program, coefficients: Coefficients | None) -> _Kernel:
    """The kernel backwards; with coefficients, that of what a chunk does to the gradients of states."""
    adjoint, states, slots = program.adjoint, len(program.states), len(program.slots)
    vectors = list(adjoint.vectors.values())
    arguments = [
        *_common_arguments(program), "initial", *(f"seq_{k}" for k in range(states)),
        *(f"saved_{k}" for k in range(len(adjoint.saved))), *(f"gy_{k}" for k in range(len(program.emitted))),
        *(["ds", "d", "dvec", "finite"] if coefficients is None else ["local", "matrix"]),
    ]  # fmt: skip
    kernel = _Kernel("backward" if coefficients is None else "backward_summary", program, arguments)
    for k in range(states):
        initial = f"initial + {k} * (B * H).to(tl.int64)"
        kernel.reads[program.state(k)] = (
            f"load_before({initial}, seq_{k}, fresh, rows, before, cols, H, mask)", ""
        )  # fmt: skip
        kernel.reads[program.after[k]] = f"load(seq_{k}, here, cols, H, mask)", ""
        more = ""
        if k in program.emitted:
            i = program.emitted.index(k)
            more = f"if gy_{i} is not None: {{0}} += load(gy_{i}, here, cols, H, mask)"
        kernel.reads[program.graph.leaf("grad", k, "H")] = f"g{k}", more
    for k, node in enumerate(adjoint.saved):
        kernel.reads[node] = f"load(saved_{k}, here, cols, H, mask)", ""
    kernel.steps += [
        "fresh = (rows >= 0) & (s == 0)",
        "before = here - B",
        "if REVERSE: before = here + B",
        "if PACKED:",
        "    if REVERSE:",
        "        fresh = rows >= tl.load(count + t + 1)",
        "        before = tl.load(offset + t + 1) + rows",
        "    else:",
        "        before = tl.load(offset + t - 1, mask=t > 0, other=0) + rows",
    ]
    new = [kernel.value(node) for node in adjoint.states]
    if coefficients is not None:
        _summarise(kernel, coefficients, "g")
    else:
        for k, node in enumerate(adjoint.slots):
            kernel.steps.append(f"store(d, here, {k} * H + cols, ({slots} * H), mask, {kernel.value(node)})")
        for k, node in enumerate(vectors):
            kernel.before.append(f"a{k} = tl.zeros([BB, BN], dtype=tl.float32)")
            kernel.steps.append(f"if dvec is not None: a{k} += tl.where(mask, {kernel.value(node)}, 0.0)")
            place = _plane("dvec", k, sizes=len(vectors))
            kernel.after += ["if dvec is not None:", f"    store({place}, rows, cols, H, tile, a{k})"]
        for k in range(states):
            place, first = _plane("ds", k, sizes=states), _plane("ds", k, sizes=states, chunk="known")
            kernel.before.append(f"g{k} = load({first}, rows, cols, H, tile)")
            kernel.after.append(f"store({place}, rows, cols, H, tile, g{k})")
    kernel.keep("g", new)
    return kernel
