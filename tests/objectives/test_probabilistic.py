"""Forecasts of distributions: scores against their definitions, futures, and honest fans."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from rnnbench.analysis.charts import forecast_chart
from rnnbench.architectures import GRU, LSTM, TCN
from rnnbench.data import Narma10, WeatherNYC, WeatherNYC24h
from rnnbench.harness.samples import ForecastWindows
from rnnbench.objectives import find_objective
from rnnbench.objectives.probabilistic import (
    DISTRIBUTIONS,
    LEVELS,
    PATHS,
    FanScores,
    crps_of_paths,
    even_levels,
    fan,
    fan_of_paths,
    fan_scores,
    pinball,
)

OBJECTIVES = ("quantile_forecast", "gaussian_forecast", "quantile_horizon_forecast", "gaussian_horizon_forecast")
GAUSSIAN, QUANTILES = DISTRIBUTIONS["gaussian"], DISTRIBUTIONS["quantiles"]


def facts(objective: str, known: int = 0) -> dict[str, Any]:
    """Of two channels, and `known` more that are known ahead."""
    options: dict[str, Any] = {"known_inputs": known}
    if "horizon" in objective:
        options |= {"horizon": 3, "season": 4, "scales": [1.0, 2.0], "means": [0.5, 2.0], "deviations": [1.0, 3.0]}
    return {"input_size": 2 + known, "output_size": 2, "objective": objective, "hidden_size": 6,
            "objective_options": options}  # fmt: skip


def numbers_of(mean: float, deviation: float) -> torch.Tensor:
    return torch.tensor([mean, math.log(math.expm1(deviation - 1e-3))])


def test_pinball_is_its_definition() -> None:
    for level, said, true in ((0.1, 2.0, 3.0), (0.1, 3.0, 1.0), (0.9, 2.0, 3.0)):
        expected = level * (true - said) if true >= said else (1 - level) * (said - true)
        assert float(pinball(torch.tensor([said]), torch.tensor(true), torch.tensor([level]))) == pytest.approx(
            expected
        )


def test_scores_of_a_gaussian_are_those_of_its_density() -> None:
    mean, deviation, true = 0.4, 1.7, -1.2
    numbers = numbers_of(mean, deviation)
    normal: Any = torch.distributions.Normal(mean, deviation)
    assert float(GAUSSIAN.loss(numbers, torch.tensor(true))) == pytest.approx(
        -float(normal.log_prob(torch.tensor(true)))
    )
    grid = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    wide: Any = torch.distributions.Normal(torch.tensor(mean).double(), deviation)
    below = wide.cdf(grid)
    integral = float(((below - (grid >= true).double()) ** 2).sum() * (grid[1] - grid[0]))
    assert float(GAUSSIAN.crps(numbers, torch.tensor(true))) == pytest.approx(integral, abs=1e-3)
    assert fan(GAUSSIAN, numbers).tolist() == pytest.approx(normal.icdf(torch.tensor(LEVELS)).tolist(), abs=1e-5)


def test_quantiles_are_read_in_order_and_beyond_them_along_a_line() -> None:
    numbers = torch.arange(9.0)[torch.randperm(9)]
    levels = torch.tensor([0.1, 0.15, 0.5, 0.9, 0.05, 0.95])
    found = QUANTILES.quantiles(numbers.expand(6, 9), levels)
    assert found.tolist() == pytest.approx([0, 0.5, 4, 8, -0.5, 8.5], abs=1e-5)
    assert float(QUANTILES.point(numbers)) == 4


def test_the_best_quantiles_of_a_sample_are_its_own() -> None:
    true = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    own = true.quantile(torch.tensor(LEVELS))
    best = float(QUANTILES.loss(own.expand(4000, 9), true).mean())
    for shift in (-0.1, 0.1):
        assert float(QUANTILES.loss((own + shift).expand(4000, 9), true).mean()) > best
    inside = fan_scores(own.expand(4000, 9), true)[1]
    assert float(inside.mean()) == pytest.approx(0.8, abs=0.002)


def test_crps_of_samples_is_the_mean_distance_less_half_of_that_among_them() -> None:
    random = np.random.default_rng(0)
    paths, true = random.normal(size=(5, 12)), random.normal(size=5)
    expected = np.abs(paths - true[:, None]).mean(1) - np.abs(paths[:, :, None] - paths[:, None]).mean((1, 2)) / 2
    assert crps_of_paths(torch.tensor(paths), torch.tensor(true)).tolist() == pytest.approx(expected.tolist())


def test_draws_are_even_at_each_step_and_their_quantiles_those_of_the_distribution() -> None:
    levels = even_levels(5, 2)
    assert torch.equal(levels, even_levels(5, 2))
    assert torch.allclose(levels.sort(0).values, ((torch.arange(PATHS) + 0.5) / PATHS)[:, None, None])
    assert fan_of_paths(levels.permute(1, 2, 0))[0, 0].tolist() == pytest.approx(LEVELS, abs=1e-6)


def test_scores_add_up_over_batches() -> None:
    scores = torch.rand(2, 7)
    whole, parts = FanScores("rmse", "crps"), FanScores("rmse", "crps")
    whole.update(scores)
    for columns in (slice(0, 2), slice(2, 7)):
        parts.update(scores[:, columns])
    assert float(whole.compute()["rmse"]) == pytest.approx(math.sqrt(float(scores[0].mean())))
    for name, value in whole.compute().items():
        assert float(parts.compute()[name]) == pytest.approx(float(value), rel=1e-6)


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_score_has_its_name_and_gradients_reach_the_layer(objective: str, known: int) -> None:
    torch.manual_seed(0)
    model = GRU(**facts(objective, known), teacher_forcing=0.5)
    inputs, targets = torch.randn(3, 9, 2 + known), torch.randn(3, 9, 2)
    targets[0, 8, 1] = float("nan")
    model.training_step((inputs, targets, None), 0).backward()  # type: ignore[no-untyped-call]
    assert all(float(weight.grad.abs().sum()) > 0 for weight in model.layer.parameters() if weight.grad is not None)
    model.eval()
    own, metrics = model.objective, model.objective.metrics()
    with torch.no_grad():
        own.update(metrics, model.outputs("val", (inputs, targets, None)), targets)  # type: ignore[arg-type]
    scores = metrics.compute()
    assert {own.loss_name, *scores} == set(own.score_names())
    assert all(bool(value.isfinite()) for value in scores.values())
    assert find_objective(objective) is type(own)
    assert find_objective(objective).example().score_names()[0] == own.loss_name


@pytest.mark.parametrize("cls", [LSTM, TCN])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_futures_do_not_depend_on_the_batch_nor_on_what_is_measured_later(cls: Any, objective: str) -> None:
    torch.manual_seed(0)
    model = cls(**facts(objective, known=1))
    inputs = torch.randn(4, 9, 3)
    first = model.forecast(inputs, 3)
    assert first.fan is not None
    assert first.fan.shape == (4, 3, 2, 9)
    assert bool((first.fan.diff(dim=-1) >= 0).all())
    assert torch.allclose(model.forecast(inputs[2:3], 3).fan, first.fan[2:3], atol=1e-5)
    later = inputs.clone()
    later[:, 7:, :2] = 100.0
    assert torch.equal(model.forecast(later, 3).fan, first.fan)
    later[:, 7:, 2] = 5.0  # what is known ahead is read
    assert not torch.allclose(model.forecast(later, 3).fan, first.fan)


def test_a_point_forecast_reads_what_is_known_ahead() -> None:
    torch.manual_seed(0)
    model = LSTM(**facts("horizon_forecast", known=1)).eval()
    inputs = torch.randn(2, 9, 3)
    with torch.no_grad():
        free = model(inputs).free
        seen, said = inputs[:, :7], []
        for step in range(3):
            said.append(model.objective.head(model.hidden_states(seen, None))[:, -1:])
            if step < 2:
                seen = torch.cat([seen, torch.cat([said[-1], inputs[:, 7 + step : 8 + step, 2:]], -1)], 1)
    assert torch.allclose(free, torch.cat(said, 1), atol=1e-6)
    assert torch.allclose(model.forecast(inputs, 3).free, free, atol=1e-6)


@pytest.mark.parametrize("objective", ["quantile_horizon_forecast", "gaussian_horizon_forecast"])
def test_a_trained_fan_holds_about_what_it_says(objective: Any, tmp_path: Any) -> None:
    seed_everything(0, verbose=False)
    data = Narma10(window=30, horizon=6, stride=8, count=8, steps=300, batch_size=32, objective=objective)
    assert data.objective == objective
    assert data.folder == Narma10(window=30, horizon=6, stride=8, count=8, steps=300).folder
    model = GRU(hidden_size=16, learning_rate=1e-2, **data.model_kwargs())
    trainer = Trainer(max_steps=80, accelerator="cpu", logger=False, enable_checkpointing=False, limit_val_batches=0,
                      enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(model, data)
    (scores,) = trainer.test(model, data, verbose=False)
    assert 0.5 < scores["test/coverage_80"] < 0.98
    assert scores["test/crps"] < scores["test/mae"]
    test = ForecastWindows(model, data, 6)
    window = test.window(0)
    assert window.fan is not None
    assert len(window.fan) == 6
    chart = forecast_chart([window._asdict()], "narma").to_dict()
    marks = [layer["mark"]["type"] for layer in chart["vconcat"][0]["concat"][0]["layer"]]
    assert marks.count("area") == 4


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize(("cls", "kind"), [(WeatherNYC, "forecast"), (WeatherNYC24h, "horizon_forecast")])
def test_weather_may_have_a_calendar_and_another_objective(cls: Any, kind: str) -> None:
    plain, more = cls(), cls(calendar=True, objective=f"quantile_{kind}")
    assert plain.objective == kind
    assert {"calendar", "objective"}.isdisjoint(plain.identity())
    kwargs = more.model_kwargs()
    assert (kwargs["input_size"], kwargs["output_size"], kwargs["objective"]) == (9, 7, f"quantile_{kind}")
    assert kwargs["objective_options"]["known_inputs"] == 2
    assert more.metadata()["baseline_scores"] == plain.metadata()["baseline_scores"]
    for module in (plain, more):
        module.setup("test")
    measured, known = (module.stores["test"].batch(range(2))[0] for module in (plain, more))
    assert torch.equal(measured, known[..., :7])
    assert torch.allclose(known[..., 7:].square().sum(-1), torch.ones(known.shape[:2]))
    assert torch.allclose(known[:, 0, 7:], known[:, 24, 7:])
    with pytest.raises(ValueError, match=f"objective must be one of {kind}, quantile_{kind}"):
        cls(objective="regression")
