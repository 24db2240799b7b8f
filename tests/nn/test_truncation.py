"""Truncated back-propagation through time and spectral radius, as settings of a layer."""

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnbench.nn import GRU, LSTM, Elman, MinGRU, Recurrent


def leaves(layer: Recurrent, x: Tensor, cut: int) -> Tensor:
    """Output of a layer that reads forwards, its states detached by hand every `cut` steps."""
    states, parts = None, []
    for block in torch.split(x, cut, 1):
        if states is not None:
            states = states.detach() if isinstance(states, Tensor) else tuple(one.detach() for one in states)
        output, states = layer(block, states)
        parts.append(output)
    return torch.cat(parts, 1)


@pytest.mark.parametrize("make", [Elman, GRU, LSTM])
@pytest.mark.parametrize("kept", [None, 2])
def test_gradients_end_where_a_block_begins_and_values_are_the_same(make: type[Recurrent], kept: int | None) -> None:
    torch.manual_seed(0)
    layer = make(3, 4, batch_first=True, dtype=torch.float64, bptt=3, checkpoint_steps=kept)
    whole = make(3, 4, batch_first=True, dtype=torch.float64)
    whole.load_state_dict(layer.state_dict())
    x = torch.randn(2, 8, 3, dtype=torch.float64, requires_grad=True)
    output = layer(x)[0]
    torch.testing.assert_close(output, whole(x)[0])
    found = torch.autograd.grad(output.square().sum(), (x, *layer.parameters()))
    by_hand = torch.autograd.grad(leaves(whole, x, 3).square().sum(), (x, *whole.parameters()))
    torch.testing.assert_close(found, by_hand)
    (last,) = torch.autograd.grad(layer(x)[0][:, -1].sum(), x)
    assert (last.abs().sum((0, 2)) > 0).tolist() == [False] * 6 + [True] * 2  # blocks begin at 0, 3 and 6


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("zoneout", [0.0, 0.3])
def test_packed_sequences_are_cut_at_the_same_steps_as_each_alone(bidirectional: bool, zoneout: float) -> None:
    torch.manual_seed(0)
    layer = LSTM(3, 4, batch_first=True, bidirectional=bidirectional, zoneout=zoneout, bptt=2, dtype=torch.float64)
    layer.eval()
    x = torch.randn(3, 7, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 7, 4])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    together, final = layer(packed)
    padded, _ = pad_packed_sequence(together, batch_first=True, total_length=7)
    alone = [layer(x[k : k + 1, :n]) for k, n in enumerate(lengths.tolist())]
    for k, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(padded[k, :n], alone[k][0][0])
        torch.testing.assert_close(final[1][:, k], alone[k][1][1][:, 0])
    (found,) = torch.autograd.grad(padded.square().sum(), x)
    (each,) = torch.autograd.grad(torch.cat([output.flatten() for output, _ in alone]).square().sum(), x)
    torch.testing.assert_close(found, each)


def test_packed_training_with_zoneout_and_masks_runs_in_blocks() -> None:
    layer = GRU(3, 4, batch_first=True, zoneout=0.3, variational_dropout=0.2, bptt=2)
    packed = pack_padded_sequence(torch.randn(2, 5, 3), torch.tensor([5, 3]), batch_first=True)
    assert layer(packed)[0].data.shape == (8, 4)


@pytest.mark.parametrize("radius", [0.5, 1.5])
def test_the_spectral_radius_of_each_gate_is_as_asked(radius: float) -> None:
    weight = GRU(3, 8, spectral_radius=radius).parameters_of(0, "_l0")["weight_hh"]
    for block in torch.split(weight.detach(), 8):
        assert float(torch.linalg.eigvals(block).abs().max()) == pytest.approx(radius, rel=1e-5)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="bptt must be at least 1, got 0"):
        GRU(3, 4, bptt=0)
    with pytest.raises(ValueError, match="spectral_radius must be greater than 0, got -1"):
        GRU(3, 4, spectral_radius=-1.0)
    with pytest.raises(ValueError, match="spectral_radius needs square recurrent weights; those of MinGRUCell are not"):
        MinGRU(3, 4, spectral_radius=1.0)
    with pytest.raises(ValueError, match="torch has no bptt"):
        _ = GRU(3, 4, bptt=2, engine="torch").backend


@pytest.mark.parametrize("options", [{"bptt": 2}, {"checkpoint_steps": 2}])
def test_a_compiled_layer_in_blocks_takes_any_number_of_steps(options: dict[str, int]) -> None:
    layer = LSTM(3, 4, dtype=torch.float64, **options)  # type: ignore[arg-type]
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager")
    for steps in (7, 9, 4):
        inputs, found = torch.randn(steps, 2, 3, dtype=torch.float64), []
        for call in (compiled, layer):
            output = call(inputs)[0]
            found.append([output, *torch.autograd.grad(output.sin().sum(), [*layer.parameters()])])
        assert all(torch.allclose(one, other) for one, other in zip(*found, strict=True))
