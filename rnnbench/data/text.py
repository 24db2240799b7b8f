"""Sentences of words."""

import io
import tarfile
from pathlib import Path

import numpy as np

from rnnbench.data.hub import HubDataModule, read_hub
from rnnbench.data.splits import random_splits
from rnnbench.data.text_classification import LabelledText, TextClassification, Texts
from rnnbench.data.tokens import Tokens
from rnnbench.errors import RnnbenchError
from rnnbench.utils.download import Source
from rnnbench.utils.files import expand_home

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
        RnnbenchError: no sentence, or a line that is none, with its number.
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
