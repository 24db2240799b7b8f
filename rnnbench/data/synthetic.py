"""Generated tests of memory."""

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np

from rnnbench.data.module import SPLITS, SequenceDataModule, Split, Splits

Values = np.ndarray[Any, Any]


class Generated(SequenceDataModule):
    """Sequences of one length, each split drawn from a stream of its own: more of one leaves the others as they are.

    Args:
        length: T, at least the class's `shortest`.
        train_size: training sequences; a tenth as many validate, and as many again test (1,000 at least).
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `length` or `train_size` is too small.
    """

    shortest: ClassVar[int]

    def __init__(
        self,
        length: int = 100,
        train_size: int = 20_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if length < self.shortest:
            raise ValueError(f"length must be at least {self.shortest}, got {length}")
        if train_size < 1:
            raise ValueError(f"train_size must be at least 1, got {train_size}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.length, self.train_size = length, train_size

    @abstractmethod
    def draw(self, random: np.random.Generator, size: int) -> tuple[Values, Values]:
        """Inputs, a row a sequence, and targets, for `size` sequences."""

    def tables(self) -> dict[Split, datasets.Dataset]:
        """The three splits."""
        return {split: self._table(number, split) for number, split in enumerate(SPLITS)}

    def _table(self, number: int, split: Split) -> datasets.Dataset:
        size = self.train_size if split == "train" else max(1000, self.train_size // 10)
        inputs, targets = self.draw(np.random.default_rng((self.data_seed, number)), size)
        return datasets.Dataset.from_dict(
            {"inputs": list(inputs), "targets": targets if targets.ndim == 1 else list(targets)}
        )


class Adding(Generated):
    """The adding problem (Hochreiter & Schmidhuber 1997, experiment 4, in the form of Le, Jaitly & Hinton 2015, §4.1).

    Inputs `[B, T, 2]`: a value drawn from U(0, 1) and a marker, which is 1 at one step of the first half and one of the
    second. Target `[B, 1]`: the sum of the two marked values. Always answering 1 has a mean squared error of 1/6.

    Arguments as in `Generated`; T is at least 2.
    """

    objective = "regression"
    shortest = 2

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        return Splits(self.tables(), 2, 1, baseline="always 1", baseline_scores={"mse": 1 / 6})

    def draw(self, random: np.random.Generator, size: int) -> tuple[Values, Values]:  # noqa: D102
        values = random.random((size, self.length), dtype=np.float32)
        half, rows = self.length // 2, np.arange(size)
        first, second = random.integers(0, half, size), random.integers(half, self.length, size)
        markers = np.zeros_like(values)
        markers[rows, first] = markers[rows, second] = 1.0
        inputs = np.stack([values, markers], axis=-1).reshape(size, -1)
        return inputs, values[rows, first] + values[rows, second]


class CopyMemory(Generated):
    """The copying memory problem (Hochreiter & Schmidhuber 1997; set up as in Arjovsky, Shah & Bengio 2016, §4.1).

    Inputs `[B, T + 20]`, tokens: ten symbols out of eight (1–8), T − 1 blanks (0), a delimiter (9), ten blanks. Targets
    `[B, T + 20]`, classes: T + 10 blanks, then the ten symbols in order. Without memory the cross-entropy is
    10 ln 8 / (T + 20) nats a step.

    Arguments as in `Generated`; `length` is T, at least 1.
    """

    objective = "tagging"
    input_kind = "tokens"
    per_step = True
    unknown = -100
    shortest = 1

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        chance = 10 * math.log(8) / (self.length + 20)
        return Splits(self.tables(), 10, 9, baseline="no memory", baseline_scores={"cross_entropy": chance})

    def draw(self, random: np.random.Generator, size: int) -> tuple[Values, Values]:  # noqa: D102
        symbols = random.integers(1, 9, (size, 10), dtype=np.int64)
        inputs = np.zeros((size, self.length + 20), dtype=np.int64)
        targets = np.zeros_like(inputs)
        inputs[:, :10], inputs[:, self.length + 9], targets[:, -10:] = symbols, 9, symbols
        return inputs, targets


class SelectiveCopy(Generated):
    """The selective copying problem (Jing et al. 2019, §4.1, "denoising"; named so by Gu & Dao 2024, §3.1).

    Inputs `[B, T + K]`, tokens: K symbols out of eight (1–8) at random steps among T, blanks (0) between them, then K
    delimiters (9). Targets `[B, T + K]`, classes 0–7: the K symbols in order at the last K steps, −100 (not asked)
    before. Unlike in `CopyMemory` the symbols stand at other steps in each sequence: a fixed delay does not solve it.

    Args:
        length: T, steps among which the symbols stand, at least `symbols`.
        train_size: see `Generated`.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        symbols: K, at least 1.

    Raises:
        ValueError: an argument is too small.
    """

    objective = "tagging"
    input_kind = "tokens"
    per_step = True
    unknown = -100
    shortest = 1

    def __init__(
        self,
        length: int = 64,
        train_size: int = 20_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        symbols: int = 8,
    ) -> None:
        if not 1 <= symbols <= length:
            raise ValueError(f"symbols must be at least 1 and at most length={length}, got {symbols}")
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed)
        self.symbols = symbols

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        scores = {"accuracy": 1 / 8, "cross_entropy": math.log(8), "exact_match": 8.0**-self.symbols}
        return Splits(self.tables(), 10, 8, baseline="guessing", baseline_scores=scores)

    def draw(self, random: np.random.Generator, size: int) -> tuple[Values, Values]:  # noqa: D102
        symbols = random.integers(1, 9, (size, self.symbols), dtype=np.int64)
        places = np.sort(random.permuted(np.tile(np.arange(self.length), (size, 1)), axis=1)[:, : self.symbols], axis=1)
        inputs = np.zeros((size, self.length + self.symbols), dtype=np.int64)
        targets = np.full_like(inputs, int(self.unknown))
        inputs[np.arange(size)[:, None], places], inputs[:, self.length :] = symbols, 9
        targets[:, self.length :] = symbols - 1
        return inputs, targets


class Parity(Generated):
    """Running parity of random bits: the simplest state that every step changes (Delétang et al. 2023, "parity check").

    Inputs `[B, T]`, tokens: 1 for a zero bit, 2 for a one. Targets `[B, T]`: whether the number of ones so far is odd.
    Any constant answer is right half the time, and so is any that does not know every earlier bit.

    Arguments as in `Generated`; `length` is T, at least 1.
    """

    objective = "tagging"
    input_kind = "tokens"
    per_step = True
    unknown = -100
    shortest = 1

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        scores = {"accuracy": 0.5, "cross_entropy": math.log(2), "exact_match": 2.0**-self.length}
        return Splits(self.tables(), 3, 2, baseline="guessing", baseline_scores=scores)

    def draw(self, random: np.random.Generator, size: int) -> tuple[Values, Values]:  # noqa: D102
        bits = random.integers(0, 2, (size, self.length), dtype=np.int64)
        return bits + 1, bits.cumsum(axis=1) % 2
