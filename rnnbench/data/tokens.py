"""Tokens: words or characters to ids and back, counted on the training part alone."""

import math
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import PreTokenizer, Split, Whitespace, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordLevelTrainer

from rnnbench.data.module import SequenceDataModule

PADDING, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"
UNKNOWN_ID = 1
ALL_OF_THEM = 1_000_000


class TokenDataModule(SequenceDataModule):
    """Sequences of token ids; `make` saves the tokenizer as `tokenizer.json`. Arguments as in `SequenceDataModule`."""

    input_kind = "tokens"

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Tokens to ids and back. Prepares the data."""
        self.prepare_data()
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))


def word_tokenizer(texts: Iterable[str], vocabulary_size: int, max_length: int) -> Tokenizer:
    """The most frequent words and punctuation marks of `texts`, lower-cased; a text is cut after `max_length`."""
    tokenizer = _counted(texts, vocabulary_size, Whitespace(), [PADDING, UNKNOWN], lowercase=True)
    tokenizer.enable_truncation(max_length)
    return tokenizer


def token_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """The most frequent of the tokens that spaces part in `texts`, as they are written."""
    return _counted(texts, vocabulary_size, WhitespaceSplit(), [PADDING, UNKNOWN])


def line_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """The most frequent words and punctuation marks of `texts`, lower-cased; an encoded text begins with `<s>`.

    `</s>` stands in the texts themselves, at the end of each line.
    """
    specials = [PADDING, UNKNOWN, START, END]
    tokenizer = _counted(texts, vocabulary_size, Whitespace(), specials, lowercase=True)
    tokenizer.post_processor = TemplateProcessing(single=f"{START} $A", special_tokens=[(START, specials.index(START))])
    return tokenizer


def sentence_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """The most frequent words and punctuation marks of `texts`, lower-cased; an encoded text ends with `</s>`."""
    specials = [PADDING, UNKNOWN, START, END]
    tokenizer = _counted(texts, vocabulary_size, Whitespace(), specials, lowercase=True)
    tokenizer.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, specials.index(END))])
    return tokenizer


def character_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Every character of `texts`; an encoded text stands between `<s>` and `</s>`."""
    specials = [PADDING, UNKNOWN, START, END]
    tokenizer = _counted(texts, ALL_OF_THEM, Split(Regex(r"[\s\S]"), "isolated"), specials)
    ends = [(name, specials.index(name)) for name in (START, END)]
    tokenizer.post_processor = TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return tokenizer


def _counted(
    texts: Iterable[str], size: int, split: PreTokenizer, specials: list[str], lowercase: bool = False
) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    if lowercase:
        tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = split
    tokenizer.train_from_iterator(
        texts, WordLevelTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    )
    return tokenizer


def unigram_nats(train: list[list[int]], test: list[list[int]], size: int) -> float:
    """Cross-entropy a token of `test` under the frequencies in `train`, one added to each; the first is given."""
    counts = Counter(token for one in train for token in one[1:])
    total = counts.total() + size
    tokens = Counter(token for one in test for token in one[1:])
    return -math.fsum(n * math.log((counts[token] + 1) / total) for token, n in tokens.items()) / tokens.total()
