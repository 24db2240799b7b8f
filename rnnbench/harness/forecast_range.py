"""Forecasts inside and beyond the range of values of training: interpolation against extrapolation.

One channel of the test windows is moved by an offset, inputs and true values alike: the same series, measured from
another zero. What follows is known at every offset, so that errors can be compared: a forecaster that has learnt how a
series goes on from its last values is as good at every level, one that has learnt the levels is not.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.errors import RnnbenchError
from rnnbench.harness.samples import ForecastWindows
from rnnbench.objectives.double import to_double

OFFSETS = tuple(k / 8 for k in range(-12, 13))
"""In widths of the range of training: at −1 and 1 and beyond, hardly a value of a window is inside it."""
SHOWN = (0.0, 0.5, 1.0)
"""Offsets at which a window is shown."""


class MovedWindow(NamedTuple):
    """A window moved by an offset, in the unit of the data: what was read, what came, and the forecast of that."""

    offset: float
    past: list[float]
    measured: list[float | None]
    free: list[float]


class RangeErrors(NamedTuple):
    """Root mean squared errors of forecasts of one channel, by the offset of the windows, in the unit of the data.

    `low` and `high` are the least and the greatest value of training; `outside` is the share of values of the test
    windows that are not between them; `free_error` is of autoregressive forecasts, `persistence_error` of the last
    measured value, which is the same at every offset.
    """

    channel: str
    unit: str
    low: float
    high: float
    offsets: list[float]
    outside: list[float]
    free_error: list[float]
    persistence_error: list[float]
    windows: list[MovedWindow]


def range_errors(model: Any, data: Any, test: ForecastWindows, channel: str | None, number: int) -> RangeErrors:
    """Errors of `model` on the windows `test` of `data`, and window `number` at the offsets that are shown.

    Raises:
        RnnbenchError: there is no such channel or window, or the channel has one value in all of training.
    """
    index = test.index_of(channel)
    test.window(number, channel)  # refuses what there is not
    mean, deviation = test.mean[index], test.deviation[index]
    low, high = _training_range(data, test.inputs.shape[-1], index)
    if low == high:
        raise RnnbenchError(f"channel {test.names[index]!r} has one value in all of training: it has no range")
    horizon, known = test.ends.shape[1], test.known
    outside, errors, windows = [], [], []
    for share in OFFSETS:
        offset = share * (high - low)
        inputs = test.inputs.clone()
        inputs[..., index] += offset
        forecasts = model.forecast(inputs, horizon).free[..., index]
        ends = test.ends[..., index] + offset
        values = inputs[..., index]
        outside.append(float(to_double((values < low) | (values > high)).mean()))
        errors.append(_rmse(forecasts, ends) * deviation)
        if share in SHOWN:
            past, measured, free = (
                (row[number] * deviation + mean).tolist() for row in (values[:, :known], ends, forecasts)
            )
            windows.append(
                MovedWindow(offset * deviation, past, [None if one != one else one for one in measured], free)
            )
    persistence = test.inputs[:, known - 1 : known, index].expand_as(test.ends[..., index])
    still = _rmse(persistence, test.ends[..., index]) * deviation
    offsets = [share * (high - low) * deviation for share in OFFSETS]
    bounds = low * deviation + mean, high * deviation + mean
    return RangeErrors(
        test.names[index], test.units[index], *bounds, offsets, outside, errors, [still] * len(OFFSETS), windows
    )  # fmt: skip


def _training_range(data: Any, channels: int, index: int) -> tuple[float, float]:
    rows = data.table("train").with_format("numpy", columns=["inputs"])["inputs"][:]
    values = torch.cat([torch.as_tensor(row).reshape(-1, channels)[:, index] for row in rows])
    return float(values.min()), float(values.max())


def _rmse(forecasts: Tensor, targets: Tensor) -> float:
    return float(to_double((forecasts - targets)[~targets.isnan()]).square().mean().sqrt())
