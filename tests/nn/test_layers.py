"""Layers: torch's arguments, forget biases, and padded sequences."""

from typing import Any

import pytest
import torch

from rnnbench import nn
from rnnbench.nn import run_padded

LAYERS = [
    (nn.Elman, {}),
    (nn.Elman, {"nonlinearity": "relu"}),
    (nn.LSTM, {}),
    (nn.LSTM, {"proj_size": 3}),
    (nn.GRU, {}),
]
SHAPES = [
    {"num_layers": layers, "bidirectional": both, "bias": bias}
    for layers, both, bias in [(1, False, True), (2, True, True), (3, False, False)]
]


@pytest.mark.parametrize("cls", [nn.Elman, nn.LSTM, nn.GRU])
def test_arguments_may_be_given_by_position_as_to_torch(cls: Any) -> None:
    extra = ("tanh",) if cls is nn.Elman else ()
    layer = cls(5, 7, 2, *extra, True, True, 0.5, True)
    assert (layer.num_layers, layer.bias, layer.batch_first, layer.dropout, layer.bidirectional) == (
        2,
        True,
        True,
        0.5,
        True,
    )


@pytest.mark.parametrize("both", [False, True])
def test_the_forget_gates_two_biases_add_up_to_forget_bias(both: bool) -> None:
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=both, forget_bias=1.5)
    for depth in range(2):
        for direction in ("", "_reverse") if both else ("",):
            total = getattr(layer, f"bias_ih_l{depth}{direction}") + getattr(layer, f"bias_hh_l{depth}{direction}")
            assert torch.allclose(total[4:8], torch.full((4,), 1.5))
            assert not torch.allclose(total[:4], torch.full((4,), 1.5))


def test_a_forget_bias_without_bias_is_refused() -> None:
    with pytest.raises(ValueError, match="forget_bias"):
        nn.LSTM(3, 4, bias=False, forget_bias=1.0)


@pytest.mark.parametrize(("cls", "options"), LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("padding", [0.0, 1e6, float("nan")])
def test_padding_never_changes_a_result_or_a_gradient(
    cls: Any, options: dict[str, Any], shape: dict[str, Any], padding: float
) -> None:
    torch.manual_seed(1)
    layer = cls(3, 5, batch_first=True, dtype=torch.float64, **options, **shape)
    lengths = torch.tensor([4, 9, 1])
    inputs = torch.full((3, 12, 3), padding, dtype=torch.float64)
    for row, length in enumerate(lengths):
        inputs[row, :length] = torch.randn(length, 3, dtype=torch.float64)
    padded = run_padded(layer, inputs, lengths)
    assert padded.shape[:2] == (3, 12)
    padded.sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.clone() for parameter in layer.parameters()]
    layer.zero_grad()
    alone = [run_padded(layer, inputs[row : row + 1, :length], None)[0] for row, length in enumerate(lengths)]
    torch.stack([one.sum() for one in alone]).sum().backward()  # type: ignore[no-untyped-call]
    for row, length in enumerate(lengths):
        assert torch.allclose(padded[row, :length], alone[row], atol=1e-12)
        assert torch.equal(padded[row, length:], torch.zeros_like(padded[row, length:]))
    for gradient, parameter in zip(gradients, layer.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-10)
