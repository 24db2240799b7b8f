"""Sentences and other texts with a class each, in an order: sentiment."""

import io
import tarfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import datasets
import numpy as np
from tokenizers import Encoding

from rnnbench.data.hub import HubDataModule, read_hub
from rnnbench.data.module import SPLITS, Split, Splits
from rnnbench.data.splits import (
    SplitRows,
    complete_splits,
    connected_groups,
    majority_scores,
    random_splits,
    stratified_group_splits,
)
from rnnbench.data.tables import Table, check_reading, class_order, read_table
from rnnbench.data.tokens import TokenDataModule, Tokens, check_tokens, text_tokenizer, unknown_rate
from rnnbench.data.user_files import NamedClasses, UserFiles, write_classes
from rnnbench.errors import RnnbenchError
from rnnbench.objectives.special_tokens import UNKNOWN_ID
from rnnbench.utils.download import Source
from rnnbench.utils.files import expand_home


class LabelledText(NamedTuple):
    """A text, its class, and the file and row where it stands, for error messages."""

    text: str
    label: int
    where: str


Texts = dict[Split, list[LabelledText]]


class TextClassification(TokenDataModule):
    """Texts of classes in an order, as `texts` reads them.

    Inputs `[B, T]`: ids of the text's tokens, the most frequent of the training part; 0 is `<pad>`, 1 is `<unk>`.
    Targets `[B]`: the class. Nothing is cut off: a text that is too long is refused, with the file and row where it
    stands, and so are a text of the training part without any known token, a part without texts, a training part of
    one class, and a class that the training part lacks. A text of the other parts may be all `<unk>`, if it has any
    token: that is what a model meets.

    Args:
        vocabulary_size: tokens to know, with the four special ones, at least 5.
        max_length: the most tokens of a text.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        tokens: `words` (in small letters), `characters`, `ngrams` or `bpe`; see `rnnbench.data.tokens.text_tokenizer`.
        ngram: characters of an n-gram; for `ngrams` alone.

    Raises:
        RnnbenchError: unknown `tokens`; when prepared, what is refused of the texts.
        ValueError: an argument is out of range.
    """

    objective = "ordinal_classification"
    classes: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        vocabulary_size: int = 5000,
        max_length: int = 64,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        tokens: Tokens = "words",
        ngram: int = 3,
    ) -> None:
        check_tokens(tokens, vocabulary_size, ngram)
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.vocabulary_size, self.max_length, self.tokens, self.ngram = vocabulary_size, max_length, tokens, ngram

    @abstractmethod
    def texts(self) -> Texts:
        """The three parts."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = self.texts()
        check_classes(parts, self.classes)
        train = [one.text for one in parts["train"]]
        tokenizer = text_tokenizer(train, self.tokens, self.vocabulary_size, self.ngram)
        tokenizer.save(str(folder / "tokenizer.json"))
        encoded = {split: tokenizer.encode_batch([one.text for one in some]) for split, some in parts.items()}
        for split, some in parts.items():
            check_encoded(some, encoded[split], self.max_length, split == "train")
        tables = {split: self._table(some, encoded[split]) for split, some in parts.items()}
        labels = {split: np.array([one.label for one in some]) for split, some in parts.items()}
        scores = majority_scores(labels["train"], labels["test"], len(self.classes))
        scores |= {"quadratic_kappa": 0.0} if self.objective == "ordinal_classification" else {}
        scores["unk_rate"] = unknown_rate(one.ids for one in encoded["test"])
        return Splits(tables, tokenizer.get_vocab_size(), len(self.classes), "majority class", scores)

    def _table(self, some: list[LabelledText], encoded: Sequence[Encoding]) -> datasets.Dataset:
        features = datasets.Features({
            "text": datasets.Value("string"),
            "inputs": datasets.Sequence(datasets.Value("int32")),
            "targets": datasets.ClassLabel(names=list(self.classes)),
        })  # fmt: skip
        columns = {"text": [one.text for one in some], "targets": [one.label for one in some]}
        return datasets.Dataset.from_dict({**columns, "inputs": [one.ids for one in encoded]}, features=features)


class LabelledTables(NamedClasses, TextClassification):  # type: ignore[override]
    """Texts and their classes in tables that `tables` reads, see `TextCSV` for all arguments."""

    def __init__(
        self,
        text: str,
        label: str,
        ordered: bool,
        group: str | None,
        split: str | None,
        tokens: Tokens,
        vocabulary_size: int,
        max_length: int,
        ngram: int,
        batch_size: int,
        data_seed: int,
        shuffle_seed: int,
    ) -> None:
        super().__init__(vocabulary_size, max_length, batch_size, data_seed, shuffle_seed, tokens, ngram)
        if text == label:
            raise RnnbenchError(f"text and label are both the column {text!r}: an answer may not be an input")
        self.text, self.label, self.ordered, self.group, self.split = text, label, ordered, group, split

    @property
    def objective(self) -> str:  # type: ignore[override]
        """`classification`, or `ordinal_classification` if the classes are ordered."""
        return "ordinal_classification" if self.ordered else "classification"

    @abstractmethod
    def tables(self) -> Mapping[Split, Table]:
        """The tables of the parts; of a part that is missing, rows are taken from the training part."""

    def texts(self) -> Texts:  # noqa: D102
        tables = self.tables()
        rows = {split: self._rows(table) for split, table in tables.items()}
        if self.split is not None and set(tables) == {"train"}:
            parts: dict[Split, list[_Row]] = {}
            for row, split in zip(rows["train"], tables["train"].parts(self.split), strict=True):
                parts.setdefault(split, []).append(row)
            if "train" not in parts:
                raise RnnbenchError(f"{tables['train'].name}: column {self.split!r} names no row as train")
            rows = parts
        rows = complete_splits(rows, self._divide)
        named = tables["train"].class_names.get(self.label)
        names = list(named or class_order([row.label for some in rows.values() for row in some]))
        self.classes = tuple(names)
        number = {name: place for place, name in enumerate(names)}
        return {
            split: [LabelledText(row.text, number[row.label], row.where) for row in some]
            for split, some in rows.items()
        }

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        splits = super().build_splits(folder)
        write_classes(folder, self.classes)
        return splits

    def _rows(self, table: Table) -> list["_Row"]:
        texts, labels = table.texts(self.text), table.texts(self.label)
        groups = table.texts(self.group) if self.group else [str(row) for row in range(len(table))]
        where = map(table.where, range(len(table)))
        return list(map(_Row, texts, labels, groups, where))

    def _divide(self, rows: Sequence["_Row"], cuts: tuple[float, float]) -> SplitRows:
        """The same text, and the rows of a group, in one part; each class cut by itself."""
        groups = connected_groups([(row.group, " ".join(row.text.lower().split())) for row in rows])
        return stratified_group_splits(groups, [row.label for row in rows], self.data_seed, cuts)


class _Row(NamedTuple):
    text: str
    label: str
    group: str
    where: str


class TextCSV(UserFiles, LabelledTables):  # type: ignore[override]
    """Texts of the user, each with a class: a row of a table for each.

    The file is CSV with a header (maybe packed with gzip) or Parquet. Inputs, targets and what is refused are those of
    `TextClassification`. 70 : 15 : 15, drawn from `data_seed`, each class by itself: the same text twice, and the rows
    of a group, are in one part.

    Args:
        path: of the file.
        text: column of the texts.
        label: column of the classes.
        ordered: whether the classes are in an order, that of their numbers or of the alphabet: the objective is then
            `ordinal_classification`, else `classification`.
        group: column of what must not be divided among the parts: an author, a document.
        split: column that says `train`, `validation` or `test` in every row; what it lacks is drawn.
        tokens: `words` (in small letters), `characters`, `ngrams` or `bpe`; see `rnnbench.data.tokens.text_tokenizer`.
        vocabulary_size: tokens to know, with the four special ones, at least 5.
        max_length: the most tokens of a text; a longer one is refused, never cut.
        encoding: of the text.
        delimiter: between fields; by default that of `,` `;` tab and `|` that is most frequent in the header.
        quote: around fields that have a delimiter in them.
        ngram: characters of an n-gram; for `ngrams` alone.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        RnnbenchError: unknown `tokens` or encoding; when prepared, what is wrong in the file, by its line.
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        path: str,
        text: str,
        label: str,
        ordered: bool = False,
        group: str | None = None,
        split: str | None = None,
        tokens: Tokens = "words",
        vocabulary_size: int = 10_000,
        max_length: int = 1000,
        encoding: str = "utf-8",
        delimiter: str | None = None,
        quote: str = '"',
        ngram: int = 3,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        check_reading(encoding, delimiter, quote)
        super().__init__(
            text, label, ordered, group, split, tokens, vocabulary_size, max_length, ngram, batch_size, data_seed,
            shuffle_seed,
        )  # fmt: skip
        self.path, self.encoding, self.delimiter, self.quote = expand_home(path), encoding, delimiter, quote

    def tables(self) -> Mapping[Split, Table]:  # noqa: D102
        return {"train": read_table(Path(self.path), self.encoding, self.delimiter, self.quote)}


