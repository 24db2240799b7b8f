"""Forecasts over a horizon: what is read, what is fed back, what is scored."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from rnnbench.architectures import GRU, LSTM, TCN, WindowMLP
from rnnbench.data import WeatherNYC24h
from rnnbench.data.module import SPLITS
from rnnbench.objectives import HorizonForecast
from rnnbench.objectives.regression import HorizonErrors, HorizonPredictions

NAN = float("nan")


def facts(**more: Any) -> dict[str, Any]:
    """Of two channels, forecast for three steps, a season being four."""
    options = {"horizon": 3, "season": 4, "scales": [1.0, 2.0]}
    return {"input_size": 2, "output_size": 2, "objective": "horizon_forecast", "hidden_size": 6,
            "objective_options": options, **more}  # fmt: skip


@pytest.mark.parametrize("cls", [LSTM, GRU, TCN, WindowMLP])
def test_a_free_forecast_reads_its_own_predictions(cls: Any) -> None:
    torch.manual_seed(0)
    model = cls(**facts()).eval()
    window = torch.randn(2, 9, 2)
    with torch.no_grad():
        found = model(window)
        seen, said = window[:, :7], []
        for _ in range(3):  # the whole past read again for each step
            said.append(model.objective.head(model.dropout(model.hidden_states(seen, None)))[:, -1:])
            seen = torch.cat([seen, said[-1]], 1)
        assert torch.allclose(found.free, torch.cat(said, 1), atol=1e-6)
        later = window.clone()
        later[:, 7:] = 100.0  # no measurement of the horizon but the one it begins at is read
        assert torch.equal(model(later).free, found.free)
        assert not torch.allclose(model(later).continuous[:, 7:], found.continuous[:, 7:])
    assert torch.equal(found.free[:, 0], found.continuous[:, 6])


def test_naive_forecasts_are_the_last_value_and_the_value_a_season_before() -> None:
    model = LSTM(**facts()).eval()
    window = torch.arange(9.0).reshape(1, 9, 1).expand(1, 9, 2)
    found = model(window)  # targets are the values 1 to 9, the horizon 7, 8, 9
    assert found.persistence[0, :, 0].tolist() == [6, 6, 6]
    assert found.seasonal[0, :, 0].tolist() == [3, 4, 5]
    short = HorizonForecast(2, 1, 2, horizon=6, season=2, scales=[1.0, 1.0]).eval()
    read: Any = lambda inputs, *_: (inputs.repeat(1, 1, 1), None)  # noqa: E731
    assert short.unroll(read, window, None, None, 1.0).seasonal[0, :, 0].tolist() == [2, 3, 2, 3, 2, 3]  # type: ignore[index]


def test_errors_are_those_of_the_definitions() -> None:
    objective = HorizonForecast(2, 1, 2, horizon=2, season=1, scales=[0.5, 2.0])
    targets = torch.tensor([[[9.0, 9.0], [1.0, 2.0], [NAN, 4.0]]])
    forecasts = HorizonPredictions(
        torch.tensor([[[0.0, 0.0], [1.0, 1.0], [7.0, 4.0]]]),
        torch.tensor([[[2.0, 2.0], [5.0, 1.0]]]),
        torch.tensor([[[4.0, 2.0], [5.0, 4.0]]]),
        torch.tensor([[[1.0, 2.0], [5.0, 10.0]]]),
    )
    metrics = objective.metrics()
    objective.update(metrics, forecasts, targets)
    scores = {name: float(value) for name, value in metrics.compute().items()}
    assert scores == pytest.approx({
        "mae": 4 / 3, "rmse": math.sqrt(10 / 3), "mase": (1 / 0.5 + 1.5 / 2) / 2,
        "skill_persistence": 1 - math.sqrt(10 / 9), "skill_seasonal": 1 - math.sqrt(10 / 36),
        "continuous_mae": 1 / 3, "continuous_rmse": math.sqrt(1 / 3), "rmse_1": math.sqrt(1 / 2), "rmse_2": 3.0,
    })  # fmt: skip
    assert set(objective.score_names()) == {"mse", *scores}
    summed, count = objective.loss(forecasts, targets)
    assert (float(summed), int(count)) == (81.0 + 81.0 + 0.0 + 1.0 + 0.0, 5)


def test_errors_add_up_over_batches() -> None:
    torch.manual_seed(0)
    forecasts, targets = torch.randn(4, 6, 3, 2), torch.randn(6, 3, 2)
    whole, parts = HorizonErrors(3, [1.0, 1.0]), HorizonErrors(3, [1.0, 1.0])
    whole.update(forecasts, targets)
    for rows in (slice(0, 1), slice(1, 6)):
        parts.update(forecasts[:, rows], targets[rows])
    for name, value in whole.compute().items():
        assert float(parts.compute()[name]) == pytest.approx(float(value), rel=1e-6)


@pytest.mark.parametrize("said_by", ["model", "data"])
def test_scheduled_sampling_feeds_back_while_training(said_by: str) -> None:
    torch.manual_seed(0)
    window, targets = torch.randn(2, 9, 2), torch.randn(2, 9, 2)
    options = facts()["objective_options"]
    model = GRU(
        **facts(teacher_forcing=0.0)
        if said_by == "model"
        else facts(objective_options={**options, "teacher_forcing": 0.0})
    )
    assert model.training
    found = model.outputs("train", (window, targets, None))  # type: ignore[arg-type]
    model.eval()
    free = model(window)
    assert torch.allclose(found.continuous[:, :6], free.continuous[:, :6], atol=1e-6)
    assert torch.allclose(found.continuous[:, 6:], free.free, atol=1e-6)


def test_what_a_model_says_of_scheduled_sampling_is_before_what_the_data_say() -> None:
    torch.manual_seed(0)
    window, targets = torch.randn(2, 9, 2), torch.randn(2, 9, 2)
    options = {**facts()["objective_options"], "teacher_forcing": 0.0}
    model = GRU(**facts(teacher_forcing=1.0, objective_options=options))
    found = model.outputs("train", (window, targets, None)).continuous  # type: ignore[arg-type]
    assert torch.allclose(found, model.eval()(window).continuous, atol=1e-6)


@pytest.mark.usefixtures("module_stand_ins")
def test_a_window_ends_in_the_hours_that_are_forecast_and_no_hour_is_scored_twice() -> None:
    data = WeatherNYC24h(window=48, horizon=12, batch_size=8)
    assert data.model_kwargs()["objective_options"]["horizon"] == 12
    assert data.model_kwargs()["objective_options"]["teacher_forcing"] == 0.5
    assert min(data.model_kwargs()["objective_options"]["scales"]) > 0
    data.setup()
    seen: dict[str, set[tuple[float, ...]]] = {}
    for split in SPLITS:
        inputs, targets, _ = data.stores[split].batch(range(len(data.stores[split])))
        assert torch.equal(targets[:, :-1][:, -11:].isnan(), targets[:, -12:-1].isnan())
        known = ~targets[:, :-1].isnan()
        assert torch.allclose(targets[:, :-1][known], inputs[:, 1:][known])
        if split != "train":
            assert targets[:, :-12].isnan().all()
            scored = [tuple(hour.nan_to_num(-99.0).tolist()) for hour in targets[:, -12:].flatten(0, 1)]
            assert len(set(scored)) == len(scored)
        seen[split] = {tuple(hour.tolist()) for hour in inputs.flatten(0, 1)}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    assert not seen["validation"] & seen["test"]


@pytest.mark.usefixtures("module_stand_ins")
def test_the_baseline_is_the_better_of_the_naive_forecasts() -> None:
    data = WeatherNYC24h(window=72, horizon=24, batch_size=8)
    data.setup()
    inputs, targets, _ = data.stores["test"].batch(range(len(data.stores["test"])))
    objective = HorizonForecast(1, 1, 7, **data.model_kwargs()["objective_options"])
    read: Any = lambda some, *_: (some[..., :1], None)  # noqa: E731
    metrics = objective.metrics()
    objective.eval()
    objective.update(metrics, objective.unroll(read, inputs, None, None, 1.0), targets)
    scores = {name: float(value) for name, value in metrics.compute().items()}
    naive = [scores["rmse"] / (1 - scores[f"skill_{name}"]) for name in ("persistence", "seasonal")]
    assert data.metadata()["baseline_scores"]["rmse"] == pytest.approx(min(naive), rel=1e-4)
    assert data.metadata()["baseline"] == ("persistence", "the same hour a day before")[int(np.argmin(naive))]


@pytest.mark.parametrize("horizon", [0, 49])
def test_a_horizon_leaves_a_day_before_it(horizon: int) -> None:
    with pytest.raises(ValueError, match=f"horizon must be at least 1 and at most window - 24 = 48, got {horizon}"):
        WeatherNYC24h(window=72, horizon=horizon)


def test_a_share_of_measured_inputs_is_a_probability() -> None:
    with pytest.raises(ValueError, match=r"teacher_forcing must be at least 0 and at most 1, got 1\.5"):
        WeatherNYC24h(teacher_forcing=1.5)
