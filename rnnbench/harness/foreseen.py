"""The end of a window of a test part as a model foresees it, in the unit of the data."""

import math
from typing import Any, NamedTuple

import torch

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.inside.forecast import errors_by_step


class Window(NamedTuple):
    """A window of the test part in the unit of the data, one channel of it: what was measured and foreseen, by step.

    `measured` is None where nothing was; errors are over all windows and channels of the test part, standardised.
    """

    channel: str
    unit: str
    past: list[float]
    measured: list[float | None]
    continuous: list[float]
    free: list[float]
    continuous_error: list[float]
    free_error: list[float]
    persistence_error: list[float]


class TestWindows:
    """All windows of a test part, their ends foreseen.

    Args:
        model: a forecaster.
        data: that it was trained on.
        horizon: steps of each end.

    Raises:
        RnnbenchError: a horizon that is not scored.
    """

    def __init__(self, model: Any, data: Any, horizon: int) -> None:
        data.prepare_data()
        data.setup("test")
        every = [batch[:2] for batch in data.test_dataloader()]
        self.inputs, targets = (torch.cat(some) for some in zip(*every, strict=True))
        self.foreseen = model.forecast(self.inputs, horizon)
        self.ends = targets[:, -horizon:]
        if not bool((~self.ends.isnan()).any(0).any(-1).all()):
            scored = int((~targets.isnan()).any(0).any(-1).sum())
            raise RnnbenchError(
                f"horizon must be at most {scored}, the steps of a window that are scored, got {horizon}"
            )
        self.names, self.mean, self.deviation = _units(data, self.inputs.shape[-1])
        self.unit = "the unit of the data" if hasattr(data, "units") else "standard deviations"
        self.known = self.inputs.shape[1] - horizon + 1
        persistence = self.inputs[:, self.known - 1 : self.known].expand_as(self.ends)
        self.errors = [errors_by_step(one, self.ends) for one in (*self.foreseen, persistence)]

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, number: int, channel: str | None = None) -> Window:
        """One window and channel.

        Raises:
            RnnbenchError: there is none of that number or name.
        """
        if not 0 <= number < len(self):
            raise RnnbenchError(f"window must be from 0 to {len(self) - 1}, got {number}")
        place = _place(channel, self.names)

        def real(values: Any) -> list[float]:
            return [float(one) for one in values[number, :, place] * self.deviation[place] + self.mean[place]]

        measured = [None if math.isnan(one) else one for one in real(self.ends)]
        continuous, free = map(real, self.foreseen)
        past = real(self.inputs[:, : self.known])
        return Window(self.names[place], self.unit, past, measured, continuous, free, *self.errors)


def _units(data: Any, channels: int) -> tuple[list[str], list[float], list[float]]:
    """Names, means and deviations of the channels; numbers and standard deviations where the data does not say."""
    if hasattr(data, "units"):
        return data.units()  # type: ignore[no-any-return]
    return [str(number) for number in range(channels)], [0.0] * channels, [1.0] * channels


def _place(channel: str | None, names: list[str]) -> int:
    if channel is None:
        return 0
    if channel.isdigit() and int(channel) < len(names):
        return int(channel)
    if channel not in names:
        raise unknown("channel", channel, names)
    return names.index(channel)
