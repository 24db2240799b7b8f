"""Data of single tasks: what is asked, and that no part of the answer leaks from one split into another."""

import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnbench.data import (
    FolkABC,
    JapaneseVowels,
    MNIST5k,
    Parity,
    PortugueseTags,
    SelectiveCopy,
    Shakespeare,
    UCRSeries,
    music,
)
from rnnbench.data import batches as batches_module
from rnnbench.data.batches import StreamOrder, StreamStore
from rnnbench.data.images import read_digits
from rnnbench.data.module import SPLITS, Split
from rnnbench.data.music import incipit, read_tunes
from rnnbench.data.series import FILES, UCRName, read_series
from rnnbench.data.splits import grouped_splits, mean_and_std, random_splits, stratified_splits
from rnnbench.data.stand_ins.archives import wheel
from rnnbench.data.tags import TAGS, read_sentences
from rnnbench.data.tokens import character_tokenizer, text_tokenizer, token_tokenizer
from rnnbench.errors import RnnbenchError

PAIRS: list[tuple[Split, Split]] = [("train", "validation"), ("train", "test"), ("validation", "test")]


def whole(data: Any, split: Split) -> Any:
    data.setup()
    return data.stores[split].batch(range(len(data.stores[split])))


# --- generated


def test_selective_copy_asks_for_the_symbols_in_order_wherever_they_stood() -> None:
    data = SelectiveCopy(12, 200, 16, symbols=4)
    inputs, targets, lengths = whole(data, "train")
    assert lengths is None
    assert inputs.shape == targets.shape == (200, 16)
    assert (inputs[:, 12:] == 9).all()
    assert (targets[:, :12] == -100).all()
    for row, answer in zip(inputs[:, :12].tolist(), targets[:, 12:].tolist(), strict=True):
        assert [symbol - 1 for symbol in row if symbol] == answer
    assert ((inputs[:, :12] > 0).float().mean(0) - 1 / 3).abs().max() < 0.15  # any step is as likely as another


def test_parity_says_after_each_bit_whether_the_ones_are_odd() -> None:
    inputs, targets, _ = whole(Parity(9, 200, 16), "train")
    assert set(inputs.flatten().tolist()) == {1, 2}
    for bits, answer in zip((inputs - 1).tolist(), targets.tolist(), strict=True):
        assert answer == [sum(bits[: step + 1]) % 2 for step in range(9)]
    assert abs(targets.float().mean() - 0.5) < 0.05


# --- cutting


def test_random_parts_hold_everything_once_and_change_with_the_seed() -> None:
    parts = random_splits(100, 0)
    assert [len(parts[split]) for split in SPLITS] == [70, 15, 15]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    assert (random_splits(100, 0)["test"] == parts["test"]).all()
    assert (random_splits(100, 1)["test"] != parts["test"]).any()


def test_stratified_parts_have_the_same_share_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [20, 40, 60])
    parts = stratified_splits(labels, 0)
    assert [np.bincount(labels[parts[split]]).tolist() for split in SPLITS] == [[14, 28, 42], [3, 6, 9], [3, 6, 9]]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(120))


def test_the_items_of_a_group_stay_together() -> None:
    groups = np.random.default_rng(0).integers(0, 40, 400).tolist()
    parts = grouped_splits(groups, 0)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(400))
    assert [abs(len(parts[split]) / 400 - share) < 0.05 for split, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True)]
    for one, other in PAIRS:
        assert not {groups[item] for item in parts[one]} & {groups[item] for item in parts[other]}


def test_moments_leave_out_what_is_missing() -> None:
    mean, deviation = mean_and_std(np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, 7.0]]))
    assert mean.tolist() == [2.0, 6.0]
    assert deviation.tolist() == [1.0, 1.0]


# --- tokens


def test_decoding_inverts_encoding() -> None:
    text = "K:D\n(AB) | c2 ^d'|]"
    characters = character_tokenizer([text])
    ids = characters.encode(text).ids
    assert (ids[0], ids[-1]) == (2, 3)
    assert "".join(characters.id_to_token(one) or "" for one in ids[1:-1]) == text
    words = text_tokenizer(["a good film , a film"], "words", 10)
    assert [words.id_to_token(one) for one in words.encode("A good film, a").ids] == ["a", "good", "film", ",", "a"]
    tokens = token_tokenizer(["Eu sei ."], 10)
    encoded = tokens.encode(["Eu", "sei", "eu", "."], is_pretokenized=True)
    assert [tokens.id_to_token(one) for one in encoded.ids] == ["Eu", "sei", "<unk>", "."]


