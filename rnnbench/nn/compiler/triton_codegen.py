"""The Triton source of a program: one kernel forwards and one backwards, each for a whole sequence.

One program of a kernel's grid has BB rows of the batch, for all steps. In each step the phases of the schedule
(`schedule`) come one after the other. Forwards, a loop over blocks of BN units adds up the products that its slots
need, BK places of their operands at a time, and goes on with the elementwise part; what other blocks or later loops
read goes through memory. Backwards, loops write the gradients of the slots, and products after them give those of the
operands. Products with the input, and the gradients of weights and biases, are no part of it.

If PROGRAMS is 1, no program waits for another. Else so many programs share the units of a row, SPAN each, and wait for
each other (`barrier`) where one reads what others have written: the parts of a step between are its segments. Where
programs run one after the other, as they do in Triton's interpreter, each segment of each step is a launch of its own.

Names in the source, beside those of `triton_functions`:

    T B H P                 steps, sequences, hidden size, width of h (less than H if projected)
    xz, bias                products of the input with all biases, [rows, input slots]; bias of all slots
    w_k                     matrices
    seq_k, initial_k        states after all steps, [rows, W]; before the first step, [B, W]
    saved_k, means          what the forward pass keeps for the backward pass
    noise_k, each_k         random values; whether each step has its own
    plane                   of `scratch`: a value of the present step for all sequences, [B, H]
    d, ds_k, dvec           gradients: of the slots, [rows, all slots]; of the states; of the vectors, for each sequence
    gy_k                    those of the emitted sequences of states; None: zero
    operand_k               operands of products that the backward pass computes again, [rows, W]
    count, offset, lengths  rows of each step, the first of them; steps of each sequence (if packed)
    counter, first          how often programs have waited; step to begin with, where a segment is a launch
    rows, here, before      places of a program's rows: in the batch, in the step, in the step before
    live, fresh             which of them there are in the step; which of them begin there
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnbench.nn.compiler.autodiff import Product
from rnnbench.nn.compiler.layout import Layout, size
from rnnbench.nn.compiler.schedule import LoopNest, Output, Schedule, closure
from rnnbench.nn.compiler.trace import Node, UnsupportedOperation

EXPRESSIONS = {
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "div": "({0} / {1})",
    "neg": "(-{0})",
    "sigmoid": "tl.sigmoid({0})",
    "tanh": "tanh({0})",
    "exp": "tl.exp({0})",
    "log": "tl.log({0})",
    "sqrt": "tl.sqrt({0})",
    "softplus": "softplus({0})",
    "relu": "relu({0})",
    "abs": "tl.abs({0})",
    "maximum": "greatest({0}, {1})",
    "minimum": "least({0}, {1})",
    "gt": "is_greater({0}, {1})",
    "ge": "is_at_least({0}, {1})",
    "detach": "{0}",
    "where": "choose({0}, {1}, {2})",
}
"""The Triton expression of each operation."""

HEAD = '''"""Emitted by rnnbench.nn.compiler.triton_codegen."""
import triton
import triton.language as tl

from rnnbench.nn.compiler.triton_functions import (
    add, barrier, choose, combine, greatest, inside, is_at_least, is_greater, least, load, load_before, load_parts,
    load_row, multiply, multiply_back, relu, row_sum, softplus, store, store_part, tanh,
)
'''
SIZES = (
    "H",
    "P",
    "BB",
    "BN",
    "BK",
    "SPAN",
    "SPAN_P",
    "PROGRAMS",
    "SHARES",
    "SEGMENT",
    "PACKED",
    "REVERSE",
    "PRECISION",
)
"""Constants that a launch chooses."""


@dataclass(frozen=True)
class Source:
    """A program's kernels: text, names of their arguments but for `SIZES`, planes of their scratch, row means and
    segments of a step, and whether programs that share a row have to wait for each other."""

    text: str
    forward: tuple[str, ...]
    backward: tuple[str, ...]
    planes: dict[str, int]
    means: dict[str, int]
    segments: dict[str, int]
    waits: dict[str, bool]

    def arguments(self, name: str) -> tuple[str, ...]:
        """The names of the arguments of `forward` or `backward`."""
        return self.forward if name == "forward" else self.backward


def emit(layout: Layout) -> Source:
    """The Triton source of a program.

    Raises:
        UnsupportedOperation: one of its operations has no Triton expression.
    """
    program = layout.program
    check_known(closure([*program.forward_nodes, *program.adjoint.roots]))
    forward, backward = _Forward(layout), _Backward(layout)
    kernels: tuple[_Kernel, ...] = (forward, backward)
    text = "\n\n".join([HEAD, *(kernel.text() for kernel in kernels)])
    return Source(
        text=text,
        forward=tuple(forward.arguments),
        backward=tuple(backward.arguments),
        planes={kernel.name: len(kernel.planes) for kernel in kernels},
        means={kernel.name: len(kernel.plan.means) for kernel in kernels},
        segments={kernel.name: kernel.segments for kernel in kernels},
        waits={kernel.name: kernel.waits for kernel in kernels},
    )


def check_known(nodes: Iterable[Node]) -> None:
    """Check that all operations have an expression.

    Raises:
        UnsupportedOperation: one has none.
    """
    for node in sorted(nodes, key=lambda node: node.index):
        if node.inputs and node.op != "row_mean" and node.op not in EXPRESSIONS:
            raise UnsupportedOperation(f"{node.op}, for which there is no Triton expression")


def literal(node: Node) -> str:
    """A constant."""
    text = repr(node.args[0])
    return f'float("{text}")' if text in ("inf", "-inf", "nan") else text


def expression(node: Node, arguments: Sequence[str]) -> str:
    """An operation on arguments of these names."""
    arguments = list(arguments)
    if all(argument.op == "const" for argument in node.args):
        arguments[0] = f"tl.full([1, 1], {arguments[0]}, tl.float32)"
    return EXPRESSIONS[node.op].format(*arguments)


class _Kernel:
    """The text of a kernel as it grows."""

    name: str
    plan: Schedule
    open = False  # whether the present segment has begun

    def __init__(self, layout: Layout) -> None:
        self.layout, self.program = layout, layout.program
        self.kept = {node: k for k, node in enumerate(layout.program.adjoint.saved)}
        self.kept_means = {node: k for k, node in enumerate(layout.program.adjoint.means)}
        self.noise_names = list(self.program.cell.noise_inputs)
        self.planes: dict[object, int] = {}
        self.lines: list[str] = []
        self.arguments: list[str] = []
        self.segments = 0
        self.waits = False
        self.summed: list[tuple[str, str, int]] = []  # row means of the present segment, their widths and numbers

    # --- text

    def put(self, depth: int, *lines: str) -> None:
        """Add lines to the body of the loop over steps, `depth` loops further in."""
        if not self.open:
            self.open = True
            self.lines.append(f"        if SEGMENT < 0 or SEGMENT == {self.segments}:")
        self.lines += [f"{'    ' * (3 + depth)}{line}" for line in lines]

    def end_segment(self) -> None:
        """Wait for all programs that share the rows, and take up the sums over rows of all of them."""
        self.put(0, "if PROGRAMS == 1:", "    tl.debug_barrier()")
        self.put(0, "elif SEGMENT < 0:", "    arrived += 1", "    barrier(counter, arrived, PROGRAMS)")
        self.open, self.waits = False, True
        self.segments += 1
        for name, width, number in self.summed:
            total = f"load_parts(parts + {number} * PROGRAMS * B, rows, B, live, PROGRAMS, SHARES)"
            self.lines += ["        if PROGRAMS > 1:", f"            {name} = {total} / {width}"]
        self.summed = []

    def text(self) -> str:
        """The whole kernel."""
        self.body()
        back = self.name == "backward"
        last_first = "not REVERSE" if back else "REVERSE"
        arguments = [*self.arguments, "T", "B", "first", *(f"{name}: tl.constexpr" for name in SIZES)]
        head = f"""@triton.jit(do_not_specialize=["T", "B", "first"])
