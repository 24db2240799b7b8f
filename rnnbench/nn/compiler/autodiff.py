"""A cell's step and its derivative, ready to be run over a sequence by any engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rnnbench.nn.compiler.schedule import closure, leveller
from rnnbench.nn.compiler.trace import OPERATIONS, Graph, Node
from rnnbench.nn.compiler.trace_checks import Misfit, Untranslatable, check_step

if TYPE_CHECKING:
    from rnnbench.nn.cell import Cell

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
    """The graph of one step: what is multiplied, what is computed, which states come out."""

    cell: Cell
    graph: Graph
    slots: list[str] = field(default_factory=list)  # width of each: "H" or "P"
    products: list[Product] = field(default_factory=list)
    after: tuple[Node, ...] = ()
    made: dict[Any, Any] = field(default_factory=dict)  # what engines have made of it

    def signature(self) -> tuple[Any, ...]:
        """Equal for programs that compute the same in the same order."""

        def name(value: Any) -> str:
            return f"#{value.index}" if isinstance(value, Node) else repr(value)

        cell = self.cell
        nodes = tuple((n.op, *map(name, n.args), n.width) for n in self.graph.nodes.values())
        products = tuple((p.matrix, name(p.operand), p.columns, p.start, p.blocks, p.bias) for p in self.products)
        names = (*cell.matrices, None, *cell.vectors, None, *cell.raws.items(), None, *cell.emitted)
        return nodes, products, tuple(self.slots), tuple(map(name, self.after)), self.states, names, cell.states

    @property
    def states(self) -> tuple[str, ...]:
        """Width of each state."""
        return self.cell.state_widths()

    @property
    def emitted(self) -> tuple[int, ...]:
        """Indices of the states whose sequences are put out."""
        return tuple(map(self.cell.states.index, self.cell.emitted))

    def state(self, k: int) -> Node:
        """The state `k` before the step."""
        return self.graph.leaf("state", k, self.states[k])

    def slot(self, k: int) -> Node:
        """The sum of all products that go into slot `k`."""
        return self.graph.leaf("slot", k, self.slots[k])

    def multiply(self, matrix: str, operand: Node, blocks: Sequence[int], rows: str, columns: str, bias: bool) -> Any:
        """Note a product of its own; its slots."""
        if not isinstance(operand, Node):
            raise Untranslatable(f"a product of {matrix} with something that is not computed from the step's values")
        if operand.width != columns:
            raise Untranslatable(f"a product of {matrix} ({columns} columns) with a value of width {operand.width}")
        made = Product(matrix, operand, columns, len(self.slots), tuple(blocks), bias)
        same = [p for p in self.products if p.operand is operand and (p.matrix, p.blocks) == (matrix, made.blocks)]
        if same:
            made = same[0]
        else:
            self.slots += [rows] * len(made.blocks)
            self.products.append(made)
        slots = tuple(self.slot(k) for k in made.slots)
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

    def level(self) -> Callable[[Node], int]:
        """In which phase of a step a node can be computed: one more after each product and each row mean."""

        def of_slot(k: int) -> int:
            used = [p.operand for p in self.products if k in p.slots and p.operand is not None]
            return max((level(one) + (one.op != "state") for one in used), default=0)

        level = leveller(lambda node: of_slot(node.args[0]) if node.op == "slot" else 0)
        return level


def record(cell: Cell) -> Program:
    """Run a cell's step on symbols.

    Raises:
        Untranslatable: the step uses an operation that the graph does not know.
    """
    check_step(cell)
    program, names = Program(cell, Graph()), cell.recurrent_gates()
    first = [g for g in cell.gates if g not in names or g in cell.apart or g in cell.held]
    shared = [g for g in cell.gates if g not in first]
    inputs, hidden = [*first, *shared], [*shared, *cell.apart]
    width = program.states[0]
    program.slots = ["H"] * (len(inputs) + len(cell.apart))
    place, mask = cell.gates.index, cell.recurrent_mask

    def masked(value: Any) -> Any:
        return value if mask is None else value * program.graph.leaf("raw", mask, cell.raws[mask])

    program.products.append(Product(INPUT, None, "I", 0, tuple(map(place, inputs)), True))
    if hidden:
        rows = tuple(map(names.index, hidden))
        program.products.append(Product(RECURRENT, masked(program.state(0)), width, len(first), rows, True))

    def recur(value: Node, *gates: str) -> Any:
        for gate in gates:
            cell.check_held(gate)
        return program.multiply(RECURRENT, masked(value), [names.index(g) for g in gates], "H", width, True)

    def by(name: str, rows: str, columns: str) -> Callable[[Node], Any]:
        return lambda value: program.multiply(name, value, [0], rows, columns, False)

    bound = cell.bound(
        recur=recur,
        **{name: program.graph.leaf("vector", name, "H") for name in cell.vectors},
        **{name: program.graph.leaf("raw", name, width) for name, width in cell.raws.items()},
        **{name: by(name, *shape) for name, shape in cell.matrices.items()},
    )
    slots = [program.slot(inputs.index(g)) for g in cell.gates]
    slots += [program.slot(len(first) + hidden.index(g)) for g in cell.apart]
    states = [program.state(k) for k in range(len(cell.states))]
    program.graph.recording = True
    try:
        with torch.enable_grad():  # whatever the call is under: the recording is kept
            after = bound.after(slots, states)
    except Misfit:
        raise
    except (TypeError, AttributeError, LookupError, RuntimeError, ValueError, AssertionError) as error:
        raise Untranslatable(f"something that only tensors can do ({error})") from None
    finally:
        program.graph.recording = False
    program.after = tuple(
        _of_width(program.graph.node(node), width, name)
        for node, width, name in zip(after, program.states, cell.states, strict=True)
    )
    return program


def _of_width(node: Node, width: str, name: str) -> Node:
    if node.width is None:
        raise Untranslatable(f"state {name} is a constant")
    if node.width != width:
        raise Untranslatable(f"state {name} has width {node.width}, not {width}")
    return node


class Adjoint:
    """The derivative of a step: from the gradient of the states after it to that of everything before.

    `slots`: gradient of each slot. `states`: of each state before, without what products pull back to it directly;
    `vectors`: of each vector, per row, to be summed. `saved` and `means`: what the forward pass has to keep, planes
    and one number a row. `pulled_level`: when what a product pulls back is known.
    """

    def __init__(self, program: Program) -> None:
        self.program, graph = program, program.graph
        count = len(graph.nodes)
        gradients: dict[Node, list[Node]] = {}
        for k, node in enumerate(program.after):
            gradients.setdefault(node, []).append(graph.leaf("grad", k, node.width))
        self.slots: list[Node] = [graph.node(0.0)] * len(program.slots)
        for node in sorted(list(graph.nodes.values())[:count], key=lambda one: -one.index):
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
                for argument, one in zip(node.inputs, OPERATIONS[node.op].derivative(node, total), strict=True):
                    if one is not None and argument.op != "const":
                        gradients.setdefault(argument, []).append(one)
        self.states = [graph.sum(gradients.get(program.state(k), [])) for k in range(len(program.states))]
        self.vectors = {
            name: graph.sum(gradients.get(graph.leaf("vector", name, "H"), [])) for name in program.cell.vectors
        }
        kept = self._kept()
        self.saved = [node for node in kept if node.op != "row_mean"]
        self.means = [node for node in kept if node.op == "row_mean"]

    @property
    def roots(self) -> list[Node]:
        """Everything that a step back has to give."""
        operands = [p.operand for p in self.program.products if p.operand is not None]
        return [*self.slots, *self.states, *self.vectors.values(), *operands]

    def _kept(self) -> list[Node]:
        after, found, seen = set(self.program.after), set[Node](), set[Node]()

        def look(node: Node) -> None:
            if node in seen:
                return
            seen.add(node)
            if node in self.program.forward_nodes:
                if node in after:
                    return  # the state after the step is there anyway
                if node.op == "slot" or node.heavy:
                    found.add(node)
                    return
            for one in node.inputs:
                look(one)

        for root in self.roots:
            look(root)
        return sorted(found, key=lambda node: node.index)

    def level(self) -> Callable[[Node], int]:
        """In which phase of a step back a node can be computed."""
        program = self.program
        there = {*self.saved, *self.means, *program.after}

        def leaf(node: Node) -> int:
            if node.op != "pulled":
                return 0
            return 1 + max(level(self.slots[k]) for k in program.products[node.args[0]].slots)

        level = leveller(leaf, there)
        return level