def test_a_special_token_in_a_text_has_one_id() -> None:
    words = token_tokenizer(["the <unk> of <unk> said <unk> </s>"], 20)
    assert sorted(words.get_vocab().values()) == list(range(7))
    assert words.encode("said <unk>").ids[1] == 1


# --- pictures


@pytest.mark.usefixtures("module_stand_ins")
def test_a_picture_is_in_one_part_and_every_part_has_every_digit() -> None:
    data = MNIST5k("pixels", 16)
    pixels, labels = read_digits(data.sources[0].path)
    assert len(pixels) == 200  # one stood twice
    assert 0 <= pixels.min() < pixels.max() <= 1
    seen = {split: {tuple(row["inputs"]) for row in data.table(split)} for split in SPLITS}
    assert sum(map(len, seen.values())) == 200
    assert not any(seen[one] & seen[other] for one, other in PAIRS)
    counts = [np.bincount(data.table(split)["targets"]).tolist() for split in SPLITS]
    assert counts == [[14] * 10, [3] * 10, [3] * 10]
    assert np.bincount(labels).tolist() == [20] * 10


@pytest.mark.usefixtures("module_stand_ins")
def test_rows_pixels_and_permuted_pixels_are_the_same_pictures() -> None:
    rows, pixels, permuted = (whole(MNIST5k(order, 16), "test") for order in ("rows", "pixels", "permuted"))
    assert rows.inputs.shape == (30, 28, 28)
    assert pixels.inputs.shape == permuted.inputs.shape == (30, 784, 1)
    assert torch.equal(rows.inputs.flatten(1), pixels.inputs.flatten(1))
    assert not torch.equal(permuted.inputs, pixels.inputs)
    assert torch.equal(permuted.inputs.sort(1).values, pixels.inputs.sort(1).values)
    one, other = permuted.inputs[:, :, 0], pixels.inputs[:, :, 0]
    place = (other == one[:, :1]).all(0).nonzero()
    assert len(place) == 1  # one order for all pictures
    assert torch.equal(rows.targets, permuted.targets)


# --- speakers


@pytest.mark.usefixtures("module_stand_ins")
def test_vowels_keep_the_archives_own_test_and_their_lengths() -> None:
    data = JapaneseVowels(16)
    series, speakers = read_series(data.sources[0].path, "TEST")
    inputs, targets, lengths = whole(data, "test")
    assert lengths.tolist() == [len(one) for one in series]
    assert targets.tolist() == speakers.tolist()
    assert np.bincount(data.table("validation")["targets"]).tolist() == [2] * 9
    assert np.bincount(data.table("train")["targets"]).tolist() == [8] * 9
    train = np.concatenate([np.reshape(row["inputs"], (-1, 12)) for row in data.table("train")])
    assert np.allclose(train.mean(0), 0, atol=1e-5)
    assert np.allclose(train.std(0), 1, atol=1e-5)
    assert inputs.shape[2] == 12


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize(
    ("name", "classes"), [("ArrowHead", 3), ("GunPoint", 2), ("ItalyPowerDemand", 2), ("OSULeaf", 6)]
)
def test_a_set_of_the_archive_keeps_its_own_test_and_its_values(name: UCRName, classes: int) -> None:
    data = UCRSeries(name)
    series, labels = read_series(data.sources[0].path, "TEST", name, channels=1)
    inputs, targets, _ = whole(data, "test")
    assert np.allclose(inputs.numpy(), np.stack(series).astype(np.float32))
    assert targets.tolist() == labels.tolist()
    assert np.bincount(data.table("train")["targets"]).tolist() == [8] * classes
    assert np.bincount(data.table("validation")["targets"]).tolist() == [2] * classes
    rows = {tuple(row["inputs"]) for split in SPLITS for row in data.table(split)}
    assert len(rows) == 14 * classes


