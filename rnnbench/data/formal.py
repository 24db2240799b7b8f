"""Formal languages: strings of any length, and what has to be computed of them."""

from abc import abstractmethod
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import datasets
import numpy as np

from rnnbench.data.module import Split, Splits
from rnnbench.data.synthetic import TEST_SIZE, Generated

Values = np.ndarray[Any, Any]


class FormalLanguage(Generated):
    """Strings over a small alphabet, each followed by blanks at which an answer is to be given.

    Inputs `[B, T + A]`, tokens: the T letters (1, 2, …), then A blanks (0), one for each letter of the answer. Targets
    `[B, T + A]`, classes: −100 (not scored) at the letters, then the answer. Delétang et al. 2023 set their tasks up
    so; there, too, strings of training have lengths drawn from 1 to `length`, and the score is the mean over the
    lengths of `test_lengths` of the share of right letters. All are generated as the paper's appendix A.1 defines them.

    Strings of validation have the lengths of training: short ones occur in both, as there are only few of them.

    Arguments as in `Generated`; `length` is the longest T of training.
    """

    objective = "tagging"
    input_kind = "tokens"
    per_step = True
    unknown = -100
    shortest = 1
    varied = True
    letters: ClassVar[int]
    answers: ClassVar[int]

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        tables = self.tables()
        known = [answers[answers >= 0] for answers in map(np.asarray, tables["train"]["targets"])]
        commonest = int(np.bincount(np.concatenate(known)).argmax())
        return Splits(
            tables, self.letters + 1, self.answers, "the commonest answer", self._scores_of(commonest, tables)
        )

    def _scores_of(self, answer: int, tables: dict[Split, datasets.Dataset]) -> dict[str, float]:
        """Test scores of one answer to everything: means over the lengths."""
        rows = [np.asarray(row) for row in tables["test"]["targets"]]
        size = TEST_SIZE if self.test_lengths else len(rows)
        right = np.array([((row == answer).sum(), (row >= 0).sum()) for row in rows])
        parts = [right[first : first + size] for first in range(0, len(rows), size)]
        accuracy = fmean(float(part[:, 0].sum() / part[:, 1].sum()) for part in parts)
        return {"accuracy": accuracy, "exact_match": fmean(float((part[:, 0] == part[:, 1]).mean()) for part in parts)}

    @abstractmethod
    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:
        """`size` strings `[size, T]` of letters from 0, and their answers `[size, A]`; −100 where nothing is scored."""

    def draw(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings, answers = self.string(random, size, length)
        inputs = np.concatenate([strings + 1, np.zeros_like(answers)], axis=1)
        targets = np.concatenate([np.full_like(strings, int(self.unknown)), answers], axis=1)
        return inputs, targets


class EvenPairs(FormalLanguage):
    """Whether the number of pairs `ab` and `ba` is even, which is whether the first letter is the last. Regular."""

    letters, answers = 2, 2

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings = random.integers(0, 2, (size, length))
        return strings, (strings[:, :1] != strings[:, -1:]).astype(np.int64)


class ParityCheck(FormalLanguage):
    """Whether the number of letters `b` is even. Regular."""

    letters, answers = 2, 2

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings = random.integers(0, 2, (size, length))
        return strings, strings.sum(axis=1, keepdims=True) % 2


class CycleNavigation(FormalLanguage):
    """Where on a cycle of five places one stands after steps that stay, go on or go back, from place 0. Regular."""

    letters, answers = 3, 5

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        moves = random.integers(0, 3, (size, length))
        return moves, np.array([0, 1, -1])[moves].sum(axis=1, keepdims=True) % 5


class ModularArithmetic(FormalLanguage):
    """The value modulo 5 of an expression of numbers 0–4 with +, − and ·, which binds first; no brackets. Regular.

    Letters 0–4 are the numbers, 5 is +, 6 is −, 7 is ·. Expressions have an odd length: T is one less where it is even.
    """

    letters, answers = 8, 5

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        length -= length % 2 == 0
        strings = np.empty((size, length), dtype=np.int64)
        strings[:, ::2] = random.integers(0, 5, strings[:, ::2].shape)
        strings[:, 1::2] = random.integers(5, 8, strings[:, 1::2].shape)
        total, product = np.zeros(size, dtype=np.int64), strings[:, 0]
        for place in range(1, length, 2):
            operator, number = strings[:, place], strings[:, place + 1]
            times = operator == 7
            total = np.where(times, total, total + product) % 5
            product = np.where(times, product * number, np.where(operator == 5, number, -number)) % 5
        return strings, ((total + product) % 5)[:, None]


class StackManipulation(FormalLanguage):
    """What lies on a stack, from the top, after pushes and pops. Deterministic context-free.

    A string is the stack at the start (letters 0 and 1, bottom first; its size is drawn from 1 to T), then actions: pop
    (2), push 0 (3), push 1 (4). A pop of an empty stack does nothing. The answer has T + 1 places: the stack, an end
    (class 2), and nothing that is scored.
    """

    letters, answers = 5, 3

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        start = random.integers(1, length + 1, size)
        strings = np.where(
            np.arange(length) < start[:, None],
            random.integers(0, 2, (size, length)),
            random.integers(2, 5, (size, length)),
        )
        rows, height = np.arange(size), np.zeros(size, dtype=np.int64)
        stack = np.zeros((size, length + 1), dtype=np.int64)
        for place in range(length):
            letter = strings[:, place]
            pops = letter == 2
            stack[rows, height] = np.where(pops, stack[rows, height], np.where(letter > 2, letter - 3, letter))
            height = np.where(pops, np.maximum(height - 1, 0), height + 1)
        places = height[:, None] - 1 - np.arange(length + 1)
        answers = np.take_along_axis(stack, np.maximum(places, 0), axis=1)
        answers[places == -1] = 2
        answers[places < -1] = int(self.unknown)
        return strings, answers


class ReverseString(FormalLanguage):
    """The string from its end to its start. Deterministic context-free."""

    letters, answers = 2, 2

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings = random.integers(0, 2, (size, length))
        return strings, strings[:, ::-1].copy()


class DuplicateString(FormalLanguage):
    """The string, twice. Context-sensitive."""

    letters, answers = 2, 2

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings = random.integers(0, 2, (size, length))
        return strings, np.tile(strings, (1, 2))


class OddsFirst(FormalLanguage):
    """The letters at odd places (the first, the third, …), then those at even ones. Context-sensitive."""

    letters, answers = 2, 2

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings = random.integers(0, 2, (size, length))
        return strings, np.concatenate([strings[:, ::2], strings[:, 1::2]], axis=1)


class BucketSort(FormalLanguage):
    """The letters, out of five, in order. Context-sensitive."""

    letters, answers = 5, 5

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings = random.integers(0, 5, (size, length))
        return strings, np.sort(strings, axis=1)


class MissingDuplicate(FormalLanguage):
    """The letter that is missing in a string written twice. Context-sensitive.

    A string of T / 2 letters, twice, with one letter of the whole blanked (letter 2). T is one more where it is odd.
    """

    letters, answers = 3, 2
    shortest = 2

    def string(self, random: np.random.Generator, size: int, length: int) -> tuple[Values, Values]:  # noqa: D102
        strings = np.tile(random.integers(0, 2, (size, (length + 1) // 2)), (1, 2))
        rows, missing = np.arange(size), random.integers(0, strings.shape[1], size)
        answers = strings[rows, missing][:, None].copy()
        strings[rows, missing] = 2
        return strings, answers
