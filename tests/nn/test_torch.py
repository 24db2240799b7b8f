"""The layers that torch has: equal to torch's in results, states, gradients, names and manners."""

import copy
import pickle
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from rnnbench import nn
from tests.fixtures.nn_layers import CASES, as_hx, as_tuple, close, draw, draw_states, flat, gradients, make, prepare

KINDS = ("elman", "elman-relu", "lstm", "lstm-proj", "gru")
ENGINES = (None, "function")
SHAPES = [(1, False, False, True), (1, True, True, False), (2, False, True, True), (2, True, False, False),
          (2, True, True, True)]  # fmt: skip
DTYPES = (torch.float32, torch.float64)
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    prepare()
    prepare(single=True)


def compare(layer: nn.Recurrent, inputs: Any, states: tuple[Tensor, ...] | None, *leaves: Tensor) -> None:
    """Compare a call and all its gradients with torch's layer of the same weights."""
    theirs = layer.to_torch()
    dtype = next(theirs.parameters()).dtype
    hx = None if states is None else as_hx(states)
    got, want = layer(inputs, hx), theirs(inputs, hx)
    assert type(got[0]) is type(want[0])
    assert [one.shape for one in flat(got)] == [one.shape for one in flat(want)]
    close(flat(got), flat(want), dtype)
    close(gradients(layer, got, *leaves), gradients(theirs, want, *leaves), dtype, 4.0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", KINDS)
def test_results_and_gradients_are_torchs(case: str, dtype: torch.dtype, engine: Any) -> None:
    for layers, both, first, bias in SHAPES:
        layer = make(
            case, 3, 50, dtype=dtype, num_layers=layers, bidirectional=both, batch_first=first, bias=bias, engine=engine
        )
        assert layer.backend == (engine or "native")
        inputs = draw(5, 4, 3, dtype=dtype).requires_grad_()
        states = draw_states(layer, 5 if first else 4)
        compare(layer, inputs, tuple(state.requires_grad_() for state in states), inputs, *states)
        compare(layer, inputs, None, inputs)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 5, 3, 7), (6, 1, 2, 8), (3, 17, 1, 33), (2, 3, 40, 130)])
@pytest.mark.parametrize("case", KINDS)
def test_any_size_will_do(case: str, sizes: tuple[int, ...], engine: Any) -> None:
    steps, batch, features, units = sizes
    if case == "lstm-proj" and units <= 3:
        units = 4
    for dtype in DTYPES:
        layer = make(case, features, units, dtype=dtype, bidirectional=True, engine=engine)
        inputs = draw(steps, batch, features, dtype=dtype).requires_grad_()
        compare(layer, inputs, draw_states(layer, batch), inputs)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("case", KINDS)
def test_packed_sequences_are_torchs(case: str, ordered: bool, engine: Any) -> None:
    lengths = torch.tensor([7, 5, 5, 2, 1] if ordered else [2, 7, 1, 5, 5])
    for dtype, both in product(DTYPES, (False, True)):
        layer = make(case, 3, 10, dtype=dtype, num_layers=2, bidirectional=both, engine=engine)
        padded = draw(7, 5, 3, dtype=dtype).requires_grad_()
        packed = pack_padded_sequence(padded, lengths, enforce_sorted=ordered)
        states = tuple(state.requires_grad_() for state in draw_states(layer, 5))
        compare(layer, packed, states, padded, *states)
        compare(layer, packed, None, padded)


@pytest.mark.parametrize("case", KINDS)
def test_a_packed_result_keeps_its_order(case: str) -> None:
    layer = make(case, 3, 4)
    packed = pack_padded_sequence(draw(4, 3, 3), torch.tensor([1, 4, 2]), enforce_sorted=False)
    output = layer(packed)[0]
    assert isinstance(output, PackedSequence)
    for got, want in zip(output[1:], packed[1:], strict=True):
        assert got is not None
        assert want is not None
        assert torch.equal(got, want)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", KINDS)
def test_a_sequence_alone_has_no_batch(case: str, engine: Any) -> None:
    for first in (False, True):
        layer = make(case, 3, 9, num_layers=2, bidirectional=True, batch_first=first, engine=engine)
        inputs = draw(5, 3).requires_grad_()
        compare(layer, inputs, tuple(state[:, 0].clone() for state in draw_states(layer, 1)), inputs)
        compare(layer, inputs, None, inputs)


