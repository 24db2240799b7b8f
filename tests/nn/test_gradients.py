"""Derivatives: against finite differences, of second order, and the same on every engine."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench import nn
from rnnbench.nn.compiler.scan import loop
from tests.fixtures.nn_layers import (
    CASES,
    ENGINES,
    as_hx,
    close,
    draw,
    draw_states,
    engines_of,
    flat,
    gradients,
    make,
    prepare,
)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    prepare()


def as_function(layer: nn.Recurrent, inputs: Tensor, lengths: Tensor | None = None) -> tuple[Any, list[Tensor]]:
    """A layer's call as a function of input, states and parameters, and these."""
    names, states = [name for name, _ in layer.named_parameters()], draw_states(layer, inputs.shape[1])
    count = len(states)

    def call(data: Tensor, *rest: Tensor) -> Tensor:
        given: Any = data if lengths is None else pack_padded_sequence(data, lengths, enforce_sorted=False)
        result = torch.func.functional_call(
            layer, dict(zip(names, rest[count:], strict=True)), (given, as_hx(rest[:count]))
        )
        return torch.cat([one.flatten() for one in flat(result)])

    values = [inputs, *states, *(parameter.detach().clone() for parameter in layer.parameters())]
    return call, [value.requires_grad_() for value in values]


@pytest.mark.parametrize(
    ("case", "engine"),
    [(case, engine) for case, (cls, _) in CASES.items() for engine in engines_of(cls) if engine != "reference"],
)
def test_gradients_are_finite_differences(case: str, engine: Any) -> None:
    layer = make(case, 2, 5 if case not in ("slstm", "mlstm-heads") else 6, bidirectional=True, engine=engine)
    assert layer.backend == engine
    assert gradcheck(*as_function(layer, draw(3, 2, 2)), fast_mode=True)
    assert gradcheck(*as_function(layer, draw(4, 3, 2), torch.tensor([2, 4, 1])), fast_mode=True)


@pytest.mark.parametrize("case", ["lstm", "gru-before", "layer-norm", "peephole-full", "multiplicative"])
def test_every_single_gradient_is_its_finite_difference(case: str) -> None:
    layer = make(case, 2, 3, bidirectional=True, engine="native")
    assert gradcheck(*as_function(layer, draw(3, 2, 2)))


@pytest.mark.parametrize("engine", ["native", "function"])
@pytest.mark.parametrize("case", ["lstm", "lstm-proj", "gru", "gru-before", "layer-norm", "slstm", "lru", "mut3"])
def test_gradients_of_rows_longer_than_a_register(case: str, engine: Any) -> None:
    layer = make(case, 3, 19, engine=engine)
    assert gradcheck(*as_function(layer, draw(3, 9, 3)), fast_mode=True)


@pytest.mark.parametrize("case", ["lstm", "gru", "elman", "peephole", "minlstm"])
def test_gradients_of_gradients(case: str) -> None:
    layer = make(case, 2, 3, engine="native")
    assert gradgradcheck(*as_function(layer, draw(3, 2, 2)), fast_mode=True)


def test_gradients_of_gradients_where_some_are_not_wanted() -> None:
    layer = make("lstm", 2, 3, bias=False)
    inputs = draw(3, 2, 2).requires_grad_()
    layer.requires_grad_(False)
    found = []
    for engine in ENGINES:
        layer.engine = engine  # type: ignore[assignment]
        (first,) = torch.autograd.grad(layer(inputs)[0].square().sum(), [inputs], create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [inputs])[0])
    close(found[:2], [found[2]] * 2)


def second_gradients(call: Any, leaves: list[Tensor]) -> list[Tensor]:
    """Gradients as they are when they are to be derived again, and those of their squares."""
    first = torch.autograd.grad(call().sin().sum(), leaves, create_graph=True)
    total = torch.stack([one.square().sum() for one in first]).sum()
    return [*(one.detach() for one in first), *torch.autograd.grad(total, leaves)]


