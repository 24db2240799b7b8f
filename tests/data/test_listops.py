"""ListOps: values against the plainest program that reads an expression, limits, and parts that share nothing."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from rnnbench.data import ListOps
from rnnbench.data.listops import MOST_ARGUMENTS, WORDS, draw_expressions
from rnnbench.data.module import SPLITS


def value_of(words: list[str]) -> tuple[int, int]:
    """Value and depth of the expression with which a list of words begins; its words are taken out."""
    word = words.pop(0)
    if word.isdigit():
        return int(word), 0
    values, depths = [], []
    while words[0] != "]":
        value, depth = value_of(words)
        values.append(value)
        depths.append(depth)
    words.pop(0)
    assert 2 <= len(values) <= MOST_ARGUMENTS
    ordered, half = sorted(values), len(values) // 2
    median = ordered[half] if len(values) % 2 else int((ordered[half - 1] + ordered[half]) / 2)
    return {"[MIN": ordered[0], "[MAX": ordered[-1], "[MED": median, "[SM": sum(values) % 10}[word], 1 + max(depths)


@pytest.mark.parametrize(("depth", "longest"), [(1, 7), (2, 12), (4, 40), (6, 200)])
def test_a_value_is_what_the_plainest_program_gives(depth: int, longest: int) -> None:
    symbols, values = draw_expressions(np.random.default_rng(depth), 400, depth, longest)
    assert symbols.shape[1] == longest
    seen, depths, lengths = set(), set(), set()
    for row, value in zip(symbols.tolist(), values.tolist(), strict=True):
        words = [WORDS[symbol] for symbol in row if symbol >= 0]
        assert [symbol for symbol in row if symbol < 0] == row[len(words) :]
        seen |= {*words}
        lengths.add(len(words))
        expected, nested = value_of(words)
        assert not words  # nothing behind the expression
        assert value == expected
        depths.add(nested)
    assert seen == set(WORDS)
    assert depths == set(range(1, depth + 1))
    assert 4 <= min(lengths) <= max(lengths) <= longest


def test_operators_arguments_and_digits_are_as_likely_as_the_definition_says() -> None:
    symbols, _ = draw_expressions(np.random.default_rng(0), 20_000, 2, 30)
    inside = symbols[:, 1:]
    operators = ((inside >= 10) & (inside < 14)).sum()
    arguments = operators + ((inside >= 0) & (inside < 10)).sum() - _arguments_of_inner(symbols)
    assert operators / arguments == pytest.approx(0.25, abs=0.01)
    assert np.bincount(symbols[:, 0])[10:] / len(symbols) == pytest.approx([0.25] * 4, abs=0.02)


def _arguments_of_inner(symbols: np.ndarray) -> int:
    """Digits that stand in an inner operator, of expressions of depth 2."""
    inner = np.cumsum((symbols >= 10) & (symbols < 14), axis=1) - np.cumsum(symbols == 14, axis=1) == 2
    return int((inner & (symbols >= 0) & (symbols < 10)).sum())


def test_no_expression_is_in_two_parts_or_twice_in_one() -> None:
    data = ListOps(depth=2, longest=20, train_size=2000)
    texts = {split: data.table(split)["text"][:] for split in SPLITS}
    assert [len(set(texts[split])) for split in SPLITS] == [2000, 1000, 1000]
    for one, other in itertools.combinations(SPLITS, 2):
        assert not set(texts[one]) & set(texts[other])
    for row in data.table("test"):
        assert data.tokenizer.encode(row["text"]).ids == row["inputs"]
        assert value_of(row["text"].split())[0] == row["targets"]
    majority = np.bincount(data.table("train")["targets"]).argmax()
    share = float(np.mean(np.array(data.table("test")["targets"]) == majority))
    assert data.metadata()["baseline_scores"]["accuracy"] == pytest.approx(share)


@pytest.mark.parametrize("name", ["depth", "longest", "train_size"])
def test_what_no_expression_fits_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        ListOps(**{name: 0})


def test_more_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too few different expressions of depth=1 and longest=4"):
        ListOps(depth=1, longest=4, train_size=1000).build_splits(tmp_path)
