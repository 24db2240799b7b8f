"""Gradients through time against closed forms, and what the field says of its cells."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench.analysis.gradients import (
    MAX_STATE_SIZE,
    distance_below,
    last_step_loss,
    loss_norms,
    profile,
    recurrent_layer,
    singular_values,
    state_gradients,
    step_jacobians,
    unpadded,
)
from rnnbench.analysis.record_steps import record_steps
from rnnbench.architectures import GRU, LSTM, SequenceModule
from rnnbench.config.cards import ArchitectureCard
from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.harness.instantiate import import_class
from rnnbench.nn import GRU as GRULayer
from rnnbench.nn import IRNN as IRNNLayer
from rnnbench.nn import LRU as LRULayer
from rnnbench.nn import LSTM as LSTMLayer
from rnnbench.nn import Cell, Recurrent
from rnnbench.nn import Elman as ElmanLayer
from rnnbench.objectives import Classification, Ctc, SequenceToSequence, Tagging
from rnnbench.objectives.batch import Batch
from tests.conftest import ARCHITECTURES

T, H = 12, 5


class LinearCell(Cell):
    """`h_t = W x_t + b + U h_{t-1} + c`."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return z.n


def make(layer: Recurrent) -> tuple[Recurrent, Tensor]:
    torch.manual_seed(1)
    return layer.double(), torch.randn(T, 3, layer.input_size, dtype=torch.float64)


def weight(layer: Recurrent) -> Tensor:
    return layer.parameters_of(0, "_l0")["weight_hh"].detach()


def test_the_last_jacobians_are_those_of_the_states_that_the_steps_before_lead_to() -> None:
    layer, x = make(GRULayer(2, H))
    torch.testing.assert_close(step_jacobians(layer, x[:, 0], 3), step_jacobians(layer, x[:, 0])[-3:])
    torch.testing.assert_close(step_jacobians(layer, x[:, 0], 99), step_jacobians(layer, x[:, 0]))


def test_a_linear_recurrence_has_the_gradients_and_singular_values_of_the_powers_of_its_matrix() -> None:
    layer, x = make(Recurrent(2, H, cell=LinearCell()))
    g, u = torch.randn(H, dtype=torch.float64), weight(layer)
    (found,) = state_gradients(layer, lambda: layer(x)[0][-1] @ g @ torch.ones(3, dtype=torch.float64))
    powers = [torch.linalg.matrix_power(u.T, d) @ g for d in range(T)]  # ∂L_T/∂h_{T−d} = (Uᵀ)ᵈ g
    torch.testing.assert_close(found.states["h"].flip(0), torch.stack(powers).unsqueeze(1).expand(T, 3, H))
    torch.testing.assert_close(found.norms()[:, 0], torch.stack([power.norm() for power in powers]))
    values = singular_values(step_jacobians(layer, x[:, 0]))
    expected = [torch.linalg.svdvals(torch.linalg.matrix_power(u, d)) for d in range(T + 1)]
    torch.testing.assert_close(values, torch.stack(expected))


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.5])
def test_a_gradient_of_a_linear_recurrence_grows_or_shrinks_by_its_spectral_radius_a_step(radius: float) -> None:
    layer, _ = make(Recurrent(2, H, cell=LinearCell(), spectral_radius=radius))
    largest = singular_values(step_jacobians(layer, torch.zeros(400, 2, dtype=torch.float64)))[:, 0]
    assert float((largest[400] / largest[200]) ** (1 / 200)) == pytest.approx(radius, rel=0.01)


def test_products_neither_over_nor_underflow_on_the_way() -> None:
    eye = torch.eye(2, dtype=torch.float64).expand(20, 2, 2)
    steps = torch.cat([1e-30 * eye, 1e30 * eye])  # products are taken from the end
    values = singular_values(steps)
    torch.testing.assert_close(values[40], torch.ones(2, dtype=torch.float64))
    assert values[20].isinf().all()  # 1e600 itself is no number


def test_a_diagonal_recurrence_keeps_the_size_of_its_eigenvalues_to_the_power_of_the_distance() -> None:
    layer, x = make(LRULayer(2, H))
    radius = torch.exp(-torch.exp(layer.parameters_of(0, "_l0")["nu_log"].detach()))
    values = singular_values(step_jacobians(layer, x[:, 0]))
    both = torch.cat([radius, radius]).sort(descending=True).values  # once for the real, once for the imaginary part
    torch.testing.assert_close(values, torch.stack([both**d for d in range(T + 1)]))


