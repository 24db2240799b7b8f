"""Forecasts of the end of a window of measured steps, and their errors."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnnbench.objectives.base import StatefulModel


class WindowForecasts(NamedTuple):
    """Forecasts of the last h steps of windows, `[B, h, C]`.

    `continuous` reads measured inputs at all steps; `free` reads its own forecasts after the first step.
    """

    continuous: Tensor
    free: Tensor


def forecast_windows(model: StatefulModel, head: nn.Module, inputs: Tensor, horizon: int) -> WindowForecasts:
    """Forecasts of the value after each of the last `horizon` steps of `inputs` `[B, T, C]`."""
    known = inputs.shape[1] - horizon + 1
    continuous = head(model(inputs)[0])[:, -horizon:]
    hidden, state = model(inputs[:, :known])
    free = [head(hidden[:, -1:])]
    for _ in range(horizon - 1):
        hidden, state = model(free[-1], None, state)
        free.append(head(hidden))
    return WindowForecasts(continuous, torch.cat(free, 1))


def errors_by_step(forecasts: Tensor, targets: Tensor) -> list[float]:
    """Root mean squared error of each step ahead, over windows and channels `[B, h, C]`, where targets are known.

    NaN for a step whose target is known in no window.
    """
    known = ~targets.isnan()
    squared = torch.where(known, forecasts - targets, 0.0).double().square().sum((0, 2))
    return [float(error) for error in (squared / known.sum((0, 2))).sqrt()]
