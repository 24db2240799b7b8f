"""Importance of hyper-parameters: a made-up response is told apart, and what is said where nothing can be."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rnnbench.cli import main
from rnnbench.config.grid import GridSpec
from rnnbench.config.search_space import Dimension, Space, Trial, Tune, trials_of
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.importance import INTERACTIONS, importances
from rnnbench.records.store import RecordStore
from tests.fixtures.records import lost
from tests.fixtures.trials import trial

SPACE = {
    "shared": {
        "learning_rate": {"log_uniform": [1e-5, 1e-1]},
        "momentum": {"uniform": [0, 0.99]},
        "num_layers": {"int_uniform": [1, 3]},
        "optimizer": {"choice": ["sgd", "rmsprop"]},
    }
}


def sampled(count: int) -> tuple[dict[str, Dimension], list[Trial]]:
    space = Space.read(SPACE, "space")
    return space.dimensions("lstm"), trials_of(Tune(trials=count, space="s"), space, "lstm")


def response(one: Trial) -> float:
    """Best at a rate of 1e-3; momentum hardly matters, the rest not at all."""
    from math import log10

    return (log10(one.arguments["learning_rate"]) + 3) ** 2 + 0.05 * float(one.arguments["momentum"])


def test_what_dominates_a_response_comes_first() -> None:
    dimensions, trials = sampled(64)
    found = importances(dimensions, [one.arguments for one in trials], [response(one) for one in trials])
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.85
    assert max(share for name, share in found.items() if name != "learning_rate") < 0.1
    assert sum(found.values()) == pytest.approx(1, abs=1e-6)
    assert set(found) == {*dimensions, INTERACTIONS}


def test_what_acts_only_together_is_no_effect_of_either() -> None:
    dimensions, trials = sampled(128)
    scores = [float((one.arguments["momentum"] > 0.495) ^ (one.arguments["optimizer"] == "sgd")) for one in trials]
    found = importances(dimensions, [one.arguments for one in trials], scores)
    assert found[INTERACTIONS] > 0.6


@pytest.mark.parametrize("scores", [[1.0] * 8, [1.0, 2.0, 3.0]])
def test_nothing_is_said_of_too_little(scores: list[float]) -> None:
    dimensions, trials = sampled(len(scores))
    with pytest.raises(RnnbenchError, match="4 trials with different scores are needed"):
        importances(dimensions, [one.arguments for one in trials], scores)


def test_the_verb_prints_a_table_for_each_architecture(
    tmp_path: Path, task: Callable[..., str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(yaml.safe_dump(SPACE))
    content = {"name": "t", "architectures": ["lstm", "gru"], "tasks": [task()], "budget": {"steps": 3},
               "tune": {"trials": 32, "space": "space.yaml"}}  # fmt: skip
    Path("t.yaml").write_text(yaml.safe_dump(content))
    assert main(["importance", "t.yaml"]) == 2
    assert "no trial of grid 't' has ended; run it with: rnnbench run t.yaml" in capsys.readouterr().err
    store = RecordStore(Path("leaderboard"))
    for run in GridSpec.load("t.yaml").expand():
        if run.trial is not None:
            few = run.architecture.name == "gru" and run.trial.index > 1
            failed = run.trial.index == 3 or few
            store.write(lost(run, reason="diverged: x") if failed else trial(run, response(run.trial)))
    assert main(["importance", "t.yaml", "--task", "short"]) == 0
    said = capsys.readouterr().out
    first, *_ = [line for line in said.splitlines() if line.startswith((" learning_rate", " momentum"))]
    assert first.startswith(" learning_rate")
    assert "lstm on short: 1 of 32 trials gave no score: diverged: x; they are left out" in said
    assert "lstm on short: 31 scores say little of 4 hyper-parameters; 32 are a start" in said
    assert "gru on short: 4 trials with different scores are needed, there are 2" in said
    for record in store.read()[0].values():
        if record.spec.architecture.name == "lstm":
            (store.folder / record.file).unlink()
    assert main(["importance", "t.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing can be said of importance: gru on short: 4 trials with different scores are needed" in line
    assert main(["importance", "t.yaml", "--task", "shrot"]) == 2
    assert "unknown task 'shrot'; did you mean 'short'?" in capsys.readouterr().err
    assert main(["importance", "quickstart"]) == 2
    assert "grid 'quickstart' has no trials: it does not say `tune`" in capsys.readouterr().err
