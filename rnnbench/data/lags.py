"""Generated tests of long lags: a few steps matter, and many that say nothing lie between them and the answer."""

import math
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from rnnbench.data.module import Splits
from rnnbench.data.synthetic import Generated

Values = np.ndarray[Any, Any]

VARIANCE = 0.2
"""Of the noise of `TwoSequence`."""
MARKABLE = 10
"""Pairs at the start of which `Multiplication` marks one."""


class TemporalOrder(Generated):
    """Temporal order (Hochreiter & Schmidhuber 1997, experiments 6a and 6b): in which order X and Y occurred.

    Inputs `[B, T + T/10]`, tokens: a start (1), distractors drawn from four (3–6), and a trigger (2) at the end, which
    comes after T to T + T/10 steps; two or three of the distractors give way to X (7) or Y (8). For T = 100 their steps
    are drawn from 10–20 and 50–60 (two), or from 10–20, 33–43 and 66–76 (three), counted from 0; for other T in
    proportion. Target `[B]`: the class of the sequence of X and Y, out of 4 or 8, read as binary digits.

    Args:
        length: T, at least 10.
        train_size: see `Generated`.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        symbols: steps with X or Y, 2 or 3.
        test_lengths: see `Generated`.

    Raises:
        ValueError: `symbols` is neither 2 nor 3, or as in `Generated`.
    """

    objective = "classification"
    input_kind = "tokens"
    shortest = 10

    def __init__(
        self,
        length: int = 100,
        train_size: int = 20_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        symbols: int = 2,
        test_lengths: list[int] | None = None,
    ) -> None:
        if symbols not in (2, 3):
            raise ValueError(f"symbols must be 2 or 3, got {symbols}")
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed, test_lengths)
        self.symbols = symbols

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        return _guessing(self, 9, 2**self.symbols)

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[list[Values], Values]:  # noqa: D102
        inputs = random.integers(3, 7, (size, length + length // 10))
        firsts = length * np.array([10, 50] if self.symbols == 2 else [10, 33, 66]) // 100
        places = firsts + random.integers(0, length // 10 + 1, (size, self.symbols))
        answers = random.integers(0, 2, (size, self.symbols))
        ends = _ends(random, size, length)
        rows = np.arange(size)
        inputs[rows[:, None], places] = 7 + answers
        inputs[:, 0], inputs[rows, ends - 1] = 1, 2
        return _cut(inputs, ends), answers @ (1 << np.arange(self.symbols)[::-1])


class TwoSequence(Generated):
    """The noisy two-sequence problem (Bengio, Simard & Frasconi 1994; Hochreiter & Schmidhuber 1997, experiment 3b).

    Inputs `[B, T + T/10, 1]`: Gaussian noise of variance 0.2 at all of T to T + T/10 steps, to which the first N add
    1 or −1. Target `[B]`: 1 for a sequence of the former kind, 0 for one of the latter. As the N steps are noisy too,
    no network is right in more than Φ(√(N / 0.2)) of the sequences: 0.987 for N = 1, 0.99995 for N = 3.

    Args:
        length: T, at least 1.
        train_size: see `Generated`.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        signal_steps: N, from 1 to `length`.
        test_lengths: see `Generated`.

    Raises:
        ValueError: `signal_steps` is out of range, or as in `Generated`.
    """

    objective = "classification"
    shortest = 1

    def __init__(
        self,
        length: int = 100,
        train_size: int = 20_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        signal_steps: int = 3,
        test_lengths: list[int] | None = None,
    ) -> None:
        if not 1 <= signal_steps <= length:
            raise ValueError(f"signal_steps must be at least 1 and at most length={length}, got {signal_steps}")
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed, test_lengths)
        self.signal_steps = signal_steps

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        return _guessing(self, 1, 2)

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[list[Values], Values]:  # noqa: D102
        values = random.normal(0, math.sqrt(VARIANCE), (size, length + length // 10))
        answers = random.integers(0, 2, size)
        values[:, : self.signal_steps] += 2 * answers[:, None] - 1
        return _cut(values.astype(np.float32), _ends(random, size, length)), answers


class Multiplication(Generated):
    """The multiplication problem (Hochreiter & Schmidhuber 1997, experiment 5).

    Inputs `[B, T + T/10, 2]`, of T to T + T/10 steps: a value drawn from U(0, 1), and a marker, which is 1 at one of
    the first ten steps and at one of the first T/2 − 1 others, −1 at the first and the last step, and else 0. Target
    `[B, 1]`: the product of the two marked values; where the first step was drawn, its factor is 1 and its marker
    stays −1.

    Arguments as in `Generated`; `length` is T, at least 20.
    """

    objective = "regression"
    shortest = 2 * MARKABLE

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        tables = self.tables()
        train, test = (np.asarray(tables[split]["targets"][:]) for split in ("train", "test"))
        errors = (test - train.mean()) ** 2
        mse = fmean(float(errors[part].mean()) for part in self.test_parts(len(errors)))
        return Splits(tables, 2, 1, baseline="the mean of training", baseline_scores={"mse": mse})

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[list[Values], Values]:  # noqa: D102
        values = random.random((size, length + length // 10))
        first = random.integers(0, MARKABLE, size)
        second = random.integers(0, length // 2 - 1, size)
        second += second >= first  # the first is not drawn again
        ends, rows = _ends(random, size, length), np.arange(size)
        markers = np.zeros_like(values)
        markers[rows, first] = markers[rows, second] = 1
        markers[:, 0] = markers[rows, ends - 1] = -1
        one, other = (np.where(place == 0, 1.0, values[rows, place]) for place in (first, second))
        inputs = np.stack([values, markers], axis=-1).astype(np.float32)
        return [row.ravel() for row in _cut(inputs, ends)], one * other


class SpikeTiming(Generated):
    """Measuring the delays between spikes (Gers, Schraudolph & Schmidhuber 2002, task "MSD").

    Inputs `[B, T, 1]`: 1 at spikes, else 0. The first step is a spike; each spike comes F + i steps after the last, i
    drawn from 0 to K − 1. Targets `[B, T]`, classes: i at each spike but the first, −100 (not scored) elsewhere.

    Args:
        length: T, at least F + K, so that each sequence has a delay.
        train_size: see `Generated`.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        interval: F, the shortest delay, in steps, at least 1.
        delays: K, how many delays there are, at least 2.
        test_lengths: see `Generated`.

    Raises:
        ValueError: an argument is out of range.
    """

    objective = "tagging"
    per_step = True
    unknown = -100
    shortest = 3

    def __init__(
        self,
        length: int = 500,
        train_size: int = 5000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        interval: int = 20,
        delays: int = 2,
        test_lengths: list[int] | None = None,
    ) -> None:
        if interval < 1 or delays < 2:
            raise ValueError(f"interval must be at least 1 and delays at least 2, got {interval} and {delays}")
        if length < interval + delays:
            raise ValueError(f"length must be at least interval + delays = {interval + delays}, got {length}")
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed, test_lengths)
        self.interval, self.delays = interval, delays

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        return _guessing(self, 1, self.delays)

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        offsets = random.integers(0, self.delays, (size, length // self.interval))
        times = (self.interval + offsets).cumsum(axis=1)
        rows, spikes = np.nonzero(times < length)
        inputs = np.zeros((size, length), dtype=np.float32)
        targets = np.full((size, length), int(self.unknown))
        inputs[:, 0] = inputs[rows, times[rows, spikes]] = 1
        targets[rows, times[rows, spikes]] = offsets[rows, spikes]
        return inputs, targets


def _guessing(data: Generated, input_size: int, classes: int) -> Splits:
    scores = {"accuracy": 1 / classes, "cross_entropy": math.log(classes)}
    return Splits(data.tables(), input_size, classes, baseline="guessing", baseline_scores=scores)


def _ends(random: np.random.Generator, size: int, length: int) -> Values:
    """Numbers of steps, drawn from T to T + T/10."""
    return random.integers(length, length + length // 10 + 1, size)


def _cut(sequences: Values, ends: Values) -> list[Values]:
    """Each sequence of `[B, T, …]` up to its end."""
    return [row[:end] for row, end in zip(sequences, ends.tolist(), strict=True)]
