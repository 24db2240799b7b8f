"""Objectives: what is read, what is scored, what it costs."""

import math

import numpy as np
import pytest
import torch

from rnnbench.errors import RnnbenchError
from rnnbench.objectives import (
    CharacterModel,
    Classification,
    Forecast,
    LanguageModel,
    MultiLabelFrames,
    NextSymbols,
    OrdinalClassification,
    Regression,
    Tagging,
    find_objective,
)

NAN = float("nan")


def test_one_output_reads_the_last_state_of_each_direction_at_the_true_length() -> None:
    objective = Classification(state_size=2, directions=2, output_size=3)
    hidden = torch.arange(2 * 4 * 4.0).reshape(2, 4, 4)
    state = objective.last_state(hidden, torch.tensor([2, 4]))
    assert torch.equal(state[0], torch.cat([hidden[0, 1, :2], hidden[0, 0, 2:]]))
    assert torch.equal(state[1], torch.cat([hidden[1, 3, :2], hidden[1, 0, 2:]]))


def test_without_lengths_every_sequence_is_full() -> None:
    objective = Regression(state_size=3, directions=1, output_size=1)
    hidden = torch.randn(2, 5, 3)
    assert torch.equal(objective.last_state(hidden, None), hidden[:, -1])
    assert torch.equal(objective(hidden), objective(hidden, torch.tensor([5, 5])))


def test_steps_beyond_a_length_and_unknown_targets_cost_and_score_nothing() -> None:
    objective = Tagging(2, 1, 3)
    predictions, targets = torch.randn(2, 4, 3), torch.tensor([[0, 1, 2, 0], [1, -100, 0, 2]])
    known = objective.known_targets(targets, torch.tensor([2, 3]))
    summed, count = objective.loss(predictions, known)
    pairs = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 2, 0)]
    by_hand = -torch.stack([predictions.log_softmax(-1)[pair] for pair in pairs]).sum()
    assert count == 4
    assert torch.allclose(summed, by_hand)
    metrics = objective.metrics()
    metrics.update(*objective.scored(predictions, known))
    right = [int(predictions[i, j].argmax() == k) for i, j, k in pairs]
    assert metrics.compute()["accuracy"] == sum(right) / 4
    assert metrics.compute()["exact_match"] == (all(right[:2]) + all(right[2:])) / 2


def test_a_missing_channel_of_a_forecast_costs_nothing_and_leaves_no_nan_in_the_gradient() -> None:
    objective = Forecast(2, 1, 2)
    predictions = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]], requires_grad=True)
    summed, count = objective.loss(predictions, torch.tensor([[[0.0, NAN], [NAN, 2.0]]]))
    summed.backward()  # type: ignore[no-untyped-call]
    assert (summed.item(), count.item()) == (1.0 + 4.0, 2)
    assert predictions.grad is not None
    assert torch.equal(predictions.grad, torch.tensor([[[2.0, 0.0], [0.0, 4.0]]]))


def test_metrics_are_those_of_the_definition() -> None:
    objective = Classification(2, 1, 3)
    metrics = objective.metrics()
    logits = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 2, 2, 2]), 3).float()
    metrics.update(*objective.scored(logits, torch.tensor([0, 1, 1, 2, 2, 0])))
    scores = metrics.compute()
    assert math.isclose(scores["accuracy"], 4 / 6, rel_tol=1e-6)
    assert math.isclose(scores["macro_f1"], (1 / 2 + 2 / 3 + 4 / 5) / 3, rel_tol=1e-6)


def test_errors_of_values_are_those_of_the_definition() -> None:
    objective = Regression(2, 1, 1)
    metrics = objective.metrics()
    metrics.update(*objective.scored(torch.tensor([[1.0], [4.0]]), torch.tensor([[0.0], [1.0]])))
    scores = metrics.compute()
    assert math.isclose(scores["mae"], 2.0)
    assert math.isclose(scores["rmse"], math.sqrt(5.0), rel_tol=1e-6)


def test_what_asks_for_the_next_step_is_causal() -> None:
    assert all(cls.causal for cls in (Forecast, LanguageModel, CharacterModel, MultiLabelFrames, NextSymbols))
    assert not any(cls.causal for cls in (Classification, OrdinalClassification, Tagging, Regression))


def test_perplexity_and_bits_follow_from_the_mean_cross_entropy() -> None:
    scores = CharacterModel(2, 1, 4).derived(torch.tensor(math.log(8)))
    assert math.isclose(scores["cross_entropy"], math.log(8), rel_tol=1e-6)
    assert math.isclose(scores["perplexity"], 8, rel_tol=1e-6)
    assert math.isclose(scores["bits_per_character"], 3, rel_tol=1e-6)


def test_a_card_can_rank_by_every_score() -> None:
    assert set(CharacterModel(2, 1, 4).score_names()) == {
        "cross_entropy", "perplexity", "bits_per_character", "accuracy",
    }  # fmt: skip
    assert set(Tagging(2, 1, 4).score_names()) == {"cross_entropy", "accuracy", "macro_f1", "exact_match"}
    assert set(NextSymbols(2, 1, 4).score_names()) == {"binary_cross_entropy", "accuracy", "exact_match"}
    assert set(Forecast(2, 1, 4).score_names()) == {"mse", "mae", "rmse"}


