"""A page for each recurrent layer: equation, diagram, parameters, speed, scores, source."""

import inspect
import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import rnnbench.nn
from benchmarks.layer_cases import VARIANTS
from benchmarks.layer_goals import ROWS
from benchmarks.layer_timing import Key, Record, label
from docs.generate import scores
from docs.generate.diagrams import cell_diagram
from docs.generate.docstrings import Docstring, table
from docs.generate.equations import typeset
from rnnbench.config.cards import ArchitectureCard
from rnnbench.config.registry import catalogue
from rnnbench.nn import Cell, Recurrent, RecurrentCell

ROOT = Path(__file__).parents[2]
SPEED = ROOT / "docs" / "speed.json"
"""Measured by `python -m benchmarks.layers --json docs/speed.json`, where it has been."""
INPUT, HIDDEN = 101, 1024
"""Sizes by whose multiples the shapes of parameters are recognised."""


@cache
def layers() -> dict[str, type[Recurrent]]:
    """Every recurrent layer by its name, sorted."""
    things = {name: getattr(rnnbench.nn, name) for name in rnnbench.nn.__all__}
    return {
        name: thing
        for name, thing in sorted(things.items(), key=lambda item: item[0].lower())
        if isinstance(thing, type) and issubclass(thing, Recurrent) and not issubclass(thing, RecurrentCell)
        if thing is not Recurrent
    }


def page_of(name: str) -> str:
    """The path of a layer's page."""
    return f"cells/{name.lower()}.md"


@cache
def named_points() -> dict[str, list[str]]:
    """The architectures that have a name, by the layer that they are made of."""
    points: dict[str, list[str]] = {name: [] for name in layers()}
    for architecture in catalogue("architecture"):
        module, _, name = ArchitectureCard.load(architecture)[1].class_path.rpartition(".")
        layer = getattr(getattr(import_module(module), name), "layer_class", None)
        if layer is not None and layer.__name__ in points:
            points[layer.__name__].append(architecture)
    return points


@cache
def pages_of_architectures() -> dict[str, str]:
    """The page of the layer of every architecture that has a name."""
    return {point: page_of(name) for name, points in named_points().items() for point in points}


def make(name: str) -> str:
    """The page of a layer, in Markdown."""
    layer = layers()[name]
    cell = layer(8, 8).cell
    own = Docstring.of(layer)
    equation = Docstring.of(type(cell)).with_options({*inspect.signature(type(cell)).parameters})
    summary = re.sub(r"[;,.] (Equations?|equations?) in[^;.]*[;.]?", ".", own.text.split("\n\n")[0])
    parts = [f"# {name}", typeset(summary)]
    parts += ["## Equation", typeset(equation.text), _legend(cell)]
    parts += ["## Diagram", _diagram(cell, name)]
    parts += ["## Parameters", _parameters(name, layer)]
    if options := _options(cell, equation):
        parts += ["## Options", options]
    parts += ["## Use", _use(name, layer, cell)]
    parts += ["## Speed", _speed(name)]
    parts += ["## Scores", scores.of_architectures({*named_points()[name]})]
    parts += ["## Source", _source(type(cell))]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """The page of all layers."""
    rows = []
    for name, layer in layers().items():
        summary = Docstring.of(layer).text.split("\n\n")[0].split(";")[0].rstrip(".")
        points = ", ".join(f"`{point}`" for point in named_points()[name])
        rows.append([f"[{name}]({page_of(name).removeprefix('cells/')})", typeset(summary, display=False), points])
    return (
        "# Cells\n\nEvery recurrent layer of `rnnbench.nn`, and the architectures made of it that have a name in a "
        "grid. What they share, an own cell, and the layers that are not recurrent: [layers](../guides/layers.md).\n\n"
        + table(["layer", "what", "named architectures"], rows)
    )


def _legend(cell: Cell) -> str:
    states = ", ".join(f"`{state}`" for state in cell.states)
    return (
        f"States: {states}. W are weights of the input, U of the old hidden state, b and c their biases; ⊙ multiplies "
        "unit by unit.\n"
    )


def _diagram(cell: Cell, name: str) -> str:
    svg = cell_diagram(cell, name)
    if svg is None:
        return (
            "The step is more than operations on single units (a matrix for each head), so there is no diagram of it.\n"
        )
    return (
        f'<figure class="cell">{svg}<figcaption>One step with the default options, drawn from the graph that the '
        "compiler records: inputs and old states blue, products white, new states green. Biases are left out."
        "</figcaption></figure>\n"
    )


