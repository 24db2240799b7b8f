"""Forecasts of series: windows whose ends are forecast, for objectives of values and of distributions."""

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

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
        series = self.series()
        cut = np.split(series, [round(cut * series.shape[1]) for cut in CUTS], axis=1)
        parts = {split: list(part) for split, part in zip(SPLITS, cut, strict=True)}
        lengths = Lengths(self.window, self.horizon, self.stride)
        return forecast_splits(
            parts, list(self.channels), list(self.known), lengths, self.teacher_forcing, folder, type(self).__name__
        )

    def units(self) -> tuple[list[str], list[float], list[float]]:
        """Names of the channels, and mean and deviation by which each was standardised. Prepares the data."""
        self.prepare_data()
        known = read_moments(self.folder)
        return list(self.channels), known["mean"].tolist(), known["deviation"].tolist()


class Lengths(NamedTuple):
    """Steps of a window, of the horizon at its end, and between the starts of two training windows."""

    window: int
    horizon: int
    stride: int


def forecast_splits(
    parts: dict[Split, list[Values]],
    channels: list[str],
    known: list[str],
    lengths: Lengths,
    teacher_forcing: float,
    folder: Path,
    name: str,
) -> Splits:
    """Windows of the series of each part, and the options of an objective that forecasts a horizon.

    Where a value is missing the last one before it stands in the inputs, at the start of a series the mean of training;
    a missing value is never a target.

    Args:
        parts: series `[steps, O + K]` of each part, NaN where a value is missing.
        channels: names of the O channels that are forecast.
        known: names of the K channels that are known ahead.
        lengths: of the windows.
        teacher_forcing: see `SeriesForecast`.
        folder: of the prepared data, where mean and deviation of the channels are kept.
        name: of the data, for error messages.

    Raises:
        RnnbenchError: a part whose series are all too short for a window, or in which a channel has no value; a channel
            that is forecast has a single value in training.
    """
    names = [*channels, *known]
    for split, some in parts.items():
        if not any(len(series) > lengths.window for series in some):
            longest = max(map(len, some), default=0)
            raise RnnbenchError(
                f"{name}, split {split!r} has {longest} steps of a series: too few for window={lengths.window}"
            )
    forecast = len(channels)
    _check_known(np.concatenate(parts["train"]), names, f"{name}, split 'train'")
    mean, deviation = mean_and_std(np.concatenate(parts["train"]))
    if not deviation[:forecast].all():
        constant = names[int((deviation == 0).argmax())]
        raise RnnbenchError(f"{name}: {constant!r} has a single value in training: there is nothing to forecast")
    deviation = np.where(deviation > 0, deviation, 1.0)
    write_moments(folder, mean[:forecast], deviation[:forecast])
    windows = {
        split: _windows([(one - mean) / deviation for one in some], forecast, lengths, split)
        for split, some in parts.items()
    }
    for split, (_, targets) in windows.items():
        _check_known(targets.reshape(-1, forecast), channels, f"{name}, split {split!r}")
    tables = {split: _table(*pair) for split, pair in windows.items()}
    reference, scores = _naive(*windows["test"], lengths.horizon, mean[:forecast], deviation[:forecast])
    jumps = np.concatenate([np.abs(np.diff(one, axis=0)) for one in parts["train"]]) / deviation
    options = {
        "horizon": lengths.horizon,
        "season": 1,
        "scales": [_mean(column) for column in jumps.T[:forecast]],
        "teacher_forcing": teacher_forcing,
        "known_inputs": len(known),
        "means": mean[:forecast].tolist(),
        "deviations": deviation[:forecast].tolist(),
    }
    return Splits(tables, len(names), forecast, reference, scores, options)


def _check_known(values: Values, names: list[str], where: str) -> None:
    empty = np.isnan(values).all(0)
    if empty.any():
        raise RnnbenchError(f"{where}: {names[int(empty.argmax())]!r} has no value")


def _windows(some: list[Values], forecast: int, lengths: Lengths, split: Split) -> tuple[Values, Values]:
    """Inputs `[n, T, O + K]` and targets `[n, T, O]` of the standardised series of one part."""
    inputs, targets = [], []
    for series in some:
        starts = np.arange(0, len(series) - lengths.window, lengths.stride if split == "train" else lengths.horizon)
        places = starts[:, None] + np.arange(lengths.window)
        inputs.append(filled_forward(series)[places])
        targets.append(series[places + 1, :forecast])
    answers = np.concatenate(targets)
    if split != "train":
        answers[:, : -lengths.horizon] = np.nan
    return np.concatenate(inputs), answers


def filled_forward(series: Values, first: float | Values = 0.0) -> Values:
    """A series `[T, C]` with the last value before it, or `first`, where one is missing."""
    known = ~np.isnan(series)
    last = np.maximum.accumulate(np.where(known, np.arange(len(series))[:, None], -1))
    filled = np.take_along_axis(series, last.clip(min=0), 0)
    return np.where(last < 0, first, filled)


def _naive(
    inputs: Values, targets: Values, horizon: int, mean: Values, deviation: Values
) -> tuple[str, dict[str, float]]:
    """The better of two references, by name, and its scores."""
    ends = targets[:, -horizon:]
    last = inputs[:, -horizon : inputs.shape[1] - horizon + 1, : ends.shape[2]]
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
    share = np.divide(200 * np.abs(real - said), size, out=np.where(np.isnan(size), np.nan, 0.0), where=size > 0)
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
    """Of the values that are not NaN; exactly rounded, so that it is the same on every machine."""
    known = values[~np.isnan(values)]
    return math.fsum(known.tolist()) / known.size


def _table(inputs: Values, targets: Values) -> datasets.Dataset:
    rows = (list(values.astype(np.float32).reshape(len(values), -1)) for values in (inputs, targets))
    return datasets.Dataset.from_dict(dict(zip(("inputs", "targets"), rows, strict=True)))