def test_kappa_counts_a_miss_by_the_square_of_its_distance() -> None:
    objective = OrdinalClassification(2, 1, 3)
    metrics = objective.metrics()
    truth, answers = [0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 0]
    logits = torch.nn.functional.one_hot(torch.tensor(answers), 3).float()
    metrics.update(*objective.scored(logits, torch.tensor(truth)))
    seen = sum((a - b) ** 2 for a, b in zip(truth, answers, strict=True))
    expected = sum((a - b) ** 2 for a in truth for b in answers) / 6
    assert math.isclose(metrics.compute()["quadratic_kappa"], 1 - seen / expected, rel_tol=1e-6)


def test_the_loss_is_summed_over_keys_and_counted_in_frames() -> None:
    objective = MultiLabelFrames(2, 1, 3)
    logits = torch.tensor([[[0.0, 1.0, -2.0], [3.0, 0.5, 0.0], [9.0, 9.0, 9.0]]], requires_grad=True)
    targets = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [NAN, NAN, NAN]]])
    summed, count = objective.loss(logits, targets)
    chances = 1 / (1 + np.exp(-logits.detach().numpy()[0, :2].astype(np.float64)))
    by_hand = -np.log(np.where(targets[0, :2].numpy() == 1, chances, 1 - chances)).sum()
    assert count == 2
    assert math.isclose(summed.item(), by_hand, rel_tol=1e-6)
    summed.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad[0, 2].any()
    assert np.allclose(logits.grad[0, :2], chances - targets[0, :2].numpy(), atol=1e-6)


def test_steps_beyond_a_length_are_no_frames() -> None:
    objective = MultiLabelFrames(2, 1, 3)
    known = objective.known_targets(torch.ones(2, 4, 3), torch.tensor([1, 3]))
    assert objective.loss(torch.zeros(2, 4, 3), known)[1] == 4
    assert objective.scored(torch.zeros(2, 4, 3), known)[0].shape == (4, 3)


def test_frame_accuracy_is_accumulated_over_all_frames_of_the_part() -> None:
    objective = MultiLabelFrames(2, 1, 4)
    metrics = objective.metrics()
    # logits between 0 and 1 are not taken for probabilities
    metrics.update(*objective.scored(torch.tensor([[[0.2, 0.3, -1.0, -1.0]]]), torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])))
    later = torch.tensor([[[5.0, -5.0, -5.0, -5.0], [-1.0, -1.0, -1.0, -1.0]]])
    metrics.update(*objective.scored(later, torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])))
    assert math.isclose(metrics.compute()["frame_accuracy"], 2 / 4, rel_tol=1e-6)  # 2 hits, 1 false, 1 missed


def test_next_symbols_are_right_where_the_whole_set_is() -> None:
    objective = NextSymbols(2, 1, 3)
    metrics = objective.metrics()
    yes, no = 0.1, -0.1
    predictions = torch.tensor(
        [
            [[yes, no, no], [yes, yes, no], [yes, yes, yes]],
            [[yes, no, no], [yes, no, no], [no, no, yes]],
            [[no, no, no], [no, no, no], [yes, no, yes]],
        ]
    )
    targets = torch.tensor(
        [
            [[1.0, 0, 0], [1, 1, 0], [NAN, NAN, NAN]],  # right where it is scored
            [[1, 0, 0], [1, 1, 0], [0, 0, 1]],  # one symbol missing at one step
            [[0, 0, 0], [NAN, NAN, NAN], [1, 0, 1]],  # nothing may follow, and nothing is predicted
        ]
    )
    objective.update(metrics, predictions, targets)
    assert {name: round(float(value), 6) for name, value in metrics.compute().items()} == {
        "accuracy": round(6 / 7, 6),
        "exact_match": round(2 / 3, 6),
    }
    objective.update(metrics, predictions[1:2], targets[1:2])
    assert float(metrics.compute()["exact_match"]) == 0.5  # of all sequences, not of batches


def test_next_symbols_cost_the_cross_entropy_of_each_symbol() -> None:
    objective = NextSymbols(2, 1, 2)
    logits = torch.tensor([[[0.0, 1.0], [3.0, 0.5], [9.0, 9.0]]], requires_grad=True)
    targets = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]])
    summed, count = objective.loss(logits, objective.known_targets(targets, torch.tensor([2])))
    chances = 1 / (1 + np.exp(-logits.detach().numpy()[0, :2].astype(np.float64)))
    by_hand = -np.log(np.where(targets[0, :2].numpy() == 1, chances, 1 - chances)).sum()
    assert count == 2
    assert math.isclose(summed.item(), by_hand, rel_tol=1e-6)
    summed.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad[0, 2].any()
    with pytest.raises(RnnbenchError, match="targets must have shape"):
        objective.loss(logits, targets[..., :1])


def test_an_objective_is_found_by_name_or_import_path() -> None:
    assert find_objective("tagging") is Tagging
    assert find_objective("language_model") is LanguageModel
    assert find_objective("multi_label_frames") is MultiLabelFrames
    assert find_objective("next_symbols") is NextSymbols
    assert find_objective("rnnbench.objectives.Forecast") is Forecast


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("taging", "did you mean 'tagging'"),
        ("rnnbench.objectives.Nothing", "cannot be imported"),
        ("torch.nn.Linear", "not a subclass"),
    ],
)
def test_what_is_no_objective_is_refused(name: str, told: str) -> None:
    with pytest.raises(RnnbenchError, match=told):
        find_objective(name)


def test_a_card_can_rank_a_forecast_by_relative_errors() -> None:
    assert {"smape", "nrmse", "continuous_nrmse"} <= set(find_objective("horizon_forecast").example().score_names())
