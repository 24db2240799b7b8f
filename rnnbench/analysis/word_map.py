"""Which words have similar vectors: the nearest of a word, and a map of words in two dimensions."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from rnnbench.errors import RnnbenchError
from rnnbench.utils.word_vectors import WordVectors

Array = np.ndarray[Any, np.dtype[Any]]


class Neighbour(NamedTuple):
    """A word and the cosine of the angle between its vector and that of the word that was asked for."""

    word: str
    cosine: float


def check_words(words: Sequence[str], known: Sequence[str], source: str) -> None:
    """Check that words are among those that have vectors.

    Raises:
        RnnbenchError: one is not, with the words that are spelt most like it.
    """
    every = set(known)
    for word in words:
        if word not in every:
            near = [word.lower()] if word.lower() in every else get_close_matches(word, known)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise RnnbenchError(f"{source} has no vector of {word!r}{hint} ({len(known):,} words have one)")


def nearest(vectors: WordVectors, word: str, count: int = 10) -> list[Neighbour]:
    """The `count` words whose vectors have the greatest cosine with that of `word`, the greatest first.

    Of equal ones the first in the file comes first. A vector of zeros has a cosine of 0 with all others.
    """
    unit = unit_rows(vectors.matrix)
    row = vectors.rows[word]
    cosines = (unit @ unit[row]).clip(-1, 1)
    order = [number for number in np.argsort(-cosines, kind="stable")[: count + 1].tolist() if number != row]
    names = list(vectors.rows)  # rows are numbered in the order of the words
    return [Neighbour(names[number], float(cosines[number])) for number in order[:count]]


def commonest(words: Sequence[str], count: int) -> list[str]:
    """The first words that have a letter: files of vectors begin with the commonest words and with punctuation."""
    return list(islice((word for word in words if any(letter.isalpha() for letter in word)), count))


def unit_rows(matrix: Array) -> Array:
    """Rows divided by their length, in float64; a row of zeros stays."""
    rows = matrix.astype(np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    np.divide(rows, length, out=rows, where=length > 0)
    return rows


def project(matrix: Array) -> tuple[Array, tuple[float, float]]:
    """The two principal components `[N, 2]` of rows of length 1, and the share of the variance that each has.

    The sign of a component is that in which its largest weight is positive.
    """
    centred = unit_rows(matrix)
    centred -= centred.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    points, shares = np.zeros((len(matrix), 2)), np.zeros(2)
    points[:, : len(axes)] = centred @ axes.T
    shares[: len(axes)] = np.square(sizes[:2]) / max(np.square(sizes).sum(), np.finfo(float).tiny)
    return points, (float(shares[0]), float(shares[1]))


class MapWord(NamedTuple):
    """A word of a map, and the word it belongs to: itself if it was asked for, or the one whose neighbour it is."""

    word: str
    group: str = ""

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self.word == self.group


def map_words(found: dict[str, list[Neighbour]]) -> list[MapWord]:
    """The words that were asked for, then their neighbours; a word that is near to several belongs to the nearest."""
    best: dict[str, tuple[float, str]] = {}
    for asked, neighbours in found.items():
        for word, cosine in neighbours:
            if word not in found and (word not in best or cosine > best[word][0]):
                best[word] = (cosine, asked)
    return [*(MapWord(word, word) for word in found), *(MapWord(word, group) for word, (_, group) in best.items())]


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )  # fmt: skip


GAP, DOT = 6, 4
"""Pixels between a dot's centre and its label, and from its centre to its edge."""


def place_labels(points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]]) -> list[Box | None]:
    """Where labels of given widths and heights stand beside their points, all in pixels; None where there is no room.

    In the given order, each takes the first place around its point that no earlier label has, and no point; if there
    is none, one that no earlier label has.
    """
    dots = [Box(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points]
    placed: list[Box] = []
    result: list[Box | None] = []
    for (x, y), size in zip(points, sizes, strict=True):
        free = [box for box in _around(x, y, *size) if not any(box.overlaps(other) for other in placed)]
        best = next((box for box in free if not any(box.overlaps(dot) for dot in dots)), free[0] if free else None)
        placed += [best] if best else []
        result.append(best)
    return result


def _around(x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Places of a label around a point: right, left, above, below, then the corners."""
    for across, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
        left = x - width / 2 + across * (width / 2 + GAP)
        top = y - height / 2 + down * (height / 2 + GAP)
        yield Box(left, top, left + width, top + height)
