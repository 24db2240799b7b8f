"""Texts to the ids that a model reads, and ids to the text that a person reads."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

PADDING_ID, UNKNOWN_ID, START_ID, END_ID = 0, 1, 2, 3
"""The special tokens of every tokenizer."""
END = "</s>"


class Encoded(NamedTuple):
    """A text as tokens: their ids, and the piece of the text that each stands for."""

    ids: list[int]
    pieces: list[str]

    @property
    def unknown(self) -> list[str]:
        """The pieces that the model does not know, in order."""
        return [piece for number, piece in zip(self.ids, self.pieces, strict=True) if number == UNKNOWN_ID]


class Script:
    """How a language model reads and writes.

    A text of words has `</s>` at the end of each line; of anything else it is the text itself, and `</s>` ends it.

    Args:
        tokenizer: of the model's input.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.of_words = tokenizer.decoder is None

    @property
    def end(self) -> int | None:
        """The token after which nothing comes; of words none, as each line has one."""
        return None if self.of_words else END_ID

    def encode(self, text: str) -> Encoded:
        """Ids of a text without `<s>` before it and `</s>` after it."""
        written = text.replace("\n", f" {END} ") if self.of_words else text
        found = self.tokenizer.encode(written, add_special_tokens=False)
        pieces = [written[start:end] for start, end in found.offsets]
        return Encoded(found.ids, ["\n" if self.of_words and piece == END else piece for piece in pieces])

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, up to its end."""
        if not self.of_words:
            ids = ids[: ids.index(END_ID)] if END_ID in ids else ids
            return str(self.tokenizer.decode(list(ids)))
        words = [str(self.tokenizer.id_to_token(one)) for one in ids]
        return readable(" ".join("\n" if word == END else word for word in words))


def readable(text: str) -> str:
    """Words with spaces between as one writes them: none before a mark that closes, none around an end of a line."""
    text = re.sub(r" *\n *", "\n", text)
    return re.sub(r" ([,.;:!?)\]}]+)", r"\1", re.sub(r"([(\[{]) ", r"\1", text))


def told_unknown(texts: Iterable[Encoded]) -> str:
    """A sentence that names what of some texts the model does not know, and what becomes of it; empty if nothing."""
    counts = Counter(piece for one in texts for piece in one.unknown)
    if not counts:
        return ""
    names = ", ".join(
        f"{piece!r}" + (f" ({count} times)" if count > 1 else "") for piece, count in counts.most_common(12)
    )
    more = f" and {len(counts) - 12} more" if len(counts) > 12 else ""
    return f"not in the vocabulary, read as <unk>: {names}{more}"
