"""Numbers at the edges: corners, infinities, NaN, and the types of results under autocast."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench import nn
from rnnbench.nn import Cell, Recurrent
from rnnbench.nn.compiler.native import DTYPES
from tests.fixtures.nn_layers import ENGINES, as_hx, flat

INFINITY, NAN = float("inf"), float("nan")
EDGES = [
    -INFINITY, -1e30, -800.0, -100.0, -20.0, -6.0, -3.5, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 3.5,
    6.0, 21.0, 100.0, 800.0, 1e30, INFINITY, NAN,
]  # fmt: skip
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "hardtanh": F.hardtanh,
    "hardtanh-uneven": lambda x: F.hardtanh(x, -2.0, 0.5),
    "hardsigmoid": F.hardsigmoid,
    "silu": F.silu,
    "clamp": lambda x: torch.clamp(x, -1.0, 2.0),
    "clamp-below": lambda x: torch.clamp(x, min=0.5),
    "clamp-above": lambda x: torch.clamp(x, max=0.5),
    "relu": torch.relu,
    "abs": torch.abs,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "maximum": lambda x: torch.maximum(x, 0.5 * x),
    "minimum": lambda x: torch.minimum(x, 0.5 * x),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
}


class Edge(Cell):
    """A function of the input alone, beside a hidden state that stays 0."""

    states = ("h", "value")
    outputs = ("h", "value")
    gates = ("n",)
    recurrent = ()

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def step(self, z: Any, s: Any) -> Any:
        return s.h, self.function(z.n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", ["native", "function"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives_at_the_edges_are_torchs(name: str, engine: Any, dtype: torch.dtype) -> None:
    inputs = torch.tensor(EDGES, dtype=dtype).reshape(1, -1, 1).requires_grad_()
    layer = Recurrent(1, 1, bias=False, cell=Edge(FUNCTIONS[name]), engine=engine, dtype=dtype)
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0").fill_(1.0)
    found, expected = layer(inputs)[1][1].reshape_as(inputs), FUNCTIONS[name](inputs)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=1e-6, equal_nan=True)
    gradients = [torch.autograd.grad(one.sum(), inputs)[0] for one in (found, expected)]
    if name.startswith("hardtanh"):  # torch's derivative at NaN is 0 or 1, as its loop is vectorised there or not
        gradients = [one.masked_fill(inputs.isnan(), 0.0) for one in gradients]
    torch.testing.assert_close(*gradients, rtol=2e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "softplus", "logsigmoid"])
def test_values_are_those_of_float64_within_three_roundings(name: str) -> None:
    inputs = torch.linspace(-80, 80, 200_001, dtype=torch.float64)
    layer = Recurrent(1, 1, bias=False, cell=Edge(FUNCTIONS[name]), engine="native", dtype=torch.float32)
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0").fill_(1.0)
        found = layer(inputs.float().reshape(1, -1, 1))[1][1].flatten()
    torch.testing.assert_close(found.double(), FUNCTIONS[name](inputs.float().double()), rtol=4e-7, atol=1e-37)


THEIRS: dict[Any, Any] = {nn.LSTM: torch.nn.LSTM, nn.GRU: torch.nn.GRU, nn.Elman: torch.nn.RNN}
BFLOAT16, HALF = torch.bfloat16, torch.float16


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("given", [torch.float32, BFLOAT16, HALF])
@pytest.mark.parametrize("cls", THEIRS)
def test_types_under_autocast_are_torchs(cls: Any, given: torch.dtype) -> None:
    """Whatever of layer, input and states is of which type, packed or not, projected or not; and so is a step."""
    inputs, count, total = torch.randn(5, 2, 3).to(given), 0, 0
    options: list[dict[str, Any]] = [{}, {"proj_size": 2}] if cls is nn.LSTM else [{}]
    for option, weights, lower in product(options, (torch.float32, BFLOAT16), (BFLOAT16, HALF)):
        theirs, ours = (one(3, 4, 2, **option).to(weights) for one in (THEIRS[cls], cls))
        for state, is_packed in product((None, given, torch.float32), (False, True)):
            batch = pack_padded_sequence(inputs, torch.tensor([5, 3])) if is_packed else inputs
            widths = ours.cell.state_sizes(4)
            hx = None if state is None else as_hx(tuple(torch.zeros(2, 2, width, dtype=state) for width in widths))
            total += 1
            with torch.no_grad(), torch.autocast("cpu", lower):
                try:
                    want = [one.dtype for one in flat(theirs(batch, hx))]
                except RuntimeError:  # oneDNN cannot on every machine
                    continue
                count += 1
                assert [one.dtype for one in flat(ours(batch, hx))] == want, (option, weights, lower, state, is_packed)
                if not is_packed:
                    assert [one.dtype for one in flat(ours.step(inputs[0], hx))] == want
    assert count >= total / 2


@pytest.mark.parametrize("given", [torch.float32, BFLOAT16])
@pytest.mark.parametrize("cls", [nn.Elman, nn.LSTM, nn.GRU, nn.MGU, nn.LRU, nn.SLSTM])
def test_autocast_gives_results_of_one_type_from_every_engine(cls: Any, given: torch.dtype) -> None:
    inputs = torch.randn(5, 2, 3).to(given)
    kind = torch.float32 if cls is nn.GRU and given == torch.float32 else BFLOAT16
    for engine in (None, *ENGINES, *(["torch"] if cls in THEIRS else [])):
        layer: Any = cls(3, 4, num_layers=2, engine=engine)
        with torch.autocast("cpu", BFLOAT16):
            results = flat(layer(inputs))
            again = flat(layer(inputs, tuple(results[1:]) if len(results) > 2 else results[1]))
            with torch.no_grad():
                step = flat(layer.step(inputs[0]))
            assert {one.dtype for one in (*results, *again, *step)} == {kind}
        for one, exact in zip(results, flat(layer(inputs.float())), strict=True):
            if engine == "torch":
                torch.testing.assert_close(one.float(), exact, rtol=0, atol=0.05)
            else:  # a recurrence stays in the type of its parameters
                assert torch.equal(one, exact.to(kind))


def test_autocast_leaves_float64() -> None:
    inputs = torch.randn(5, 2, 3, dtype=torch.float64)
    for layer in (nn.LSTM(3, 4, dtype=torch.float64), torch.nn.LSTM(3, 4, dtype=torch.float64)):
        with torch.autocast("cpu", torch.bfloat16):
            assert {one.dtype for one in flat(layer(inputs))} == {torch.float64}


def test_autocast_does_not_take_whole_numbers() -> None:
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(TypeError, match=r"input is torch\.int64, the layer torch"),
    ):
        nn.LSTM(3, 4)(torch.ones(5, 2, 3, dtype=torch.int64))