def test_a_lstm_without_weights_keeps_its_cell_state_by_the_forget_gate() -> None:
    """c_t = σ(1) c_{t−1} and h_t = ½ tanh(c_t), near 0: c_{T−d} has σ(1)ᵈ (½, 1) to do with (h_T, c_T)."""
    layer, x = make(LSTMLayer(2, H, forget_bias=1.0))
    with torch.no_grad():
        for value in layer.parameters():
            value.mul_(value == 1.0)  # the forget gate's biases
    largest = singular_values(step_jacobians(layer, x[:, 0]))[1:, 0]
    gate = 1 / (1 + math.exp(-1))
    expected = [gate**d * math.sqrt(1 + 0.5**2) for d in range(1, T + 1)]
    torch.testing.assert_close(largest, torch.tensor(expected, dtype=torch.float64))


def test_an_irnn_hands_gradients_on_as_they_are() -> None:
    layer, x = make(IRNNLayer(2, H))
    with torch.no_grad():
        layer.parameters_of(0, "_l0")["weight_ih"].abs_()
    values = singular_values(step_jacobians(layer, x[:, 0].abs() + 0.1))  # all units are on
    torch.testing.assert_close(values, torch.ones(T + 1, H, dtype=torch.float64))


def test_elman_vanishes_explodes_beyond_a_radius_of_one_and_gates_keep() -> None:
    """At the start, 64 units, 100 steps of noise; closed forms give the orders of magnitude."""
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1

    def left(layer: Recurrent) -> float:
        return float(singular_values(step_jacobians(layer.double(), x))[-1, 0])

    torch.manual_seed(0)
    assert left(ElmanLayer(2, 64)) < (1 / math.sqrt(3) + 0.1) ** 100  # torch's weights have a radius of 1/√3
    assert left(ElmanLayer(2, 64, spectral_radius=1.5)) > 10
    assert 0.1 < left(IRNNLayer(2, 64)) < 10
    assert left(LSTMLayer(2, 64, forget_bias=1.0)) > 1e10 * left(ElmanLayer(2, 64))
    assert 0.1 < left(LSTMLayer(2, 64, chrono=100)) < 10


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_of_a_deep_stack_are_those_of_small_differences(bidirectional: bool) -> None:
    torch.manual_seed(0)
    layer = GRULayer(2, 3, num_layers=2, bidirectional=bidirectional, connections="residual", dtype=torch.float64)
    x = torch.randn(4, 1, 2, dtype=torch.float64)

    def loss() -> Tensor:
        output: Tensor = layer(x)[0]
        return output.square().sum()

    found = state_gradients(layer, loss)
    assert len(found) == 2 * layer.directions
    eps = 1e-6
    for place, step, unit in [(0, 1, 2), (len(found) - 1, 3, 0), (1, 0, 1)]:
        count = iter(range(10**6))

        def nudged(cell: Any, run: Any, z: Any, s: Any) -> Any:
            (after,) = run(z, s)
            if next(count) == place * 4 + step:  # noqa: B023
                after = after + eps * torch.eye(3, dtype=torch.float64)[unit]  # noqa: B023
            return (after,), None

        with record_steps(layer, nudged):
            moved = loss()
        slope = (moved - loss()) / eps
        torch.testing.assert_close(found[place].states["h"][step, 0, unit], slope.detach(), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_last_loss_is_the_product_of_jacobians() -> None:
    layer, x = make(LSTMLayer(2, H))
    g = torch.randn(H, dtype=torch.float64)
    (found,) = state_gradients(layer, lambda: layer(x[:, :1])[0][-1, 0] @ g)
    product, both = torch.cat([g, torch.zeros(H, dtype=torch.float64)]), []
    for jacobian in step_jacobians(layer, x[:, 0]).flip(0):
        both.append(product)
        product = product @ jacobian
    states = torch.cat([found.states["h"], found.states["c"]], -1)[:, 0].flip(0)
    torch.testing.assert_close(states, torch.stack(both))


def test_watching_changes_nothing_and_leaves_the_layer_as_it_was() -> None:
    layer = GRULayer(2, 3, engine="function", checkpoint_steps=2)
    x = torch.randn(5, 1, 2)
    before, cells = layer(x)[0], layer.cells
    with record_steps(layer, lambda cell, step, z, s: (step(z, s), len(s))) as found:
        torch.testing.assert_close(layer(x)[0], before)
    assert found == [[1] * 5]
    assert (layer.engine, layer.cells, layer.checkpoint_steps) == ("function", cells, 2)
    torch.testing.assert_close(layer(x)[0], before)


def test_truncation_leaves_nothing_beyond_the_block() -> None:
    module = GRU(2, 1, "regression", hidden_size=4, layer_options={"bptt": 5})
    norms = loss_norms(module, [Batch(torch.randn(3, 12, 2), torch.randn(3, 1))])
    assert (norms[0] > 0).tolist() == [True, True] + [False] * 10  # blocks begin at 0, 5 and 10


def test_the_distance_at_which_a_gradient_is_gone_is_where_it_first_falls_below_a_share() -> None:
    norms = 0.5 ** torch.arange(20.0)
    assert distance_below(norms) == 7  # 2⁻⁷ = 0.0078
    assert distance_below(norms, 0.2) == 3
    assert distance_below(torch.ones(20)) is None


def test_the_last_loss_is_that_of_the_last_known_step() -> None:
    torch.manual_seed(0)
    module = LSTM(6, 6, "language_model", "tokens", hidden_size=4, embedding_size=3).eval()
    inputs, targets = torch.randint(1, 6, (2, 5)), torch.randint(1, 6, (2, 5))
    targets[0, 3:] = -100
    logits = module(inputs)
    by_hand = torch.nn.functional.cross_entropy(
        torch.stack([logits[0, 2], logits[1, 4]]), torch.stack([targets[0, 2], targets[1, 4]]), reduction="sum"
    )
    torch.testing.assert_close(last_step_loss(module, Batch(inputs, targets)), by_hand)


def test_targets_are_cut_to_the_length_of_a_sequence_only_where_each_step_has_one() -> None:
    batch = Batch(torch.zeros(2, 5, 1), torch.arange(10).reshape(2, 5), torch.tensor([3, 5]))
    for objective, length in ((Tagging, 3), (Ctc, 5), (SequenceToSequence, 5)):
        first, second = unpadded(batch, 2, objective)
        assert (first.inputs.shape[1], first.targets.shape[1], second.targets.shape[1]) == (3, length, 5)


def test_what_is_read_after_the_last_scored_step_does_not_count() -> None:
    torch.manual_seed(0)
    module = GRU(2, 3, "tagging", hidden_size=4)
    x, y = torch.randn(2, 6, 2), torch.tensor([[0, 1, 2, 0, -100, -100], [0, 1, 2, 0, 1, 2]])
    norms = loss_norms(module, [Batch(x, y)])
    short, long = loss_norms(module, [Batch(x[:1, :4], y[:1, :4])]), loss_norms(module, [Batch(x[1:], y[1:])])
    torch.testing.assert_close(norms, torch.cat([(short + long[:, :4]) / 2, long[:, 4:]], 1))


def test_sequences_of_different_lengths_count_by_their_distance_from_their_own_end() -> None:
    torch.manual_seed(0)
    module = GRU(2, 3, "classification", hidden_size=4)
    x, y = torch.randn(2, 6, 2), torch.tensor([0, 2])
    norms = loss_norms(module, unpadded(Batch(x, y, torch.tensor([4, 6])), 2, Classification))
    short, long = loss_norms(module, [Batch(x[:1, :4], y[:1])]), loss_norms(module, [Batch(x[1:], y[1:])])
    torch.testing.assert_close(norms, torch.cat([(short + long[:, :4]) / 2, long[:, 4:]], 1))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_a_profile_or_says_why_it_has_none(name: str) -> None:
    card = ArchitectureCard.load(name)[1]
    cls: Any = import_class(card.class_path, SequenceModule, name)
    arguments = {**card.init_args, "hidden_size": 4}
    try:
        module = cls(2, 3, "classification", **arguments)
    except (Infeasible, ValueError):
        pytest.skip("not of a classifier so small")
    batch = Batch(torch.randn(2, 5, 2), torch.tensor([0, 1]))
    if not isinstance(module.layer, Recurrent):
        with pytest.raises(RnnbenchError, match="has no recurrent stack"):
            profile(module, [batch])
        return
    found = profile(module, [batch], jacobians=1)
    layer = recurrent_layer(module)
    assert found.loss.shape == (layer.num_layers * layer.directions, 5)
    assert bool((found.loss[-1, 0] > 0) & found.loss.isfinite().all())
    if layer.bidirectional:
        assert (found.jacobian, found.terms) == (None, None)
        assert found.why_not.count("a bidirectional stack has no single") == 2
    else:
        assert found.terms is not None
        assert len(found.terms.shares) == 5
        assert float(found.terms.shares.sum()) == pytest.approx(1.0, abs=1e-9)
        assert found.jacobian is not None
        size = layer.num_layers * sum(layer.cell.state_sizes(4))
        torch.testing.assert_close(found.jacobian[0], torch.ones(size, dtype=torch.float64))
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())


def test_a_state_too_large_is_refused() -> None:
    layer = ElmanLayer(1, MAX_STATE_SIZE + 1)
    with pytest.raises(RnnbenchError, match=f"a state of {MAX_STATE_SIZE + 1} numbers .* at most {MAX_STATE_SIZE}"):
        step_jacobians(layer, torch.zeros(3, 1))