def check_classes(parts: Texts, classes: Sequence[str]) -> None:
    """Refuse a training part with nothing to learn, and other parts with classes that are not in training.

    Raises:
        RnnbenchError: a part without texts, a label out of range, one class in training, a class that is not in it.
    """
    for split in SPLITS:
        if not parts[split]:
            raise RnnbenchError(f"the {split} part has no texts")
        for one in parts[split]:
            if not 0 <= one.label < len(classes):
                raise RnnbenchError(f"{one.where}: label must be from 0 to {len(classes) - 1}, got {one.label}")
    known = {one.label for one in parts["train"]}
    first, *others = parts["train"]
    if len(known) == 1:
        raise RnnbenchError(
            f"every text of the training part is of class {first.label} ({classes[first.label]}), from {first.where}"
            f" to {[first, *others][-1].where}: there is nothing to tell apart"
        )
    for one in (*parts["validation"], *parts["test"]):
        if one.label not in known:
            raise RnnbenchError(f"{one.where}: class {one.label} ({classes[one.label]}) is never seen in training")


def check_encoded(texts: Sequence[LabelledText], encoded: Sequence[Encoding], max_length: int, trains: bool) -> None:
    """Refuse texts that are too long or without tokens; `trains` if they are those of the training part.

    Raises:
        RnnbenchError: too many tokens, none at all, or none that is known: in training of a text, else of all.
    """
    for one, tokens in zip(texts, encoded, strict=True):
        if len(tokens.ids) > max_length:
            raise RnnbenchError(
                f"{one.where}: a text of {len(tokens.ids)} tokens, more than max_length = {max_length}: {_excerpt(one)}"
            )
        if not tokens.ids or (trains and set(tokens.ids) == {UNKNOWN_ID}):
            raise RnnbenchError(f"{one.where}: a text with no known token: {_excerpt(one)}")
    if all(set(tokens.ids) == {UNKNOWN_ID} for tokens in encoded):
        raise RnnbenchError(f"{texts[0].where}: no text from here on has a known token: {_excerpt(texts[0])}")


