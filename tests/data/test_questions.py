"""Questions about stories: answers against the plainest reader, worlds that make sense, parts that share nothing."""

import itertools

import numpy as np
import pytest

from rnnbench.data import FactQuestions
from rnnbench.data.module import SPLITS
from rnnbench.data.questions import PEOPLE, PLACES, SENTENCES, THINGS, last_places


class Reader:
    """Reads a story sentence by sentence, and answers its question."""

    def __init__(self) -> None:
        self.place: dict[str, str] = {}
        self.bearer: dict[str, str] = {}
        self.ways: dict[str, list[str]] = {thing: [] for thing in THINGS}

    def read(self, sentence: str) -> None:
        who, verb, *rest = sentence.split()
        if rest[0] == "to":
            assert verb in ("went", "walked", "ran")
            assert self.place.get(who) != rest[2]  # nobody goes where he is
            self.place[who] = rest[2]
            for thing, bearer in self.bearer.items():
                if bearer == who:
                    self.ways[thing].append(rest[2])
        elif verb in ("took", "grabbed"):
            thing, here = rest[1], self.place[who]
            assert thing not in self.bearer
            if not self.ways[thing]:
                self.ways[thing] = [here]
            assert self.ways[thing][-1] == here
            self.bearer[thing] = who
        else:
            assert verb in ("dropped", "left")
            assert self.bearer.pop(rest[1]) == who

    def answer(self, question: str) -> str:
        words = question.split()
        if "before" in words:
            way = self.ways[words[3]]
            last = len(way) - 1 - way[::-1].index(words[6])
            return way[last - 1]
        return self.ways[words[3]][-1] if words[2] == "the" else self.place[words[2]]


@pytest.mark.parametrize("facts", [1, 2, 3])
def test_an_answer_is_what_a_reader_gives(facts: int) -> None:
    data = FactQuestions(facts, train_size=600)
    asked, counts, places = set(), set(), set()
    for row in data.table("train"):
        *sentences, question = row["text"].split(" . ")
        reader = Reader()
        for sentence in sentences:
            reader.read(sentence)
        assert PLACES[row["targets"]] == reader.answer(question)
        assert data.tokenizer.encode(row["text"]).ids == row["inputs"]
        counts.add(len(sentences))
        places.add(row["targets"])
        asked.add(question.split()[2 if facts == 1 else 3])
    assert asked == set(PEOPLE if facts == 1 else THINGS)
    assert places == set(range(len(PLACES)))
    assert (min(counts), max(counts)) == SENTENCES[facts]


@pytest.mark.parametrize("facts", [1, 3])
def test_no_story_is_in_two_parts_or_twice_in_one(facts: int) -> None:
    data = FactQuestions(facts, train_size=600)
    stories = {split: [text.rpartition(" . ")[0] for text in data.table(split)["text"]] for split in SPLITS}
    assert [len(set(stories[split])) for split in SPLITS] == [600, 1000, 1000]
    for one, other in itertools.combinations(SPLITS, 2):
        assert not set(stories[one]) & set(stories[other])


def test_the_reference_is_the_better_of_the_last_place_and_the_most_frequent() -> None:
    test, train = (FactQuestions(1, train_size=600).table(split) for split in ("test", "train"))
    last = [[word for word in text.split() if word in PLACES][-1] for text in test["text"]]
    right = np.mean([PLACES[answer] == place for answer, place in zip(test["targets"], last, strict=True)])
    about = FactQuestions(1, train_size=600).metadata()
    assert about["baseline"] == "the last place of the story"
    assert about["baseline_scores"] == {"accuracy": pytest.approx(right)}
    assert FactQuestions(3, train_size=600).metadata()["baseline"] == "majority class"
    assert right > np.bincount(train["targets"]).max() / len(train)
    story = np.zeros((1, 20), dtype=np.int8)
    story[0, [2, 7, 18]] = 5, 7, 9  # attic, garden; the kitchen is in the question
    assert last_places(story).tolist() == [PLACES.index("garden")]


def test_other_facts_are_refused() -> None:
    with pytest.raises(ValueError, match="facts must be 1, 2 or 3, got 4"):
        FactQuestions(4)
    with pytest.raises(ValueError, match="train_size must be at least 1"):
        FactQuestions(1, train_size=0)
