"""Sums in float64, also where a device has no such numbers."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from torchmetrics import Metric

WITHOUT_DOUBLE = {"mps"}
"""Kinds of devices that have no float64."""


def to_double(values: Tensor) -> Tensor:
    """Values in float64, on their device; on the CPU where that has none."""
    return (values.cpu() if values.device.type in WITHOUT_DOUBLE else values).double()


class DoubleMetric(Metric):
    """A metric whose states are float64. They stay on the CPU when it is moved to a device without such numbers.

    A subclass adds to its states what `to_double` gives.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> Self:
        try:
            fn(torch.zeros((), dtype=torch.float64))
        except TypeError:  # what torch raises when a float64 is moved to such a device
            return self
        super()._apply(fn, exclude_state)
        return self
