"""Questions about short stories, whose answers follow from one, two or three of their sentences."""

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np

from rnnbench.data.module import Split, Splits, check_amount
from rnnbench.data.splits import first_of_each, majority_scores
from rnnbench.data.tokens import ALL_OF_THEM, TokenDataModule, token_tokenizer

Values = np.ndarray[Any, np.dtype[Any]]
PEOPLE = ("anna", "boris", "clara", "david")
PLACES = ("attic", "cellar", "garden", "hall", "kitchen", "office")
THINGS = ("book", "key", "lamp")
MOVES = ("went", "walked", "ran")
TAKES = ("took", "grabbed")
DROPS = ("dropped", "left")
WORDS = ("", *PEOPLE, *PLACES, *THINGS, *MOVES, *TAKES, *DROPS, "to", "the", ".", "where", "is", "was", "before", "?")
"""The words, by the numbers that stories are drawn in; 0 is no word."""
SENTENCES = {1: (2, 8), 2: (4, 12), 3: (6, 16)}
"""The fewest and the most sentences of a story, by the number of facts."""
SENTENCE, QUESTION = 6, 8
"""The most words of either."""
DRAWN = 5000
"""Stories that are drawn at a time."""


def _first(words: tuple[str, ...]) -> int:
    return WORDS.index(words[0])


