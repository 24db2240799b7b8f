"""Every layer computes its paper's equation, on every engine."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rnnbench import nn
from tests.fixtures import nn_equations as equations
from tests.fixtures.nn_layers import (
    CASES,
    ENGINES,
    as_hx,
    as_tuple,
    draw,
    draw_states,
    engines_of,
    make,
    prepare,
    scrambled,
)

EQUATIONS: dict[Any, Callable[..., equations.Step]] = {
    nn.Elman: equations.elman,
    nn.IRNN: equations.elman,
    nn.LSTM: equations.lstm,
    nn.PeepholeLSTM: equations.lstm,
    nn.CoupledLSTM: equations.lstm,
    nn.LayerNormLSTM: equations.layer_norm_lstm,
    nn.GRU: equations.gru,
    nn.MGU: equations.mgu,
    nn.JANET: equations.janet,
    nn.UGRNN: equations.ugrnn,
    nn.MUT: equations.mut,
    nn.MultiplicativeLSTM: equations.multiplicative,
    nn.SLSTM: equations.slstm,
    nn.MLSTM: equations.mlstm,
    nn.MinGRU: equations.mingru,
    nn.MinLSTM: equations.minlstm,
    nn.LRU: equations.lru,
    nn.SRU: equations.sru,
    nn.QRNN: equations.qrnn,
    nn.IndRNN: equations.indrnn,
    nn.RHN: equations.rhn,
    nn.FastGRNN: equations.fastgrnn,
    nn.CFN: equations.cfn,
    nn.RAN: equations.ran,
    nn.LiGRU: equations.ligru,
    nn.MinimalRNN: equations.minimal_rnn,
    nn.SCRN: equations.scrn,
    nn.BRC: equations.brc,
    nn.AntisymmetricRNN: equations.antisymmetric,
    nn.CoRNN: equations.cornn,
    nn.UnICORNN: equations.unicornn,
    nn.LEM: equations.lem,
    nn.RGLRU: equations.rglru,
}
IMPLIED: dict[Any, dict[str, Any]] = {
    nn.PeepholeLSTM: {"peephole": "diagonal"},
    nn.CoupledLSTM: {"ablations": ("CIFG",)},
    nn.IRNN: {"nonlinearity": "relu"},
}


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    prepare()


def compare(layer: nn.Recurrent, settings: dict[str, Any], sizes: tuple[int, int, int] = (6, 3, 4)) -> None:
    inputs, states = draw(*sizes), draw_states(layer, sizes[1])
    parameters = {name: value.detach().numpy() for name, value in layer.parameters_of(0, "_l0").items()}
    step = EQUATIONS[type(layer)](parameters, **{**IMPLIED.get(type(layer), {}), **settings})
    with np.errstate(all="raise"):
        outputs, final = equations.run(step, inputs.numpy(), tuple(state[0].numpy() for state in states))
    for engine in engines_of(type(layer)):
        layer.engine = engine  # type: ignore[assignment]
        assert layer.backend == engine
        for training in (False, True):
            with torch.set_grad_enabled(training):
                got, ends = layer(inputs, as_hx(states))
            np.testing.assert_allclose(got.detach().numpy(), outputs, rtol=0, atol=1e-11)
            for end, other in zip(as_tuple(ends), final, strict=True):
                np.testing.assert_allclose(end[0].detach().numpy(), other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_a_layer_computes_the_equation_of_its_paper(case: str) -> None:
    settings = CASES[case][1]
    compare(make(case, 4, 6), settings)
    compare(make(case, 4, 6, bias=False), settings)


@pytest.mark.parametrize("case", ["lru", "sru"])
def test_inputs_as_wide_as_the_state_go_around_it_unprojected(case: str) -> None:
    layer = make(case, 5, 5)
    assert not hasattr(layer, "weight_highway_l0")
    assert case == "sru" or layer.parameters_of(0, "_l0")["weight_d"].shape == (5,)
    compare(layer, {}, (4, 2, 5))


def test_units_of_one_head_see_each_other_only() -> None:
    compare(make("slstm", 4, 6, heads=2), {"heads": 2})
    compare(make("slstm", 4, 6, heads=3), {"heads": 3})


def test_exponential_gates_from_zero_states_and_with_great_values() -> None:
    layer = make("slstm", 3, 4)
    inputs = draw(50, 2, 3) * 100
    zero = tuple(np.zeros((2, 4)) for _ in range(4))
    parameters = {name: value.detach().numpy() for name, value in layer.parameters_of(0, "_l0").items()}
    with np.errstate(all="ignore"):
        want, _ = equations.run(equations.slstm(parameters), inputs.numpy(), zero)
    for engine in ENGINES:
        layer.engine = engine  # type: ignore[assignment]
        got = layer(inputs)[0].detach().numpy()
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("given", [True, False])
def test_a_linear_recurrence_is_its_loop(given: bool, dtype: torch.dtype) -> None:
    a, b, h = (draw(7, 3, 19, seed=5).to(dtype), draw(7, 3, 19, seed=6).to(dtype), draw(3, 19, seed=7).to(dtype))
    got = nn.linear_recurrence(a, b, h if given else None)
    now = h.clone() if given else torch.zeros(3, 19, dtype=dtype)
    for t in range(7):
        now = a[t] * now + b[t]
        torch.testing.assert_close(got[t], now)


def test_peepholes_can_be_combined_with_a_projection_and_none_is_left_without_gates() -> None:
    layer = make("peephole", 4, 6, ablations=("NIG", "NFG", "NOG"))
    assert layer.cell.gates == ("g",)
    compare(layer, {"ablations": ("NIG", "NFG", "NOG")})


def test_a_single_name_is_a_tuple_of_one_ablation() -> None:
    assert nn.LSTM(3, 4, ablations="CIFG").cell.gates == nn.CoupledLSTM(3, 4).cell.gates == ("i", "g", "o")


def test_rectified_units_begin_as_the_identity_without_bias() -> None:
    layer = nn.IRNN(30, 40, num_layers=2, bidirectional=True)
    for layer_number in range(2):
        for suffix in layer.suffixes(layer_number):
            own = layer.parameters_of(layer_number, suffix)
            assert torch.equal(own["weight_hh"], torch.eye(40))
            assert not own["bias_ih"].any()
            assert not own["bias_hh"].any()
            assert 0.0008 < float(own["weight_ih"].detach().std()) < 0.0012


def test_stacked_directions_are_single_ones_joined() -> None:
    layer = scrambled(nn.LSTM(3, 6, num_layers=2, bidirectional=True, dtype=torch.float64))
    inputs, states = draw(5, 2, 3), draw_states(layer, 2)
    output, (h, c) = layer(inputs, as_hx(states))
    data = inputs.numpy()
    for k in range(2):
        halves = []
        for direction, suffix in enumerate(layer.suffixes(k)):
            own = {name: value.detach().numpy() for name, value in layer.parameters_of(k, suffix).items()}
            place, order = 2 * k + direction, -1 if direction else 1
            begin = tuple(state[place].numpy() for state in states)
            outputs, final = equations.run(equations.lstm(own), data[::order], begin)
            halves.append(outputs[::order])
            np.testing.assert_allclose(h[place].detach().numpy(), final[0], atol=1e-12)
            np.testing.assert_allclose(c[place].detach().numpy(), final[1], atol=1e-12)
        data = np.concatenate(halves, -1)
    np.testing.assert_allclose(output.detach().numpy(), data, atol=1e-12)


def test_every_layer_is_compared_with_its_equation() -> None:
    layers = [getattr(nn, name) for name in nn.__all__]
    recurrent = {one for one in layers if isinstance(one, type) and issubclass(one, nn.Recurrent)} - {nn.Recurrent}
    recurrent -= {one for one in recurrent if issubclass(one, nn.RecurrentCell)}
    assert recurrent == set(EQUATIONS) == {cls for cls, _ in CASES.values()}
