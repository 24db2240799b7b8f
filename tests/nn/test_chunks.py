"""Many steps at once by products of matrices: the same as step by step, wherever chunks end."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench import nn
from rnnbench.nn import Cell, Recurrent
from tests.fixtures import nn_equations as equations
from tests.fixtures.nn_layers import as_hx, close, draw, draw_states, flat, gradients, make, scrambled

LENGTH = nn.MLSTM(2, 2).cell.chunk_steps


def check_steps(layer: Recurrent, given: Any, inputs: Tensor, states: tuple[Tensor, ...]) -> None:
    """Check results and gradients of a call in chunks against the same call step by step."""
    found = []
    for engine in ("function", "reference"):
        layer.engine = engine
        result = layer(given, as_hx(states))
        found.append([*flat(result), *gradients(layer, result, inputs, *states)])
    close(found[0], found[1])


@pytest.mark.parametrize("steps", [1, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH + 5])
def test_chunks_are_steps_wherever_they_end(steps: int) -> None:
    layer = make("mlstm-heads", 3, 6, bidirectional=True)
    assert layer.backend == "function"
    inputs, states = draw(steps, 2, 3).requires_grad_(), tuple(s.requires_grad_() for s in draw_states(layer, 2))
    check_steps(layer, inputs, inputs, states)


def test_sequences_may_end_in_any_chunk() -> None:
    layer = make("mlstm-heads", 3, 6, bidirectional=True)
    lengths = torch.tensor([LENGTH, 2 * LENGTH + 3, 1, LENGTH + 1, LENGTH - 1])
    inputs = draw(2 * LENGTH + 3, 5, 3).requires_grad_()
    states = tuple(state.requires_grad_() for state in draw_states(layer, 5))
    packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
    check_steps(layer, packed, inputs, states)
    layer.bptt = LENGTH // 2 + 1
    check_steps(layer, packed, inputs, states)


def test_several_chunks_are_the_papers_equation() -> None:
    layer = make("mlstm-heads", 3, 6)
    inputs, states = draw(LENGTH + 30, 2, 3), draw_states(layer, 2)
    parameters = {name: value.detach().numpy() for name, value in layer.parameters_of(0, "_l0").items()}
    begin = tuple(state[0].numpy() for state in states)
    want, final = equations.run(equations.mlstm(parameters, heads=3), inputs.numpy(), begin)
    output, ends = layer(inputs, as_hx(states))
    close([output, *(end[0] for end in ends)], [torch.from_numpy(one) for one in (want, *final)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [30.0, 1e4])
def test_long_sequences_with_extreme_gates_stay_finite(size: float, dtype: torch.dtype) -> None:
    layer = make("mlstm-heads", 3, 6, bidirectional=True, dtype=dtype)
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0")[24:] *= size  # input and forget gates; the others stay as they are
    inputs = draw(5 * LENGTH + 7, 2, 3, dtype=dtype).requires_grad_()
    result = layer(inputs)
    assert all(one.isfinite().all() for one in [*flat(result), *gradients(layer, result, inputs)])
    if dtype == torch.float64:
        parameters = {name: value.detach().numpy() for name, value in layer.parameters_of(0, "_l0").items()}
        zeros = tuple(np.zeros((2, width)) for width in layer.cell.state_sizes(6))
        with np.errstate(all="ignore"):
            want, _ = equations.run(equations.mlstm(parameters, heads=3), inputs.detach().numpy(), zeros)
        close([result[0][..., :6]], [torch.from_numpy(want)], scale=10.0)


def test_a_second_derivative_is_that_of_the_steps() -> None:
    layer, inputs = make("mlstm", 2, 4), draw(LENGTH + 2, 1, 2).requires_grad_()
    found = []
    for engine in ("function", "reference"):
        layer.engine = engine
        (first,) = torch.autograd.grad(layer(inputs)[0].square().sum(), inputs, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [inputs, *layer.parameters()]))
    close(found[0], found[1])


def test_torch_compile_sees_one_graph() -> None:
    layer = make("mlstm-heads", 3, 6)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    inputs = draw(LENGTH + 3, 2, 3).requires_grad_()
    found = []
    for one in (compiled, layer):
        result = one(inputs)
        found.append([*flat(result), *gradients(layer, result, inputs)])
    close(found[0], found[1])


def test_autocast_gives_its_type_and_computes_in_that_of_the_parameters() -> None:
    layer, inputs = make("mlstm-heads", 3, 6, dtype=torch.float32), draw(5, 2, 3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        got = flat(layer(inputs))
    for one, exact in zip(got, flat(layer(inputs)), strict=True):
        assert torch.equal(one, exact.to(torch.bfloat16))


def test_there_is_no_kernel_and_zoneout_goes_step_by_step() -> None:
    with pytest.raises(ValueError, match="engine 'native' cannot run MatrixLSTMCell: it has gates that"):
        nn.MLSTM(3, 6, engine="native").backend  # noqa: B018
    layer = make("mlstm-heads", 3, 6, zoneout=(0.0, 0.5, 0.0, 0.0))
    assert layer.backend == "reference"
    inputs, states = draw(1, 40, 3), draw_states(layer, 40)
    before, after, plain = states[1], layer(inputs, as_hx(states))[1][1], make("mlstm-heads", 3, 6)
    kept = torch.isclose(after, before)
    assert 0.4 < float(kept.double().mean()) < 0.6
    close([after[~kept]], [plain(inputs, as_hx(states))[1][1][~kept]])


def test_chrono_biases_of_heads() -> None:
    layer = nn.MLSTM(3, 800, heads=400, chrono=100)
    bias = layer.get_parameter("bias_ih_l0").detach()
    i, f = bias[3200:3600], bias[3600:]
    assert torch.equal(i, -f)
    assert f.min() >= 0
    assert float(f.max()) <= np.log(99) + 1e-6
    assert 0.4 < float((f > np.log(50)).double().mean()) < 0.6


class Sums(Cell):
    """The sum of all inputs, three steps at once."""

    gates = ("n",)
    recurrent = ()
    chunk_steps = 3

    def step(self, z: Any, s: Any) -> Any:
        return s.h + z.n

    def chunk(self, z: Any, s: Any, missing: Tensor | None) -> Any:
        return s.h + (z.n if missing is None else z.n.masked_fill(missing.unsqueeze(-1), 0.0)).cumsum(0), ()


@pytest.mark.parametrize("lengths", [None, [8, 2, 5]])
def test_a_cell_of_ones_own_may_say_how_to_take_many_steps(lengths: list[int] | None) -> None:
    layer, inputs = Recurrent(3, 4, 2, cell=Sums(), bidirectional=True, dtype=torch.float64), draw(8, 3, 3)
    scrambled(layer)
    inputs.requires_grad_()
    given = inputs if lengths is None else pack_padded_sequence(inputs, torch.tensor(lengths), enforce_sorted=False)
    states = draw_states(layer, 3)
    check_steps(layer, given, inputs, tuple(state.requires_grad_() for state in states))
