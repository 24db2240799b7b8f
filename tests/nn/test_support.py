"""The table of docs/guides/export.md, layer by layer: what it says works is done here, what it denies is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.export import Dim
from torch.func import functional_call, stack_module_state, vmap
from torch.utils._pytree import tree_leaves, tree_map

from rnnbench import nn
from rnnbench.nn.compiler.native import Kernel
from tests.fixtures.nn_layers import as_hx, as_tuple, close, draw, draw_states, flat, gradients, scrambled
from tests.nn.test_layers_page import LAYERS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
SINGLE = torch.float32
PAGE = Path(__file__).parents[2] / "docs" / "guides" / "export.md"
HEADER = (
    "layer",
    "export",
    "ONNX",
    "open length",
    "streaming",
    "int8",
    "vmap",
    "compile",
    "autocast",
)


def read_table() -> dict[str, dict[str, str]]:
    """The rows by layer, the cells of each by column."""
    section = PAGE.read_text().partition("\n## What works with which layer\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert tuple(cells[0]) == HEADER
    return {row[0].strip("`"): dict(zip(HEADER, row, strict=True)) for row in cells[2:]}


TABLE = read_table()
RECURRENT = [name for name in TABLE if name in {layer.__name__ for layer in LAYERS}]
BASELINES = ["WindowMLP", "CNN", "TCN"]
CELLS = ["RNNCell", "LSTMCell", "GRUCell", "cell_module(layer)"]


def make(name: str, seed: int = 0, **options: Any) -> Any:
    if name == "cell_module(layer)":
        return nn.cell_module(make("PeepholeLSTM", seed))
    return scrambled(getattr(nn, name)(3, 5, dtype=SINGLE, **options), seed)


class Streamed(torch.nn.Module):
    """A layer as a program of inputs, lengths and states: it leaves the padding out and gives the states after."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor, lengths: Tensor, states: tuple[Tensor, ...]) -> list[Tensor]:
        return flat(nn.run_padded_to_states(self.layer, inputs, lengths, as_hx(states)))


def check_streamed(run: Callable[..., list[Tensor]], model: Streamed) -> None:
    """A program takes other sizes than those it was recorded with, leaves the padding out, and reads in parts.

    Numbers are the layer's within 1e-5 of the largest.
    """
    inputs, lengths, states = draw(5, 7, 3, dtype=SINGLE), torch.tensor([7, 2, 5, 1, 7]), draw_states(model.layer, 5)
    wanted = model(inputs, lengths, states)
    close(run(inputs, lengths, states), wanted, SINGLE, 0.5)
    first = run(inputs[:, :3], lengths.clamp(max=3), states)
    longer = lengths > 3
    second = run(inputs[longer, 3:], lengths[longer] - 3, tuple(state[:, longer] for state in first[1:]))
    close([torch.cat([first[0][longer], second[0]], 1)], [wanted[0][longer]], SINGLE, 0.5)
    close(second[1:], [state[:, longer] for state in wanted[1:]], SINGLE, 0.5)
    one = draw_states(model.layer, 1)
    close(run(inputs[:1, :1], lengths[3:4], one), model(inputs[:1, :1], lengths[3:4], one), SINGLE, 0.5)


def sizes(layer: Any, batch: Any, steps: Any) -> tuple[Any, ...]:
    return {0: batch, 1: steps}, {0: batch}, tuple({1: batch} for _ in layer.cell.states)


def example(layer: Any) -> tuple[Any, ...]:
    return draw(2, 4, 3, dtype=SINGLE), torch.tensor([4, 4]), draw_states(layer, 2)


def onnx_function(
    model: torch.nn.Module, given: tuple[Any, ...], sizes: Any, path: Path
) -> Callable[..., list[Tensor]]:
    """The model in ONNX Runtime, as a function of tensors and tuples of them."""
    torch.onnx.export(model, given, path, dynamo=True, dynamic_shapes=sizes, verbose=False)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: Any) -> list[Tensor]:
        tensors = [one for value in inputs for one in as_tuple(value)]
        found = session.run(None, {name: one.numpy() for name, one in zip(names, tensors, strict=True)})
        return [torch.from_numpy(one) for one in found]

    return run


