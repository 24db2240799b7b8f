"""Layers under `torch.func`: many sets of weights or inputs at once by the compiled engine, with gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, jacfwd, jacrev, stack_module_state, vmap

from rnnbench import nn
from rnnbench.nn.compiler import reference
from rnnbench.nn.compiler.native import Kernel
from tests.fixtures.nn_layers import as_tuple, close, draw, flat, make

MEMBERS = 3


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the compiled engine was asked for; the reference must not be."""
    asked: list[str] = []

    def counting(name: str) -> Callable[..., Any]:
        original = getattr(Kernel, name)

        def call(self: Kernel, *arguments: Any) -> Any:
            asked.append(name)
            return original(self, *arguments)

        return call

    def refused(*arguments: Any) -> Any:
        raise AssertionError("the reference ran")

    for name in ("forward", "backward"):
        monkeypatch.setattr(Kernel, name, counting(name))
    monkeypatch.setattr(reference, "run", refused)
    return asked


def members(case: str, **options: Any) -> tuple[list[Any], dict[str, Tensor], Callable[..., Any]]:
    """Layers of other weights, their stacked parameters, and a function of parameters and inputs."""
    layers: list[Any] = [make(case, 3, 4, seed=seed, **options) for seed in range(MEMBERS)]
    parameters, _ = stack_module_state(layers)

    def run(parameters: dict[str, Tensor], inputs: Any, hx: Any = None) -> list[Tensor]:
        return flat(functional_call(layers[0], parameters, (inputs, hx)))

    return layers, parameters, run


def loss_of(outputs: Any) -> Tensor:
    return torch.stack([(one.sin() * (1 + k)).sum() for k, one in enumerate(outputs)]).sum()


@pytest.mark.parametrize("case", ["lstm-proj", "layer-norm", "lru"])
def test_a_batch_of_weights_is_each_layer_by_itself(case: str, calls: list[str]) -> None:
    layers, parameters, run = members(case, num_layers=2, bidirectional=True)
    inputs, many = draw(5, 2, 3).requires_grad_(), draw(MEMBERS, 5, 2, 3, seed=7).requires_grad_()
    for given, dim in ((inputs, None), (many, 0)):
        outputs = vmap(run, in_dims=(0, dim))(parameters, given)
        found = torch.autograd.grad(loss_of(outputs), [given, *parameters.values()])
        assert calls.count("forward") == calls.count("backward") == 4 * MEMBERS
        one_by_one = [flat(layer(given if dim is None else given[k])) for k, layer in enumerate(layers)]
        close(outputs, [torch.stack(column) for column in zip(*one_by_one, strict=True)])
        leaves = [given, *(parameter for layer in layers for parameter in layer.parameters())]
        wanted = torch.autograd.grad(sum(map(loss_of, one_by_one)), leaves)  # type: ignore[arg-type]
        split = [list(wanted[1 + k :: len(parameters)]) for k in range(len(parameters))]
        close(found, [wanted[0], *map(torch.stack, split)])
        calls.clear()


