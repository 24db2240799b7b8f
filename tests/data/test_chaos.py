"""Chaotic series: against the plainest programs that solve them, and parts that never meet."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rnnbench import data
from rnnbench.data.chaos import MEMBER, WASHOUT, lorenz, mackey_glass, narma
from rnnbench.data.module import SPLITS
from rnnbench.data.stand_ins.archives import wheel
from rnnbench.errors import RnnbenchError
from rnnbench.objectives import HorizonForecast

SMALL: dict[str, Any] = {"window": 30, "horizon": 6, "stride": 4, "count": 2, "steps": 260, "batch_size": 8}
GENERATED = (data.MackeyGlass, data.Lorenz, data.Narma10)
Slope = Callable[[np.ndarray], np.ndarray]


def test_mackey_glass_is_what_a_loop_of_single_steps_gives() -> None:
    def slope(x: float, late: float) -> float:
        return 0.2 * late / (1 + late**10) - 0.1 * x

    x = [0.9] * 172  # up to time 0, ten to a unit
    for now in range(171, 171 + 10 * 1045):
        before, start, end, after = x[now - 171], x[now - 170], x[now - 169], x[now - 168]
        half = (9 * (start + end) - (before + after)) / 16
        k1 = slope(x[now], start)
        k2 = slope(x[now] + 0.05 * k1, half)
        k3 = slope(x[now] + 0.05 * k2, half)
        x.append(x[now] + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x[now] + 0.1 * k3, end)))
    assert mackey_glass(np.array([0.9]), 40)[0] == pytest.approx(x[171::10][1001:1041], abs=1e-9)


def test_lorenz_is_what_a_loop_of_single_steps_gives() -> None:
    def slope(at: np.ndarray) -> np.ndarray:
        x, y, z = at
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    starts = np.array([[1.0, 2.0, 20.0], [-3.0, 0.5, 30.0]])
    found = lorenz(starts, 10, every=2, transient=3)
    for start, series in zip(starts, found, strict=True):
        at, kept = start, []
        for _ in range(26):
            k1 = slope(at)
            k2 = slope(at + 0.005 * k1)
            k3 = slope(at + 0.005 * k2)
            at = at + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + slope(at + 0.01 * k3))
            kept.append(at)
        assert np.allclose(series, kept[7::2], atol=1e-9)


def test_narma_is_its_equation() -> None:
    force = np.random.default_rng(0).random((2, 60)) / 2
    found = narma(force)
    for u, series in zip(force.tolist(), found, strict=True):
        y = [0.0] * 10
        for t in range(9, 59):
            y.append(0.3 * y[t] + 0.05 * y[t] * sum(y[t - i] for i in range(10)) + 1.5 * u[t - 9] * u[t] + 0.1)
        assert series[:, 0] == pytest.approx(y, abs=1e-12)
        assert series[:, 1].tolist() == u


def test_narma_keeps_no_force_for_which_it_diverges() -> None:
    strong = narma(np.full((1, 300), 0.5))[0, :, 0]
    assert strong.max() == 10
    series = data.Narma10(**SMALL).series()
    assert series.shape == (2, 260, 2)
    assert series[..., 0].max() < 2
    assert WASHOUT > 10


@pytest.mark.parametrize("cls", GENERATED)
def test_parts_follow_in_time_and_share_no_step(cls: Any) -> None:
    module = cls(**SMALL)
    series = module.series()
    assert len(np.unique(series[..., 0])) == series[..., 0].size  # a value says which step it is of
    names, mean, deviation = module.units()
    assert names == list(cls.channels)
    steps: dict[str, set[int]] = {}
    scaled: Any = ((series[..., 0] - mean[0]) / deviation[0]).astype(np.float32)
    ranks = {value: step for one in scaled for step, value in enumerate(one)}
    module.setup()
    for split in SPLITS:
        inputs, targets, _ = module.stores[split].batch(range(len(module.stores[split])))
        shared = inputs[:, 1:, : targets.shape[2]]
        known = ~targets[:, :-1].isnan()
        assert torch.equal(shared[known], targets[:, :-1][known])
        steps[split] = {ranks[value] for value in inputs[..., 0].flatten().tolist()}
        steps[split] |= {ranks[value] for value in targets[..., 0].flatten().tolist() if not np.isnan(value)}
        if split != "train":
            assert targets[:, :-6].isnan().all()
            scored = targets[:, -6:, 0].flatten().tolist()
            assert len(set(scored)) == len(scored)
    assert max(steps["train"]) < min(steps["validation"])
    assert max(steps["validation"]) < min(steps["test"])


@pytest.mark.parametrize("cls", GENERATED)
def test_the_reference_scores_what_the_objective_gives_it(cls: Any) -> None:
    module = cls(**SMALL)
    module.setup("test")
    inputs, targets, _ = module.stores["test"].batch(range(len(module.stores["test"])))
    options = module.model_kwargs()["objective_options"]
    objective = HorizonForecast(1, 1, targets.shape[2], **options).eval()
    torch.nn.init.zeros_(objective.head.weight)
    torch.nn.init.zeros_(objective.head.bias)
    read: Any = lambda some, *_: (some[..., :1], None)  # noqa: E731
    metrics = objective.metrics()
    objective.update(metrics, objective.unroll(read, inputs, None, None, 1.0), targets)
    scores = {name: float(value) for name, value in metrics.compute().items()}
    assert set(objective.score_names()) == {"mse", *scores}
    about = module.metadata()
    assert about["baseline"] in ("persistence", "the mean of training")
    if about["baseline"] == "the mean of training":
        for name in ("mae", "rmse", "smape", "nrmse"):
            assert about["baseline_scores"][name] == pytest.approx(scores[name], rel=1e-4)
    else:
        assert about["baseline_scores"]["rmse"] == pytest.approx(
            scores["rmse"] / (1 - scores["skill_persistence"]), 1e-4
        )


def test_series_are_the_same_again_and_others_by_another_seed() -> None:
    first, again, other = (data.Lorenz(**SMALL, data_seed=seed).series() for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 30}, "horizon must be at least 1 and less than window=30, got 30"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"steps": 100}, r"steps must be at least 214, so that window=30 fits a test part, got 100"),
        ({"teacher_forcing": 2.0}, "teacher_forcing must be at least 0 and at most 1"),
        ({"objective": "regression"}, "objective must be one of horizon_forecast, quantile_horizon_forecast"),
    ],
)
def test_wrong_numbers_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.MackeyGlass(**{**SMALL, **arguments})


@pytest.mark.usefixtures("module_stand_ins")
def test_the_laser_is_read_from_its_archive() -> None:
    module = data.SantaFeLaser(window=40, horizon=8)
    assert module.series().shape == (1, 600, 1)
    assert module.units()[0] == ["intensity"]
    assert module.metadata()["objective_options"]["season"] == 1
    with pytest.raises(RnnbenchError, match="has 90 steps of a series: too few for window=90"):
        data.SantaFeLaser(window=90, horizon=8).prepare_data()


@pytest.mark.usefixtures("module_stand_ins")
def test_a_laser_that_is_no_series_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    out = tmp_path / "other.npy"
    np.save(out, np.zeros((2, 3, 4)))
    path = tmp_path / "other.whl"
    path.write_bytes(wheel({MEMBER: out.read_bytes()}))
    monkeypatch.setattr("rnnbench.utils.download.Source.fetch", lambda _: path)
    with pytest.raises(RnnbenchError, match="must hold numbers"):
        data.SantaFeLaser().series()


@pytest.mark.archive
@pytest.mark.usefixtures("users_cache")
def test_the_real_laser_begins_as_it_was_published() -> None:
    series = data.SantaFeLaser().series()
    assert series.shape == (1, 10093, 1)
    assert series[0, :10, 0].tolist() == [86, 141, 95, 41, 22, 21, 32, 72, 138, 111]
