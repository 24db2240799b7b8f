"""Sentences of words."""

import io
import tarfile
from pathlib import Path

import datasets
import numpy as np
from tokenizers import Tokenizer

from rnnbench.data.module import Splits
from rnnbench.data.parts import majority_scores, random_parts
from rnnbench.data.sources import Source
from rnnbench.data.tokens import UNKNOWN_ID, TokenDataModule, word_tokenizer

CLASSES = ("very negative", "negative", "neutral", "positive", "very positive")
CUTS = (-2.4, -0.8, 0.8, 2.4)
"""Five equal parts of the ratings' range, −4 to 4."""
OUTER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
INNER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


class MovieSentiment(TokenDataModule):
    """Sentiment of film reviews' sentences in five classes (ratings of Hutto & Gilbert 2014, text of Rotten Tomatoes).

    Inputs `[B, T]`: ids of lower-cased words and punctuation marks, the most frequent of the training part; 0 is
    `<pad>`, 1 is `<unk>`. Targets `[B]`: 0 (very negative) to 4 (very positive), the mean rating of twenty people cut
    at ±0.8 and ±2.4. 70 : 15 : 15, drawn from `data_seed`; a sentence that stands twice is used once.

    Args:
        vocabulary_size: words to know, with the two special ones, at least 3.
        max_length: words after which a sentence is cut off.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
    """

    objective = "ordinal_classification"
    sources = (
        Source(
            "vaderSentiment",
            "3.3.2",
            "vaderSentiment-3.3.2.tar.gz",
            "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            "MIT",
        ),
    )

    def __init__(
        self,
        vocabulary_size: int = 5000,
        max_length: int = 64,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if vocabulary_size < 3:
            raise ValueError(f"vocabulary_size must be at least 3, got {vocabulary_size}")
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.vocabulary_size, self.max_length = vocabulary_size, max_length

    def make(self, folder: Path) -> Splits:  # noqa: D102
        texts, ratings = read_reviews(self.sources[0].fetch())
        labels = np.digitize(ratings, CUTS)
        rows = random_parts(len(texts), self.data_seed)
        tokenizer = word_tokenizer([texts[row] for row in rows["train"]], self.vocabulary_size, self.max_length)
        tokenizer.save(str(folder / "tokenizer.json"))
        tables = {
            split: self._table(tokenizer, [texts[row] for row in some], labels[some]) for split, some in rows.items()
        }
        scores = majority_scores(labels[rows["train"]], labels[rows["test"]], len(CLASSES))
        scores["quadratic_kappa"] = 0.0
        return Splits(tables, tokenizer.get_vocab_size(), len(CLASSES), "majority class", scores)

    def _table(self, tokenizer: Tokenizer, texts: list[str], labels: np.ndarray) -> datasets.Dataset:
        ids = [encoding.ids or [UNKNOWN_ID] for encoding in tokenizer.encode_batch(texts)]
        features = datasets.Features({
            "text": datasets.Value("string"),
            "inputs": datasets.Sequence(datasets.Value("int32")),
            "targets": datasets.ClassLabel(names=list(CLASSES)),
        })  # fmt: skip
        return datasets.Dataset.from_dict({"text": texts, "inputs": ids, "targets": labels}, features=features)


def read_reviews(archive: Path) -> tuple[list[str], np.ndarray]:
    """Sentences and their mean ratings from −4 to 4, each sentence once."""
    with tarfile.open(archive) as outer:
        packed = outer.extractfile(OUTER)
        assert packed is not None  # extractfile raises KeyError for an absent name
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as inner:
            member = inner.extractfile(INNER)
            assert member is not None
            lines = member.read().decode("utf-8").splitlines()
    ratings: dict[str, float] = {}
    for line in lines:
        _, rating, text = line.split("\t")
        ratings.setdefault(text.strip(), float(rating))
    return list(ratings), np.array(list(ratings.values()))