@pytest.mark.parametrize("engine", ["native", "function"])
@pytest.mark.parametrize("way", ["two calls", "checkpoints"])
def test_gradients_of_gradients_where_one_pass_feeds_another(way: str, engine: Any) -> None:
    layer, inputs = make("lstm", 2, 3), draw(4, 2, 2).requires_grad_()

    def call() -> Tensor:
        if way == "two calls":
            output, states = layer(inputs[:2])
            return torch.cat([output, layer(inputs[2:], states)[0]])
        return layer(inputs)[0]  # type: ignore[no-any-return]

    leaves = [inputs, *layer.parameters()]
    layer.engine = "reference"
    want = second_gradients(call, leaves)
    layer.engine, layer.checkpoint_steps = engine, 2 if way == "checkpoints" else None
    close(second_gradients(call, leaves), want)


def test_gradients_of_gradients_where_a_recurrence_takes_one_tensor_twice() -> None:
    value = draw(4, 2, 5).requires_grad_()
    close(
        second_gradients(lambda: nn.linear_recurrence(value, value), [value]),
        second_gradients(lambda: loop(value, value), [value]),
    )


def test_a_linear_recurrence_has_its_gradients() -> None:
    values = [draw(4, 2, 5), draw(4, 2, 5, seed=7), draw(2, 5, seed=8)]
    for value in values:
        value.requires_grad_()
    assert gradcheck(nn.linear_recurrence, values)
    assert gradcheck(nn.linear_recurrence, values[:2])
    assert gradgradcheck(nn.linear_recurrence, values)


OFTEN = ("lstm", "lstm-proj", "gru", "gru-before", "peephole-full", "layer-norm", "full-gate-recurrence", "slstm",
         "multiplicative", "elman-relu", "mut3", "minlstm", "sru", "lru")  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    case=st.sampled_from(OFTEN),
    steps=st.integers(1, 9),
    batch=st.integers(1, 21),
    features=st.integers(1, 20),
    units=st.integers(4, 40),
    layers=st.integers(1, 2),
    both=st.booleans(),
    bias=st.booleans(),
    begin=st.booleans(),
    data=st.data(),
)
def test_all_engines_agree(
    case: str, steps: int, batch: int, features: int, units: int, layers: int, both: bool, bias: bool, begin: bool,
    data: st.DataObject,
) -> None:  # fmt: skip
    layer = make(case, features, units, num_layers=layers, bidirectional=both, bias=bias)
    inputs = draw(steps, batch, features).requires_grad_()
    lengths = data.draw(st.none() | st.lists(st.integers(1, steps), min_size=batch, max_size=batch))
    given: Any = (
        inputs if lengths is None else pack_padded_sequence(inputs, torch.tensor(lengths), enforce_sorted=False)
    )
    hx = as_hx(draw_states(layer, batch)) if begin else None
    results = []
    for engine in ENGINES:
        layer.engine = engine  # type: ignore[assignment]
        result = layer(given, hx)
        results.append([*flat(result), *gradients(layer, result, inputs)])
    close(results[0], results[2])
    close(results[1], results[2])


@pytest.mark.parametrize("case", ["lstm", "gru-before", "layer-norm", "elman", "peephole", "slstm"])
def test_single_precision_gradients_are_those_of_double(case: str) -> None:
    wide, narrow = make(case, 7, 45, num_layers=2), make(case, 7, 45, num_layers=2, dtype=torch.float32)
    narrow.load_state_dict(wide.state_dict())
    inputs = draw(20, 18, 7).requires_grad_()
    small = inputs.detach().float().requires_grad_()
    want, got = wide(inputs), narrow(small)
    close([one.double() for one in flat(got)], flat(want), torch.float32, 20.0)
    found = gradients(narrow, got, small), gradients(wide, want, inputs)
    for one, other in zip(*found, strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(one.double() / scale, other / scale, rtol=0, atol=1e-3)