def test_the_table_has_every_layer() -> None:
    assert {*TABLE} == {layer.__name__ for layer in LAYERS} | {*BASELINES, *CELLS}


@pytest.mark.parametrize("name", RECURRENT)
def test_an_exported_layer_is_open_padded_and_streamed(name: str) -> None:
    assert [TABLE[name][column] for column in ("export", "open length", "streaming")] == ["yes"] * 3
    model = Streamed(make(name, batch_first=True).eval())
    open_sizes = sizes(model.layer, Dim.DYNAMIC, Dim.DYNAMIC)
    program = torch.export.export(model, example(model.layer), dynamic_shapes=open_sizes, strict=False).module()
    with torch.no_grad():  # with a gradient torch compiles a derivative for each size
        check_streamed(program, model)


@pytest.mark.parametrize("name", RECURRENT)
def test_a_layer_in_onnx_is_open_padded_and_streamed(name: str, tmp_path: Path) -> None:
    assert [TABLE[name][column] for column in ("open length", "streaming")] == ["yes"] * 2
    model, path = Streamed(make(name, batch_first=True).eval()), tmp_path / "model.onnx"
    with torch.no_grad():
        check_streamed(onnx_function(model, example(model.layer), sizes(model.layer, "batch", "steps"), path), model)
    kinds = [node.op_type for node in onnx.load(path).graph.node if node.op_type in ("LSTM", "GRU", "RNN", "Scan")]
    assert TABLE[name]["ONNX"] == kinds[0]
    assert len(kinds) == 1


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_exported_with_an_open_batch(name: str, tmp_path: Path) -> None:
    row = TABLE[name]
    assert [row["export"], row["ONNX"], row["open length"], row["streaming"]] == ["yes", "yes", "-", "yes"]
    cell = make(name).eval()
    inputs = draw(5, 3, dtype=SINGLE)
    states = as_hx(tuple(draw(5, 5, dtype=SINGLE, seed=k) for k in range(len(cell.cell.states))))
    given = draw(2, 3, dtype=SINGLE), tree_map(lambda state: state[:2].clone(), states)
    with torch.no_grad():
        wanted = as_tuple(cell(inputs, states))
        batch = tree_map(lambda _: {0: Dim.DYNAMIC}, given)
        program = torch.export.export(cell, given, dynamic_shapes=batch, strict=False).module()
        run = onnx_function(cell, given, tree_map(lambda _: {0: "batch"}, given), tmp_path / "model.onnx")
        close(as_tuple(program(inputs, states)), wanted, SINGLE)
        close(run(inputs, states), wanted, SINGLE)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_exported_with_open_batch_and_length(name: str, tmp_path: Path) -> None:
    row = TABLE[name]
    assert [row["export"], row["ONNX"], row["open length"], row["streaming"]] == ["yes", "yes", "yes", "no"]
    layer, given = make(name).eval(), (draw(2, 5, 3, dtype=SINGLE), torch.tensor([5, 5]))
    inputs, lengths = draw(4, 30, 3, dtype=SINGLE), torch.tensor([30, 2, 17, 1])
    open_sizes = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, {0: Dim.DYNAMIC}
    program = torch.export.export(layer, given, dynamic_shapes=open_sizes, strict=False).module()
    with torch.no_grad():
        run = onnx_function(layer, given, ({0: "batch", 1: "steps"}, {0: "batch"}), tmp_path / "model.onnx")
        close([program(inputs, lengths), *run(inputs, lengths)], [layer(inputs, lengths)] * 2, SINGLE)
    assert not hasattr(layer, "step")