def test_a_set_that_is_none_of_the_archive_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RnnbenchError, match="GunPiont"):
        UCRSeries("GunPiont")  # type: ignore[arg-type]
    for content, message in (
        ("@data\n1,2:1", "has no line @classLabel"),
        ("@classLabel true 1 2\n@data\n1,2:1\n1,2:3", "series 2 must have 1 channels of one length and one of"),
        ("@classLabel true 1 2\n@data\n1,2:1,2:1", "series 1 must have 1 channels"),
    ):
        path = tmp_path / "aeon.whl"
        path.write_bytes(wheel({FILES.format(name="GunPoint", part="TEST"): content.encode()}))
        with pytest.raises(ValueError, match=message):
            read_series(path, "TEST", "GunPoint", channels=1)


# --- tags


@pytest.mark.usefixtures("module_stand_ins")
def test_sentences_of_one_document_are_in_one_part() -> None:
    data = PortugueseTags(40, 16)
    sentences = read_sentences(data.sources[0].path)
    texts = [tuple(one.words) for one in sentences]
    assert len(texts) == len(set(texts))
    document = {tuple(one.words): one.document for one in sentences}
    seen = {split: {document[tuple(row["words"])] for row in data.table(split)} for split in SPLITS}
    assert not any(seen[one] & seen[other] for one, other in PAIRS)
    assert ("de", "o", "doc7", "corre") in document  # the contraction's parts, not itself


@pytest.mark.usefixtures("module_stand_ins")
def test_every_word_has_its_tag_and_the_table_of_usual_tags_scores_what_is_stated() -> None:
    data = PortugueseTags(40, 16)
    tags: dict[str, Counter[int]] = {}
    for row in data.table("train"):
        assert len(row["words"]) == len(row["inputs"]) == len(row["targets"])
        for word, tag in zip(row["words"], row["targets"], strict=True):
            tags.setdefault(word, Counter())[tag] += 1
    usual = sum(tags.values(), Counter()).most_common(1)[0][0]
    pairs = [pair for row in data.table("test") for pair in zip(row["words"], row["targets"], strict=True)]
    right = [tags.get(word, Counter([usual])).most_common(1)[0][0] == tag for word, tag in pairs]
    assert math.isclose(data.metadata()["baseline_scores"]["accuracy"], sum(right) / len(right))
    assert TAGS[usual] == "NOUN"


# --- tunes


@pytest.mark.usefixtures("module_stand_ins")
def test_a_tune_is_its_metre_unit_key_and_notes_without_name_lyrics_or_comment() -> None:
    tunes = read_tunes(FolkABC.sources[0].path)
    assert len(tunes) == 80  # one stood twice, and one book is not read
    for text in tunes:
        metre, unit, key, first, second = text.split("\n")
        assert (metre, unit, key) == ("M:4/4", "L:1/8", "K:D")
        assert set(first + second) <= set("ABcdef|]")
    assert Counter(tunes.values()).most_common(1)[0][1] == 2


@pytest.mark.usefixtures("module_stand_ins")
def test_tunes_of_one_title_are_in_one_part_and_each_predicts_its_next_character() -> None:
    data = FolkABC(200, 16)
    title = read_tunes(data.sources[0].path)
    seen = {split: {title[row["text"]] for row in data.table(split)} for split in SPLITS}
    assert not any(seen[one] & seen[other] for one, other in PAIRS)
    for row in data.table("test"):
        characters = [data.tokenizer.id_to_token(one) for one in [*row["inputs"], row["targets"][-1]]]
        assert (characters[0], characters[-1]) == ("<s>", "</s>")
        assert "".join(one or "" for one in characters[1:-1]) == row["text"]
        assert row["inputs"][1:] == row["targets"][:-1]


@pytest.mark.usefixtures("module_stand_ins")
def test_a_tune_that_stands_under_two_titles_is_in_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    tunes = {text: str(number) for number, text in enumerate(read_tunes(FolkABC.sources[0].path))}  # all titles differ
    again = {f"{text.replace('K:D', 'K:Dmix')}|": f"{title} again" for text, title in tunes.items()}
    monkeypatch.setattr(music, "read_tunes", lambda _: tunes | again)
    seen = {split: set(map(incipit, FolkABC(200, 16, data_seed=1).table(split)["text"])) for split in SPLITS}
    assert not any(seen[one] & seen[other] for one, other in PAIRS)