def _excerpt(one: LabelledText) -> str:
    return repr(one.text if len(one.text) <= 40 else f"{one.text[:40]}…")


CLASSES = ("very negative", "negative", "neutral", "positive", "very positive")
CUTS = (-2.4, -0.8, 0.8, 2.4)
"""Five equal parts of the ratings' range, −4 to 4."""
OUTER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
INNER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


class MovieSentiment(TextClassification):
    """Sentiment of film reviews' sentences in five classes (ratings of Hutto & Gilbert 2014, text of Rotten Tomatoes).

    Targets `[B]`: 0 (very negative) to 4 (very positive), the mean rating of twenty people cut at ±0.8 and ±2.4.
    70 : 15 : 15, drawn from `data_seed`; a sentence that stands twice is used once. All else as in
    `TextClassification`.
    """

    classes = CLASSES
    sources = (
        Source(
            "vaderSentiment",
            "3.3.2",
            "vaderSentiment-3.3.2.tar.gz",
            "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            "MIT",
        ),
    )

    def texts(self) -> Texts:  # noqa: D102
        reviews, ratings = read_reviews(self.sources[0].fetch())
        labels = np.digitize(ratings, CUTS).tolist()
        where = list(reviews.values())
        every = [LabelledText(text, label, f"{INNER}, line {line}")
                 for text, label, line in zip(reviews, labels, where, strict=True)]  # fmt: skip
        return {
            split: [every[row] for row in rows] for split, rows in random_splits(len(every), self.data_seed).items()
        }


class SST5(HubDataModule, TextClassification):
    """The Stanford sentiment treebank, whole sentences in five classes (Socher et al. 2013), by its own split.

    Targets `[B]`: 0 (very negative) to 4 (very positive).

    Args:
        path: a data set on the hub, or a folder of the same layout: splits `train`, `validation` and `test` with the
            columns `text` and `label`, 0 to 4.
        vocabulary_size: this and all others see `TextClassification`.

    Raises:
        DataUnavailable: when prepared, the hub cannot be reached.
        RnnbenchError: as `TextClassification`; a split or a column is missing.
        ValueError: an argument is out of range.
    """

    classes = CLASSES

    def __init__(
        self,
        path: str = "SetFit/sst5",
        vocabulary_size: int = 20_000,
        max_length: int = 100,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        tokens: Tokens = "words",
        ngram: int = 3,
    ) -> None:
        super().__init__(vocabulary_size, max_length, batch_size, data_seed, shuffle_seed, tokens, ngram)
        self.path = expand_home(path)

    def texts(self) -> Texts:  # noqa: D102
        return {
            split: [
                LabelledText(text, label, f"{self.path}, split {split!r}, row {row}")
                for row, (text, label) in enumerate(zip(rows["text"], rows["label"], strict=True))
            ]
            for split, rows in read_hub(self.path, {"text": str, "label": int}).items()
        }


def read_reviews(archive: Path) -> tuple[dict[str, int], np.ndarray]:
    """Sentences, each once, with the line where it stands first, and their mean ratings from −4 to 4.

    Raises:
        RnnbenchError: no sentences, or a line of another layout, with its number.
    """
    with tarfile.open(archive) as outer:
        packed = outer.extractfile(OUTER)
        assert packed is not None  # extractfile raises KeyError for an absent name
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as inner:
            member = inner.extractfile(INNER)
            assert member is not None
            rows = member.read().decode("utf-8").splitlines()
    lines: dict[str, int] = {}
    ratings: list[float] = []
    for number, row in enumerate(rows, 1):
        try:
            _, rating, text = row.split("\t")
            value = float(rating)
        except ValueError:
            raise RnnbenchError(f"{INNER}, line {number}: not an id, a rating and a text: {row[:60]!r}") from None
        if text.strip() not in lines:
            lines[text.strip()] = number
            ratings.append(value)
    if not lines:
        raise RnnbenchError(f"{INNER} has no lines")
    return lines, np.array(ratings)
