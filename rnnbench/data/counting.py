"""Languages of counters and brackets: which symbols may come next."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from rnnbench.data.symbols import SymbolPrediction
from rnnbench.data.synthetic import Generated

Values = np.ndarray[Any, Any]


class GeneratedStrings(Generated, SymbolPrediction):
    """Generated strings of given lengths; inputs and targets as in `SymbolPrediction`, arguments as in `Generated`."""

    @abstractmethod
    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:
        """`size` strings `[size, T]` of symbols from 0, and whether each symbol may come next, `[size, T, K]`, bool."""

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings, legal = self.string(random, size, length)
        return strings + 1, legal.astype(np.float32).reshape(size, -1)


class AnBn(GeneratedStrings):
    """aⁿbⁿ (Gers & Schmidhuber 2001): n letters a, then as many b. Context-free; a single counter will do.

    Inputs `[B, 2n + 1]`: a start S, aⁿ, bⁿ. Legal next symbols: a after S; a or b after an a; b after a b that is not
    the last; the end T after the last b. n is drawn from 1 to `length`.

    There is one string for each n, so validation has the strings of training, and the test a single string of each of
    its lengths. Arguments as in `Generated`; `length` is the greatest n of training, and `test_lengths` are n, too.
    """

    symbols = "SabT"
    shortest = 1
    varied = True
    per_length = 1

    def __init__(
        self,
        length: int = 10,
        train_size: int = 1000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        test_lengths: list[int] | None = None,
    ) -> None:
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed, test_lengths)

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        string = np.repeat([0, 1, 2], [1, length, length])
        legal = np.zeros((2 * length + 1, 4), dtype=bool)
        legal[: length + 1, 1] = legal[1:-1, 2] = legal[-1, 3] = True
        return np.tile(string, (size, 1)), np.tile(legal, (size, 1, 1))


class Dyck(GeneratedStrings):
    """Well-formed strings of brackets: each closes the last that is open, which is of its kind; see `Dyck1`, `Dyck2`.

    Inputs `[B, T]`: a string of T brackets, drawn uniformly from all well-formed ones of that length (the chance of
    each next bracket is exact: Arnold & Sleep 1980). Legal next symbols (Suzgun et al. 2019, section 4): every opening
    bracket, since a string may always go on; and the closing one of the bracket that is open, if any is.

    Validation has the lengths of training: short strings occur in both, as there are only few of them.

    Args:
        length: greatest T of training, even; T is drawn from 2 to this, and one less where it is odd.
        train_size: see `Generated`.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        test_lengths: see `Generated`; all even.

    Raises:
        ValueError: no string has such a length, or as in `Generated`.
    """

    shortest = 2
    varied = True
    kinds: ClassVar[int]

    def __init__(
        self,
        length: int = 50,
        train_size: int = 10_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        test_lengths: list[int] | None = None,
    ) -> None:
        super().__init__(length, train_size, batch_size, data_seed, shuffle_seed, test_lengths)
        if length % 2:
            raise ValueError(f"length must be even, as brackets come in pairs, got {length}")
        if any(one % 2 for one in self.test_lengths):
            raise ValueError(f"test_lengths must be even, as brackets come in pairs, got {test_lengths!r}")

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        length -= length % 2
        kinds, rows, height = self.kinds, np.arange(size), np.zeros(size, dtype=np.int64)
        stack = np.zeros((size, length // 2 + 1), dtype=np.int64)
        strings = np.empty((size, length), dtype=np.int64)
        legal = np.zeros((size, length, 2 * kinds), dtype=bool)
        legal[:, :, :kinds] = True
        for place in range(length):
            left = length - place
            # strings that go on with an opening bracket, as a share of all that end with none open after `left` more
            opens = random.random(size) * (2 * left * (height + 1)) < (height + 2) * (left - height)
            kind = random.integers(0, kinds, size)
            strings[:, place] = np.where(opens, kind, kinds + stack[rows, height - 1])
            stack[rows[opens], height[opens]] = kind[opens]
            height += np.where(opens, 1, -1)
            legal[rows, place, kinds + stack[rows, height - 1]] = height > 0
        return strings, legal


class Dyck1(Dyck):
    """One kind of bracket. Context-free; a single counter will do."""

    symbols = "()"
    kinds = 1


class Dyck2(Dyck):
    """Two kinds of bracket. Context-free; counters will not do, as the order of what is open matters."""

    symbols = "([)]"
    kinds = 2
