"""Forecasts of series: windows whose ends are forecast, for objectives of values and of distributions."""

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import datasets
import numpy as np

from rnnbench.data.module import SPLITS, SequenceDataModule, Split, Splits
from rnnbench.data.splits import CUTS, mean_and_std, read_moments, write_moments
from rnnbench.errors import RnnbenchError

Values = np.ndarray[Any, np.dtype[np.float64]]
HorizonObjective = Literal["horizon_forecast", "quantile_horizon_forecast", "gaussian_horizon_forecast"]
StepObjective = Literal["forecast", "quantile_forecast", "gaussian_forecast"]


class SeriesForecast(SequenceDataModule):
    """Windows of series, whose last `horizon` steps are forecast.

    Inputs `[B, T, O + K]`: the O channels that are forecast, and K that are known ahead (`known`), standardised by mean
    and standard deviation of the training part. Targets `[B, T, O]`: the forecast channels one step later; in
    validation and test NaN in all but the last `horizon` steps of a window.

    Each series is cut in time, 70 : 15 : 15, before windows are taken, so that no step is in two parts. Windows of
    training start `stride` steps apart; those of validation and test `horizon` steps, so that no step is scored twice.
    The reference is the better of two forecasts of the horizon: the last value before it, or the mean of training.

    Args:
        window: steps of a sequence, T.
        horizon: steps of the forecast, less than `window`.
        stride: steps between the starts of two training windows.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        teacher_forcing: probability that a model in training, unless it says otherwise, reads what was measured in a
            step of the horizon, and not its own prediction.
        objective: `horizon_forecast`, or one that forecasts a distribution, `quantile_horizon_forecast` or
            `gaussian_horizon_forecast`; changes nothing about the data.

    Raises:
        ValueError: a number out of its range, or another objective.
    """

    objective = "horizon_forecast"
    per_step = True
    unknown = float("nan")
    channels: ClassVar[tuple[str, ...]]
    """Names of the channels that are forecast."""
    known: ClassVar[tuple[str, ...]] = ()
    """Names of those whose future is known."""

    def __init__(
        self,
        window: int = 100,
        horizon: int = 50,
        stride: int = 10,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        teacher_forcing: float = 1.0,
        objective: HorizonObjective = "horizon_forecast",
    ) -> None:
        if not 1 <= horizon < window:
            raise ValueError(f"horizon must be at least 1 and less than window={window}, got {horizon}")
        if stride < 1:
            raise ValueError(f"stride must be at least 1, got {stride}")
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing must be at least 0 and at most 1, got {teacher_forcing}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.window, self.horizon, self.stride, self.teacher_forcing = window, horizon, stride, teacher_forcing
        self.objective = checked_objective(objective, "horizon_forecast")

    def identity(self) -> dict[str, Any]:
        """As in `SequenceDataModule`, without the objective."""
        return {name: value for name, value in super().identity().items() if name != "objective"}

    @abstractmethod
    def series(self) -> Values:
        """Series `[N, steps, O + K]`, in the unit of the data."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        series, forecast = self.series(), len(self.channels)
        parts = dict(zip(SPLITS, np.split(series, [round(cut * series.shape[1]) for cut in CUTS], axis=1), strict=True))
        for split, part in parts.items():
            if part.shape[1] <= self.window:
                name = type(self).__name__
                raise RnnbenchError(
                    f"{name}, split {split!r} has {part.shape[1]} steps of a series: too few for window={self.window}"
                )
        mean, deviation = mean_and_std(parts["train"].reshape(-1, series.shape[2]))
        write_moments(folder, mean[:forecast], deviation[:forecast])
        windows = {split: self._windows((part - mean) / deviation, split) for split, part in parts.items()}
        tables = {split: _table(*pair) for split, pair in windows.items()}
        name, scores = self._naive(*windows["test"], mean[:forecast], deviation[:forecast])
        jumps = np.abs(np.diff(parts["train"], axis=1)).reshape(-1, series.shape[2]) / deviation
        options = {
            "horizon": self.horizon,
            "season": 1,
            "scales": [math.fsum(column) / len(column) for column in jumps.T[:forecast].tolist()],
            "teacher_forcing": self.teacher_forcing,
            "known_inputs": len(self.known),
            "means": mean[:forecast].tolist(),
            "deviations": deviation[:forecast].tolist(),
        }
        return Splits(tables, series.shape[2], forecast, name, scores, options)

    def units(self) -> tuple[list[str], list[float], list[float]]:
        """Names of the channels, and mean and deviation by which each was standardised. Prepares the data."""
        self.prepare_data()
        known = read_moments(self.folder)
        return list(self.channels), known["mean"].tolist(), known["deviation"].tolist()

    def _windows(self, series: Values, split: Split) -> tuple[Values, Values]:
        """Inputs `[n, T, O + K]` and targets `[n, T, O]` of standardised series of one part."""
        starts = np.arange(0, series.shape[1] - self.window, self.stride if split == "train" else self.horizon)
        places = starts[:, None] + np.arange(self.window)
        inputs, targets = series[:, places], series[:, places + 1, : len(self.channels)]
        if split != "train":
            targets[:, :, : -self.horizon] = np.nan
        return inputs.reshape(-1, *inputs.shape[2:]), targets.reshape(-1, *targets.shape[2:])

    def _naive(self, inputs: Values, targets: Values, mean: Values, deviation: Values) -> tuple[str, dict[str, float]]:
        """The better of two references, by name, and its scores."""
        ends = targets[:, -self.horizon :]
        last = inputs[:, -self.horizon : inputs.shape[1] - self.horizon + 1, : ends.shape[2]]
        both = {
            name: errors(forecast, ends, mean, deviation)
            for name, forecast in (("persistence", last), ("the mean of training", np.zeros_like(last)))
        }
        best = min(both, key=lambda name: both[name]["rmse"])
        return best, both[best]


def checked_objective(name: str, kind: str) -> str:
    """`name`, if it is `kind` (`forecast`, `horizon_forecast`) or one of its forms that forecast a distribution.

    Raises:
        ValueError: it is not.
    """
    allowed = (kind, f"quantile_{kind}", f"gaussian_{kind}")
    if name not in allowed:
        raise ValueError(f"objective must be one of {', '.join(allowed)}, got {name!r}")
    return name


def errors(forecast: Values, targets: Values, mean: Values, deviation: Values) -> dict[str, float]:
    """Errors of a standardised forecast, `[n, h, O]` or what can be broadcast to it, as `HorizonForecast` has them."""
    wrong = np.broadcast_to(forecast, targets.shape) - targets
    real, said = targets * deviation + mean, np.broadcast_to(forecast, targets.shape) * deviation + mean
    size = np.abs(real) + np.abs(said)
    share = np.divide(200 * np.abs(real - said), size, out=np.zeros_like(size), where=size > 0)
    channels = list(zip(np.moveaxis(wrong, 2, 0), mean_and_std(targets.reshape(-1, targets.shape[2]))[1], strict=True))
    relative = [_mean(np.square(errors)) / float(spread) ** 2 for errors, spread in channels if spread > 0]
    mse = _mean(np.square(wrong))
    return {
        "mae": _mean(np.abs(wrong)),
        "mse": mse,
        "rmse": math.sqrt(mse),
        "nrmse": math.sqrt(sum(relative) / max(1, len(relative))),
        "smape": _mean(share),
    }


def _mean(values: Values) -> float:
    """Exactly rounded, so that it is the same on every machine."""
    return math.fsum(values.ravel().tolist()) / values.size


def _table(inputs: Values, targets: Values) -> datasets.Dataset:
    rows = (list(values.astype(np.float32).reshape(len(values), -1)) for values in (inputs, targets))
    return datasets.Dataset.from_dict(dict(zip(("inputs", "targets"), rows, strict=True)))
