"""The embedded Reber grammar: single strings, and streams of them without resets."""

from typing import Any

import datasets
import numpy as np

from rnnbench.data.counting import GeneratedStrings
from rnnbench.data.module import SPLITS, Split, check_amount
from rnnbench.data.symbols import SymbolPrediction

Values = np.ndarray[Any, Any]
Arc = tuple[str, int]

SYMBOLS = "BTPSXVE"
REBER: tuple[tuple[Arc, ...], ...] = (
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7),),
)
"""The arcs out of each state of the Reber grammar (Reber 1967): a symbol and the state after it; 7 is the end."""


def embedded_arcs() -> list[tuple[Arc, ...]]:
    """The arcs of the embedded grammar: B, T or P, a Reber string, the same T or P, E, and back to the start, 0."""
    size = len(REBER) + 1
    last = 2 + 2 * size
    arcs: list[tuple[Arc, ...]] = [(("B", 1),), (("T", 2), ("P", 2 + size))]
    for number, symbol in enumerate("TP"):
        first = 2 + number * size
        arcs += [tuple((one, first + after) for one, after in some) for some in REBER]
        arcs.append(((symbol, last),))
    return [*arcs, (("E", 0),)]


ARCS = embedded_arcs()
CHOICES = [(arcs[0], arcs[-1]) for arcs in ARCS]
SYMBOL = np.array([[SYMBOLS.index(symbol) for symbol, _ in arcs] for arcs in CHOICES])
AFTER = np.array([[after for _, after in arcs] for arcs in CHOICES])
LEGAL = np.array([[symbol in dict(arcs) for symbol in SYMBOLS] for arcs in ARCS])
"""For each state: symbol and next state by either choice, `[19, 2]`; legal symbols, `[19, 7]`."""


def walk(random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:
    """`size` walks from state 0, each arc as likely as another: symbols and the states after them, `[size, length]`."""
    state = np.zeros(size, dtype=np.int64)
    symbols, states = np.empty((2, length, size), dtype=np.int64)
    for step, choice in enumerate(random.integers(0, 2, (length, size))):
        arc = 2 * state + choice  # in the order of both tables
        symbols[step] = SYMBOL.take(arc)
        state = states[step] = AFTER.take(arc)
    return symbols.T, states.T


class EmbeddedReber(SymbolPrediction):
    """Strings of the embedded Reber grammar (Hochreiter & Schmidhuber 1997, experiment 1).

    A string is B, T or P, a Reber string, the same T or P, E. Regular; the second symbol has to be kept until the last
    but one.

    Inputs `[B, T]`: a string without its last symbol. Legal next symbols: one or two, which are equally likely where a
    string is drawn. All strings are different; those that are drawn are divided at random among the parts.

    Args:
        train_size: strings of training; as many validate, and as many test.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `train_size` is too small or too great.
    """

    symbols = SYMBOLS

    def __init__(self, train_size: int = 256, batch_size: int = 16, data_seed: int = 0, shuffle_seed: int = 0) -> None:
        if train_size < 1:
            raise ValueError(f"train_size must be at least 1, got {train_size}")
        check_amount(train_size * len(SPLITS) * LONGEST, f"{train_size=}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.train_size = train_size

    def strings(self, random: np.random.Generator) -> list[tuple[Values, Values]]:
        """As many different strings as all parts need, in the order drawn, and for each step the legal next symbols."""
        count = self.train_size * len(SPLITS)
        strings: dict[bytes, tuple[Values, Values]] = {}
        while len(strings) < count:
            symbols, states = walk(random, 4 * count, LONGEST)
            ends = (states == 0).argmax(axis=1)  # 0 where none is within reach: such strings are left out
            for row, path, end in zip(symbols, states, ends.tolist(), strict=True):
                key = row[:end].tobytes()
                if end and key not in strings:
                    strings[key] = row[:end] + 1, LEGAL[path[:end]]
                    if len(strings) == count:
                        break
        return list(strings.values())

    def tables(self) -> dict[Split, datasets.Dataset]:  # noqa: D102
        random = np.random.default_rng(self.data_seed)
        strings = self.strings(random)
        order = random.permutation(len(strings)).reshape(len(SPLITS), -1).tolist()
        return {
            split: datasets.Dataset.from_dict(
                {
                    "inputs": [strings[row][0] for row in rows],
                    "targets": [strings[row][1].astype(np.float32).ravel() for row in rows],
                }
            )
            for split, rows in zip(SPLITS, order, strict=True)
        }


LONGEST = 100
"""Of an embedded Reber string; hardly one in a million has more than 60 symbols."""


class ContinualReber(GeneratedStrings):
    """Embedded Reber strings one after the other, as a stream that nothing divides (Gers, Schmidhuber & Cummins 2000).

    Inputs `[B, T]`: a stream of T symbols that begins with a string and ends anywhere. Legal next symbols as in
    `EmbeddedReber`, and after each E the B of the next string.

    Arguments as in `Generated`; `length` is T. There are ten streams of each of several test lengths, as in the paper.
    """

    symbols = SYMBOLS
    shortest = 1
    per_length = 10

    def __init__(
        self,
        length: int = 100,
        train_size: int = 5000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        test_lengths: list[int] | None = None,
    ) -> None:
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed, test_lengths)

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        symbols, states = walk(random, size, length)
        return symbols, LEGAL[states]