@pytest.mark.parametrize("name", TABLE)
def test_int8_weights_are_had_or_refused(name: str) -> None:
    layer, said = make(name).eval(), TABLE[name]["int8"]
    if said == "no":
        with pytest.raises(ValueError, match=f"{type(layer).__name__} cannot have int8 weights"):
            nn.quantise(layer)
        return
    assert said == "yes"
    small = nn.quantise(layer)
    inputs = draw(6, 3, dtype=SINGLE) if name in CELLS else draw(6, 2, 3, dtype=SINGLE)
    with torch.no_grad():
        found, wanted = as_tuple(small(inputs))[0], as_tuple(layer(inputs))[0]
    assert not [*small.parameters()]
    assert 0 < float((found - wanted).abs().max()) < 0.05


@pytest.mark.parametrize("name", TABLE)
def test_many_weights_at_once_by_the_engine_of_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [make(name, seed) for seed in range(3)]
    parameters, _ = stack_module_state(layers)
    inputs = draw(2, 3, dtype=SINGLE) if name in CELLS else draw(5, 2, 3, dtype=SINGLE)
    calls = list[str]()
    for method in ("forward", "backward"):
        monkeypatch.setattr(Kernel, method, noted(getattr(Kernel, method), method, calls))
    found = tree_leaves(vmap(lambda p: functional_call(layers[0], p, (inputs,)))(parameters))
    gradients = torch.autograd.grad(sum(one.sin().sum() for one in found), [*parameters.values()])
    if TABLE[name]["vmap"] == "native":
        assert calls == ["forward"] * 3 + ["backward"] * 3
    else:
        assert TABLE[name]["vmap"] == ("function" if name in RECURRENT else "yes")
    one_by_one = [tree_leaves(layer(inputs)) for layer in layers]
    close(found, [torch.stack(column) for column in zip(*one_by_one, strict=True)], SINGLE)
    alone = [
        torch.autograd.grad(sum(one.sin().sum() for one in outputs), [*layer.parameters()])
        for layer, outputs in zip(layers, one_by_one, strict=True)
    ]
    close(gradients, [torch.stack(column) for column in zip(*alone, strict=True)], SINGLE)


def noted(function: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        calls.append(name)
        return function(*arguments)

    return call


def outputs_and_gradients(call: Callable[..., Any], layer: Any, inputs: Tensor) -> list[Tensor]:
    """Results of a call, and gradients of inputs and parameters."""
    found = call(inputs)
    values = tree_leaves(found)
    return [*values, *gradients(layer, (values[0], tuple(values[1:])), inputs)]


@pytest.mark.parametrize("name", TABLE)
def test_a_compiled_layer_is_one_graph_with_the_same_gradients(name: str) -> None:
    assert TABLE[name]["compile"] == "yes"
    layer = make(name)
    inputs = (draw(2, 3, dtype=SINGLE) if name in CELLS else draw(5, 2, 3, dtype=SINGLE)).requires_grad_()
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True)
    close(outputs_and_gradients(compiled, layer, inputs), outputs_and_gradients(layer, layer, inputs), SINGLE)


@pytest.mark.parametrize("name", TABLE)
def test_autocast_rounds_results_and_leaves_gradients_in_float32(name: str) -> None:
    assert TABLE[name]["autocast"] == "yes"
    layer = make(name)
    inputs = (draw(2, 3, dtype=SINGLE) if name in CELLS else draw(5, 2, 3, dtype=SINGLE)).requires_grad_()

    def under_autocast(given: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return layer(given)

    found, wanted = outputs_and_gradients(under_autocast, layer, inputs), outputs_and_gradients(layer, layer, inputs)
    count = 1 + len([*layer.parameters()])
    assert {one.dtype for one in found[-count:]} == {SINGLE}
    for some in (slice(None, -count), slice(-count, None)):  # results, gradients: a ReLU near 0 turns over single ones
        one, other = (torch.cat([value.float().flatten() for value in values[some]]) for values in (found, wanted))
        assert float((one - other).norm()) <= 0.03 * float(other.norm())
