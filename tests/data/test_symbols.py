"""Grammars: legal next symbols against the plainest programs, and strings that never meet."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnbench import data
from rnnbench.config.grid import GridSpec
from rnnbench.data.module import SPLITS
from rnnbench.data.reber import SYMBOLS
from rnnbench.data.symbols import SymbolPrediction
from rnnbench.harness.preflight import check

REBER = {
    0: {"B": 1}, 1: {"T": 2, "P": 3}, 2: {"S": 2, "X": 4}, 3: {"T": 3, "V": 5}, 4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6}, 6: {"E": 7},
}  # fmt: skip


def rows(module: SymbolPrediction, split: Any) -> list[tuple[str, list[set[str]]]]:
    """The strings of a split, and the legal next symbols at each step."""
    table, result = module.table(split), []
    for tokens, targets in zip(table["inputs"][:], table["targets"][:], strict=True):
        legal = np.array(targets).reshape(len(tokens), len(module.symbols))
        assert set(np.unique(legal)) <= {0, 1}
        sets = [{module.symbols[k] for k in np.flatnonzero(step)} for step in legal]
        result.append(("".join(module.symbols[token - 1] for token in tokens), sets))
    return result


def reber(symbols: str, outer: str) -> set[str]:
    """What may come next after some symbols of an embedded Reber string whose second symbol is `outer`."""
    state = 0
    for number, symbol in enumerate(symbols):
        state = REBER[state][symbol]
        if state == 7:
            return [{outer}, {"E"}, {"B"}][len(symbols) - number - 1]
    return set(REBER[state])


def legal_reber(string: str) -> set[str]:
    return {"T", "P"} if string == "B" else reber(string[2:], string[1])


def closes(string: str, pairs: str) -> bool:
    while any(pair in string for pair in (pairs[:2], pairs[2:]) if pair):
        for pair in (pairs[:2], pairs[2:]):
            string = string.replace(pair, "") if pair else string
    return not string


def test_a_string_of_as_many_b_as_a_ends_when_they_are_as_many() -> None:
    module = data.AnBn(5, 200, test_lengths=[6, 9, 3])
    for split, lengths in (("train", {1, 2, 3, 4, 5}), ("test", {6, 9})):
        strings = rows(module, split)
        assert {string.count("a") for string, _ in strings} == lengths
        for string, legal in strings:
            assert string == "S" + "a" * string.count("a") + "b" * string.count("a")
            for step, symbols in enumerate(legal):
                a, b = (string[: step + 1].count(letter) for letter in "ab")
                assert symbols == ({"T"} if a == b > 0 else {"b"} if b else {"a", "b"} if a else {"a"})
    assert [len(batch.inputs) for loader in module.test_dataloader().values() for batch in loader] == [1, 1]


@pytest.mark.parametrize(("cls", "pairs"), [(data.Dyck1, "()"), (data.Dyck2, "()[]")])
def test_brackets_close_what_is_open(cls: type[Any], pairs: str) -> None:
    module = cls(8, 200, test_lengths=[10, 14, 4])
    assert {*map(len, module.table("train")["inputs"])} == {*map(len, module.table("validation")["inputs"])}
    assert {*map(len, module.table("train")["inputs"])} == {2, 4, 6, 8}
    assert {*map(len, module.table("test")["inputs"])} == {10, 14}
    partner = dict(zip(pairs[::2], pairs[1::2], strict=True))
    for string, legal in rows(module, "train")[:100] + rows(module, "test")[:100]:
        assert closes(string, pairs)
        stack: list[str] = []
        for symbol, symbols in zip(string, legal, strict=True):
            stack = [*stack, symbol] if symbol in partner else stack[:-1]
            assert symbols == {*partner, *(partner[top] for top in stack[-1:])}


def test_every_well_formed_string_is_as_likely_as_another() -> None:
    module = data.Dyck2(6)
    strings, _ = module.string(np.random.default_rng(0), 20_000, 6)
    drawn, counts = np.unique(strings, axis=0, return_counts=True)
    words = {"".join(word) for word in product("([)]", repeat=6) if closes("".join(word), "()[]")}
    assert {"".join(module.symbols[symbol] for symbol in row) for row in drawn} == words
    assert len(words) == 5 * 8
    assert np.abs(counts / 20_000 - 1 / 40).max() < 0.005


def test_strings_of_the_embedded_grammar_are_all_different() -> None:
    module = data.EmbeddedReber(100)
    strings = [rows(module, split) for split in SPLITS]
    assert [*map(len, strings)] == [100] * 3
    everything = [string for some in strings for string, _ in some]
    assert len({*everything}) == 300
    assert min(map(len, everything)) == 8  # the shortest has nine symbols, of which the last is no input
    for string, legal in strings[0] + strings[2]:
        assert legal == [legal_reber(string[: step + 1]) for step in range(len(string))]
        assert legal[-1] == {"E"}
        assert string[1] == string[-1]


def test_a_stream_goes_on_with_the_next_string() -> None:
    module = data.ContinualReber(60, 50, test_lengths=[90, 90, 1])
    streams = rows(module, "train")
    assert {len(stream) for stream, _ in streams} == {60}
    assert [len(stream) for stream, _ in rows(module, "test")] == [90] * 10
    for stream, legal in streams:
        begin = 0
        for step, symbols in enumerate(legal):
            assert symbols == legal_reber(stream[begin : step + 1])
            if symbols == {"B"} and step > begin + 1:  # not that of the inner string
                begin = step + 1
    assert {stream[:2] for stream, _ in streams} == {"BT", "BP"}
    assert set("".join(stream for stream, _ in streams)) == set(SYMBOLS)


def test_the_baseline_predicts_what_is_commonest_after_the_last_symbol() -> None:
    module = data.Dyck1(8, 400, test_lengths=[10, 12, 2])
    after = {symbol: [] for symbol in "()"}  # type: dict[str, list[str]]
    for string, legal in rows(module, "train"):
        for symbol, symbols in zip(string, legal, strict=True):
            after[symbol].append("".join(sorted(symbols)))
    best = {symbol: max(set(sets), key=sets.count) for symbol, sets in after.items()}
    right = [
        [best[symbol] == "".join(sorted(symbols)) for symbol, symbols in zip(string, legal, strict=True)]
        for string, legal in rows(module, "test")
    ]
    halves = right[:100], right[100:]
    expected = {
        "accuracy": np.mean([np.mean(np.concatenate(half)) for half in halves]),
        "exact_match": np.mean([np.mean([all(row) for row in half]) for half in halves]),
    }
    assert module.metadata()["baseline_scores"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("arguments", [{"length": 7}, {"length": 6, "test_lengths": [8, 12, 1]}])
def test_lengths_of_no_string_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be even, as brackets come in pairs, got"):
        data.Dyck2(**arguments)


def test_a_grid_with_lengths_of_no_string_is_refused_before_training() -> None:
    content = {"name": "g", "architectures": ["gru"], "tasks": ["dyck-1"], "lengths": "53:60:1"}
    with pytest.raises(Exception, match="test_lengths must be even"):
        check(GridSpec.read(content, "test").expand())


def test_no_strings_are_refused() -> None:
    with pytest.raises(ValueError, match="train_size must be at least 1"):
        data.EmbeddedReber(0)


def test_data_is_drawn_from_its_seed(tmp_path: Path) -> None:
    first, same, other = (rows(data.EmbeddedReber(20, data_seed=seed), "test") for seed in (0, 0, 1))
    assert first == same
    assert first != other
