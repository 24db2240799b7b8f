"""Formal languages: answers against the plainest programs that compute them, and lengths that never meet."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch import Trainer

from rnnbench import data
from rnnbench.architectures import GRU
from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.data.formal import FormalLanguage
from rnnbench.data.synthetic import MAX_BATCH_STEPS, TEST_SIZE
from rnnbench.errors import RnnbenchError
from rnnbench.harness.execute import split_by_length
from rnnbench.records.record import LengthPoint

Answer = Callable[[list[int]], list[int]]


def expression(letters: list[int]) -> list[int]:
    words = "".join("+-*"[letter - 5] if letter > 4 else str(letter) for letter in letters)
    return [eval(words) % 5]


def stack(letters: list[int]) -> list[int]:
    content: list[int] = []
    for letter in letters:
        if letter == 2:
            content = content[:-1]
        else:
            content.append(letter % 3 if letter > 2 else letter)
    return [*reversed(content), 2]


def missing(letters: list[int]) -> list[int]:
    place, half = letters.index(2), len(letters) // 2
    return [letters[(place + half) % len(letters)]]


PROGRAMS: dict[type[FormalLanguage], Answer] = {
    data.EvenPairs: lambda w: [sum(a != b for a, b in itertools.pairwise(w)) % 2],
    data.ParityCheck: lambda w: [sum(w) % 2],
    data.CycleNavigation: lambda w: [sum({0: 0, 1: 1, 2: -1}[move] for move in w) % 5],
    data.ModularArithmetic: expression,
    data.StackManipulation: stack,
    data.ReverseString: lambda w: w[::-1],
    data.DuplicateString: lambda w: w + w,
    data.OddsFirst: lambda w: w[::2] + w[1::2],
    data.BucketSort: sorted,
    data.MissingDuplicate: missing,
}


@pytest.mark.parametrize("cls", PROGRAMS, ids=lambda cls: cls.__name__)
def test_an_answer_is_what_the_plainest_program_gives(cls: type[FormalLanguage]) -> None:
    module, seen = cls(length=9), set()
    for length in range(module.shortest, 10):
        inputs, targets = module.draw(np.random.default_rng(length), 200, length)
        for row, answers in zip(inputs.tolist(), targets.tolist(), strict=True):
            letters = [token - 1 for token in row if token]
            assert row == [*(letter + 1 for letter in letters), *[0] * (len(row) - len(letters))]
            assert answers[: len(letters)] == [-100] * len(letters)
            given = [answer for answer in answers if answer != -100]
            assert given == PROGRAMS[cls](letters)
            seen |= set(letters)
            assert set(given) <= set(range(cls.answers))
    assert seen == set(range(cls.letters))


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> data.ReverseString:
    return data.ReverseString(length=6, train_size=300, batch_size=16, test_lengths=[7, 15, 4])


def test_training_never_sees_a_length_of_the_test(longer: data.ReverseString) -> None:
    steps = {split: set(map(len, longer.table(split)["inputs"])) for split in ("train", "validation", "test")}
    assert steps["train"] == steps["validation"] == {2 * length for length in range(1, 7)}
    assert steps["test"] == {14, 22, 30}
    loaders = longer.test_dataloader()
    assert [*loaders] == ["length_7", "length_11", "length_15"]
    assert [sum(len(batch.inputs) for batch in loader) for loader in loaders.values()] == [TEST_SIZE] * 3


def test_a_score_is_the_mean_over_the_lengths(longer: data.ReverseString) -> None:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = GRU(hidden_size=4, **longer.model_kwargs())
    trainer.test(model, longer, verbose=False)
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    by_length = [scores[f"test/accuracy/length_{length}"] for length in (7, 11, 15)]
    assert scores["test/accuracy"] == pytest.approx(np.mean(by_length), abs=1e-7)
    assert len(set(by_length)) > 1
    for length, loader in zip((7, 11, 15), longer.test_dataloader().values(), strict=True):
        (alone,) = trainer.test(model, loader, verbose=False)
        assert alone["test/accuracy"] == pytest.approx(scores[f"test/accuracy/length_{length}"], abs=1e-7)


def test_a_grid_says_other_lengths_to_tasks_that_have_some() -> None:
    content = {"name": "g", "architectures": ["gru"], "tasks": ["reverse-string", "parity"]}
    lengths = [
        spec.task.data.init_args.get("test_lengths")
        for more in ({}, {"lengths": "50:70:10"})
        for spec in GridSpec.read({**content, **more}, "test").expand()
    ]
    assert lengths == [[41, 500, 20], None, [50, 70, 10], None]
    assert TaskCard.load("reverse-string").data.init_args["test_lengths"] == [41, 500, 20]


def test_lengths_that_no_task_of_a_grid_has_are_refused() -> None:
    grid = GridSpec.read({"name": "g", "architectures": ["gru"], "tasks": ["parity"], "lengths": "50:70:10"}, "test")
    with pytest.raises(RnnbenchError, match="no task of it is tested on longer sequences"):
        grid.expand()


@pytest.mark.parametrize("lengths", ["41", "50:40:1", [41, 500, 0], [0, 3], "a:b:c", [1, 2, 3, 4], [41, 10**7]])
def test_lengths_that_are_none_are_refused(lengths: object) -> None:
    with pytest.raises(RnnbenchError, match="such as 41:500:20"):
        GridSpec.read({"name": "g", "architectures": ["gru"], "tasks": ["parity"], "lengths": lengths}, "test")


@pytest.mark.parametrize("bounds", [[4, 9, 1], [6, 5, 1], [7, 9], [7, 9, 0]])
def test_lengths_of_training_are_refused_in_the_test(bounds: list[int]) -> None:
    with pytest.raises(ValueError, match="test_lengths must be"):
        data.Parity(length=6, test_lengths=bounds)


def test_data_without_test_lengths_is_what_it_was(tmp_path: Path) -> None:
    assert "test_lengths" not in data.Parity(length=6).identity()
    assert data.Parity(length=6, test_lengths=[7, 9, 1]).folder != data.Parity(length=6).folder


def test_long_test_batches_have_no_more_steps_than_short_ones(tmp_path: Path) -> None:
    longer = data.ReverseString(length=6, train_size=300, batch_size=64, test_lengths=[100, 2100, 2000])
    longer.prepare_data()
    longer.setup("test")
    short, long = longer.test_dataloader().values()
    assert [len(batch.inputs) for batch in short] == [TEST_SIZE]
    sizes = [len(batch.inputs) for batch in long]
    assert (max(sizes), sum(sizes)) == (MAX_BATCH_STEPS // 2100, TEST_SIZE)


def test_one_test_length_has_a_curve_too() -> None:
    scores = {"accuracy": 0.75, "loss": 1.0}
    assert split_by_length(scores, "accuracy", [50]) == (scores, [LengthPoint(50, 0.75)])
    assert split_by_length(scores, "accuracy") == (scores, [])
    several = {**scores, "accuracy/length_50": 0.5, "accuracy/length_70": 1.0, "loss/length_50": 1.0}
    assert split_by_length(several, "accuracy", [50, 70]) == (scores, [LengthPoint(50, 0.5), LengthPoint(70, 1.0)])
