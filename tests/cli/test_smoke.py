"""Every pair of an architecture and a task, on stand-ins; and how smoke tells what is wrong."""

import re
from collections import Counter
from unittest.mock import patch

import pytest

from rnnbench.cli import main, smoke
from rnnbench.config.cards import TaskCard
from rnnbench.data.stand_ins import STAND_IN_ARCHIVES
from rnnbench.objectives import find_objective
from tests.conftest import ARCHITECTURES, TASKS


def test_pairs_that_cover_all_kinds_are_trained_and_tested(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pairs of all architectures are looked at, those of every sixth are trained: `make smoke` trains all."""
    chosen: dict[str, list[str]] = {}

    def keep(architectures: list[str], kinds: dict[str, smoke.Kind]) -> dict[str, list[str]]:
        chosen.update(covering(architectures, kinds))
        for name in architectures:
            assert {kinds[task] for task in chosen[name]} == {*kinds.values()}
            assert len(set(chosen[name])) == len(chosen[name])
        return {name: chosen[name] for name in architectures[::6]}

    covering = smoke.covering
    monkeypatch.setattr(smoke, "covering", keep)
    code = main(["smoke"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert {*chosen} == {*ARCHITECTURES}
    counts = Counter(task for tasks in chosen.values() for task in tasks)
    assert {*counts} == {*TASKS}
    assert min(counts.values()) >= 6
    found = re.search(r"(\d+) pairs in \d+ s: (\d+) ok, (\d+) infeasible, 0 failed", said)
    assert found is not None
    pairs, ok, infeasible = map(int, found.groups())
    trained = {name: chosen[name] for name in ARCHITECTURES[::6]}
    assert pairs == sum(map(len, trained.values())) == ok + infeasible
    no_state, ahead = (
        {"window-mlp", "window-mlp-16", "cnn", "tcn"},
        {"cnn"},
    )  # which decodes from nothing, which sees what comes
    ahead |= {name for name in ARCHITECTURES if name.startswith("bi")}
    expected = 0
    for name, tasks in trained.items():
        objectives = [find_objective(TaskCard.load(task).objective) for task in tasks]
        expected += sum((one.causal and name in ahead) or (one.decodes and name in no_state) for one in objectives)
    assert infeasible == expected > 0


def test_all_pairs_are_tried_of_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--architectures", "elman,gru", "--tasks", "adding,parity", "--workers", "1"]) == 0
    assert "4 pairs in" in capsys.readouterr().out


def test_a_pair_that_fails_is_told_and_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [smoke.Outcome("lstm", "adding", "ok"), smoke.Outcome("gru", "adding", "failed", "ValueError: no")]
    assert smoke._report(pairs, 1.0) == 1
    said = capsys.readouterr().out
    assert "failed: gru on adding: ValueError: no" in said
    assert "2 pairs in 1 s: 1 ok, 0 infeasible, 1 failed" in said


def test_a_name_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--tasks", "ading"]) == 2
    assert "unknown task 'ading'; did you mean 'adding'" in capsys.readouterr().err


def test_a_stand_in_is_the_same_each_time() -> None:
    for cls, make in STAND_IN_ARCHIVES.items():
        first = make()
        with patch("time.time", lambda: 2_000_000_000.0):
            assert make() == first, cls.__name__
