"""Tokens: characters, words, n-grams or byte pairs to ids and back, counted on the training part alone."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as Bytes
from tokenizers.decoders import Fuse
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Split, Whitespace, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer, WordLevelTrainer

from rnnbench.data.module import SequenceDataModule
from rnnbench.errors import unknown
from rnnbench.objectives.special_tokens import END, SPECIALS, START, UNKNOWN, UNKNOWN_ID

SPECIAL = re.compile("|".join(map(re.escape, SPECIALS)))
LEAST_VOCABULARY = len(SPECIALS) + 1
ALL_OF_THEM = 1_000_000
LINES_AT_A_TIME = 10_000

Tokens = Literal["characters", "words", "ngrams", "bpe"]
"""What a text is cut into, see `text_tokenizer`."""


def is_special(token_id: int) -> bool:
    """Whether an id is that of a special token, not of one of the text."""
    return token_id < len(SPECIALS)


class TokenDataModule(SequenceDataModule):
    """Sequences of token ids; `build_splits` saves `tokenizer.json`. Arguments as in `SequenceDataModule`."""

    input_kind = "tokens"

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Tokens to ids and back. Prepares the data."""
        self.prepare_data()
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def model_kwargs(self) -> dict[str, Any]:
        """A model's arguments; also `tokenizer`, that of the inputs as JSON, so that a checkpoint can keep it."""
        return {**super().model_kwargs(), "tokenizer": self.tokenizer.to_str()}


def check_vocabulary(vocabulary_size: int) -> None:
    """Refuse a vocabulary without room for more than the special tokens.

    Raises:
        ValueError: it is too small.
    """
    if vocabulary_size < LEAST_VOCABULARY:
        raise ValueError(f"vocabulary_size must be at least {LEAST_VOCABULARY}, got {vocabulary_size}")


def check_tokens(tokens: str, vocabulary_size: int, ngram: int) -> None:
    """Refuse invalid settings of `text_tokenizer`.

    Raises:
        RnnbenchError: `tokens` is not one of the four.
        ValueError: `vocabulary_size` or `ngram` is too small.
    """
    if tokens not in get_args(Tokens):
        raise unknown("kind of tokens", tokens, get_args(Tokens))
    check_vocabulary(vocabulary_size)
    if ngram < 1:
        raise ValueError(f"ngram must be at least 1, got {ngram}")


def text_tokenizer(
    texts: Iterable[str],
    tokens: Tokens,
    vocabulary_size: int,
    ngram: int = 3,
    splitter: PreTokenizer | None = None,
    lowercase: bool = True,
    ends: str = "",
) -> Tokenizer:
    """The most frequent tokens of `texts`, the special ones (ids 0 to 3) among them; all others are `<unk>`.

    - `characters`: every character by itself.
    - `words`: runs of letters and digits, and runs of punctuation marks, as `splitter` parts them.
    - `ngrams`: `ngram` characters of a word at a time, from its start and without overlap (its last may be shorter);
      what stands between words is a token a character.
    - `bpe`: byte-pair encoding (Sennrich et al. 2016) over the bytes of words and punctuation (Radford et al. 2019).

    A special token that stands in a text by its name, as `<unk>` does in some corpora, is that token.

    All but `words` decode to the very text, as long as every token is known. No tokenizer drops punctuation.

    Args:
        texts: of the training part.
        tokens: what they are cut into.
        vocabulary_size: the most tokens to know.
        ngram: characters of an n-gram.
        splitter: of `words`; by default between letters and punctuation, and at spaces.
        lowercase: whether `words` are read in small letters; other tokens are as they are written.
        ends: template of an encoded text, `$A` for the text itself, as `<s> $A </s>`; none if empty.
    """
    if tokens == "bpe":
        tokenizer = _byte_pairs(texts, vocabulary_size)
    else:
        pieces: dict[str, PreTokenizer] = {
            "characters": Split(Regex(r"[\s\S]"), "isolated"),
            "words": splitter or Whitespace(),
            "ngrams": Split(Regex(rf"\s|\S{{1,{ngram}}}"), "isolated"),
        }
        tokenizer = _word_level(texts, vocabulary_size, pieces[tokens], lowercase and tokens == "words")
        if tokens != "words":
            tokenizer.decoder = Fuse()
    if ends:
        special = [(name, SPECIALS.index(name)) for name in (START, END)]
        tokenizer.post_processor = TemplateProcessing(single=ends, special_tokens=special)
    return tokenizer


def token_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """The most frequent of the tokens that spaces part in `texts`, as they are written."""
    return _word_level(texts, vocabulary_size, WhitespaceSplit())


def sentence_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """The most frequent words and punctuation marks of `texts`, lower-cased; an encoded text ends with `</s>`."""
    return text_tokenizer(texts, "words", vocabulary_size, ends=f"$A {END}")


def character_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Every character of `texts`; an encoded text stands between `<s>` and `</s>`."""
    return text_tokenizer(texts, "characters", ALL_OF_THEM, ends=f"{START} $A {END}")


def _word_level(texts: Iterable[str], size: int, split: PreTokenizer, lowercase: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    if lowercase:
        tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = split
    trainer = WordLevelTrainer(vocab_size=size, special_tokens=SPECIALS, show_progress=False)
    tokenizer.train_from_iterator(_without_special_tokens(texts), trainer)
    return tokenizer


def _byte_pairs(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), Bytes()
    room = size - len(SPECIALS)  # for bytes: of more, the rarest are unknown
    trainer = BpeTrainer(vocab_size=size, special_tokens=SPECIALS, limit_alphabet=room, show_progress=False)
    tokenizer.train_from_iterator(_without_special_tokens(texts), trainer)
    return tokenizer


def _without_special_tokens(texts: Iterable[str]) -> Iterator[str]:
    """Texts without special tokens, where these stand in them: counted as words they would get a second id."""
    return (SPECIAL.sub(" ", text) for text in texts)


def encode_lines(tokenizer: Tokenizer, text: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Ids of a text of any length, without `<s>` and `</s>` around it, some lines at a time."""
    return np.fromiter(_ids(tokenizer, text.splitlines(keepends=True)), np.int32)


def _ids(tokenizer: Tokenizer, lines: list[str]) -> Iterator[int]:
    for start in range(0, len(lines), LINES_AT_A_TIME):
        for one in tokenizer.encode_batch(lines[start : start + LINES_AT_A_TIME], add_special_tokens=False):
            yield from one.ids


def unigram_cross_entropy(train: list[Any], test: list[Any], size: int) -> float:
    """Cross-entropy a token of `test` under frequencies in `train`, one added to each, without first tokens.

    Both are lists of sequences of ids.
    """
    counts = _counts(train, size) + 1
    tokens = _counts(test, size)
    total = int(counts.sum())
    pairs = zip(counts.tolist(), tokens.tolist(), strict=True)
    return -math.fsum(n * math.log(count / total) for count, n in pairs if n) / int(tokens.sum())


def _counts(sequences: list[Any], size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often each id stands in the sequences, their first places apart."""
    return sum((np.bincount(one[1:], minlength=size) for one in sequences), np.zeros(size, np.int64))


def unknown_rate(sequences: Iterable[Any]) -> float:
    """Share of `<unk>` among the ids of all sequences."""
    counted = Counter[bool]()
    for one in sequences:
        unknowns = int(np.count_nonzero(np.asarray(one) == UNKNOWN_ID))
        counted.update({True: unknowns, False: len(one) - unknowns})
    return counted[True] / counted.total()
