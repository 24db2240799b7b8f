"""Data: LightningDataModules, one modality a file, usable with a plain Trainer."""

from rnnbench.data.module import SequenceDataModule, Splits
from rnnbench.data.sources import Source
from rnnbench.data.synthetic import Adding, CopyMemory
from rnnbench.data.text import MovieSentiment
from rnnbench.data.weather import WeatherNYC

__all__ = ["Adding", "CopyMemory", "MovieSentiment", "SequenceDataModule", "Source", "Splits", "WeatherNYC"]