def {self.name}({", ".join(arguments)}):
    rows = (tl.program_id(0) * BB + tl.arange(0, BB)[:, None]).to(tl.int64)
    if PROGRAMS > 1:
        counter += tl.program_id(0)
    arrived = 0
    steps = T
    if PACKED:
        steps = tl.load(lengths + tl.program_id(0) * BB)  # sequences lie in the order of their lengths
    stop = steps
    if SEGMENT >= 0:
        stop = tl.minimum(steps, first + 1)
    for s in range(first, stop):
        t = s
        if {last_first}:
            t = steps - 1 - s
        if PACKED:
            here = tl.load(offset + t) + rows
            live = rows < tl.load(count + t)
            if REVERSE:
                fresh = rows >= tl.load(count + t + 1)
                before = tl.load(offset + t + 1) + rows
            else:
                fresh = (rows >= 0) & (t == 0)
                before = tl.load(offset + t - 1, mask=t > 0, other=0) + rows
        else:
            here = t * B + rows
            live = rows < B
            if REVERSE:
                fresh = (rows >= 0) & (t == steps - 1)
                before = here + B
            else:
                fresh = (rows >= 0) & (t == 0)
                before = here - B"""
        return "\n".join([head, *self.lines]) + "\n"

    def body(self) -> None:
        """Fill `lines` and `arguments`."""
        raise NotImplementedError

    def plane(self, key: object) -> str:
        """The place of a plane of `scratch`, which it gets at the first call."""
        return f"scratch + {self.planes.setdefault(key, len(self.planes))} * B * H"

    # --- loops over units

    def loop(self, loop: LoopNest) -> None:
        """A loop over the units of a row: what it needs, computes and writes."""
        width, plan = loop.width, self.plan
        means = {mean: f"mean_{plan.means.index(mean)}" for mean in loop.means}
        self.put(0, *(f"{name} = tl.zeros([BB, 1], dtype=tl.float32)" for name in means.values()))
        self.begin_loop(width)
        names = dict(self.slots(loop))

        def value(node: Node) -> str:
            if node.op == "const":
                return literal(node)
            if node not in names:
                if node.op == "row_mean" and (self.name == "forward" or node not in self.kept_means):
                    return f"mean_{plan.means.index(node)}"
                if node.inputs and node in loop.nodes:
                    text, more = expression(node, [value(argument) for argument in node.args]), ""
                else:
                    text, more = self.read(node, width)
                names[node] = f"v{len(names)}"
                self.put(1, f"{names[node]} = {text}", *([f"{more.format(names[node])}"] if more else []))
            return names[node]

        for node in loop.nodes:
            value(node)
        for out in loop.outputs:
            self.write(out, value(out.node) if out.array != "mean" else "")
        for node in loop.carried:
            self.put(1, f"store({self.plane(node)}, rows, cols, H, mask, {value(node)})")
        for mean, name in means.items():
            self.put(1, f"{name} += row_sum({value(mean.args[0])}, cols, rows, {width})")
        for mean, name in means.items():
            number = plan.means.index(mean)
            self.put(0, "if PROGRAMS == 1:", f"    {name} = {name} / {width}")
            self.put(0, "else:", f"    store_part(parts + {number} * PROGRAMS * B, rows, B, live, {name})")
            self.summed.append((name, width, number))
        if self.shares(loop):
            self.end_segment()
            self.keep_means(loop)
        else:
            self.put(0, "tl.debug_barrier()")

    def shares(self, loop: LoopNest) -> bool:
        """Whether other programs read what the loop writes."""
        raise NotImplementedError

    def keep_means(self, loop: LoopNest) -> None:
        """Keep row means for the backward pass."""

    def begin_loop(self, width: str) -> None:
        """The head of a loop over blocks of units."""
        span = "SPAN" if width == "H" else "SPAN_P"
        begin = f"tl.program_id(1) * {span}"
        self.put(0, f"for n in range({begin}, {begin} + {span}, BN):")
        self.put(1, "cols = n + tl.arange(0, BN)[None, :]", f"mask = inside(live, cols, {width}, BN)")

    def slots(self, loop: LoopNest) -> dict[Node, str]:
        """The slots of a loop that are not in memory, computed."""
        return {}

    def read(self, node: Node, width: str) -> tuple[str, str]:
        """A value that is in memory before the loop, and a line that adds to it ({} is its name)."""
        program = self.program
        if node in self.layout.after and (node.inputs or self.name == "backward"):
            return f"load(seq_{self.layout.after[node]}, here, cols, {width}, mask)", ""
        if node.op == "state":
            k = node.args[0]
            return f"load_before(initial_{k}, seq_{k}, fresh, rows, before, cols, {width}, mask)", ""
        if node.op == "vector":
            return f"load_row(vector_{program.cell.vectors.index(node.args[0])}, cols, H, BN)", ""
        if node.op == "noise":
            k = self.noise_names.index(node.args[0])
            return f"load(noise_{k}, here if each_{k} else rows, cols, {width}, mask)", ""
        return f"load({self.plane(node)}, rows, cols, H, mask)", ""

    def write(self, out: Output, value: str) -> None:
        """One output of a loop."""
        raise NotImplementedError

    def common_arguments(self) -> list[str]:
        """Arguments of both kernels."""
        program = self.program
        used = sorted({self.layout.matrices.index(p.matrix) for p in program.products if p.operand is not None})
        return [
            *(f"w_{k}" for k in used),
            *(f"vector_{k}" for k in range(len(program.cell.vectors))),
            *(f"noise_{k}" for k in range(len(self.noise_names))),
            *(f"each_{k}: tl.constexpr" for k in range(len(self.noise_names))),
            *(f"initial_{k}" for k in range(len(program.states))), *(f"seq_{k}" for k in range(len(program.states))),
            *(f"saved_{k}" for k in range(len(self.kept))), "means", "scratch", "parts", "counter", "count", "offset",
            "lengths",
        ]  # fmt: skip


class _Forward(_Kernel):
    name = "forward"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.plan = layout.forward
        self.uses = [self._slots_of(loop) for loop in self.plan.loops]
        self.ready: set[int] = set()  # slots in `scratch`

    def body(self) -> None:
        for phase in range(self.plan.phases):
            for loop in self.plan.of_phase(phase):
                self.loop(loop)
        self.segments += self.open
        self.arguments = ["xz", "bias", *self.common_arguments()]

    def shares(self, loop: LoopNest) -> bool:
        operands = {p.operand for p in self.program.products}
        read = {k for k, node in enumerate(self.program.after) if operands & {node, self.program.state(k)}}
        last = loop is self.plan.loops[-1] and len(self.program.products) > 1
        return last or bool(loop.means) or any(
            out.array == "operand" or (out.array == "next" and out.index in read) for out in loop.outputs
        )  # fmt: skip

    def keep_means(self, loop: LoopNest) -> None:
        for mean in loop.means:
            if mean in self.kept_means:
                place = f"means + here * {len(self.kept_means)} + {self.kept_means[mean]}"
                name = f"mean_{self.plan.means.index(mean)}"
                self.put(0, "if means is not None:", f"    tl.store({place}, {name}, mask=live)")

    def _slots_of(self, loop: LoopNest) -> list[int]:
        values = {*loop.targets, *(argument for node in loop.nodes for argument in node.inputs)}
        return sorted(node.args[0] for node in values if node.op == "slot")

    def slots(self, loop: LoopNest) -> dict[Node, str]:
        program, input_slots = self.program, self.program.products[0].slots
        place = self.plan.loops.index(loop)
        later = {k for use in self.uses[place + 1 :] for k in use}
        needed = [k for k in self.uses[place] if k not in self.ready]
        for k in needed:
            if k in input_slots:
                stride, at = size(program.slots[: input_slots.stop]), size(program.slots[:k])
                self.put(1, f"z{k} = load(xz, here, {at} + cols, {stride}, mask)")
            else:
                row = f"load_row(bias + {size(program.slots[:k])}, cols, {loop.width}, BN)"
                self.put(1, f"z{k} = tl.zeros([BB, BN], dtype=tl.float32) + {row}")
        for number, product in enumerate(program.products):
            if product.operand is not None and (wanted := [k for k in needed if k in product.slots]):
                self._product(number, product, wanted, loop.width)
        for k in needed:
            if any(k in p.slots for p in program.products[1:]) and k in later:
                self.put(1, f"store({self.plane(k)}, rows, cols, H, mask, z{k})")
                self.ready.add(k)
        return {program.slot(k): f"z{k}" for k in needed}

    def _product(self, number: int, product: Product, wanted: Sequence[int], width: str) -> None:
        """Add a product to its slots that are wanted."""
        node, depth = product.operand, product.columns
        assert node is not None
        where, mask = "ks[None, :]", f"inside(live, ks[None, :], {depth}, BK)"
        if node.op == "state":
            k = node.args[0]
            operand = f"load_before(initial_{k}, seq_{k}, fresh, rows, before, {where}, {depth}, {mask})"
        elif node in self.layout.after:
            operand = f"load(seq_{self.layout.after[node]}, here, {where}, {depth}, {mask})"
        else:
            operand = f"load({self.plane(('operand', number))}, rows, {where}, H, {mask})"
        self.put(1, f"for k in range(0, {depth}, BK):")
        self.put(2, "ks = k + tl.arange(0, BK)", f"x = {operand}")
        matrix = f"w_{self.layout.matrices.index(product.matrix)}"
        for k in wanted:
            at = f"{matrix} + {product.blocks[k - product.start]} * {width} * {depth}"
            self.put(2, f"z{k} = multiply(z{k}, x, {at}, cols, ks, {width}, {depth}, BN, BK, PRECISION)")

    def read(self, node: Node, width: str) -> tuple[str, str]:
        if node.op == "slot":
            return f"load({self.plane(node.args[0])}, rows, cols, H, mask)", ""
        return super().read(node, width)

    def write(self, out: Output, value: str) -> None:
        if out.array == "next":
            self.put(1, f"store(seq_{out.index}, here, cols, {out.width}, mask, {value})")
        elif out.array == "kept":
            self.put(1, f"if saved_{out.index} is not None:")
            self.put(2, f"store(saved_{out.index}, here, cols, {out.width}, mask, {value})")
        elif out.array == "operand" and out.node not in self.layout.after:
            self.put(1, f"store({self.plane(('operand', out.index))}, rows, cols, H, mask, {value})")


class _Backward(_Kernel):
    name = "backward"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.plan = layout.backward
        self.stride = size(self.program.slots)

    def body(self) -> None:
        program, adjoint, done = self.program, self.program.adjoint, set[int]()
        for phase in range(self.plan.phases):
            for loop in self.plan.of_phase(phase):
                self.loop(loop)
            for number, product in enumerate(program.products):
                ready = max(adjoint.phase_of(adjoint.slots[slot]) for slot in product.slots)
                if product.operand is None or product.operand.op == "state" or number in done or ready > phase:
                    continue
                done.add(number)
                self._products(self.plane(("pulled", number)), "H", product.columns, [product], False)
        for k, width in enumerate(program.states):
            if products := [p for p in program.products if p.operand is program.state(k)]:
                self._products(f"ds_{k}", width, width, products, True)
        if self.open and self.plan.means:
            self.end_segment()
        elif self.open:
            self.put(0, "tl.debug_barrier()")
            self.segments += 1
        self.arguments = [
            *self.common_arguments(), *(f"gy_{k}" for k in range(len(program.emitted))),
            *(f"ds_{k}" for k in range(len(program.states))), "d", "dvec",
            *(f"operand_{k}" for k in self.layout.recomputed),
        ]  # fmt: skip

    def shares(self, loop: LoopNest) -> bool:
        read = {slot for p in self.program.products if p.operand is not None for slot in p.slots}
        return bool(loop.means) or any(out.array == "d" and out.index in read for out in loop.outputs)

    def _products(self, into: str, stride: str, width: str, products: Sequence[Product], keep: bool) -> None:
        """What products pull back to their operand, added to what is there if `keep`."""
        self.begin_loop(width)
        begin = f"load({into}, rows, cols, {stride}, mask)" if keep else "tl.zeros([BB, BN], dtype=tl.float32)"
        self.put(1, f"total = {begin}")
        for product in products:
            matrix, rows = f"w_{self.layout.matrices.index(product.matrix)}", self.program.slots[product.start]
            for start, stop in _runs(product.blocks):
                long, slot = f"({stop - start} * {rows})", size(self.program.slots[: product.start + start])
                self.put(1, f"for k in range(0, {long}, BK):")
                x = f"load(d, here, {slot} + ks[None, :], {self.stride}, inside(live, ks[None, :], {long}, BK))"
                at = f"{matrix} + {product.blocks[start]} * {rows} * {width}"
                self.put(
                    2, "ks = k + tl.arange(0, BK)", f"x = {x}",
                    f"total = multiply_back(total, x, {at}, ks, cols, {long}, {width}, BK, BN, PRECISION)",
                )  # fmt: skip
        self.put(1, f"store({into}, rows, cols, {stride}, mask, total)")
        self.put(0, "tl.debug_barrier()")

    def read(self, node: Node, width: str) -> tuple[str, str]:
        if node in self.kept_means:
            return f"tl.load(means + here * {len(self.kept_means)} + {self.kept_means[node]}, mask=live, other=0.0)", ""
        if node in self.kept:
            return f"load(saved_{self.kept[node]}, here, cols, {width}, mask)", ""
        if node.op == "grad":
            k, more = node.args[0], ""
            if k in self.program.emitted:
                i = self.program.emitted.index(k)
                more = f"if gy_{i} is not None: {{0}} += load(gy_{i}, here, cols, {width}, mask)"
            return f"load(ds_{k}, rows, cols, {width}, mask)", more
        if node.op == "pulled":
            return f"load({self.plane(('pulled', node.args[0]))}, rows, cols, H, mask)", ""
        return super().read(node, width)

    def write(self, out: Output, value: str) -> None:
        if out.array == "d":
            at = size(self.program.slots[: out.index])
            self.put(1, f"store(d, here, {at} + cols, {self.stride}, mask, {value})")
        elif out.array == "ds":
            self.put(1, f"store(ds_{out.index}, rows, cols, {out.width}, mask, {value})")
        elif out.array == "operand":
            self.put(1, f"if operand_{out.index} is not None:")
            self.put(2, f"store(operand_{out.index}, here, cols, {out.width}, mask, {value})")
        elif out.array == "dvec":
            self.put(1, "if dvec is not None:")
            self.put(2, f"add(dvec + {out.index} * B * H, rows, cols, H, mask, {value})")


def _runs(blocks: Sequence[int]) -> list[tuple[int, int]]:
    """Runs `start … stop` of blocks that follow one another in their matrix."""
    runs: list[tuple[int, int]] = []
    for k, block in enumerate(blocks):
        if runs and blocks[k - 1] + 1 == block:
            runs[-1] = (runs[-1][0], k + 1)
        else:
            runs.append((k, k + 1))
    return runs