class FactQuestions(TokenDataModule):
    """Stories with a question about a place, which takes so many facts to answer, from a grammar of rnnbench's own.

    In the style of the first three tasks of Weston et al. (2015). Four people walk among six places; unless `facts` is
    1, they also take and drop three things, which are where their bearers are.

    - `facts=1`, 2 to 8 sentences: `where is anna ?` The last place she went to.
    - `facts=2`, 4 to 12: `where is the key ?` Who took it last, and where that person went last, or was on dropping it.
    - `facts=3`, 6 to 16: `where was the key before the office ?` Where it was before it last came to the office.

    Inputs `[B, T]`: ids of the words of all sentences and of the question. Targets `[B]`: the place, in the order of
    the alphabet. A question is about what its story has told. No story is in two parts, nor twice in one.

    The reference is the better of two: the most frequent place of the training part, and the last place of the story.

    Args:
        facts: 1, 2 or 3.
        train_size: training stories; a tenth as many validate, and as many again test (1,000 at least).
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `facts` is not 1, 2 or 3, or `train_size` is below 1.
    """

    objective = "classification"
    classes = PLACES

    def __init__(
        self,
        facts: int = 1,
        train_size: int = 20_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if facts not in SENTENCES:
            raise ValueError(f"facts must be 1, 2 or 3, got {facts}")
        if train_size < 1:
            raise ValueError(f"train_size must be at least 1, got {train_size}")
        check_amount((train_size + 2 * max(1000, train_size // 10)) * SENTENCES[facts][1] * SENTENCE, f"{train_size=}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.facts, self.train_size = facts, train_size

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        tokenizer = token_tokenizer([" ".join(WORDS)], ALL_OF_THEM)
        tokenizer.save(str(folder / "tokenizer.json"))
        ids = np.array([0, *map(tokenizer.token_to_id, WORDS[1:])])
        held_out = max(1000, self.train_size // 10)
        words, answers = self._different(self.train_size + 2 * held_out)
        ends = np.cumsum([0, self.train_size, held_out, held_out]).tolist()
        splits: tuple[Split, ...] = ("train", "validation", "test")
        tables: dict[Split, datasets.Dataset] = {}
        for split, (first, last) in zip(splits, pairwise(ends), strict=True):
            rows = [row[row > 0] for row in words[first:last]]
            texts = [" ".join([WORDS[word] for word in row.tolist()]) for row in rows]
            tables[split] = datasets.Dataset.from_dict(
                {"text": texts, "inputs": [ids[row] for row in rows], "targets": answers[first:last]}
            )
        baseline = "majority class"
        scores = majority_scores(answers[: self.train_size], answers[-held_out:], len(PLACES))
        last = float((last_places(words[-held_out:]) == answers[-held_out:]).mean())
        if last > scores["accuracy"]:
            baseline, scores = "the last place of the story", {"accuracy": last}
        return Splits(tables, tokenizer.get_vocab_size(), len(PLACES), baseline, scores)

    def _different(self, size: int) -> tuple[Values, Values]:
        """So many different stories, 8 words of a question at the end of each row, and the answers, in random order."""
        random = np.random.default_rng(self.data_seed)
        some = draw_stories(random, 0, self.facts)
        while len(some.answers) < size:
            more = draw_stories(random, DRAWN, self.facts)
            some = Stories(*(np.concatenate(pair) for pair in zip(some, more, strict=True)))
            first = first_of_each(some.sentences)
            some = Stories(*(part[first] for part in some))
        order = random.permutation(size)
        return np.concatenate([some.sentences, some.questions], axis=1)[order], some.answers[order]


class Stories(NamedTuple):
    """Words of sentences and of the question, in rows with zeros between, and answers as places in `PLACES`."""

    sentences: Values
    questions: Values
    answers: Values


def draw_stories(random: np.random.Generator, size: int, facts: int) -> Stories:
    """Random stories, each with a question that takes `facts` facts.

    There are at most `size`: those that tell too little for a question are left out.
    """
    least, most = SENTENCES[facts]
    lengths = random.integers(least, most + 1, size)
    world = World(size)
    sentences = np.zeros((size, most, SENTENCE), dtype=np.int8)
    for number in range(most):
        sentences[:, number] = world.step(random, number < lengths, facts > 1)
    questions, answers = world.ask(random, facts)
    kept = answers >= 0
    return Stories(sentences.reshape(-1, most * SENTENCE)[kept], questions[kept], answers[kept])


def last_places(words: Values) -> Values:
    """The last place that each of `[N, T]` words tells of, leaving out the 8 of the question."""
    story = words[:, :-QUESTION]
    places = (story >= _first(PLACES)) & (story < _first(PLACES) + len(PLACES))
    last = story.shape[1] - 1 - places[:, ::-1].argmax(1)
    answers: Values = story[np.arange(len(story)), last] - _first(PLACES)
    return answers


class World:
    """Where people and things are in many stories at once; −1 where a story has not told it.

    `person` `[N, 4]` is where people are, `thing` `[N, 3]` where things are, `bearer` `[N, 3]` who has them, and
    `before` `[N, 3, 6]` where a thing was before it last came to a place.
    """

    def __init__(self, size: int) -> None:
        self.rows = np.arange(size)
        self.person = np.full((size, len(PEOPLE)), -1)
        self.thing, self.bearer = np.full((size, len(THINGS)), -1), np.full((size, len(THINGS)), -1)
        self.before = np.full((size, len(THINGS), len(PLACES)), -1)

    def step(self, random: np.random.Generator, goes_on: Values, things: bool) -> Values:
        """One more sentence `[N, 6]` in the stories that go on, none in others.

        Somebody takes or drops a thing, if there are `things`, in half of the cases in which that is possible: a place
        is known, and the thing is in it, or nobody knows where; and else goes to another place.
        """
        rows, size = self.rows, len(self.rows)
        who, what = random.integers(0, len(PEOPLE), size), random.integers(0, len(THINGS), size)
        here, bearer, lies = self.person[rows, who], self.bearer[rows, what], self.thing[rows, what]
        acts = goes_on & things & (here >= 0) & (random.random(size) < 0.5)
        drops = acts & (bearer == who)
        takes = acts & (bearer < 0) & ((lies == here) | (lies < 0))
        moves = goes_on & ~drops & ~takes
        there = random.integers(0, len(PLACES) - 1, size)
        there += there >= np.where(here >= 0, here, len(PLACES))  # any place but this one
        there = np.where(here >= 0, there, random.integers(0, len(PLACES), size))

        self.person[rows[moves], who[moves]] = there[moves]
        self.bearer[rows[takes], what[takes]] = who[takes]
        self.bearer[rows[drops], what[drops]] = -1
        for thing in range(len(THINGS)):
            carried = moves & (self.bearer[:, thing] == who)
            come = np.where(carried, there, here)
            changed = carried | (takes & (what == thing) & (lies < 0))
            self.before[rows[changed], thing, come[changed]] = self.thing[changed, thing]
            self.thing[changed, thing] = come[changed]
        return _sentences(random, who, what, there, moves, takes, drops)

    def ask(self, random: np.random.Generator, facts: int) -> tuple[Values, Values]:
        """Questions `[N, 8]` and answers `[N]`, −1 where a story tells too little for one."""
        known = {1: self.person, 2: self.thing, 3: self.before.reshape(-1, len(THINGS) * len(PLACES))}[facts]
        chosen = np.where(known >= 0, random.random(known.shape), -1.0).argmax(1)
        if facts == 1:
            words: tuple[Any, ...] = ("where", "is", _first(PEOPLE) + chosen, "?")
        elif facts == 2:
            words = ("where", "is", "the", _first(THINGS) + chosen, "?")
        else:
            thing, place = np.divmod(chosen, len(PLACES))
            words = ("where", "was", "the", _first(THINGS) + thing, "before", "the", _first(PLACES) + place, "?")
        return _rows(len(self.rows), words, QUESTION), known[self.rows, chosen]


def _sentences(
    random: np.random.Generator, who: Values, what: Values, there: Values, moves: Values, takes: Values, drops: Values
) -> Values:
    """Who goes `there` (`anna went to the attic .`), takes `what` (`anna took the key .`) or drops it."""
    size, person, thing = len(who), _first(PEOPLE) + who, _first(THINGS) + what
    out = np.zeros((size, SENTENCE), dtype=np.int8)
    for those, verbs, rest in (
        (moves, MOVES, ("to", "the", _first(PLACES) + there, ".")),
        (takes, TAKES, ("the", thing, ".")),
        (drops, DROPS, ("the", thing, ".")),
    ):
        verb = _first(verbs) + random.integers(0, len(verbs), size)
        out[those] = _rows(size, (person, verb, *rest))[those]
    return out


def _rows(size: int, words: tuple[Any, ...], width: int = SENTENCE) -> Values:
    """`[size, width]` of words that are the same in all rows, or arrays of numbers of words; zeros behind them."""
    rows = np.zeros((size, width), dtype=np.int8)
    for place, word in enumerate(words):
        rows[:, place] = WORDS.index(word) if isinstance(word, str) else word
    return rows
