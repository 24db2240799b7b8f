"""Forecasts of the end of a window of measured steps, and their errors."""

from typing import NamedTuple

import torch
from torch import Tensor

from rnnbench.objectives.base import StatefulModel
from rnnbench.objectives.double import to_double
from rnnbench.objectives.probabilistic import (
    QuantileForecast,
    QuantileHorizonForecast,
    fan_of_paths,
    sample_paths,
)
from rnnbench.objectives.regression import Forecast


class WindowForecasts(NamedTuple):
    """Forecasts of the last h steps of windows, `[B, h, O]`.

    `continuous` reads measured inputs at all steps; `free` reads its own forecasts after the first step. Of a
    forecaster of distributions there are also the quantiles of `free`, `fan` `[B, h, O, 9]`, of the levels 0.1 to 0.9.
    """

    continuous: Tensor
    free: Tensor
    fan: Tensor | None = None


def forecast_windows(model: StatefulModel, objective: Forecast, inputs: Tensor, horizon: int) -> WindowForecasts:
    """Forecasts of the value after each of the last `horizon` steps of `inputs` `[B, T, O + K]`."""
    known = inputs.shape[1] - horizon + 1
    continuous = objective.point(objective.head(model(inputs)[0]))[:, -horizon:]
    if isinstance(objective, QuantileForecast | QuantileHorizonForecast):
        paths = sample_paths(model, objective, inputs, horizon)
        return WindowForecasts(continuous, paths.mean(-1), fan_of_paths(paths))
    hidden, state = model(inputs[:, :known])
    free = [objective.head(hidden[:, -1:])]
    for step in range(known, inputs.shape[1]):
        hidden, state = model(objective.next_inputs(free[-1], inputs[:, step : step + 1]), None, state)
        free.append(objective.head(hidden))
    return WindowForecasts(continuous, torch.cat(free, 1))


def errors_by_step(forecasts: Tensor, targets: Tensor) -> list[float]:
    """Root mean squared error of each step ahead, over windows and channels `[B, h, C]`, where targets are known.

    NaN for a step whose target is known in no window.
    """
    known = ~targets.isnan()
    squared = to_double(torch.where(known, forecasts - targets, 0.0)).square().sum((0, 2))
    return [float(error) for error in (squared / to_double(known.sum((0, 2)))).sqrt()]
