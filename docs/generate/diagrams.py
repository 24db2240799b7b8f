"""Diagrams as SVG: the graph of a cell's step, as the compiler records it, and the flow charts of the pages."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from fast_sugiyama import from_edges

from rnnbench.nn import Cell
from rnnbench.nn.compiler.autodiff import Program, record
from rnnbench.nn.compiler.trace import Node, UnsupportedOperation

HEIGHT, GAP, LEVEL = 26, 14, 50
"""Pixels: of a box, between two boxes of a level, and from level to level."""
OPERATIONS = {
    "add": "+", "sub": "−", "mul": "×", "div": "÷", "neg": "−", "sigmoid": "σ", "sqrt": "√", "softplus": "softplus",
    "maximum": "max", "minimum": "min", "relu": "ReLU", "row_mean": "mean", "abs": "| · |", "where": "if", "gt": ">",
    "ge": "≥",
}  # fmt: skip
"""What a box says; others say the name of the operation."""


@dataclass(frozen=True)
class Box:
    """A node of a diagram: its text, in which `_` begins a subscript up to a space, and its kind, a class of CSS."""

    text: str
    kind: str = "box"

    @property
    def width(self) -> float:
        """Pixels, by the number of letters."""
        return max(HEIGHT, 16 + 7.2 * len(re.sub(r"(?<=[^\W_])_(?=[^\W_])", "", self.text)))


def draw(boxes: Mapping[Any, Box], edges: Sequence[tuple[Any, Any]], title: str) -> str:
    """A directed graph in layers, from top to bottom, as an `<svg>` element; `title` is for those who do not see it."""
    keys = list(boxes)
    numbers = {key: number for number, key in enumerate(keys)}
    numbered = sorted({(numbers[start], numbers[end]) for start, end in edges})
    places: dict[Any, tuple[float, float]] = {}
    routes: list[tuple[Any, Any]] = []
    width = max(box.width for box in boxes.values())
    offset = 0.0
    for positions, size, height, connections in from_edges(
        numbered, vertex_spacing=width + GAP, dummy_vertices=True, dummy_size=0.3, ranking_type="down"
    ):
        lowest = min(x for _, (x, _) in positions)
        for key, (x, y) in positions:
            places[offset, key] = (offset + x - lowest, (height - y) / (width + GAP) * LEVEL)
        routes += [((offset, start), (offset, end)) for start, end in connections or ()]
        offset += size + 2 * (width + GAP)
    places = _closer(places, {place: boxes[keys[place[1]]] for place in places if place[1] < len(keys)})
    return _svg(places, _paths(routes, len(keys)), [boxes[key] for key in keys], title)


def _closer(places: dict[Any, tuple[float, float]], boxes: dict[Any, Box]) -> dict[Any, tuple[float, float]]:
    """The layout was made for boxes as wide as the widest: closer columns, as far as the boxes of each level allow."""
    levels: dict[float, list[Any]] = {}
    for place, (_, y) in places.items():
        levels.setdefault(round(y, 3), []).append(place)
    share = 0.0
    for level in levels.values():
        level.sort(key=lambda place: places[place][0])
        for left, right in pairwise(level):
            need = sum(boxes[place].width / 2 if place in boxes else 3 for place in (left, right)) + GAP
            share = max(share, need / max(1e-9, places[right][0] - places[left][0]))
    return {place: (x * min(1.0, share), y) for place, (x, y) in places.items()}


def _paths(routes: list[tuple[Any, Any]], count: int) -> list[list[Any]]:
    """Chains of connections from box to box; what lies between them are bends."""
    after = {start: end for start, end in routes if start[1] >= count}
    chains = []
    for start, end in routes:
        if start[1] < count:
            chain = [start, end]
            while chain[-1][1] >= count:
                chain.append(after[chain[-1]])
            chains.append(chain)
    return chains


def _svg(places: dict[Any, tuple[float, float]], chains: list[list[Any]], boxes: list[Box], title: str) -> str:
    shown = {place: boxes[place[1]] for place in places if place[1] < len(boxes)}
    ends = [(places[place][0], shown[place].width / 2 if place in shown else 0.0) for place in places]
    left, right = min(x - half for x, half in ends) - 6, max(x + half for x, half in ends) + 6
    bottom = max(y for _, y in places.values()) + HEIGHT / 2 + 6
    top = -HEIGHT / 2 - 6
    parts = []
    for chain in chains:
        (x, y), *rest = (places[place] for place in chain)
        y += HEIGHT / 2
        path = f"M{x:.0f},{y:.0f}"
        for index, (to_x, to_y) in enumerate(rest):
            to_y -= HEIGHT / 2 + 4 if index == len(rest) - 1 else 0
            bend = (to_y - y) / 2
            path += f"C{x:.0f},{y + bend:.0f} {to_x:.0f},{to_y - bend:.0f} {to_x:.0f},{to_y:.0f}"
            x, y = to_x, to_y
        parts.append(f'<path d="{path}"/><path class="tip" d="M{x - 3.5:.1f},{y - 3:.1f}l3.5,6l3.5,-6z"/>')
    for place, box in shown.items():
        x, y = places[place]
        radius = 5 if box.kind in ("input", "output") else HEIGHT / 2 if box.kind == "operation" else 5
        parts.append(
            f'<g class="{box.kind}"><rect x="{x - box.width / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{box.width:.1f}" '
            f'height="{HEIGHT}" rx="{radius:g}"/><text x="{x:.1f}" y="{y + 4.5:.1f}">{_text(box.text)}</text></g>'
        )
    size = f'viewBox="{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}" width="{right - left:.0f}"'
    return f'<svg class="diagram" role="img" aria-label="{escape(title)}" {size}>{"".join(parts)}</svg>'


def _text(text: str) -> str:
    """Letters, with what follows `_` within a word set lower."""
    lower = '<tspan class="sub" dy="3">\\1</tspan><tspan dy="-3">\u200b</tspan>'
    return re.sub(r"(?<=[^\W_])_(?=[^\W_])(\S+)", lower, escape(text))


# --- a cell


def cell_diagram(cell: Cell, name: str) -> str | None:
    """The graph of one step: inputs and old states at the top, new states at the bottom; None if it has none."""
    try:
        program = record(cell)
    except UnsupportedOperation:
        return None
    return draw(*_graph(program), f"One step of {name}, from the input and the old states to the new ones")


def _graph(program: Program) -> tuple[dict[Hashable, Box], list[tuple[Hashable, Hashable]]]:
    boxes: dict[Hashable, Box] = {}
    edges: list[tuple[Hashable, Hashable]] = []
    slot_names = _slot_names(program)

    def visit(node: Node) -> Hashable:
        if node in boxes:
            return node
        if node.op == "state":
            boxes[node] = Box(f"{program.cell.states[node.args[0]]}_t−1", "input")
        elif node.op == "slot":
            boxes[node] = Box(slot_names[node.args[0]], "product")
            for product in program.products:
                if node.args[0] in product.slots:
                    if product.operand is None:
                        boxes.setdefault("x", Box("x_t", "input"))
                        edges.append(("x", node))
                    else:
                        edges.append((visit(product.operand), node))
        elif not node.inputs:
            boxes[node] = Box(_leaf(node), "weight")
        else:
            label, operands = _operation(node)
            boxes[node] = Box(label, "operation")
            edges.extend((visit(operand), node) for operand in operands)
        return node

    for state, after in zip(program.cell.states, program.after, strict=True):
        source = visit(after)
        boxes["after", state] = Box(f"{state}_t", "output")
        edges.append((source, ("after", state)))
    return boxes, edges


def _operation(node: Node) -> tuple[str, list[Node]]:
    """What the box of an operation says, and which operands have boxes of their own: numbers and vectors have none."""
    sign = OPERATIONS.get(node.op, node.op)
    small = [value for value in node.inputs if value.op in ("const", "vector")]
    large = [value for value in node.inputs if value not in small]
    if node.op not in ("add", "sub", "mul", "div", "maximum", "minimum") or len(small) != 1:
        return sign, list(node.inputs)
    if node.op in ("sub", "div") and small[0] is node.inputs[0]:
        return f"{_leaf(small[0])} {sign}", large
    return f"{sign} {_leaf(small[0])}", large


def _leaf(node: Node) -> str:
    return f"{node.args[0]:.4g}".replace("-", "−") if node.op == "const" else _vector_name(node.args[0])


def _vector_name(name: str) -> str:
    """The name of a vector without what all have in common."""
    return name.removeprefix("weight_").replace("_", " ")


def _slot_names(program: Program) -> list[str]:
    """Each slot by the products that are added up in it: `W x + U h`, with the name of the gate."""
    cell = program.cell
    names = [""] * len(program.slots)
    recurrent = cell.recurrent_gates()
    for product in program.products:
        for slot, block in zip(product.slots, product.blocks, strict=True):
            if product.operand is None:
                part = f"W_{cell.gates[block]} x"
            elif product.matrix == "weight_hh":
                part = f"U_{recurrent[block]}" + (" h" if product.operand.op == "state" else " ·")
            else:
                part = f"{product.matrix.removeprefix('weight_')} ·"
            names[slot] += f" + {part}" if names[slot] else part
    return names


# --- flow charts


def flow_chart(source: str, *_: Any, **__: Any) -> str:
    """A flow chart of the pages, `a --> b` a line, the part of Mermaid's language that they use."""
    edges = re.findall(r"^ *(\w+) --> (\w+)$", source, re.M)
    names = dict.fromkeys(name for edge in edges for name in edge)
    return draw({name: Box(name) for name in names}, edges, "A flow chart: " + ", ".join(names))