def test_gradients_of_each_sample_and_each_model(calls: list[str]) -> None:
    layers, parameters, run = members("peephole")
    inputs = draw(2, 5, 1, 3)  # two samples
    states = draw(1, 1, 4), draw(1, 1, 4, seed=4)

    def loss(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        return loss_of(run(parameters, sample, states))

    by_sample = vmap(grad(loss), in_dims=(None, 0))
    found = vmap(by_sample, in_dims=(0, None))(parameters, inputs)
    assert calls.count("forward") == calls.count("backward") == MEMBERS * 2
    for k, layer in enumerate(layers):
        for j, sample in enumerate(inputs):
            total = loss_of(flat(layer(sample, states)))
            wanted = torch.autograd.grad(total, [*layer.parameters()])
            close([found[name][k, j] for name, _ in layer.named_parameters()], wanted)
    whole = grad(lambda p: vmap(loss, in_dims=(0, None))(p, inputs[0]).sum())(parameters)
    close([*whole.values()], [value[:, 0] for value in found.values()])


def test_packed_sequences_and_single_steps_of_many_models(calls: list[str]) -> None:
    layers, parameters, run = members("gru-before")
    packed = torch.nn.utils.rnn.pack_padded_sequence(draw(5, 3, 3), torch.tensor([5, 2, 4]), enforce_sorted=False)
    with torch.no_grad():
        found = vmap(lambda p: tuple(run(p, packed)))(parameters)
        step = vmap(run, in_dims=(0, None))(parameters, draw(1, 2, 3))
        close(found, [torch.stack(c) for c in zip(*(flat(layer(packed)) for layer in layers), strict=True)])
        close(step, [torch.stack(c) for c in zip(*(flat(layer(draw(1, 2, 3))) for layer in layers), strict=True)])


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_derivatives_that_the_engine_does_not_have_are_as_before() -> None:
    layer = make("lstm", 2, 3)
    inputs = draw(3, 1, 2)

    def total(inputs: Tensor) -> Tensor:
        output: Tensor = layer(inputs)[0]
        return output.sin().sum()

    functional: Any = torch.autograd.functional
    wanted = functional.hessian(total, inputs)
    close([jacfwd(jacrev(total))(inputs), jacrev(jacrev(total))(inputs)], [wanted] * 2)
    leaf = draw(3, 1, 2).requires_grad_()
    first = grad(total)(leaf)  # autograd goes on outside of the transform
    second = torch.autograd.grad(first.square().sum(), leaf)
    close(second, [functional.jacobian(lambda x: grad(total)(x).square().sum(), inputs)])


def test_masks_that_differ_from_model_to_model_are_drawn_for_each() -> None:
    _, parameters, run = members("lstm", zoneout=0.5)
    found = vmap(run, in_dims=(0, None), randomness="different")(
        {name: value[:1].expand_as(value) for name, value in parameters.items()}, draw(5, 2, 3)
    )
    assert not torch.equal(found[0][0], found[0][1])


def test_cells_under_vmap(calls: list[str]) -> None:
    cells: list[Any] = [nn.cell_module(make("peephole", 3, 4, seed=seed)) for seed in range(MEMBERS)]
    parameters, _ = stack_module_state(cells)
    inputs = draw(2, 3)
    found = vmap(lambda p: as_tuple(functional_call(cells[0], p, (inputs,))))(parameters)
    close(found, [torch.stack(c) for c in zip(*(as_tuple(cell(inputs)) for cell in cells), strict=True)])


@pytest.mark.parametrize("options", [{"checkpoint_steps": 2}, {"bptt": 2, "checkpoint_steps": 2}])
def test_layers_in_blocks_have_the_derivatives_of_torch_func(options: dict[str, Any], calls: list[str]) -> None:
    layers, parameters, run = members("lstm", **options)
    inputs = draw(5, 2, 3)
    found = vmap(grad(lambda p: loss_of(run(p, inputs))))(parameters)
    assert calls.count("backward") >= MEMBERS
    for k, layer in enumerate(layers):
        wanted = torch.autograd.grad(loss_of(flat(layer(inputs))), [*layer.parameters()])
        close([found[name][k] for name, _ in layer.named_parameters()], wanted)


def test_torch_compile_sees_through_a_batch_of_weights() -> None:
    _, parameters, run = members("peephole", num_layers=2)
    inputs = draw(5, 2, 3)

    def ensemble(parameters: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return vmap(lambda p: tuple(run(p, inputs)))(parameters)

    found = []
    for call in (torch.compile(ensemble, backend="aot_eager"), ensemble):
        outputs = call(parameters)
        found.append([*outputs, *torch.autograd.grad(loss_of(outputs), [*parameters.values()])])
    close(found[0], found[1])


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_torch_compile_sees_through_a_batch_of_steps(cell: Any) -> None:
    module, inputs = cell(3, 4), draw(MEMBERS, 2, 3, dtype=torch.float32)

    def steps(inputs: Tensor) -> tuple[Tensor, ...]:
        return vmap(lambda one: as_tuple(module(one)))(inputs)

    close(torch.compile(steps, backend="aot_eager")(inputs), steps(inputs), torch.float32)
