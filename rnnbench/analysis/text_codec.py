"""Texts to token ids of a language model, and ids to readable text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

from rnnbench.objectives.special_tokens import END, END_ID, START_ID, UNKNOWN_ID


class EncodedText(NamedTuple):
    """A text as tokens: their ids, and the part of the text that each token stands for."""

    ids: list[int]
    pieces: list[str]

    @property
    def unknown(self) -> list[str]:
        """The pieces that are not in the vocabulary, in order."""
        return [piece for number, piece in zip(self.ids, self.pieces, strict=True) if number == UNKNOWN_ID]


class TextCodec:
    """Encodes and decodes the texts of a language model.

    Models of words have `</s>` at the end of each line; others read the text as it is, and `</s>` ends it.

    Args:
        tokenizer: of the model's inputs.
    """

    start = START_ID
    """The token before every text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.of_words = tokenizer.decoder is None

    @property
    def end(self) -> int | None:
        """The token that ends a text; None for models of words, where it ends each line."""
        return None if self.of_words else END_ID

    def encode(self, text: str) -> EncodedText:
        """Tokens of a text, without `<s>` before it and `</s>` after it."""
        written = text.replace("\n", f" {END} ") if self.of_words else text
        encoding = self.tokenizer.encode(written, add_special_tokens=False)
        pieces = [written[start:end] for start, end in encoding.offsets]
        return EncodedText(encoding.ids, ["\n" if self.of_words and piece == END else piece for piece in pieces])

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, up to `</s>` if that ends a text."""
        if not self.of_words:
            ids = ids[: ids.index(END_ID)] if END_ID in ids else ids
            return str(self.tokenizer.decode(list(ids)))
        words = [str(self.tokenizer.id_to_token(number)) for number in ids]
        return readable(" ".join("\n" if word == END else word for word in words))


def readable(text: str) -> str:
    """Text with the usual spacing: no spaces before closing marks, after opening ones, or around line ends."""
    text = re.sub(r" *\n *", "\n", text)
    return re.sub(r" ([,.;:!?)\]}]+)", r"\1", re.sub(r"([(\[{]) ", r"\1", text))


def unknown_tokens(texts: Iterable[EncodedText]) -> str:
    """A message that names the pieces of texts that are not in the vocabulary; empty if there are none."""
    counts = Counter(piece for text in texts for piece in text.unknown)
    if not counts:
        return ""
    names = ", ".join(
        f"{piece!r}" + (f" ({count} times)" if count > 1 else "") for piece, count in counts.most_common(12)
    )
    more = f" and {len(counts) - 12} more" if len(counts) > 12 else ""
    return f"not in the vocabulary, read as <unk>: {names}{more}"