def _parameters(name: str, layer: type[Recurrent]) -> str:
    large = layer(INPUT, HIDDEN, device="meta")
    rows = [[f"`{key}`", "×".join(map(_size, value.shape))] for key, value in large.named_parameters()]
    sizes = zip(large.cell.states, large.cell.state_sizes(HIDDEN), strict=True)
    states = ", ".join(f"{state}: {_size(size)}" for state, size in sizes)
    counts = [sum(p.numel() for p in kind(64, 128, device="meta").parameters()) for kind in (layer, rnnbench.nn.LSTM)]
    times = "as many as" if counts[0] == counts[1] else f"{counts[0] / counts[1]:.2f} times"
    beside = "" if name == "LSTM" else f", {times} those of an LSTM"
    return (
        "Of one layer in one direction, for I inputs and H units:\n\n"
        + table(["parameter", "shape"], rows)
        + f"\nFor I = 64 and H = 128 these are {counts[0]:,} numbers{beside}. Numbers of a state, for each sequence: "
        f"{states}.\n"
    )


def _size(number: int) -> str:
    """A size as a multiple of I or H, or as it is: `I`, `4H`, `4H+2`, `H²`."""
    if number % INPUT == 0:
        return "I" if number == INPUT else f"{number // INPUT}I"
    if number == HIDDEN**2:
        return "H²"
    units, rest = divmod(number, HIDDEN)
    return "+".join(filter(None, [("H" if units == 1 else f"{units}H") * bool(units), str(rest) * bool(rest)]))


def _options(cell: Cell, equation: Docstring) -> str:
    parameters = inspect.signature(type(cell)).parameters
    rows = [
        [f"`{key}`", f"`{parameter.default!r}`", typeset(equation.arguments.get(key, ""), display=False)]
        for key, parameter in parameters.items()
    ]
    if not any(meaning for *_, meaning in rows):
        return table(["option", "default"], [row[:2] for row in rows])
    return table(["option", "default", "meaning"], rows)


def _use(name: str, layer: type[Recurrent], cell: Cell) -> str:
    states = "h_n" if len(cell.states) == 1 else f"({', '.join(f'{state}_n' for state in cell.states)})"
    code = (
        f"import torch\nfrom rnnbench.nn import {name}\n\nrnn = {name}(64, 128, batch_first=True)\n"
        f"output, {states} = rnn(torch.randn(8, 50, 64))  # [B, T, 64] to [B, T, 128]\n"
    )
    made = f"```python\n{code}```\n"
    if points := named_points()[name]:
        rows = []
        for point in points:
            card = ArchitectureCard.load(point)[1]
            settings = ", ".join(f"{key}={json.dumps(value)}" for key, value in card.init_args.items())
            rows.append([f"`{point}`", typeset(card.summary, display=False), f"`{settings}`" if settings else ""])
        made += f"\nAs an architecture, `rnnbench.architectures.{_module(name)}`; in a grid, by these names:\n\n"
        made += table(["name", "what", "arguments"], rows)
    return made


def _module(name: str) -> str:
    return ArchitectureCard.load(named_points()[name][0])[1].class_path.rpartition(".")[2]


def _speed(name: str) -> str:
    records = _measured()
    entries = {name, *(entry for entry, (layer, _) in VARIANTS.items() if layer == name)}
    rows = []
    for row in ROWS:
        if row.kind != "ratio" or not row.theirs or row.ours not in entries:
            continue
        for (allocator, threads), shapes in row.values(records).items():
            if allocator == "glibc":
                rows += [[row.title, row.ours, row.theirs, label(shape), str(threads), f"{figure:.2f}"]
                         for shape, figure in shapes.items()]  # fmt: skip
    if rows:
        return (
            "Seconds of a forward and backward pass on a CPU, as a share of those of the other one; below 1 this layer "
            "is faster. Shapes are T×B×I×H; [how it is measured](../explanation/timings.md).\n\n"
            + table(["what", "layer", "beside", "shape", "threads", "share"], rows)
        )
    return (
        "Not measured on the machine that this page was made on. `python -m benchmarks.layers --json docs/speed.json` "
        "measures all layers beside those of torch and of other packages, and the next build of this page has the "
        "table; [how it is measured](../explanation/timings.md).\n"
    )


@cache
def _measured() -> dict[Key, Record]:
    if not SPEED.exists():
        return {}
    return {record.key: record for record in map(Record.read, json.loads(SPEED.read_text()))}


def _source(cell: type[Cell]) -> str:
    module: Any = inspect.getmodule(cell)
    path = Path(module.__file__).relative_to(ROOT)
    return f"`{path.as_posix()}`\n\n```python\n{inspect.getsource(cell).rstrip()}\n```\n"
