"""Cells as modules beside torch's, cells of layers beside the layers, and calls of layers with a single step."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench import nn
from rnnbench.nn.cells.lstm import LSTMCell as LSTMEquation
from tests.fixtures.nn_layers import CASES, as_hx, as_tuple, close, draw, draw_states, make, scrambled

PAIRS: list[tuple[Any, Any, dict[str, Any]]] = [
    (nn.RNNCell, torch.nn.RNNCell, {}),
    (nn.RNNCell, torch.nn.RNNCell, {"nonlinearity": "relu"}),
    (nn.LSTMCell, torch.nn.LSTMCell, {}),
    (nn.LSTMCell, torch.nn.LSTMCell, {"bias": False}),
    (nn.GRUCell, torch.nn.GRUCell, {}),
]


def pair_of(ours: Any, theirs: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    cell, other = ours(3, 4, dtype=torch.float64, **options), theirs(3, 4, dtype=torch.float64, **options)
    other.load_state_dict(scrambled(cell).state_dict())
    return cell, other


def states_of(cell: Any, *batch: int, seed: int = 5) -> tuple[Tensor, ...]:
    sizes = cell.cell.state_sizes(cell.hidden_size)
    return tuple(draw(*batch, width, seed=seed + k) for k, width in enumerate(sizes))


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
def test_a_cell_is_torchs(ours: Any, theirs: Any, options: dict[str, Any]) -> None:
    cell, other = pair_of(ours, theirs, options)
    assert [*cell.state_dict()] == [*other.state_dict()]
    assert repr(cell).replace("'", "") == repr(other)
    for batch in ((5,), (), (1,)):
        inputs, states = draw(*batch, 3), as_hx(states_of(cell, *batch))
        for hx in (None, states):
            want = as_tuple(other(inputs, hx))
            got = as_tuple(cell(inputs, hx))
            close(got, want)
            sums = [torch.stack([part.square().sum() for part in result]).sum() for result in (got, want)]
            found = [
                torch.autograd.grad(total, [*m.parameters()]) for total, m in zip(sums, (cell, other), strict=True)
            ]
            close(found[0], found[1])
            with torch.no_grad():
                close(as_tuple(cell(inputs, hx)), want)
            asked = copy.deepcopy(cell)
            asked.engine = "reference"
            close(as_tuple(asked(inputs, hx)), want)
    back = ours.from_torch(other)
    assert type(cell.to_torch()) is theirs
    close([*cell.to_torch().parameters()], [*back.parameters()])
    close(as_tuple(pickle.loads(pickle.dumps(cell))(inputs)), as_tuple(other(inputs)))


def test_a_cell_under_autocast_gives_torchs_types() -> None:
    cell, other = nn.GRUCell(3, 4), torch.nn.GRUCell(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        for inputs in (torch.randn(2, 3), torch.randn(2, 3).bfloat16()):
            assert cell(inputs).dtype == other(inputs).dtype
            with torch.no_grad():
                assert cell(inputs).dtype == other(inputs).dtype


@pytest.mark.parametrize(
    ("inputs", "hx", "words"),
    [
        (
            torch.zeros(2, 3, 3),
            None,
            r"input of a LSTMCell must be \[B, I\] or, without a batch, \[I\]; got \[2, 3, 3\]",
        ),
        (torch.zeros(2, 4), None, "input must have 3 features"),
        (torch.zeros(2, 3), torch.zeros(2, 4), r"hx must be 2 states \(h, c\), got 1"),
        (torch.zeros(2, 3), (torch.zeros(2, 4), torch.zeros(1, 4)), r"state c must have shape \[2, 4\], got \[1, 4\]"),
        (torch.zeros(2, 3, dtype=torch.float64), None, "input is torch.float64, the layer torch.float32"),
        ([1.0], None, "input of a LSTMCell must be a tensor, got list"),
    ],
)
@pytest.mark.parametrize("gradient", [True, False])
def test_a_cell_says_what_does_not_fit(inputs: Any, hx: Any, words: str, gradient: bool) -> None:
    with torch.set_grad_enabled(gradient), pytest.raises(RuntimeError, match=words) as caught:
        nn.LSTMCell(3, 4)(inputs, hx)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("make_cell", "words"),
    [
        (lambda: nn.LSTMCell(3, 4, nonlinearity="relu"), "keyword of LSTMCell.*'nonlinearity'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="sine"), "nonlinearity must be tanh or relu"),  # type: ignore[arg-type]
        (lambda: nn.LSTMCell(0, 4), "input_size must be at least 1"),
        (lambda: nn.RecurrentCell(3, 4), "RecurrentCell needs a cell"),
        (
            lambda: nn.LSTMCell.from_torch(torch.nn.GRUCell(3, 4)),
            "LSTMCell cannot take the weights of a torch.nn.GRUCell",
        ),
        (lambda: nn.RecurrentCell(3, 4, cell=LSTMEquation(proj_size=2)).to_torch(), "there is no torch.nn cell"),
        (lambda: nn.cell_module(torch.nn.LSTM(3, 4)), "must be a recurrent layer of rnnbench.nn, got LSTM"),  # type: ignore[arg-type]
        (lambda: nn.cell_module(nn.LSTM(3, 4), 1), "number must be less than num_layers 1, got 1"),
        (lambda: nn.cell_module(nn.LSTM(3, 4), reverse=True), "not bidirectional"),
        (
            lambda: nn.cell_module(nn.LSTM(3, 4, weight_dropout=0.5)),
            "weight_dropout draws one mask for a whole sequence",
        ),
    ],
)
def test_what_a_cell_cannot_be_made_of_is_said(make_cell: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        make_cell()


@pytest.mark.parametrize(
    "case", ["lstm-proj", "gru-before", "peephole-full", "lru", "scrn", "qrnn", "fastgrnn", "mlstm"]
)
def test_the_cell_of_a_layer_is_its_step(case: str) -> None:
    layer = make(case, 3, 6, 2, bidirectional=True).eval()
    inputs, states = draw(2, 12), draw_states(layer, 2)
    cell = nn.cell_module(layer, 1, reverse=True)
    assert all(value is getattr(layer, f"{name}_l1_reverse") for name, value in cell.named_parameters())
    single = scrambled(type(layer)(12, 6, dtype=torch.float64, **CASES[case][1]).eval())
    if single.proj_size:
        single = scrambled(type(layer)(2 * layer.proj_size, 6, dtype=torch.float64, **CASES[case][1]).eval())
        inputs = draw(2, 2 * layer.proj_size)
    with torch.no_grad():
        for name, value in cell.named_parameters():
            getattr(single, f"{name}_l0").copy_(value)
    before = tuple(state[3] for state in states)
    want, final = single(inputs.unsqueeze(0), as_hx(tuple(state[3:] for state in states)))
    after = cell(inputs, as_hx(before))
    close(as_tuple(after), [state[0] for state in as_tuple(final)])
    close([cell.readout(inputs, after)], [want[0]])
    with torch.no_grad():
        close(as_tuple(cell(inputs, as_hx(before))), as_tuple(after))
        output, again = cell.step(inputs, as_hx(before))
    close([output, *as_tuple(again)], [want[0], *as_tuple(after)])


def test_a_cell_learns_what_its_layer_learns() -> None:
    layer = make("peephole", 3, 4)
    cell = nn.cell_module(layer)
    inputs = draw(4, 2, 3)
    h = c = torch.zeros(2, 4, dtype=torch.float64)
    outputs = []
    for row in inputs:
        h, c = cell(row, (h, c))
        outputs.append(h)
    found = torch.autograd.grad(torch.stack(outputs).sin().sum(), [*cell.parameters()])
    close(found, torch.autograd.grad(layer(inputs)[0].sin().sum(), [*layer.parameters()]))


@pytest.mark.parametrize("case", ["lstm", "gru", "elman", "elman-relu", "peephole", "lru"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_call_with_one_step_is_that_of_the_reference(case: str, layers: int, batch_first: bool) -> None:
    layer = make(case, 3, 4, layers, batch_first=batch_first)
    reference = make(case, 3, 4, layers, batch_first=batch_first, engine="reference")
    shape = (2, 1, 3) if batch_first else (1, 2, 3)
    for hx in (None, as_hx(draw_states(layer, 2))):
        results = []
        for one in (reference, layer):
            inputs = draw(*shape).requires_grad_()
            output, final = one(inputs, hx)
            total = output.cos().sum() + sum(state.sin().sum() for state in as_tuple(final))
            gradients = torch.autograd.grad(total, [inputs, *one.parameters()])
            with torch.no_grad():
                prepared, last = one(inputs, hx)
            results.append([output, *as_tuple(final), prepared, *as_tuple(last), *gradients])
        close(results[1], results[0])


@pytest.mark.parametrize("case", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("layers", [1, 2])
def test_what_a_call_with_one_step_gives_can_be_changed_in_place(case: str, layers: int) -> None:
    layer, changed = make(case, 3, 4, layers), make(case, 3, 4, layers)
    inputs = draw(1, 2, 3)
    total = [(one * one.detach()).sum() for one in [layer(inputs)[0], *as_tuple(layer(inputs)[1])]]
    want = torch.autograd.grad(torch.stack(total).sum(), [*layer.parameters()])
    for gradient in (True, False):
        with torch.set_grad_enabled(gradient):
            output, final = changed(inputs)
            results = [output, *as_tuple(final)]
            before = [one.detach().clone() for one in results]
            sums = [(one * old).sum() for one, old in zip(results, before, strict=True)]
            for one in results:
                one.add_(1)
        close(results, [one + 1 for one in before])  # none of them shares memory with another
    output, final = changed(inputs)
    sums = [(one * one.detach().clone()).sum() for one in [output, *as_tuple(final)]]
    for one in [output, *as_tuple(final)]:
        one.detach().add_(0)
    close(torch.autograd.grad(torch.stack(sums).sum(), [*changed.parameters()]), want)


def test_dropout_between_layers_acts_on_a_single_step() -> None:
    layer = make("lstm", 3, 40, 2, dropout=0.5)
    torch.manual_seed(0)
    first = layer(draw(1, 2, 3))[0]
    assert not torch.equal(first, layer(draw(1, 2, 3))[0])
    layer.eval()
    assert torch.equal(layer(draw(1, 2, 3))[0], layer(draw(1, 2, 3))[0])


class Doubled(LSTMEquation):
    """An LSTM that is not torch's."""

    def step(self, z: Any, s: Any) -> Any:
        h, c = super().step(z, s)
        return 2 * h, c


def test_a_subclass_of_an_equation_is_not_torchs_cell() -> None:
    layer = scrambled(nn.Recurrent(3, 4, cell=Doubled(), dtype=torch.float64))
    plain = scrambled(nn.LSTM(3, 4, dtype=torch.float64))
    inputs = draw(1, 2, 3)
    close([layer(inputs)[0]], [2 * plain(inputs)[0]])
    with pytest.raises(ValueError, match="Doubled has a step of its own"):
        layer.to_torch()


def test_conjugated_inputs_of_a_prepared_step_are_read_as_they_are() -> None:
    layer = make("lstm", 3, 4)
    negative = torch.complex(draw(2, 3), draw(2, 3, seed=2)).conj().imag
    assert negative.is_neg()
    with torch.no_grad():
        want = layer(negative.resolve_neg().unsqueeze(0))
        close([layer.step(negative)[0], layer(negative.unsqueeze(0))[0][0]], [want[0][0]] * 2)
