"""A dry run: the plan, what it expects of time, and what cannot be run."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli import main
from rnnbench.cli.dry_run import CostEstimate
from rnnbench.config.cards import Budget
from rnnbench.harness.paths import Folders
from rnnbench.records.record import Cost
from rnnbench.utils.files import CACHE_VARIABLE
from tests.fixtures.records import done


def test_a_dry_run_tells_the_plan_and_starts_nothing(
    task: Callable[..., str], folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dry.yaml"
    content: dict[str, Any] = {
        "name": "dry",
        "architectures": ["gru", "bigru"],
        "tasks": [task("dry", "rnnbench.data.Adding", length=7, train_size=256)],
        "budget": {"steps": 4},
        "model": {"hidden_size": 4},
    }
    path.write_text(yaml.safe_dump(content))
    where = [str(path), "--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
    assert main(["run", *where, "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 to run: time unknown; nothing was started" in said
    assert "to prepare" in said
    assert not folders.leaderboard.exists()
    assert main(["run", *where]) == 0
    capsys.readouterr()
    path.write_text(yaml.safe_dump({**content, "seeds": 3, "budget": {"steps": 8}}))
    assert main(["run", *where, "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "changed since the last run: seeds, budget.steps" in said
    assert "6 to run: about 0." in said
    assert "cached" in said
    assert " GB " in said


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [
        ({"steps": 2000}, 8 + 2000 * 0.1),  # start, data, validations and test do not grow with the steps
        ({"steps": 20, "patience": 3}, 8 + 20 * 0.1),
        ({"epochs": 4}, 8 + 4 * 50 * 0.1),
        ({"steps": 2000, "epochs": 4}, 8 + 4 * 50 * 0.1),
        ({"steps": 2000, "minutes": 1}, 8 + 60),
        ({"patience": 3}, None),
    ],
)
def test_a_short_run_foretells_a_long_one(budget: dict[str, int], seconds: float | None) -> None:
    cost = Cost(train_seconds=2.0, total_seconds=10.0, steps=20, epochs=1, steps_per_epoch=50, peak_memory_bytes=7)
    record = done(cost=cost)
    longer = record.spec.model_copy(update={"budget": Budget.read(budget, "test")})
    assert CostEstimate([record]).expected(longer) == (pytest.approx(seconds) if seconds else None, 7)
    stranger = longer.model_copy(update={"task": longer.task.model_copy(update={"name": "other"})})
    assert CostEstimate([record]).expected(stranger) == (None, None)


@pytest.mark.parametrize("rule", ["params", "flops"])
def test_a_width_beside_a_size_is_said_to_have_no_effect(
    rule: str, task: Callable[..., str], folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dry.yaml"
    grid = {"name": "dry", "architectures": ["gru"], "tasks": [task()], rule: "1000 ± 10%", "model": {"hidden_size": 9}}
    path.write_text(yaml.safe_dump(grid))
    where = ["--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
    assert main(["run", str(path), *where, "--dry-run"]) == 0
    assert f"model.hidden_size: 9 has no effect: {rule} chooses the width" in capsys.readouterr().out
    path.write_text(yaml.safe_dump({**grid, "model": {"clip_norm": 1.0}}))
    assert main(["run", str(path), *where, "--dry-run"]) == 0
    assert "has no effect" not in capsys.readouterr().out


@pytest.mark.usefixtures("stand_ins")
def test_a_dry_run_says_what_is_infeasible_and_why(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dry.yaml"
    grid = {"name": "dry", "architectures": ["gru", "bilstm"], "tasks": ["weather-nyc"], "budget": {"steps": 4}}
    path.write_text(yaml.safe_dump(grid))
    where = [str(path), "--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
    main(["data", "fetch", "weather-nyc"])
    capsys.readouterr()
    assert main(["run", *where, "--dry-run", "--executor", "inline"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"weather-nyc gru 1 \? \? cached weather-nyc bilstm 1 cached infeasible: objective 'forec", said)
    assert "2 to run, 1 of them cannot be run: time unknown; nothing was started" in said


@pytest.fixture
def plan_of(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a dry run of a grid says."""

    def plan(**grid: Any) -> str:
        path = tmp_path / "dry.yaml"
        path.write_text(yaml.safe_dump({"name": "dry", "budget": {"steps": 4}, "executor": "inline", **grid}))
        where = ["--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
        assert main(["run", str(path), *where, "--dry-run"]) == 0
        return " ".join(capsys.readouterr().out.split())

    return plan


def test_what_no_data_could_make_feasible_is_told_before_there_is_any(
    plan_of: Callable[..., str], task: Callable[..., str]
) -> None:
    new = task("new", "rnnbench.data.Adding", length=9, train_size=64)
    said = plan_of(architectures=["gru", "mingru"], tasks=[new], params="8 ± 1%")
    assert "infeasible: no width within 1 % of 8: hidden_size 1 gives 14 already for one input and one output" in said
    assert "2 to run, 1 of them cannot be run" in said  # of the other one input would be few enough
    forecast = task("later", "rnnbench.data.WeatherNYC", window=50)
    card = Path(forecast) / "task.yaml"
    card.write_text(card.read_text().replace("objective: regression", "objective: forecast").replace("mse", "rmse"))
    said = plan_of(architectures=["gru", "bilstm"], tasks=[forecast])
    assert "later bilstm 1 to prepare infeasible: objective 'forecast' is causal" in said
    assert "2 to run, 1 of them cannot be run" in said


def test_data_that_cannot_be_had_is_told_before_anybody_asks_for_it(
    plan_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))  # in which no other test has prepared anything
    said = plan_of(architectures=["gru"], tasks=["ptb", "piano-roll"])
    why = "unavailable data unavailable: PennTreebank reads data of yours: set path to a folder with ptb.train.txt"
    assert why in said
    assert "PianoRoll reads data of yours: set path to a file that ends in .pickle" in said
    assert "2 to run, 2 of them cannot be run" in said
    for package in ("mnist1d", "emoji", "espeakng_loader"):
        monkeypatch.setitem(sys.modules, package, None)
    said = plan_of(architectures=["gru"], tasks=["mnist1d", "caption-emoji", "speech-digits"])
    for name, package in (("MNIST1D", "mnist1d"), ("CaptionEmoji", "emoji"), ("SpeechDigits", "espeakng_loader")):
        assert f"data unavailable: {name} needs {package}: pip install 'rnnbench[tasks]'" in said
