"""Regularisers when training and when not, and how weights begin."""

import math
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench import nn
from rnnbench.nn import Cell, Recurrent
from tests.fixtures.nn_layers import CASES, ENGINES, as_hx, close, draw, draw_states, flat, gradients, make, scrambled


class Passing(Cell):
    """The state is the sum of the two products."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return 1.0 * z.n


def passing(size: int, **options: Any) -> Recurrent:
    """A layer that puts out its input plus its state."""
    layer = Recurrent(size, size, cell=Passing(), bias=False, dtype=torch.float64, **options)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            value.copy_(
                torch.eye(size, dtype=torch.float64) if name.startswith("weight_ih") else torch.zeros(size, size)
            )
    return layer


@pytest.mark.parametrize("engine", ENGINES)
def test_zoneout_keeps_units_when_training_and_mixes_when_not(engine: Any) -> None:
    layer = passing(50, zoneout=0.3, engine=engine)
    inputs = torch.arange(1.0, 21.0, dtype=torch.float64).view(20, 1, 1).expand(20, 40, 50)
    torch.manual_seed(0)
    output = layer(inputs)[0]
    before = torch.cat([torch.zeros(1, 40, 50, dtype=torch.float64), output[:-1]])
    kept = output == before
    assert torch.equal(output[~kept], inputs[~kept])
    assert 0.29 < float(kept.double().mean()) < 0.31
    assert 0.25 < float(kept[7].double().mean()) < 0.35
    assert not torch.equal(kept[7], kept[8])
    layer.eval()
    state = torch.zeros(40, 50, dtype=torch.float64)
    for t, got in enumerate(layer(inputs)[0]):
        state = 0.3 * state + 0.7 * inputs[t]
        close([got], [state])


@pytest.mark.parametrize("engine", ENGINES)
def test_each_state_has_its_own_zoneout(engine: Any) -> None:
    layer, plain = (make("lstm", 3, 6, zoneout=share, engine=engine).eval() for share in ((0.0, 0.4), 0.0))
    inputs, states = draw(1, 2, 3), draw_states(layer, 2)
    _, (h, c) = layer(inputs, as_hx(states))
    _, (plain_h, plain_c) = plain(inputs, as_hx(states))
    close([h, c], [plain_h, 0.4 * states[1] + 0.6 * plain_c])


def test_regularisers_of_zero_are_none() -> None:
    inputs = draw(5, 2, 3)
    plain = flat(make("lstm", 3, 6)(inputs))
    zero = make("lstm", 3, 6, zoneout=0.0, variational_dropout=0.0, weight_dropout=0.0, dropout=0.0)
    for got, want in zip(flat(zero(inputs)), plain, strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_variational_mask_is_the_same_at_every_step(engine: Any) -> None:
    torch.manual_seed(1)
    layer = passing(60, variational_dropout=0.25, engine=engine)
    output = layer(torch.ones(6, 30, 60, dtype=torch.float64))[0]
    assert (output == output[0]).all()
    values = output[0].unique()
    close([values], [torch.tensor([0.0, 1 / 0.75], dtype=torch.float64)])
    assert 0.72 < float((output[0] > 0).double().mean()) < 0.78
    assert not torch.equal(output[0, 0], output[0, 1])
    assert torch.equal(layer.eval()(torch.ones(1, 2, 60, dtype=torch.float64))[0], torch.ones(1, 2, 60).double())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_state_is_masked_before_every_recurrent_product(engine: Any) -> None:
    torch.manual_seed(2)
    layer = passing(60, variational_dropout=0.5, engine=engine)
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").copy_(torch.eye(60))
    begin = torch.ones(1, 8, 60, dtype=torch.float64)
    output = layer(torch.zeros(3, 8, 60, dtype=torch.float64), begin)[0]
    mask = output[0]
    close([mask.unique()], [torch.tensor([0.0, 2.0], dtype=torch.float64)])
    close([output[1], output[2]], [mask**2, mask**3])


def test_a_variational_mask_follows_its_packed_sequence() -> None:
    torch.manual_seed(3)
    layer = passing(40, variational_dropout=0.5)
    packed = pack_padded_sequence(torch.ones(5, 3, 40, dtype=torch.float64), torch.tensor([5, 4, 2]))
    output, start = layer(packed)[0].data, 0
    for count in packed.batch_sizes.tolist():
        assert torch.equal(output[start : start + count], output[:count])
        start += count


@pytest.mark.parametrize("options", [{"zoneout": 0.3}, {"zoneout": (0.2, 0.0)}, {"variational_dropout": 0.4}])
@pytest.mark.parametrize("lengths", [None, [5, 3, 1]])
def test_engines_draw_the_same_and_agree_on_gradients(options: dict[str, Any], lengths: list[int] | None) -> None:
    layer = make("lstm", 3, 6, num_layers=2, bidirectional=True, **options)
    inputs = draw(5, 3, 3).requires_grad_()
    results = []
    for engine in ENGINES:
        layer.engine = engine  # type: ignore[assignment]
        torch.manual_seed(5)
        result = layer(inputs if lengths is None else pack_padded_sequence(inputs, torch.tensor(lengths)))
        results.append([*flat(result), *gradients(layer, result, inputs)])
    close(results[0], results[2])
    close(results[1], results[2])
    torch.manual_seed(5)
    if lengths is None:
        layer.checkpoint_steps = 2
        result = layer(inputs)
        close([*flat(result), *gradients(layer, result, inputs)], results[2])


def test_weight_dropout_drops_single_weights_once_a_call() -> None:
    torch.manual_seed(6)
    layer = passing(30, weight_dropout=0.5)
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").fill_(1.0)
    inputs, begin = torch.zeros(1, 30, 30, dtype=torch.float64), torch.eye(30, dtype=torch.float64).unsqueeze(0)
    one, two = (layer(inputs, begin)[0][0] for _ in range(2))
    close([one.unique()], [torch.tensor([0.0, 2.0], dtype=torch.float64)])
    assert 0.45 < float((one > 0).double().mean()) < 0.55
    assert not torch.equal(one, two)
    assert torch.equal(layer.eval()(inputs, begin)[0][0], torch.ones(30, 30).double())
    layer.train()
    total = layer(inputs, begin)[0].sum()
    gradient = torch.autograd.grad(total, [layer.get_parameter("weight_hh_l0")])[0]
    close([torch.unique(gradient)], [torch.tensor([0.0, 2.0], dtype=torch.float64)])


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.MultiplicativeLSTM, nn.MUT])
def test_recurrent_weights_begin_orthogonal_or_as_the_identity(cls: Any) -> None:
    layer = cls(3, 12, num_layers=2, recurrent_init="orthogonal")
    for name, weight in layer.named_parameters():
        if name.startswith("weight_hh"):
            for block in weight.detach().split(12):
                torch.testing.assert_close(block @ block.T, torch.eye(12), rtol=0, atol=1e-5)
    for block in cls(3, 12, recurrent_init="identity").get_parameter("weight_hh_l0").detach().split(12):
        assert torch.equal(block, torch.eye(12))


def test_other_weights_begin_as_torchs() -> None:
    torch.manual_seed(7)
    ours = nn.LSTM(3, 16, num_layers=2)
    torch.manual_seed(7)
    theirs = torch.nn.LSTM(3, 16, num_layers=2)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_chrono_biases_keep_for_as_long_as_asked() -> None:
    layer = nn.LSTM(3, 500, chrono=100)
    own = layer.parameters_of(0, "_l0")
    total = (own["bias_ih"] + own["bias_hh"]).detach()
    i, f = total[:500], total[500:1000]
    assert torch.equal(i, -f)
    assert float(f.min()) >= 0
    assert float(f.max()) <= math.log(99) + 1e-5
    assert float(f.exp().mean()) == pytest.approx(50, abs=5)
    gate = nn.GRU(3, 500, chrono=100).parameters_of(0, "_l0")["bias_ih"].detach()[500:1000]
    assert float(gate.min()) >= 0


def test_a_forget_bias_is_what_the_biases_add_up_to() -> None:
    own = nn.PeepholeLSTM(3, 4, forget_bias=1.5).parameters_of(0, "_l0")
    assert torch.equal((own["bias_ih"] + own["bias_hh"]).detach()[4:8], torch.full((4,), 1.5))
    assert torch.equal(
        nn.LayerNormLSTM(3, 4, forget_bias=2.0).parameters_of(0, "_l0")["shift_f"], torch.full((4,), 2.0)
    )


def test_a_linear_recurrent_unit_begins_on_its_ring() -> None:
    own = nn.LRU(3, 400, r_min=0.5, r_max=0.9).parameters_of(0, "_l0")
    radius = torch.exp(-torch.exp(own["nu_log"].detach()))
    assert 0.499 < float(radius.min()) < float(radius.max()) < 0.901
    torch.testing.assert_close(torch.exp(2 * own["gamma_log"].detach()), 1 - radius**2)


def test_normalisation_begins_neutral() -> None:
    own = nn.LayerNormLSTM(3, 4).parameters_of(0, "_l0")
    assert all((value == 1).all() for name, value in own.items() if name.startswith("gain"))
    assert all((value == 0).all() for name, value in own.items() if name.startswith("shift"))


@pytest.mark.parametrize("case", CASES)
def test_blank_steps_before_a_sequence_make_no_gradient_explode(case: str) -> None:
    cls, settings = CASES[case]
    torch.manual_seed(0)
    layer = cls(8, 33, engine="function", **settings)
    largest = []
    for blank in (0, 20):
        x = draw(40, 4, 8, dtype=torch.float32)
        x[:blank] = 0
        layer.zero_grad()
        layer(x)[0].square().mean().backward()
        largest.append(max(float(p.grad.abs().max()) for p in layer.parameters() if p.grad is not None))
    assert largest[1] < 20 * largest[0]


def test_resetting_draws_anew() -> None:
    layer = scrambled(nn.LSTM(3, 4))
    old = layer.get_parameter("weight_hh_l0").clone()
    layer.reset_parameters()
    assert not torch.equal(old, layer.get_parameter("weight_hh_l0"))
    assert float(layer.get_parameter("weight_hh_l0").detach().abs().max()) <= 0.5
