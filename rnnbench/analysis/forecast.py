"""The end of a window of measured steps, as a model foresees it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnnbench.objectives.base import Reader


class Foreseen(NamedTuple):
    """Forecasts of the last h steps of windows, `[B, h, C]`: every input measured; and none after the first step."""

    continuous: Tensor
    free: Tensor


def foresee(read: Reader, head: nn.Module, inputs: Tensor, horizon: int) -> Foreseen:
    """Forecasts of what follows each of the last `horizon` steps of `inputs` `[B, T, C]`.

    Continuous: each step reads the measured value before it. Free (autoregressive): after the first step each reads
    what was foreseen there.
    """
    known = inputs.shape[1] - horizon + 1
    continuous = head(read(inputs)[0])[:, -horizon:]
    hidden, state = read(inputs[:, :known])
    said = [head(hidden[:, -1:])]
    for _ in range(horizon - 1):
        hidden, state = read(said[-1], None, state)
        said.append(head(hidden))
    return Foreseen(continuous, torch.cat(said, 1))


def errors_by_step(forecasts: Tensor, targets: Tensor) -> list[float]:
    """Root mean squared error of each step ahead, over windows and channels `[B, h, C]`, where targets are known.

    A step that is known in no window has NaN.
    """
    known = ~targets.isnan()
    squared = torch.where(known, forecasts - targets, 0.0).double().square().sum((0, 2))
    return [float(one) for one in (squared / known.sum((0, 2))).sqrt()]
