"""Translation: pairs of sentences in two languages."""

import json
import re
import zipfile
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import datasets
import numpy as np
from num2words import num2words
from tokenizers import Tokenizer

from rnnbench.data.hub import HubDataModule, read_hub
from rnnbench.data.module import Split, Splits, check_amount
from rnnbench.data.splits import (
    SplitRows,
    complete_splits,
    connected_groups,
    grouped_splits,
    random_splits,
    stratified_group_splits,
)
from rnnbench.data.tables import check_reading, read_user_text
from rnnbench.data.tokens import TokenDataModule, check_vocabulary, sentence_tokenizer
from rnnbench.data.user_files import UserFiles
from rnnbench.errors import RnnbenchError
from rnnbench.objectives.text_metrics import corpus_scores
from rnnbench.utils.download import Source
from rnnbench.utils.files import expand_home

WORD = re.compile(r"\w+|[^\w\s]")
MARKUP = re.compile(r"[{}\[\]()<>*`\\/|@#]|https?:")
FILE = re.compile(r"homeassistant/components/[^/]+/translations/en\.json")
Language = Literal["ca", "es", "fr"]


class SentencePair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


class Translation(TokenDataModule):
    """Sentences and their translations, as `pairs` reads them.

    Inputs `[B, T]`: ids of the source's lower-cased words and punctuation marks, then `</s>`; targets `[B, U]`: those
    of the translation, then `</s>`, padded with −100. Each language has its own tokenizer, counted on the training part
    (`tokenizer.json`, `target.json`), with `<pad>` 0, `<unk>` 1, `<s>` 2, `</s>` 3. A decoder stops after twice the
    words of the longest translation in the training part.

    Args:
        vocabulary_size: words of each language to know, with the four special ones, at least 5.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `vocabulary_size` is too small.
    """

    objective = "sequence_to_sequence"
    variable_length_targets = True
    unknown = -100

    def __init__(
        self, vocabulary_size: int = 10_000, batch_size: int = 64, data_seed: int = 0, shuffle_seed: int = 0
    ) -> None:
        check_vocabulary(vocabulary_size)
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.vocabulary_size = vocabulary_size

    @abstractmethod
    def pairs(self) -> dict[Split, list[SentencePair]]:
        """The three parts."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = self.pairs()
        source, target = (
            sentence_tokenizer((pair[side] for pair in parts["train"]), self.vocabulary_size) for side in (0, 1)
        )
        source.save(str(folder / "tokenizer.json"))
        target.save(str(folder / "target.json"))
        tables = {split: _table(source, target, some) for split, some in parts.items()}
        scores = corpus_scores(
            [
                _written(source, pair.source) for pair in parts["test"]
            ],  # in their own letters: an unknown word never matches
            [" ".join(target.encode(pair.target).tokens[:-1]) for pair in parts["test"]],
        )
        longest = max(map(len, tables["train"]["targets"]))
        options = {"tokenizer": target.to_str(), "max_length": 2 * longest}
        sizes = source.get_vocab_size(), target.get_vocab_size()
        return Splits(tables, *sizes, "the source, copied", scores, options)


class ParallelText(UserFiles, Translation):
    """Sentences of the user and their translations: two files, a sentence a line, line by line the same.

    Files may be packed with gzip. 70 : 15 : 15, drawn from `data_seed`; pairs that differ by nothing but digits and
    punctuation on one side are in one part. All else as in `Translation`.

    Args:
        source: path of the sentences.
        target: path of their translations.
        vocabulary_size: words of each language to know, with the four special ones, at least 5.
        encoding: of both files.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        RnnbenchError: an unknown encoding; when prepared, a file that cannot be read, an empty line, or files of
            different numbers of lines.
        ValueError: `vocabulary_size` is too small.
    """

    file_args = ("source", "target")

    def __init__(
        self,
        source: str,
        target: str,
        vocabulary_size: int = 10_000,
        encoding: str = "utf-8",
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        check_reading(encoding)
        super().__init__(vocabulary_size, batch_size, data_seed, shuffle_seed)
        self.source, self.target, self.encoding = expand_home(source), expand_home(target), encoding

    def pairs(self) -> dict[Split, list[SentencePair]]:  # noqa: D102
        sources, targets = (_sentences(Path(path), self.encoding) for path in (self.source, self.target))
        if len(sources) != len(targets):
            raise RnnbenchError(
                f"{self.source} has {len(sources)} lines, {self.target} {len(targets)}: line by line they must be the "
                "same sentences"
            )
        pairs = list(map(SentencePair, sources, targets))
        return complete_splits({"train": pairs}, partial(similar_pairs, seed=self.data_seed))


def similar_pairs(pairs: Sequence[SentencePair], cuts: tuple[float, float], seed: int) -> SplitRows:
    """Pairs drawn for three parts: those that differ by nothing but digits and punctuation on one side in one part."""
    groups = connected_groups([tuple(_letters(side) or side for side in pair) for pair in pairs])
    return stratified_group_splits(groups, [""] * len(pairs), seed, cuts)


def _sentences(path: Path, encoding: str) -> list[str]:
    lines = read_user_text(path, encoding).rstrip("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise RnnbenchError(f"{path}, line {number} is empty")
    return [line.strip().lower() for line in lines]


class InterfaceStrings(Translation):
    """Sentences of the interface of Home Assistant in English, and their translations by its community.

    All strings of 3 to 20 words without placeholders, markup or addresses, each once, with its most frequent
    translation. 70 : 15 : 15, drawn from `data_seed`; strings that differ by nothing but digits and punctuation, or
    whose translations do, are in one part.

    Args:
        language: of the translation, `ca`, `es` or `fr`.
        vocabulary_size: this and all others see `Translation`.

    Raises:
        ValueError: an unknown language, or `vocabulary_size` is too small.
    """

    sources = (
        Source(
            "homeassistant",
            "2024.3.3",
            "homeassistant-2024.3.3-py3-none-any.whl",
            "6e1ec2c07441d63fdcfb8acd2c4bbb6f68bc97330855784d3623d10c38fe3577",
            "Apache-2.0",
        ),
    )

    def __init__(
        self,
        language: Language = "es",
        vocabulary_size: int = 10_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if language not in ("ca", "es", "fr"):
            raise ValueError(f"language must be ca, es or fr, got {language!r}")
        super().__init__(vocabulary_size, batch_size, data_seed, shuffle_seed)
        self.language = language

    def pairs(self) -> dict[Split, list[SentencePair]]:  # noqa: D102
        pairs = read_strings(self.sources[0].fetch(), self.language)
        groups = connected_groups([tuple(map(_letters, pair)) for pair in pairs])
        return _parted(pairs, grouped_splits(groups, self.data_seed))


class NumberWords(Translation):
    """Numbers from 0 to `largest` in the words of one language, and of another: an exact toy.

    `size` different numbers, 70 : 15 : 15, drawn from `data_seed`.

    Args:
        source: language of the inputs, as num2words names it.
        target: language of the translation.
        size: numbers in all parts together.
        largest: the largest number.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: fewer numbers than asked for, or an unknown language.
    """

    def __init__(
        self,
        source: str = "en",
        target: str = "es",
        size: int = 5000,
        largest: int = 99_999,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if not 10 <= size <= largest + 1:
            raise ValueError(f"size must be at least 10 and at most largest + 1 = {largest + 1}, got {size}")
        check_amount(largest, f"{largest=}")
        for language in (source, target):
            try:
                num2words(1, lang=language)
            except NotImplementedError as error:
                raise ValueError(f"{language!r} is not a language of num2words") from error
        super().__init__(1000, batch_size, data_seed, shuffle_seed)
        self.source, self.target, self.size, self.largest = source, target, size, largest

    def pairs(self) -> dict[Split, list[SentencePair]]:  # noqa: D102
        numbers = np.random.default_rng(self.data_seed).choice(self.largest + 1, self.size, replace=False).tolist()
        words = [SentencePair(num2words(one, lang=self.source), num2words(one, lang=self.target)) for one in numbers]
        return _parted(words, random_splits(len(words), self.data_seed))


class Multi30k(HubDataModule, Translation):
    """Captions of pictures in English and German (Elliott et al. 2016), by its own split.

    Args:
        path: a data set on the hub, or a folder of the same layout: splits `train`, `validation` and `test` with a
            column for each language.
        source: column of the inputs.
        target: column of the translation.
        vocabulary_size: this and all others see `Translation`.

    Raises:
        DataUnavailable: the hub cannot be reached.
        RnnbenchError: a split or a column is missing, or a row is empty.
    """

    def __init__(
        self,
        path: str = "bentrevett/multi30k",
        source: str = "en",
        target: str = "de",
        vocabulary_size: int = 10_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        super().__init__(vocabulary_size, batch_size, data_seed, shuffle_seed)
        self.path, self.source, self.target = expand_home(path), source, target

    def pairs(self) -> dict[Split, list[SentencePair]]:  # noqa: D102
        columns = {self.source: str, self.target: str}
        return {
            split: [SentencePair(row[self.source].lower(), row[self.target].lower()) for row in rows]
            for split, rows in read_hub(self.path, columns).items()
        }


def read_strings(archive: Path, language: Language) -> list[SentencePair]:
    """English strings and their most frequent translation, in the order of the alphabet."""
    translations: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with zipfile.ZipFile(archive) as wheel:
        names = set(wheel.namelist())
        for name in filter(FILE.fullmatch, names):
            other = name.replace("en.json", f"{language}.json")
            if other not in names:
                continue
            ours, theirs = (dict(_leaves(json.loads(wheel.read(one)))) for one in (name, other))
            for key in ours.keys() & theirs.keys():
                pair = SentencePair(ours[key].strip().lower(), theirs[key].strip().lower())
                if pair.source != pair.target and all(map(_plain, pair)):
                    translations[pair.source][pair.target] += 1
    # the most frequent, and of those as frequent the first in the order of the alphabet
    return [
        SentencePair(source, min(translations[source], key=lambda one: (-translations[source][one], one)))
        for source in sorted(translations)
    ]


def _leaves(tree: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        elif isinstance(value, str):
            yield (*above, key), value


def _plain(text: str) -> bool:
    return not MARKUP.search(text) and 3 <= len(WORD.findall(text)) <= 20


def _letters(text: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+", text))


def _written(tokenizer: Tokenizer, text: str) -> str:
    """The words and punctuation marks of a text, in small letters, known or not."""
    return " ".join(text[start:end].lower() for start, end in tokenizer.encode(text).offsets[:-1])


def _parted(pairs: list[SentencePair], parts: SplitRows) -> dict[Split, list[SentencePair]]:
    return {split: [pairs[row] for row in rows] for split, rows in parts.items()}


def _table(source: Tokenizer, target: Tokenizer, pairs: list[SentencePair]) -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {
            "source": [pair.source for pair in pairs],
            "target": [pair.target for pair in pairs],
            "inputs": [one.ids for one in source.encode_batch([pair.source for pair in pairs])],
            "targets": [one.ids for one in target.encode_batch([pair.target for pair in pairs])],
        }
    )
