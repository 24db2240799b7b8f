"""What holds for every recurrent layer, whatever its equation."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnbench import nn
from tests.fixtures.nn_layers import (
    CASES,
    ENGINES,
    as_hx,
    as_tuple,
    close,
    draw,
    draw_states,
    engines_of,
    flat,
    gradients,
    make,
    prepare,
)

SOME = ("lstm", "gru-before", "layer-norm", "slstm", "lru", "mlstm")
INF = float("inf")


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    prepare()


def flipped(layer: nn.Recurrent) -> nn.Recurrent:
    """A bidirectional layer whose two directions have the same weights."""
    both = type(layer)(
        layer.input_size, layer.hidden_size, bidirectional=True, dtype=torch.float64,
        **{name: getattr(layer.cell, name) for name in layer.cell_options()},
    )  # fmt: skip
    own = layer.state_dict()
    both.load_state_dict(own | {f"{name}_reverse": value for name, value in own.items()})
    return both


@pytest.mark.parametrize("case", CASES)
def test_a_row_knows_no_other_row(case: str) -> None:
    layer, inputs = make(case, 3, 6, num_layers=2, bidirectional=True), draw(5, 13, 3)
    states = draw_states(layer, 13)
    want = flat(layer(inputs, as_hx(states)))
    order = torch.randperm(13, generator=torch.Generator().manual_seed(0))
    close(flat(layer(inputs[:, order], as_hx(tuple(one[:, order] for one in states)))), [one[:, order] for one in want])
    for row in (0, 6, 12):
        own = as_hx(tuple(one[:, row : row + 1] for one in states))
        close(flat(layer(inputs[:, row : row + 1], own)), [one[:, row : row + 1] for one in want])


@pytest.mark.parametrize("case", CASES)
def test_two_runs_with_the_state_between_are_one(case: str) -> None:
    layer, inputs = make(case, 3, 6, num_layers=2), draw(8, 3, 3)
    states = as_hx(draw_states(layer, 3))
    want = flat(layer(inputs, states))
    first, between = layer(inputs[:3], states)
    second, end = layer(inputs[3:], between)
    close([torch.cat([first, second]), *as_tuple(end)], want)


@pytest.mark.parametrize("case", CASES)
def test_the_future_changes_nothing(case: str) -> None:
    layer, inputs = make(case, 3, 6, num_layers=2), draw(8, 3, 3)
    other = inputs.clone()
    other[5:] = 7.0
    one, two = layer(inputs)[0], layer(other)[0]
    assert torch.equal(one[:5], two[:5])
    assert not torch.equal(one[5:], two[5:])


@pytest.mark.parametrize("case", CASES)
def test_the_reverse_direction_is_the_forward_one_on_turned_input(case: str) -> None:
    layer, inputs = make(case, 3, 6), draw(6, 4, 3)
    output, states = layer(inputs)
    both, ends = flipped(layer)(inputs.flip(0))
    width = output.shape[-1]
    close([both[..., width:].flip(0), *(one[1:] for one in as_tuple(ends))], [output, *as_tuple(states)])


@pytest.mark.parametrize("case", CASES)
def test_padding_is_not_read(case: str) -> None:
    layer = make(case, 3, 6, num_layers=2, bidirectional=True)
    lengths, inputs = [2, 6, 1, 4], draw(6, 4, 3)
    garbage = inputs.clone()
    for row, length in enumerate(lengths):
        garbage[length:, row] = float("nan")
    packed = pack_padded_sequence(garbage, torch.tensor(lengths), enforce_sorted=False)
    output, states = layer(packed, as_hx(draw_states(layer, 4)))
    padded = pad_packed_sequence(output)[0]
    for row, length in enumerate(lengths):
        own = as_hx(tuple(one[:, row : row + 1] for one in draw_states(layer, 4)))
        want = flat(layer(inputs[:length, row : row + 1], own))
        got = [padded[:length, row : row + 1], *(one[:, row : row + 1] for one in as_tuple(states))]
        close(got, want)
        assert not padded[length:, row].any()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", ["elman", "lstm", "lstm-proj", "layer-norm", "lru"])
def test_a_final_state_is_the_last_of_its_sequence(case: str, engine: Any) -> None:
    layer = make(case, 3, 6, engine=engine)
    output, states = layer(draw(5, 3, 3))
    if case != "lru":
        assert torch.equal(output[-1], as_tuple(states)[0][0])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", SOME)
def test_the_same_call_gives_the_same_bits(case: str, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        layer, inputs = make(case, 5, 40 if case != "slstm" else 42), draw(12, 33, 5).requires_grad_()
        runs = []
        for _ in range(3):
            result = layer(inputs)
            runs.append([*flat(result), *gradients(layer, result, inputs)])
        for one in runs[1:]:
            assert all(torch.equal(got, want) for got, want in zip(one, runs[0], strict=True))
        torch.set_num_threads(3 - threads)
        result = layer(inputs)
        close([*flat(result), *gradients(layer, result, inputs)], runs[0])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("case", [one for one in CASES if one != "slstm"])
def test_no_state_is_a_state_of_zeros(case: str) -> None:
    layer, inputs = make(case, 3, 6, num_layers=2), draw(5, 2, 3)
    zeros = as_hx(tuple(torch.zeros_like(one) for one in draw_states(layer, 2)))
    for engine in engines_of(type(layer)):
        layer.engine = engine  # type: ignore[assignment]
        for one, two in zip(flat(layer(inputs)), flat(layer(inputs, zeros)), strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("every", [1, 3, 4, 100])
@pytest.mark.parametrize("case", SOME)
def test_checkpoints_change_no_gradient(case: str, every: int) -> None:
    layer = make(case, 3, 6, num_layers=2, bidirectional=True)
    saving = make(case, 3, 6, num_layers=2, bidirectional=True, checkpoint_steps=every)
    inputs = draw(8, 3, 3).requires_grad_()
    states = tuple(one.requires_grad_() for one in draw_states(layer, 3))
    found = []
    for one in (layer, saving):
        result = one(inputs, as_hx(states))
        found.append([*flat(result), *gradients(one, result, inputs, *states)])
    close(found[1], found[0])


@pytest.mark.parametrize("value", [float("nan"), INF, -INF])
@pytest.mark.parametrize("case", CASES)
def test_what_is_no_number_stays_in_its_row_and_shows(case: str, value: float) -> None:
    layer, inputs = make(case, 3, 6), draw(5, 9, 3)
    clean = layer(inputs)[0]
    inputs[2, 4, 1] = value
    spoiled = layer(inputs)[0]
    others = [row for row in range(9) if row != 4]
    assert torch.equal(spoiled[:, others], clean[:, others])
    first = 2 if layer.cell.chunk is None else 0  # a chunk of steps is one product of matrices
    assert torch.equal(spoiled[:first], clean[:first])
    if value != value:
        assert spoiled[2, 4].isnan().all()
        assert spoiled[3:, 4].isnan().any(-1).all()
    else:
        layer.engine = "reference"
        torch.testing.assert_close(spoiled[2:], layer(inputs)[0][2:], rtol=1e-9, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", ["lstm", "gru", "elman", "slstm", "minlstm"])
def test_great_values_give_no_nan(case: str, engine: Any) -> None:
    layer = make(case, 3, 6, engine=engine)
    inputs = (draw(4, 2, 3) * 1e4).requires_grad_()
    result = layer(inputs)
    assert all(one.isfinite().all() for one in [*flat(result), *gradients(layer, result, inputs)])


@pytest.mark.parametrize("connections", ["residual", "skip"])
@pytest.mark.parametrize("both", [False, True])
def test_connections_are_a_stack_by_hand(connections: Any, both: bool) -> None:
    layer = make("gru", 3, 4, num_layers=3, bidirectional=both, connections=connections)
    inputs, width = draw(5, 2, 3), layer.output_size
    singles: list[nn.Recurrent] = []
    for k in range(3):
        size = 3 if k == 0 else width + (3 if connections == "skip" else 0)
        single: nn.Recurrent = nn.GRU(size, 4, bidirectional=both, dtype=torch.float64)
        own = {name: value for name, value in layer.state_dict().items() if f"_l{k}" in name}
        single.load_state_dict({name.replace(f"_l{k}", "_l0"): value for name, value in own.items()})
        singles.append(single)
    data, ends = inputs, []
    for k, one in enumerate(singles):
        given: Tensor = torch.cat([data, inputs], -1) if k and connections == "skip" else data
        output, end = one(given)
        ends.append(end)
        data = output + data if k and connections == "residual" else output
    close(flat(layer(inputs)), [data, torch.cat(ends)])


def test_activation_regularisation_is_its_sum() -> None:
    output = draw(5, 3, 4)
    by_hand = 2.0 * sum(float(one) ** 2 for one in output.flatten()) / 60
    by_hand += 0.5 * sum(float(one) ** 2 for one in (output[1:] - output[:-1]).flatten()) / 48
    assert float(nn.activation_regularisation(output, 2.0, 0.5)) == pytest.approx(by_hand)
    assert float(nn.activation_regularisation(output.transpose(0, 1), 2.0, 0.5, batch_first=True)) == pytest.approx(
        by_hand
    )
    assert float(nn.activation_regularisation(output[:1])) == pytest.approx(float(2 * output[0].square().mean()))
