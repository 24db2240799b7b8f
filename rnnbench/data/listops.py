"""ListOps: the value of a nested expression over digits."""

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np

from rnnbench.data.module import Split, Splits, check_amount
from rnnbench.data.splits import first_of_each, majority_scores
from rnnbench.data.tokens import ALL_OF_THEM, TokenDataModule, token_tokenizer

Values = np.ndarray[Any, np.dtype[Any]]
OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
END = "]"
WORDS = (*map(str, range(10)), *OPERATORS, END)
"""The symbols: 0 to 9 are digits, then the operators, then the bracket that ends an expression."""
FIRST_OPERATOR, CLOSE = 10, len(WORDS) - 1
MOST_ARGUMENTS = 5
OPERATOR_SHARE = 0.25
"""Of the arguments: they are expressions themselves with this probability."""
DRAWN = 10_000
"""Expressions that are drawn at a time."""


class ListOps(TokenDataModule):
    """The value of an expression of digits and operators, nested in each other (Nangia & Bowman 2018, section 2).

    An expression is `[OP a b … ]` with two to five arguments, their number drawn evenly; an argument is an expression
    with probability 1/4, up to `depth` in each other, and else a digit from 0 to 9. Operators, drawn evenly: `MIN` and
    `MAX`, the smallest and the largest argument; `MED`, the median, of an even number of arguments the mean of the two
    in the middle, rounded down; `SM`, the sum modulo 10. Every value is a digit.

        [MAX 2 9 [MIN 4 7 ] 0 ]   →   9

    Inputs `[B, T]`: ids of the digits, `[MIN` (with its bracket), and so on, and `]`. Targets `[B]`: the value. No
    expression is longer than `longest` symbols, longer ones are drawn anew. All expressions are different, and drawn in
    random order into the three parts. The paper has a depth of up to 20 and no limit of length.

    Args:
        depth: the most operators in each other, at least 1.
        longest: the most symbols of an expression, brackets counted with their operators; at least 4.
        train_size: training expressions; a tenth as many validate, and as many again test (1,000 at least).
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: an argument is too small; when prepared, there are not so many different expressions.
    """

    objective = "classification"
    classes = WORDS[:FIRST_OPERATOR]

    def __init__(
        self,
        depth: int = 5,
        longest: int = 50,
        train_size: int = 50_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        for name, value, least in (("depth", depth, 1), ("longest", longest, 4), ("train_size", train_size, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        check_amount((train_size + 2 * max(1000, train_size // 10)) * longest, f"{train_size=} and {longest=}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.depth, self.longest, self.train_size = depth, longest, train_size

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        tokenizer = token_tokenizer([" ".join(WORDS)], ALL_OF_THEM)
        tokenizer.save(str(folder / "tokenizer.json"))
        ids = np.array([tokenizer.token_to_id(word) for word in WORDS])
        held_out = max(1000, self.train_size // 10)
        symbols, values = self._different(self.train_size + 2 * held_out)
        lengths = (symbols >= 0).sum(1)
        ends = np.cumsum([0, self.train_size, held_out, held_out]).tolist()
        splits: tuple[Split, ...] = ("train", "validation", "test")
        tables: dict[Split, datasets.Dataset] = {}
        for split, (first, last) in zip(splits, pairwise(ends), strict=True):
            rows = [row[:length] for row, length in zip(symbols[first:last], lengths[first:last], strict=True)]
            texts = [" ".join([WORDS[symbol] for symbol in row.tolist()]) for row in rows]
            tables[split] = datasets.Dataset.from_dict(
                {"text": texts, "inputs": [ids[row] for row in rows], "targets": values[first:last]}
            )
        scores = majority_scores(values[: self.train_size], values[-held_out:], len(self.classes))
        return Splits(tables, tokenizer.get_vocab_size(), len(self.classes), "majority class", scores)

    def _different(self, size: int) -> tuple[Values, Values]:
        """So many different expressions in random order, as `draw_expressions` gives them, and their values."""
        random = np.random.default_rng(self.data_seed)
        symbols, values = np.empty((0, self.longest), dtype=np.int8), np.empty(0, dtype=np.int64)
        while len(symbols) < size:
            before = len(symbols)
            drawn = draw_expressions(random, DRAWN, self.depth, self.longest)
            symbols, values = np.concatenate([symbols, drawn[0]]), np.concatenate([values, drawn[1]])
            first = first_of_each(symbols)
            symbols, values = symbols[first], values[first]
            if len(symbols) - before < DRAWN // 100:
                raise ValueError(
                    f"there are too few different expressions of depth={self.depth} and longest={self.longest} for"
                    f" train_size={self.train_size}: {size:,} are needed, {len(symbols):,} were drawn"
                )
        order = random.permutation(size)
        return symbols[order], values[order]


class Level(NamedTuple):
    """The nodes of all trees at one depth, in order: arguments of one parent stand together.

    `kind` is a digit or the number of an operator in `WORDS`; `parent` the place of its operator among those of the
    level above; `arguments` their number, 0 for a digit.
    """

    kind: Values
    parent: Values
    arguments: Values


def draw_expressions(random: np.random.Generator, size: int, depth: int, longest: int) -> tuple[Values, Values]:
    """Symbols `[N, longest]` as numbers in `WORDS`, −1 behind the end, and values `[N]` of random expressions.

    N is at most `size`: expressions longer than `longest` are left out.
    """
    levels = [_level(random, np.arange(size), 1.0)]
    while (levels[-1].arguments > 0).any():
        operators = levels[-1].arguments[levels[-1].arguments > 0]
        share = OPERATOR_SHARE if len(levels) < depth else 0.0
        levels.append(_level(random, np.repeat(np.arange(len(operators)), operators), share))
    values, lengths = _values_and_lengths(levels)
    kept = lengths[0] <= longest
    width = int(lengths[0].max())
    symbols = np.full((size, width), -1, dtype=np.int8)
    tree, start = np.arange(size), np.zeros(size, dtype=np.int64)
    for number, level in enumerate(levels):
        if number:
            before = np.cumsum(lengths[number]) - lengths[number]  # symbols of the level before a node
            first = before[np.flatnonzero(np.diff(level.parent, prepend=-1))]
            tree, start = tree[level.parent], start[level.parent] + 1 + before - first[level.parent]
        symbols[tree, start] = level.kind
        operator = level.arguments > 0
        tree, start = tree[operator], start[operator]
        symbols[tree, start + lengths[number][operator] - 1] = CLOSE
    fitting = np.full((size, longest), -1, dtype=np.int8)
    fitting[:, : min(width, longest)] = symbols[:, :longest]
    return fitting[kept], values[kept]


def _level(random: np.random.Generator, parent: Values, share: float) -> Level:
    size = len(parent)
    operator = random.random(size) < share
    kind = np.where(operator, random.integers(FIRST_OPERATOR, CLOSE, size), random.integers(0, FIRST_OPERATOR, size))
    return Level(kind, parent, np.where(operator, random.integers(2, MOST_ARGUMENTS + 1, size), 0))


def _values_and_lengths(levels: list[Level]) -> tuple[Values, list[Values]]:
    """The values of the first level's nodes; the numbers of symbols of every level's nodes."""
    lengths: list[Values] = []
    values = levels[-1].kind
    for number in range(len(levels) - 1, -1, -1):
        level = levels[number]
        operator = level.arguments > 0
        length, value = np.ones_like(level.kind), level.kind.copy()
        if operator.any():
            below = levels[number + 1].parent
            length[operator] = 2 + np.bincount(below, lengths[0]).astype(np.int64)
            value[operator] = evaluate(level.kind[operator], level.arguments[operator], values)
        lengths.insert(0, length)
        values = value
    return values, lengths


def evaluate(operators: Values, arguments: Values, values: Values) -> Values:
    """The values `[N]` of N operators (numbers in `WORDS`), given their numbers of arguments and all of these."""
    rows = np.repeat(np.arange(len(operators)), arguments)
    places = np.arange(len(values)) - np.repeat(np.cumsum(arguments) - arguments, arguments)
    table = np.full((len(operators), MOST_ARGUMENTS), 10)  # behind all digits
    table[rows, places] = values
    table.sort(axis=1)
    every = np.arange(len(operators))
    median = (table[every, (arguments - 1) // 2] + table[every, arguments // 2]) // 2
    total = np.bincount(rows, values).astype(np.int64) % 10
    return np.choose(operators - FIRST_OPERATOR, [table[:, 0], table[every, arguments - 1], median, total])