def test_an_incipit_is_the_first_notes_whatever_their_octave_length_or_ornament() -> None:
    assert incipit('M:3/4\nK:G\n|:"Am"{/g}a2 B,>c !trill!(3d\'e^f|\nz4 G:|') == "abcdefg"
    assert incipit("K:C\n" + 30 * "cd") == 12 * "cd"


@pytest.mark.usefixtures("module_stand_ins")
def test_frequencies_of_characters_score_the_stated_bits() -> None:
    data = FolkABC(200, 16)
    counts = Counter(token for row in data.table("train") for token in row["targets"])
    size = data.metadata()["output_size"]
    tokens = [token for row in data.table("test") for token in row["targets"]]
    bits = [-math.log2((counts[token] + 1) / (counts.total() + size)) for token in tokens]
    assert math.isclose(data.metadata()["baseline_scores"]["bits_per_character"], sum(bits) / len(bits), rel_tol=1e-9)


@pytest.mark.usefixtures("module_stand_ins")
def test_a_tune_longer_than_the_limit_is_left_out() -> None:
    lengths = sorted(len(row["text"]) for split in SPLITS for row in FolkABC(200, 16).table(split))
    limit = lengths[len(lengths) // 2]
    kept = sorted(len(row["text"]) for split in SPLITS for row in FolkABC(limit, 16).table(split))
    assert kept == [length for length in lengths if length <= limit]
    assert all(one <= other for one, other in pairwise(kept))


# --- streams


def test_pieces_of_a_stream_put_together_are_the_stream_and_ask_for_every_token_once() -> None:
    store = StreamStore(torch.arange(1, 30), rows=3, steps=4, unknown=-100)
    pieces = [store.piece(k) for k in range(store.pieces)]
    assert [piece.continues for piece in pieces] == [False, True, True]
    inputs, targets = (torch.cat([getattr(piece, name) for piece in pieces], 1) for name in ("inputs", "targets"))
    assert inputs.shape == (3, 10)
    known = targets.flatten()[targets.flatten() >= 0]
    assert known.tolist() == list(range(2, 30))
    assert torch.equal(inputs.flatten()[:28], torch.arange(1, 29))
    assert (targets.flatten()[28:] == -100).all()


def test_processes_share_the_rows_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    store = StreamStore(torch.arange(41), rows=4, steps=5, unknown=-100)
    both = store.piece(1)
    for rank in range(2):
        monkeypatch.setattr(batches_module, "_process", lambda rank=rank: (rank, 2))
        share = store.batch(list(StreamOrder(store).batches())[1])
        assert share.continues
        assert torch.equal(share.inputs, both.inputs[rank::2])
        assert torch.equal(share.targets, both.targets[rank::2])


@pytest.mark.usefixtures("module_stand_ins")
def test_a_play_is_in_one_part() -> None:
    data = Shakespeare("characters", 40, 7, 4)
    data.setup()
    name = data.tokenizer.id_to_token
    text = {split: "".join(name(one) or "" for one in data.stream(split).tolist()) for split in SPLITS}
    plays = {split: set(re.findall(r"# Play (\d+)\n", text[split])) for split in SPLITS}
    assert [len(plays[split]) for split in SPLITS] == [14, 3, 3]
    assert not any(plays[one] & plays[other] for one, other in PAIRS)
    assert "*" not in text["train"]


@pytest.mark.usefixtures("module_stand_ins")
def test_words_are_lower_cased_lines_end_and_rare_words_are_unknown() -> None:
    data = Shakespeare("words", 14, 7, 4)
    data.setup()
    tokens = [data.tokenizer.id_to_token(one) for one in data.stream("train").tolist()]
    assert tokens.count("<s>") == 14
    assert tokens.count("</s>") == 14 * 121  # a title, a direction, sixty speakers and as many lines; the last is open
    assert {"thou", "king", "fool"} <= set(tokens)
    assert "<unk>" in tokens
    assert not {"King", "<", "/", "**"} & set(tokens)
    assert data.model_kwargs()["objective"] == "language_model"
