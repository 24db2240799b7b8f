"""Every pair of an architecture and a task, on twins; and how smoke tells what is wrong."""

import re
from unittest.mock import patch

import pytest

from rnnbench.card import TaskCard
from rnnbench.cli import main
from rnnbench.objectives import find_objective
from rnnbench.twins import TWINS
from rnnbench.verbs import smoke
from tests.conftest import ARCHITECTURES, TASKS


def test_every_compatible_pair_is_trained_and_tested(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["smoke"])
    said = capsys.readouterr().out
    assert code == 0, said
    found = re.search(r"(\d+) pairs in \d+ s: (\d+) ok, (\d+) infeasible, 0 failed", said)
    assert found is not None
    pairs, ok, infeasible = map(int, found.groups())
    assert pairs == len(ARCHITECTURES) * len(TASKS) == ok + infeasible
    causal = sum(find_objective(TaskCard.load(name).objective).causal for name in TASKS)
    decoding = sum(find_objective(TaskCard.load(name).objective).decodes for name in TASKS)
    ahead = [name for name in ARCHITECTURES if name.startswith("bi") or name == "cnn"]
    assert infeasible == causal * len(ahead) + decoding * 3  # window MLP, CNN and TCN have no state to decode from


def test_a_pair_that_fails_is_told_and_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [smoke.Pair("lstm", "adding", "ok"), smoke.Pair("gru", "adding", "failed", "ValueError: no")]
    assert smoke._report(pairs, 1.0) == 1
    said = capsys.readouterr().out
    assert "failed: gru on adding: ValueError: no" in said
    assert "2 pairs in 1 s: 1 ok, 0 infeasible, 1 failed" in said


def test_a_name_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--tasks", "ading"]) == 2
    assert "unknown task 'ading'; did you mean 'adding'" in capsys.readouterr().err


def test_a_twin_is_the_same_each_time() -> None:
    for cls, make in TWINS.items():
        first = make()
        with patch("time.time", lambda: 2_000_000_000.0):
            assert make() == first, cls.__name__