@pytest.mark.parametrize("engine", [None, "function", "reference"])
@pytest.mark.parametrize("case", KINDS)
def test_an_empty_batch_gives_empty_results(case: str, engine: Any) -> None:
    layer = make(case, 3, 5, num_layers=2, bidirectional=True, engine=engine)
    output, states = layer(torch.empty(4, 0, 3, dtype=torch.float64))
    assert output.shape == (4, 0, layer.output_size)
    assert [tuple(one.shape) for one in as_tuple(states)] == [(4, 0, one) for one in layer.cell.state_sizes(5)]
    (output.sum() + sum(one.sum() for one in as_tuple(states))).backward()
    for parameter in layer.parameters():
        assert parameter.grad is None or not parameter.grad.any()


@pytest.mark.parametrize("case", KINDS)
def test_memory_may_lie_in_any_order(case: str) -> None:
    layer = make(case, 4, 6, bidirectional=True)
    base = draw(4, 10, 5).requires_grad_()
    inputs = base.permute(2, 1, 0)[:, ::2]
    assert not inputs.is_contiguous()
    states = tuple(draw(width, 5, 2).transpose(0, 2) for width in layer.cell.state_sizes(6))
    compare(layer, inputs, states, base)
    compare(layer, draw(5, 1, 4).expand(5, 5, 4), states)


def test_weights_may_lie_in_any_order() -> None:
    layer, same = make("lstm", 4, 6), make("lstm", 4, 6)
    for name, value in list(layer.named_parameters()):
        if value.ndim == 2:
            setattr(layer, name, torch.nn.Parameter(value.detach().t().contiguous().t()))
    inputs = draw(1, 3, 4)
    close(flat(layer(inputs)), flat(same(inputs)))
    with torch.no_grad():
        close(flat(layer.step(inputs[0])), flat(same.step(inputs[0])))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("wanted", ["input", "states", "weight_hh_l0", "bias_ih_l0", "weight_ih_l1"])
def test_only_what_is_wanted_gets_a_gradient(wanted: str, engine: Any) -> None:
    for case in ("lstm", "gru"):
        layer = make(case, 3, 7, num_layers=2, engine=engine)
        theirs, inputs, states = layer.to_torch(), draw(4, 3, 3), draw_states(layer, 3)
        found = []
        for one in (layer, theirs):
            one.requires_grad_(False)
            leaves = {"input": [inputs], "states": list(states)}.get(wanted) or [one.get_parameter(wanted)]
            for leaf in leaves:
                leaf.requires_grad_()
            output, final = one(inputs, as_hx(states))
            found.append(torch.autograd.grad((output**2).sum() + as_tuple(final)[0].sum(), leaves))
        close(found[0], found[1])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_result_alone_has_its_gradient(which: int) -> None:
    for engine in ENGINES:
        layer = make("lstm", 3, 7, engine=engine)
        inputs = draw(4, 3, 3).requires_grad_()
        found = [
            torch.autograd.grad(flat(one(inputs))[which].square().sum(), [inputs, *list(one.parameters())[:2]])
            for one in (layer, layer.to_torch())
        ]
        close(found[0], found[1])


@pytest.mark.parametrize("case", KINDS)
def test_weights_go_to_torch_and_come_back(case: str) -> None:
    cls, settings = CASES[case]
    layer = make(case, 3, 5, num_layers=2, bidirectional=True, batch_first=True, dropout=0.3)
    theirs = layer.eval().to_torch()
    assert list(theirs.state_dict()) == list(layer.state_dict())
    assert not theirs.training
    again = cls.from_torch(theirs)
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"):
        assert getattr(theirs, name) == getattr(again, name) == getattr(layer, name)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name])
        assert torch.equal(value, again.state_dict()[name])
    kind: Any = type(theirs)
    own = kind(3, 5, **settings, dtype=torch.float64)
    mine = cls.from_torch(own)
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in own.named_parameters()]
    own.load_state_dict(mine.state_dict())


