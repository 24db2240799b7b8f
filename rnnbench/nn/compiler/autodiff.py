"""A cell's step and its derivative, ready to be run over a sequence by any engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler.schedule import closure, make_phase_of
from rnnbench.nn.compiler.trace import OPERATIONS, CellDefinitionError, Graph, Node, UnsupportedOperation, check_step

INPUT, RECURRENT = "weight_ih", "weight_hh"


@dataclass(eq=False)
class Product:
    """`matrix · operand`, added to the slots `start … stop`; `blocks` are the blocks of rows of the matrix, one a slot.

    The operand is the input x (None), or a node.
    """

    matrix: str
    operand: Node | None
    columns: str
    start: int
    blocks: tuple[int, ...]
    bias: bool

    @property
    def stop(self) -> int:
        """One past its last slot."""
        return self.start + len(self.blocks)

    @property
    def slots(self) -> range:
        """Indices of its slots."""
        return range(self.start, self.stop)


@dataclass
class Program:
    """The graph of one step: its products, its values, and the states after it."""

    cell: Cell
    graph: Graph
    slots: list[str] = field(default_factory=list)  # width of each: "H" or "P"
    products: list[Product] = field(default_factory=list)
    after: tuple[Node, ...] = ()
    compile_cache: dict[Any, Any] = field(default_factory=dict)  # kernels by type, and the interpreter

    def signature(self) -> tuple[Any, ...]:
        """Equal for programs that compute the same in the same order."""

        def name(value: Any) -> str:
            return f"#{value.index}" if isinstance(value, Node) else repr(value)

        cell = self.cell
        nodes = tuple((n.op, *map(name, n.args), n.width) for n in self.graph.nodes.values())
        products = tuple((p.matrix, name(p.operand), p.columns, p.start, p.blocks, p.bias) for p in self.products)
        names = (*cell.matrices, None, *cell.vectors, None, *cell.noise_inputs.items(), None, *cell.emitted)
        return nodes, products, tuple(self.slots), tuple(map(name, self.after)), self.states, names, cell.states

    @property
    def states(self) -> tuple[str, ...]:
        """Width of each state."""
        return self.cell.state_widths()

    @property
    def emitted(self) -> tuple[int, ...]:
        """Indices of the states whose sequences the layer needs."""
        return tuple(map(self.cell.states.index, self.cell.emitted))

    def state(self, k: int) -> Node:
        """The state `k` before the step."""
        return self.graph.leaf("state", k, self.states[k])

    def slot(self, k: int) -> Node:
        """The sum of all products that go into slot `k`."""
        return self.graph.leaf("slot", k, self.slots[k])

    def multiply(self, matrix: str, operand: Node, blocks: Sequence[int], rows: str, columns: str, bias: bool) -> Any:
        """Add a product, unless it is there already; return its slots."""
        if not isinstance(operand, Node):
            raise UnsupportedOperation(
                f"a product of {matrix} with something that is not computed from the step's values"
            )
        if operand.width != columns:
            raise UnsupportedOperation(
                f"a product of {matrix} ({columns} columns) with a value of width {operand.width}"
            )
        product = Product(matrix, operand, columns, len(self.slots), tuple(blocks), bias)
        same = [p for p in self.products if p.operand is operand and (p.matrix, p.blocks) == (matrix, product.blocks)]
        if same:
            product = same[0]
        else:
            self.slots += [rows] * len(product.blocks)
            self.products.append(product)
        slots = tuple(self.slot(k) for k in product.slots)
        return slots if len(slots) > 1 else slots[0]

    def bias_gradient(self, matrix: str, slots: Sequence[Tensor], bias: Tensor) -> Tensor:
        """Gradient of the bias beside a matrix, from that of the slots."""
        blocks: dict[int, Tensor] = {}
        for product in self.products:
            if product.matrix == matrix and product.bias:
                for slot, block in zip(product.slots, product.blocks, strict=True):
                    blocks[block] = blocks[block] + slots[slot] if block in blocks else slots[slot]
        if not blocks:
            return torch.zeros_like(bias)
        unused = torch.zeros_like(next(iter(blocks.values())))
        return torch.cat([blocks.get(k, unused) for k in range(len(bias) // len(unused))])

    @cached_property
    def forward_nodes(self) -> set[Node]:
        """Everything that a step computes."""
        return closure([*self.after, *(p.operand for p in self.products if p.operand is not None)])

    @cached_property
    def adjoint(self) -> Adjoint:
        """Its derivative."""
        return Adjoint(self)

    @cached_property
    def phase_of(self) -> Callable[[Node], int]:
        """The phase of a step in which a node can be computed: one more after each product and each row mean."""

        def of_slot(k: int) -> int:
            operands = [p.operand for p in self.products if k in p.slots and p.operand is not None]
            return max((phase_of(operand) + (operand.op != "state") for operand in operands), default=0)

        phase_of = make_phase_of(lambda node: of_slot(node.args[0]) if node.op == "slot" else 0)
        return phase_of


def record(cell: Cell) -> Program:
    """Run a cell's step on symbols.

    Raises:
        UnsupportedOperation: the step uses an operation that the graph does not know.
    """
    check_step(cell)
    program, names = Program(cell, Graph()), cell.recurrent_gates()
    input_only = [g for g in cell.gates if g not in names or g in cell.split_gates or g in cell.deferred_gates]
    shared = [g for g in cell.gates if g not in input_only]
    inputs, hidden = [*input_only, *shared], [*shared, *cell.split_gates]
    width = program.states[0]
    program.slots = ["H"] * (len(inputs) + len(cell.split_gates))
    place, mask = cell.gates.index, cell.recurrent_mask

    def masked(value: Any) -> Any:
        return value if mask is None else value * program.graph.leaf("noise", mask, cell.noise_inputs[mask])

    program.products.append(Product(INPUT, None, "I", 0, tuple(map(place, inputs)), True))
    if hidden:
        rows = tuple(map(names.index, hidden))
        program.products.append(Product(RECURRENT, masked(program.state(0)), width, len(input_only), rows, True))

    def recur(value: Node, *gates: str) -> Any:
        for gate in gates:
            cell.check_deferred(gate)
        return program.multiply(RECURRENT, masked(value), [names.index(g) for g in gates], "H", width, True)

    def by(name: str, rows: str, columns: str) -> Callable[[Node], Any]:
        return lambda value: program.multiply(name, value, [0], rows, columns, False)

    bound = cell.with_values(
        recur=recur,
        **{name: program.graph.leaf("vector", name, "H") for name in cell.vectors},
        **{name: program.graph.leaf("noise", name, width) for name, width in cell.noise_inputs.items()},
        **{name: by(name, *shape) for name, shape in cell.matrices.items()},
    )
    slots = [program.slot(inputs.index(g)) for g in cell.gates]
    slots += [program.slot(len(input_only) + hidden.index(g)) for g in cell.split_gates]
    states = [program.state(k) for k in range(len(cell.states))]
    program.graph.recording = True
    try:
        with torch.enable_grad():  # whatever the call is under: the recording is kept
            after = bound.checked_step(slots, states)
    except CellDefinitionError:
        raise
    except (TypeError, AttributeError, LookupError, RuntimeError, ValueError, AssertionError) as error:
        raise UnsupportedOperation(f"something that only tensors can do ({error})") from None
    finally:
        program.graph.recording = False
    program.after = tuple(
        _of_width(program.graph.node(node), width, name)
        for node, width, name in zip(after, program.states, cell.states, strict=True)
    )
    return program


def _of_width(node: Node, width: str, name: str) -> Node:
    if node.width is None:
        raise UnsupportedOperation(f"state {name} is a constant")
    if node.width != width:
        raise UnsupportedOperation(f"state {name} has width {node.width}, not {width}")
    return node


class Adjoint:
    """The derivative of a step: from the gradient of the states after it to that of everything before.

    `slots`: gradient of each slot. `states`: of each state before, without what products pull back to it directly;
    `vectors`: of each vector, per row, to be summed. `saved` and `means`: what the forward pass has to keep, planes
    and one number a row.
    """

    def __init__(self, program: Program) -> None:
        self.program, graph = program, program.graph
        count = len(graph.nodes)
        gradients: dict[Node, list[Node]] = {}
        for k, node in enumerate(program.after):
            gradients.setdefault(node, []).append(graph.leaf("grad", k, node.width))
        self.slots: list[Node] = [graph.node(0.0)] * len(program.slots)
        for node in sorted(list(graph.nodes.values())[:count], key=lambda node: -node.index):
            if node not in program.forward_nodes and node not in gradients:
                continue
            pulled = [
                graph.leaf("pulled", k, node.width)
                for k, product in enumerate(program.products)
                if product.operand is node and node.op != "state"
            ]
            total = graph.sum([*gradients.pop(node, []), *pulled])
            if node.op == "slot":
                self.slots[node.args[0]] = total
            elif node.op in ("state", "vector"):
                gradients[node] = [total]
            elif node.op == "row_mean":  # its own adjoint
                gradients.setdefault(node.args[0], []).append(graph.row_mean(total))
            elif node.op in OPERATIONS and total.op != "const":
                for argument, gradient in zip(node.inputs, OPERATIONS[node.op].derivative(node, total), strict=True):
                    if gradient is not None and argument.op != "const":
                        gradients.setdefault(argument, []).append(gradient)
        self.states = [graph.sum(gradients.get(program.state(k), [])) for k in range(len(program.states))]
        self.vectors = {
            name: graph.sum(gradients.get(graph.leaf("vector", name, "H"), [])) for name in program.cell.vectors
        }
        kept = self._kept()
        self.saved = [node for node in kept if node.op != "row_mean"]
        self.means = [node for node in kept if node.op == "row_mean"]

    @property
    def roots(self) -> list[Node]:
        """Everything that a step backwards has to compute."""
        operands = [p.operand for p in self.program.products if p.operand is not None]
        return [*self.slots, *self.states, *self.vectors.values(), *operands]

    def _kept(self) -> list[Node]:
        """The values of the forward pass that are worth keeping rather than computing again."""
        after, kept, seen = set(self.program.after), set[Node](), set[Node]()

        def visit(node: Node) -> None:
            if node in seen:
                return
            seen.add(node)
            if node in self.program.forward_nodes:
                if node in after:
                    return  # the state after the step is there anyway
                if node.op == "slot" or node.heavy:
                    kept.add(node)
                    return
            for argument in node.inputs:
                visit(argument)

        for root in self.roots:
            visit(root)
        return sorted(kept, key=lambda node: node.index)

    @cached_property
    def available(self) -> set[Node]:
        """What is in memory before a step backwards: what was kept, and the states after the step."""
        return {*self.saved, *self.means, *self.program.after}

    @cached_property
    def phase_of(self) -> Callable[[Node], int]:
        """The phase of a step backwards in which a node can be computed."""
        program = self.program

        def leaf(node: Node) -> int:
            if node.op != "pulled":
                return 0
            return 1 + max(phase_of(self.slots[k]) for k in program.products[node.args[0]].slots)

        phase_of = make_phase_of(leaf, self.available)
        return phase_of
