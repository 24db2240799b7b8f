"""The field's corpora of words, from a hub or from files of the user, as streams."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers.pre_tokenizers import WhitespaceSplit

from rnnbench.data.hub import OnHub, read_hub
from rnnbench.data.language import LanguageStream
from rnnbench.data.module import SPLITS, Split
from rnnbench.data.tokens import Tokens
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.files import decode_text, expand_home, read_bytes

FILES: dict[Split, str] = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
"""What the Penn Treebank's files are called since Mikolov et al. 2010."""


class WikiText2(OnHub, LanguageStream):
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
    given = "path"
    given_is = f"a folder with {', '.join(FILES.values())}"

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
