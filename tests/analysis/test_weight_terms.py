"""The terms of the gradient of the weights, against autograd's total and against the equation."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench.analysis.gradients import loss_terms, state_gradients
from rnnbench.analysis.weight_terms import term_shares, weight_terms, weights_by_step
from rnnbench.architectures import GRU, LSTM
from rnnbench.errors import RnnbenchError
from rnnbench.nn import GRU as GRULayer
from rnnbench.nn import LSTM as LSTMLayer
from rnnbench.nn import Elman as ElmanLayer
from rnnbench.nn import Recurrent
from rnnbench.objectives.batch import Batch

T, H = 7, 4


def make(cls: Any, **options: Any) -> tuple[Recurrent, Tensor]:
    torch.manual_seed(1)
    return cls(3, H, **options).double(), torch.randn(T, 2, 3, dtype=torch.float64)


def last_loss(layer: Recurrent, x: Tensor) -> Tensor:
    loss: Tensor = layer(x)[0][-1].square().sum()
    return loss


@pytest.mark.parametrize("cls", [ElmanLayer, LSTMLayer, GRULayer])
def test_the_terms_sum_up_to_the_gradient_of_autograd(cls: Any) -> None:
    layer, x = make(cls, num_layers=2)
    terms = weight_terms(layer, lambda: last_loss(layer, x))
    assert len(terms) == T
    names, weights = zip(*layer.named_parameters(), strict=True)
    total = dict(zip(names, torch.autograd.grad(last_loss(layer, x), weights), strict=True))
    for name in names:
        torch.testing.assert_close(torch.stack([term[name] for term in terms]).sum(0), total[name])


@pytest.mark.parametrize("cls", [ElmanLayer, LSTMLayer, GRULayer])
def test_shares_are_the_projections_and_norms_of_the_terms(cls: Any) -> None:
    layer, x = make(cls)
    names = ["weight_hh_l0", "bias_hh_l0"]
    terms = weight_terms(layer, lambda: last_loss(layer, x))
    flat = torch.stack([torch.cat([term[name].flatten() for name in names]) for term in terms])
    total = flat.sum(0)
    found = term_shares(layer, lambda: last_loss(layer, x), names)
    assert found is not None
    torch.testing.assert_close(found.shares, flat @ total / total.square().sum())
    torch.testing.assert_close(found.norms, flat.norm(dim=1) / total.norm())
    assert float(found.shares.sum()) == pytest.approx(1.0, abs=1e-12)
    assert float(found.norms.sum()) >= 1.0


def test_a_term_of_an_elman_network_is_that_of_the_equation() -> None:
    """`δ_k h_{k−1}ᵀ` and `δ_k x_kᵀ` with `δ_k = ∂L/∂h_k (1 − h_k²)`, summed over sequences."""
    layer, x = make(ElmanLayer)
    terms = weight_terms(layer, lambda: last_loss(layer, x))
    (gradients,) = state_gradients(layer, lambda: last_loss(layer, x))
    h = layer(x)[0].detach()
    delta = gradients.states["h"] * (1 - h.square())
    for k in range(T):
        before = h[k - 1] if k else torch.zeros_like(h[0])
        torch.testing.assert_close(terms[k]["weight_hh_l0"], delta[k].T @ before)
        torch.testing.assert_close(terms[k]["weight_ih_l0"], delta[k].T @ x[k])


def test_truncated_gradients_have_no_terms_before_their_block() -> None:
    layer, x = make(GRULayer, bptt=3)  # blocks begin at 0, 3 and 6
    found = term_shares(layer, lambda: last_loss(layer, x), ["weight_hh_l0"])
    assert found is not None
    assert (found.norms > 0).tolist() == [False] * 6 + [True]
    whole = torch.autograd.grad(last_loss(layer, x), [layer.get_parameter("weight_hh_l0")])[0]
    torch.testing.assert_close(weight_terms(layer, lambda: last_loss(layer, x))[-1]["weight_hh_l0"], whole)


def test_the_layer_is_as_before_and_refused_if_it_reads_backwards() -> None:
    layer, x = make(LSTMLayer, batch_first=True)
    before = layer(x)[0]
    with weights_by_step(layer) as steps:
        torch.testing.assert_close(layer(x)[0], before)
    assert len(steps) == x.shape[1]
    assert "forward" not in vars(layer)
    both, x = make(GRULayer, bidirectional=True)
    with pytest.raises(RnnbenchError, match="a bidirectional stack has no single order of steps"):
        weight_terms(both, lambda: last_loss(both, x))


def test_a_gradient_of_zero_has_no_shares() -> None:
    layer, x = make(ElmanLayer)
    assert term_shares(layer, lambda: 0 * last_loss(layer, x), ["weight_hh_l0"]) is None


def test_shares_of_sequences_of_different_lengths_are_means_and_sum_up_to_1() -> None:
    torch.manual_seed(0)
    module = GRU(2, 3, "classification", hidden_size=4).double()
    x, y = torch.randn(2, 6, 2, dtype=torch.float64), torch.tensor([0, 2])
    short, long = Batch(x[:1, :4], y[:1]), Batch(x[1:], y[1:])
    both, first, second = loss_terms(module, [short, long]), loss_terms(module, [short]), loss_terms(module, [long])
    assert both is not None
    assert first is not None
    assert second is not None
    torch.testing.assert_close(both.shares[:4], (first.shares + second.shares[:4]) / 2)
    torch.testing.assert_close(both.shares[4:], second.shares[4:] / 2)
    assert float(both.shares.sum()) == pytest.approx(1.0, abs=1e-12)


def test_steps_after_the_last_that_is_scored_are_not_counted() -> None:
    torch.manual_seed(0)
    module = LSTM(2, 3, "tagging", hidden_size=4).double()
    x, y = torch.randn(1, 6, 2, dtype=torch.float64), torch.tensor([[0, 1, 2, 0, -100, -100]])
    found, short = loss_terms(module, [Batch(x, y)]), loss_terms(module, [Batch(x[:, :4], y[:, :4])])
    assert found is not None
    assert short is not None
    torch.testing.assert_close(found.shares, short.shares)
