"""Nearest words, and maps of words."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from rnnbench.analysis.charts import MAP_HEIGHT, MAP_WIDTH, word_map_chart
from rnnbench.analysis.word_map import (
    DOT,
    Box,
    MapWord,
    Neighbour,
    check_words,
    commonest,
    map_words,
    nearest,
    place_labels,
    project,
)
from rnnbench.errors import RnnbenchError
from rnnbench.utils.word_vectors import WordVectors

WORDS = ["east", "far-east", "north", "north-east", "west", "nowhere"]
VECTORS = WordVectors(
    {word: row for row, word in enumerate(WORDS)},
    np.array([[1, 0], [5, 0], [0, 2], [1, 1], [-3, 0], [0, 0]], dtype=np.float32),
)


def test_the_nearest_words_have_the_greatest_cosine_whatever_the_length_of_their_vectors() -> None:
    found = nearest(VECTORS, "east", 5)
    assert [one.word for one in found] == ["far-east", "north-east", "north", "nowhere", "west"]
    assert [one.cosine for one in found] == pytest.approx([1, 2**-0.5, 0, 0, -1])
    assert [one.word for one in nearest(VECTORS, "far-east", 1)] == ["east"]
    assert [one.cosine for one in nearest(VECTORS, "nowhere", 2)] == [0, 0]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("East", "file.txt has no vector of 'East'; did you mean 'east'? (6 words have one)"),
        ("nort", "did you mean 'north'"),
        ("xyzzy", "file.txt has no vector of 'xyzzy' (6 words have one)"),
    ],
)
def test_an_unknown_word_is_told_with_the_nearest_spelling(word: str, told: str) -> None:
    with pytest.raises(RnnbenchError) as error:
        check_words(["east", word], WORDS, "file.txt")
    assert told in str(error.value)


def test_the_commonest_words_are_the_first_that_have_a_letter() -> None:
    assert commonest([",", "the", "1984", "n't", "of"], 2) == ["the", "n't"]


def test_a_map_is_the_projection_on_the_directions_of_greatest_variance() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(40, 6)) * [1, 1, 5, 1, 3, 1]
    points, shares = project(matrix.astype(np.float32))
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    values, axes = np.linalg.eigh(np.cov(unit.T))
    for k in (1, 2):
        assert abs(points[:, k - 1] @ ((unit - unit.mean(0)) @ axes[:, -k])) == pytest.approx(values[-k] * 39, rel=1e-4)
        assert shares[k - 1] == pytest.approx(values[-k] / values.sum(), rel=1e-4)
    assert np.allclose(points.mean(0), 0)
    again, _ = project(-matrix.astype(np.float32))
    assert np.allclose(again, -points)  # axes have a sign of their own, not that of the words


def test_vectors_of_one_number_lie_on_a_line() -> None:
    points, shares = project(np.array([[1.0], [2.0], [-1.0]]))
    assert points.shape == (3, 2)
    assert (points[:, 1] == 0).all()
    assert shares == pytest.approx((1, 0))
    assert project(np.ones((3, 2)))[1] == (0, 0)


def test_a_neighbour_of_two_words_belongs_to_the_nearer() -> None:
    found = {
        "king": [Neighbour("queen", 0.8), Neighbour("son", 0.5)],
        "mother": [Neighbour("son", 0.7), Neighbour("king", 0.4)],
    }
    words = map_words(found)
    assert [(one.word, one.group) for one in words] == [
        ("king", "king"), ("mother", "mother"), ("queen", "king"), ("son", "mother"),
    ]  # fmt: skip
    assert [one.asked for one in words] == [True, True, False, False]


def test_no_label_covers_another_and_one_without_room_is_left_out() -> None:
    random = np.random.default_rng(1)
    points = [(float(x), float(y)) for x, y in random.random((60, 2)) * 200]
    boxes = place_labels(points, [(40, 13)] * 60)
    kept = [box for box in boxes if box is not None]
    assert 10 < len(kept) < 60
    assert not any(one.overlaps(other) for one, other in combinations(kept, 2))
    first = boxes[0]
    assert first is not None  # the first has the choice
    alone: Any = place_labels([(0, 0), (20, 0)], [(40, 13)] * 2)
    assert not any(box.overlaps(Box(x - DOT, -DOT, x + DOT, DOT)) for box in alone for x in (0, 20))


def test_the_chart_has_a_dot_for_every_word_and_the_labels_that_have_room() -> None:
    words = [MapWord("king", "king"), MapWord("queen", "king"), MapWord("prince", "king")]
    chart = word_map_chart(words, [[0, 0], [2, 1], [-1, 0.5]], (0.6, 0.4), "title", "three")
    spec = chart.to_dict()
    dots, labels, asked = (layer["data"]["values"] for layer in spec["layer"])
    assert [row["word"] for row in dots] == ["king", "queen", "prince"]
    assert [row["word"] for row in labels] == ["queen", "prince"]
    assert [row["word"] for row in asked] == ["king"]
    (left, right), (low, high) = (spec["layer"][0]["encoding"][axis]["scale"]["domain"] for axis in "xy")
    assert spec["width"] == MAP_WIDTH
    assert spec["height"] <= MAP_HEIGHT
    assert (right - left) / spec["width"] == pytest.approx((high - low) / spec["height"])
    assert spec["title"]["subtitle"] == "three"
    same = word_map_chart(words * 5, [[0, 0]] * 15, (0, 0), "title", "all in one place").to_dict()
    assert "without a label" in same["title"]["subtitle"]
