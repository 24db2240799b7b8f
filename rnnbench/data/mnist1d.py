"""MNIST-1D: ten shapes of forty numbers, shifted, scaled, sheared and noisy."""

from pathlib import Path

import datasets
import numpy as np

from rnnbench.data.module import SequenceDataModule, Splits
from rnnbench.data.parts import majority_scores
from rnnbench.errors import DataUnavailable

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

    def make(self, folder: Path) -> Splits:  # noqa: D102
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
