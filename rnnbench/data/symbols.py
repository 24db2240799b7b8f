"""Strings of formal languages, at each step of which the legal next symbols are to be predicted."""

from abc import ABC, abstractmethod
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import datasets
import numpy as np

from rnnbench.data.module import SPLITS, SequenceDataModule, Split, Splits

Values = np.ndarray[Any, Any]


class SymbolPrediction(SequenceDataModule, ABC):
    """Strings over a small alphabet, and the symbols that may come next.

    Inputs `[B, T]`, tokens: symbol k of `symbols` is k + 1. Targets `[B, T, K]`: 1 for each of the K symbols that may
    legally follow the string so far, else 0.

    The baseline knows one symbol: after each it predicts the set of symbols that is commonest after it in training.
    """

    objective = "next_symbols"
    input_kind = "tokens"
    per_step = True
    unknown = float("nan")
    symbols: ClassVar[str]
    """The alphabet, one character a symbol."""

    @abstractmethod
    def tables(self) -> dict[Split, datasets.Dataset]:
        """The three splits."""

    def test_parts(self, rows: int) -> list[slice]:
        """The parts of the test over which scores are means, among all `rows` of it."""
        return [slice(0, rows)]

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        tables = self.tables()
        strings, sets = {}, {}
        for split in SPLITS:
            strings[split] = [np.asarray(row) for row in tables[split]["inputs"][:]]
            sets[split] = self._codes(tables[split])
        after = _commonest(np.concatenate(strings["train"]), sets["train"], len(self.symbols) + 1)
        lengths = np.array([len(string) for string in strings["test"]])
        right = after[np.concatenate(strings["test"])] == sets["test"]
        by_string = np.add.reduceat(right, np.cumsum(lengths) - lengths)
        parts = self.test_parts(len(lengths))
        scores = {
            "accuracy": fmean(float(by_string[part].sum() / lengths[part].sum()) for part in parts),
            "exact_match": fmean(float((by_string == lengths)[part].mean()) for part in parts),
        }
        return Splits(tables, len(self.symbols) + 1, len(self.symbols), "the last symbol alone", scores)

    def _codes(self, table: datasets.Dataset) -> Values:
        """The set of each step of all strings, as a number of as many bits as there are symbols."""
        legal = table.data.column("targets").combine_chunks().flatten().to_numpy().reshape(-1, len(self.symbols))
        codes: Values = (legal > 0) @ (1 << np.arange(len(self.symbols)))
        return codes


def _commonest(tokens: Values, codes: Values, vocabulary: int) -> Values:
    """For each token the code that is commonest with it; 0 for a token that does not occur."""
    kinds, numbers = np.unique(codes, return_inverse=True)
    counts = np.bincount(tokens * len(kinds) + numbers, minlength=vocabulary * len(kinds)).reshape(vocabulary, -1)
    commonest: Values = np.where(counts.any(axis=1), kinds[counts.argmax(axis=1)], 0)
    return commonest
