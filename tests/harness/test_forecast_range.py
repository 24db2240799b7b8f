"""Errors inside and beyond the range of training, of forecasters of which they are known."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from rnnbench.analysis.forecast import WindowForecasts
from rnnbench.data import Lorenz, MackeyGlass
from rnnbench.errors import RnnbenchError
from rnnbench.harness.forecast_range import OFFSETS, range_errors
from rnnbench.harness.samples import ForecastWindows

SMALL: dict[str, Any] = {"window": 30, "horizon": 6, "count": 2, "steps": 260}


class Forecaster(NamedTuple):
    """A forecast `[B, h, O]` of the last steps of windows, from what was read, and h."""

    answer: Callable[[Tensor, int], Tensor]

    def forecast(self, inputs: Tensor, horizon: int) -> WindowForecasts:
        known = inputs[:, : inputs.shape[1] - horizon + 1]
        forecast = self.answer(known, horizon)
        return WindowForecasts(forecast, forecast)


def last_value(known: Tensor, horizon: int) -> Tensor:
    return known[:, -1:].expand(-1, horizon, -1)


def training_mean(known: Tensor, horizon: int) -> Tensor:
    return torch.zeros_like(last_value(known, horizon))


def ask(answer: Callable[[Tensor, int], Tensor], data: Any, channel: str | None = None) -> Any:
    model = Forecaster(answer)
    return range_errors(model, data, ForecastWindows(model, data, 6), channel, 1)


def test_a_forecast_from_the_last_value_is_right_at_every_level() -> None:
    found = ask(last_value, MackeyGlass(**SMALL))
    assert found.free_error == pytest.approx([found.free_error[0]] * len(OFFSETS), rel=1e-5)
    assert found.free_error == pytest.approx(found.persistence_error, rel=1e-5)


def test_a_forecast_of_the_level_of_training_is_wrong_by_the_offset() -> None:
    data = MackeyGlass(**SMALL)
    found = ask(training_mean, data)
    middle = len(OFFSETS) // 2
    assert found.offsets[middle] == 0
    data.setup("test")
    ends = data.stores["test"].batch(range(len(data.stores["test"])))[1][:, -6:, 0].double()
    deviation = data.units()[2][0]
    for offset, error in zip(found.offsets, found.free_error, strict=True):
        assert error == pytest.approx(float((ends * deviation + offset).square().mean().sqrt()), rel=1e-5)
    series = data.series()[:, :182]  # 70 %
    assert (found.low, found.high) == pytest.approx((series.min(), series.max()), rel=1e-5)
    assert found.outside[middle] < 0.05
    assert found.outside[0] > 0.95
    assert found.outside[-1] > 0.95


def test_one_channel_is_moved_and_its_windows_are_shown_in_the_unit_of_the_data() -> None:
    data = Lorenz(**SMALL)
    found = ask(last_value, data, "z")
    assert found.channel == "z"
    still, half, whole = found.windows
    width = found.high - found.low
    assert (still.offset, half.offset, whole.offset) == pytest.approx((0, width / 2, width))
    assert whole.measured == pytest.approx([value + width for value in still.measured], rel=1e-5)
    assert whole.past == pytest.approx([value + width for value in still.past], rel=1e-5)
    assert whole.free == pytest.approx([whole.past[-1]] * 6, rel=1e-5)
    other = ask(lambda known, horizon: last_value(known, horizon) * torch.tensor([0.0, 0.0, 1.0]), data, "z")
    assert other.free_error == pytest.approx(found.free_error)  # x and y do not count


def test_what_there_is_not_is_refused() -> None:
    data = Lorenz(**SMALL)
    model = Forecaster(last_value)
    windows = ForecastWindows(model, data, 6)
    with pytest.raises(RnnbenchError, match="unknown channel 'w'"):
        range_errors(model, data, windows, "w", 0)
    with pytest.raises(RnnbenchError, match="window must be from 0 to"):
        range_errors(model, data, windows, None, 10_000)
