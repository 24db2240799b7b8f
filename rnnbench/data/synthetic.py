"""Generated tests of memory."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import datasets
import numpy as np

from rnnbench.data.batches import GlobalBatches, make_loader
from rnnbench.data.module import EVALUATION_BATCHES, SPLITS, SequenceDataModule, Split, Splits, check_amount

Values = np.ndarray[Any, Any]
Rows = Values | list[Values]
"""Sequences of one length, a row each; or a list of rows of different lengths."""

MAX_LENGTH = 1_000_000
"""The greatest length of a generated sequence."""
MAX_BATCH_STEPS = 50_000
"""Steps of a test batch, all sequences together: memory grows with the length only once a sequence alone has more."""
TEST_SIZE = 100
"""Sequences of each of several test lengths."""


class Generated(SequenceDataModule):
    """Generated sequences, each split drawn from a stream of its own: more of one leaves the others as they are.

    Training and validation have sequences of one length, `length`; where a class is `varied`, of lengths drawn from
    `shortest` to `length`. So does the test part, unless `test_lengths` names others: then it has as many sequences of
    each of these lengths, `test_dataloader` is a loader for each, by name, and scores are means over the lengths.

    Args:
        length: T, at least the class's `shortest`.
        train_size: training sequences; a tenth as many validate, and as many again test (1,000 at least).
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        test_lengths: lengths of the test part, `[first, last, step]`; all greater than `length`.

    Raises:
        ValueError: `length` or `train_size` is too small, `test_lengths` are not lengths beyond `length`, or the
            sequences are too long or too many.
    """

    shortest: ClassVar[int]
    varied: ClassVar[bool] = False
    per_length: ClassVar[int] = TEST_SIZE
    """Sequences of each of several test lengths."""

    def __init__(
        self,
        length: int = 100,
        train_size: int = 20_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        test_lengths: list[int] | None = None,
    ) -> None:
        if not self.shortest <= length <= MAX_LENGTH:
            least = f"length must be at least {self.shortest}"
            raise ValueError(f"{least}{f' and at most {MAX_LENGTH:,}' if length > MAX_LENGTH else ''}, got {length}")
        if train_size < 1:
            raise ValueError(f"train_size must be at least 1, got {train_size}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.length, self.train_size = length, train_size
        self.test_lengths = _lengths(test_lengths, length)
        held_out = max(1000, train_size // 10)
        check_amount((train_size + held_out + (0 if test_lengths else held_out)) * length,
                     f"train_size={train_size} and length={length}")  # fmt: skip
        check_amount(self.per_length * sum(self.test_lengths), f"test_lengths={test_lengths}")

    def identity(self) -> dict[str, Any]:
        """As in `SequenceDataModule`; data without `test_lengths` is what it was before there were any."""
        identity = super().identity()
        return identity if identity["test_lengths"] else {k: v for k, v in identity.items() if k != "test_lengths"}

    @abstractmethod
    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Rows, Values]:
        """Inputs, a row a sequence, and targets, for `size` sequences of `length`."""

    def tables(self) -> dict[Split, datasets.Dataset]:
        """The three splits."""
        return {split: self._table(split) for split in SPLITS}

    def _table(self, split: Split) -> datasets.Dataset:
        inputs, targets = zip(*self.drawn(split), strict=True)
        answers = np.concatenate(targets) if targets[0].ndim == 1 else list(chain(*targets))
        return datasets.Dataset.from_dict({"inputs": list(chain(*inputs)), "targets": answers})

    def drawn(self, split: Split) -> list[tuple[Rows, Values]]:
        """Inputs and targets of a split, as `draw` gives them, for each of its lengths."""
        random = np.random.default_rng((self.data_seed, SPLITS.index(split)))
        size = self.train_size if split == "train" else max(1000, self.train_size // 10)
        if split == "test" and self.test_lengths:
            counts = dict.fromkeys(self.test_lengths, self.per_length)
        elif self.varied:
            lengths, numbers = np.unique(random.integers(self.shortest, self.length + 1, size), return_counts=True)
            counts = dict(zip(lengths.tolist(), numbers.tolist(), strict=True))
        else:
            counts = {self.length: size}
        return [self.draw(random, count, length) for length, count in counts.items()]

    @property
    def scored_lengths(self) -> tuple[int, ...]:
        """The lengths over which test scores are means."""
        return self.test_lengths or (self.length,)

    def test_parts(self, rows: int) -> list[slice]:
        """The rows of each test length among all `rows` of the test part; all of them, without `test_lengths`."""
        if not self.test_lengths:
            return [slice(0, rows)]
        return [slice(first, first + self.per_length) for first in range(0, rows, self.per_length)]

    def test_dataloader(self) -> Any:
        """Test batches, in order; with `test_lengths` a loader for each length, by its name."""
        if not self.test_lengths:
            return super().test_dataloader()
        store, loaders = self.store("test"), {}
        for number, length in enumerate(self.test_lengths):
            size = max(1, min(self.batch_size * EVALUATION_BATCHES, MAX_BATCH_STEPS // length))
            part = store.rows(number * self.per_length, (number + 1) * self.per_length)
            loaders[f"length_{length}"] = make_loader(part, GlobalBatches(part.lengths, size, shuffle=False), size)
        return loaders


def _lengths(bounds: Sequence[int] | None, longest: int) -> tuple[int, ...]:
    """The lengths `first`, `first + step`, …, `last` at most."""
    if bounds is None:
        return ()
    if len(bounds) != 3 or not all(isinstance(bound, int) and bound > 0 for bound in bounds):
        raise ValueError(f"test_lengths must be [first, last, step], whole numbers greater than 0, got {bounds!r}")
    first, last, step = bounds
    if not longest < first <= last:
        raise ValueError(
            f"test_lengths must be longer than those of training, length={longest}, and not empty, got {bounds!r}"
        )
    if last > MAX_LENGTH:
        raise ValueError(f"test_lengths must be at most {MAX_LENGTH:,}, got {bounds!r}")
    return tuple(range(first, last + 1, step))


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

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        values = random.random((size, length), dtype=np.float32)
        half, rows = length // 2, np.arange(size)
        first, second = random.integers(0, half, size), random.integers(half, length, size)
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
        chance = fmean(10 * math.log(8) / (length + 20) for length in self.scored_lengths)
        return Splits(self.tables(), 10, 9, baseline="no memory", baseline_scores={"cross_entropy": chance})

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        symbols = random.integers(1, 9, (size, 10), dtype=np.int64)
        inputs = np.zeros((size, length + 20), dtype=np.int64)
        targets = np.zeros_like(inputs)
        inputs[:, :10], inputs[:, length + 9], targets[:, -10:] = symbols, 9, symbols
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
        test_lengths: see `Generated`.

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
        test_lengths: list[int] | None = None,
    ) -> None:
        if not 1 <= symbols <= length:
            raise ValueError(f"symbols must be at least 1 and at most length={length}, got {symbols}")
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed, test_lengths)
        self.symbols = symbols

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        scores = {"accuracy": 1 / 8, "cross_entropy": math.log(8), "exact_match": 8.0**-self.symbols}
        return Splits(self.tables(), 10, 8, baseline="guessing", baseline_scores=scores)

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        symbols = random.integers(1, 9, (size, self.symbols), dtype=np.int64)
        places = np.sort(random.permuted(np.tile(np.arange(length), (size, 1)), axis=1)[:, : self.symbols], axis=1)
        inputs = np.zeros((size, length + self.symbols), dtype=np.int64)
        targets = np.full_like(inputs, int(self.unknown))
        inputs[np.arange(size)[:, None], places], inputs[:, length:] = symbols, 9
        targets[:, length:] = symbols - 1
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
        exact = fmean(2.0**-length for length in self.scored_lengths)
        scores = {"accuracy": 0.5, "cross_entropy": math.log(2), "exact_match": exact}
        return Splits(self.tables(), 3, 2, baseline="guessing", baseline_scores=scores)

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        bits = random.integers(0, 2, (size, length), dtype=np.int64)
        return bits + 1, bits.cumsum(axis=1) % 2