def test_what_torch_lacks_is_refused() -> None:
    for layer in (nn.MGU(3, 4), nn.LSTM(3, 4, zoneout=0.1), nn.GRU(3, 4, reset_gate="before"),
                  nn.LSTM(3, 4, connections="residual"), nn.LSTM(3, 4, weight_dropout=0.1)):  # fmt: skip
        with pytest.raises(ValueError, match=r"no torch\.nn layer"):
            layer.to_torch()
    with pytest.raises(ValueError, match=r"GRU cannot take the weights of a torch.nn.LSTM"):
        nn.GRU.from_torch(torch.nn.LSTM(3, 4))


@pytest.mark.parametrize("case", ["lstm", "layer-norm", "slstm", "lru"])
def test_a_copy_computes_the_same_and_is_independent(case: str) -> None:
    layer = make(case, 3, 6, num_layers=2)
    inputs = draw(4, 2, 3)
    want = flat(layer(inputs))
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for got, other in zip(flat(copied(inputs)), want, strict=True):
            assert torch.equal(got, other)
        with torch.no_grad():
            next(copied.parameters()).zero_()
        assert not torch.equal(copied(inputs)[0], want[0])
    assert torch.equal(layer(inputs)[0], want[0])


@pytest.mark.parametrize("case", ["elman", "lstm", "gru"])
def test_dropout_between_layers_is_torchs(case: str) -> None:
    inputs = draw(6, 4, 3)
    layer = make(case, 3, 8, num_layers=2, dropout=0.5)
    theirs = layer.to_torch()
    fused = make(case, 3, 8, num_layers=2, dropout=0.5, engine="torch")
    results = []
    for one in (fused, theirs):
        torch.manual_seed(4)
        results.append(flat(one(inputs)))
    for got, want in zip(*results, strict=True):
        assert torch.equal(got, want)
    close(flat(layer.eval()(inputs)), flat(theirs.eval()(inputs)))
    everything = make(case, 3, 8, num_layers=2, dropout=1.0)
    close(flat(everything(inputs)), flat(everything.to_torch()(inputs)))


@pytest.mark.parametrize("case", ["lstm", "lstm-proj", "gru", "elman", "layer-norm", "peephole-full", "mlstm"])
def test_a_step_is_one_step_of_a_sequence(case: str) -> None:
    layer = make(case, 3, 7, num_layers=2, batch_first=True)
    inputs, states = draw(4, 5, 3), as_hx(draw_states(layer, 4))
    with torch.no_grad():
        want, final = layer(inputs, states)
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            now = states
            for t in range(5):
                output, now = layer.step(inputs[:, t], now)
                close([output], [want[:, t]])
            close(as_tuple(now), as_tuple(final))
            close(flat(layer.step(inputs[:, 0])), [one.squeeze(1) if k == 0 else one for k, one in
                                                   enumerate(flat(layer(inputs[:, :1])))])  # fmt: skip


def test_a_step_sees_new_weights() -> None:
    layer, inputs = make("lstm", 3, 7), draw(2, 3)
    with torch.no_grad():
        layer.step(inputs)
        layer.load_state_dict(make("lstm", 3, 7, seed=9).state_dict())
        close(flat(layer.step(inputs)), flat(make("lstm", 3, 7, seed=9).step(inputs)))
        layer.weight_hh_l0 = torch.nn.Parameter(torch.zeros(28, 7, dtype=torch.float64))
        close([layer.step(inputs)[0]], [layer(inputs.unsqueeze(0))[0][0]])
        layer.float().double()
        close([layer.step(inputs)[0]], [layer(inputs.unsqueeze(0))[0][0]])


def test_what_else_torchs_layers_have() -> None:
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, dropout=0.1, zoneout=0.2, proj_size=2, forget_bias=1.0)
    theirs = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    shapes = [[one.shape for one in some] for some in layer.all_weights]
    assert shapes == [[one.shape for one in some] for some in theirs.all_weights]
    assert layer.all_weights[0][0] is layer.weight_ih_l0
    layer.flatten_parameters()
    assert repr(layer) == (
        "LSTM(3, 4, num_layers=2, dropout=0.1, bidirectional=True, zoneout=(0.2, 0.2), forget_bias=1.0, proj_size=2)"
    )
    assert repr(nn.GRU(3, 4)) == "GRU(3, 4)"
