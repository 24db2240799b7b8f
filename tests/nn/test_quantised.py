"""Layers and modules with int8 weights, and inference in bfloat16."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench import nn
from rnnbench.architectures import LSTM as LSTMModule
from rnnbench.errors import RnnbenchError
from rnnbench.nn.compiler import dispatch
from rnnbench.nn.compiler.native import Kernel
from rnnbench.utils.processor import instruction_sets
from tests.fixtures.nn_layers import draw, flat

F32 = torch.float32


def near(got: Sequence[Tensor], want: Sequence[Tensor], share: float) -> None:
    """All tensors differ by at most a share of the largest number of those that are wanted, and somewhere they do."""
    got, want = ([one.detach() for one in tensors] for tensors in (got, want))
    for one, other in zip(got, want, strict=True):
        assert one.shape == other.shape
        assert float((one.float() - other).abs().max()) <= share * float(other.abs().max())
    assert any(not torch.equal(one.float(), other) for one, other in zip(got, want, strict=True))


# --- int8


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_quantised_layer_is_called_as_the_layer(kind: Any) -> None:
    torch.manual_seed(0)
    layer = kind(5, 16, num_layers=2, batch_first=True, dtype=F32).eval()
    small, inputs = nn.quantise(layer), draw(3, 7, 5, dtype=F32)
    assert isinstance(small, nn.QuantisedLayer)
    assert small.backend == "int8"
    with torch.no_grad():
        near(flat(small(inputs)), flat(layer(inputs)), 0.05)
        packed = pack_padded_sequence(inputs, torch.tensor([7, 2, 4]), batch_first=True, enforce_sorted=False)
        near(flat(small(packed)), flat(layer(packed)), 0.05)
        _, states = layer(inputs)
        near(flat(small.step(inputs[:, 0], states)), flat(layer.step(inputs[:, 0], states)), 0.05)
        lengths = torch.tensor([7, 2, 4])
        near([nn.run_padded(small, inputs, lengths)], [nn.run_padded(layer, inputs, lengths)], 0.05)
    assert not list(small.parameters())
    with pytest.raises(RuntimeError, match="int8 weights cannot be trained"):
        small.train()
    with pytest.raises(ValueError, match="has no step"):
        nn.QuantisedLayer(kind(5, 16, bidirectional=True).eval()).step(inputs[:, 0])


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: nn.MGU(3, 4), "MGU cannot have int8 weights: only LSTM and GRU can, and torch has no fused"),
        (lambda: nn.GRU(3, 4, reset_gate="before"), "GRU cannot have int8 weights: only LSTM and GRU can"),
        (lambda: nn.Elman(3, 4), "no int8 kernel for an Elman network"),
        (lambda: nn.LSTM(3, 4, proj_size=2), "no int8 kernel for a projected LSTM"),
        (lambda: nn.LSTM(3, 4, zoneout=0.1), "torch has no zoneout"),
        (lambda: nn.LSTM(3, 4, dtype=torch.float64), "must be float32 on the CPU, they are torch.float64 on cpu"),
        (lambda: nn.GRU(3, 4, bias=False), r"GRU .* kernels add biases, and it has none \(bias=False\)"),
        (lambda: nn.LSTMCell(3, 4, bias=False), r"LSTMCell .* kernels add biases"),
        (lambda: torch.nn.LSTM(3, 4, proj_size=2), "LSTM .* no int8 kernel for a projected LSTM"),
        (lambda: torch.nn.RNN(3, 4), "RNN .* no int8 kernel for an Elman network"),
        (lambda: torch.nn.Linear(3, 4, dtype=torch.float64), "Linear .* must be float32 on the CPU"),
    ],
)
def test_a_layer_that_has_no_int8_form_is_named_with_the_reason(layer: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        nn.quantise(layer().eval())
    with pytest.raises(ValueError, match=r"1: .*cannot have int8 weights"):
        nn.quantise(torch.nn.Sequential(torch.nn.Linear(3, 3), layer()).eval())


def test_a_layer_in_training_is_not_quantised() -> None:
    inner: Any = torch.nn.Sequential(nn.LSTM(3, 4)).eval()
    inner[0].train()
    call: Any
    for call, module in ((nn.quantise, nn.LSTM(3, 4)), (nn.quantise, inner), (nn.QuantisedLayer, nn.LSTM(3, 4))):
        with pytest.raises(RuntimeError, match=r"is in training mode, .* call eval\(\) first"):
            call(module)


def test_a_layer_of_several_names_is_quantised_once() -> None:
    class Shared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = self.second = nn.LSTM(4, 4)
            self.cell = self.other_cell = nn.GRUCell(4, 4)
            self.head = self.other_head = torch.nn.Linear(4, 4)

    small: Any = nn.quantise(Shared().eval())
    assert small.first is small.second
    assert small.cell is small.other_cell
    assert small.head is small.other_head
    assert not [*small.parameters()]


def test_options_that_do_nothing_in_evaluation_do_not_hinder() -> None:
    options: dict[str, Any] = {
        "checkpoint_steps": 2, "bptt": 3, "variational_dropout": 0.1, "weight_dropout": 0.1, "num_layers": 2,
        "dropout": 0.1,
    }  # fmt: skip
    layer, inputs = nn.LSTM(5, 16, **options).eval(), draw(7, 5, dtype=F32)
    with torch.no_grad():
        near(flat(nn.quantise(layer)(inputs)), flat(layer(inputs)), 0.05)  # of a sequence without a batch, too


def test_a_module_without_anything_to_quantise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ReLU has no layer with an int8 form: LSTM, GRU, nn.Linear"):
        nn.quantise(torch.nn.ReLU().eval())
    with pytest.raises(ValueError, match=r"0: TCN cannot have int8 weights: .* convolution"):
        nn.quantise(torch.nn.Sequential(nn.TCN(3, 4), torch.nn.Linear(4, 2)).eval())


def module(**options: Any) -> Any:
    torch.manual_seed(0)
    arguments = {"hidden_size": 16, "input_size": 3, "output_size": 4, "objective": "classification"}
    return LSTMModule(**{**arguments, "input_kind": "features", **options}).eval()


def test_a_whole_model_is_quantised_and_the_old_one_stays() -> None:
    model, inputs = module(), draw(2, 6, 3, dtype=F32)
    before = model.classify(inputs)
    small = model.inference.in_precision("int8")
    assert isinstance(small.layer, nn.QuantisedLayer)
    assert not isinstance(small.objective.head, torch.nn.Linear)
    near([small.classify(inputs)], [before], 0.1)
    assert torch.equal(model.classify(inputs), before)
    with pytest.raises(RnnbenchError, match=r"precision int8: layer: LSTM cannot have int8 weights: .* no zoneout"):
        module(layer_options={"zoneout": 0.1}).inference.in_precision("int8")


def test_a_quantised_language_model_writes() -> None:
    torch.manual_seed(0)
    model = LSTMModule(
        hidden_size=16, input_size=9, output_size=9, objective="language_model", input_kind="tokens"
    ).eval()
    for precision in ("int8", "bf16"):
        other = model.inference.in_precision(precision)
        with other.inference_mode():
            advance, state = other.inference.fast_advance(), None
            slow = other.inference.advance(torch.tensor([[2], [3]]))[0]
            logits, state = advance(torch.tensor([[2], [3]]), state)
            logits, state = advance(torch.tensor([[4], [5]]), state)
        assert logits.shape == slow.shape == (2, 9)


# --- bfloat16


def test_inference_in_bfloat16_is_under_autocast() -> None:
    model, inputs = module(), draw(2, 6, 3, dtype=F32)
    before = model.classify(inputs)
    assert model.inference.in_precision("bf16") is model
    near([model.classify(inputs)], [before], 0.02)
    with model.inference_mode():
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.skipif(dispatch.BFLOAT16_INSTRUCTIONS not in instruction_sets(), reason="no products of bfloat16 here")
@pytest.mark.parametrize("case", ["lstm", "gru-before"])
def test_products_of_bfloat16_differ_from_float32_by_their_rounding(case: str) -> None:
    """Odd sizes, packed, both directions; sums and states are float32, so errors stay those of the operands."""
    torch.manual_seed(0)
    make: Any = nn.LSTM if case == "lstm" else lambda *sizes, **more: nn.GRU(*sizes, reset_gate="before", **more)
    layer = make(37, 131, bidirectional=True, dtype=F32)
    assert isinstance(dispatch.kernel_of(layer.cell, torch.bfloat16), Kernel)
    data = draw(9, 5, 37, dtype=F32)
    lengths = torch.tensor([9, 9, 4, 3, 1])
    found = []
    for enabled in (False, True):
        inputs = data.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            packed = layer(pack_padded_sequence(inputs, lengths))
            dense = layer(inputs)
        results = [*flat(packed), *flat(dense)]
        loss = sum((one.float().square().sum() for one in results), torch.zeros(()))
        found.append([*results, *torch.autograd.grad(loss, [inputs, *layer.parameters()])])
    near(found[1], found[0], 0.02)


@pytest.mark.skipif(dispatch.BFLOAT16_INSTRUCTIONS not in instruction_sets(), reason="no products of bfloat16 here")
def test_a_state_loses_nothing_over_many_steps_to_bfloat16() -> None:
    """A state that a bfloat16 cannot hold grows by exact products: 1000 steps of +1 beside 256."""

    class Count(nn.Cell):
        states = ("h",)
        gates = ("a",)

        def step(self, z: Any, s: Any) -> tuple[Tensor]:
            return (s.h + z.a,)

    layer: Any = nn.Recurrent(1, 128, bias=False, dtype=F32, cell=Count())
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1.0)
        layer.weight_hh_l0.zero_()
        with torch.autocast("cpu", torch.bfloat16):
            assert layer._multiplies_bfloat16(torch.ones(1))
            _, final = layer(torch.ones(1000, 8, 1), torch.zeros(1, 8, 128))
    assert float(final.float().min()) == 1000.0


def test_a_processor_without_such_products_goes_on_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "instruction_sets", lambda: "avx2 fma")
    layer, inputs = nn.GRU(3, 128), draw(4, 2, 3, dtype=F32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = layer(inputs)[0]
    assert torch.equal(output, layer(inputs)[0].to(output.dtype))
