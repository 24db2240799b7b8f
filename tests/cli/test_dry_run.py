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
from rnnbench.config.grid import GridSpec
from rnnbench.harness.instantiate import make_data
from rnnbench.harness.measure import Facts, Measured, measure, unequal_networks
from rnnbench.harness.paths import Folders
from rnnbench.records.record import Cost
from rnnbench.utils.files import CACHE_VARIABLE
from tests.fixtures.records import done, spec


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
    assert "measuring a few steps of 1 kinds of runs of which no record tells" in said
    assert re.search(r"weather-nyc gru 1 [\d.]+ [\d.]+ GB cached weather-nyc bilstm 1 cached infeasible: object", said)
    assert "2 to run, 1 of them cannot be run: about 0." in said


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


def test_equal_sizes_that_make_very_unequal_networks_are_warned_of_with_their_costs(
    plan_of: Callable[..., str], task: Callable[..., str], folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    grid: dict[str, Any] = {"architectures": ["elman", "mingru"], "tasks": [task()], "params": "20_000 ± 5%"}
    make_data(GridSpec.read({"name": "dry", **grid}, "test").expand()[0]).prepare_data()
    said = plan_of(**grid)
    assert "measuring a few steps of 2 kinds of runs of which no record tells" in said
    assert re.search(
        r"warning: short: with 20,000 ± 5 % non-embedding parameters mingru is \d,\d\d\d wide, elman \d+: "
        r"\d+ × the least width.*; expected [\d,]+ s and \d\.\d\d GB a run",
        said,
    )
    assert "elman is" not in said
    assert re.search(r"short elman 1 [\d.]+ [\d.]+ GB \d+ cached", said)
    assert not folders.leaderboard.exists()
    where = ["--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
    assert main(["run", str(folders.runs.parent / "dry.yaml"), *where]) == 0
    assert "mingru is" in (said := capsys.readouterr().out)
    assert "--dry-run measures what that costs" in said


def fact(width: int | None) -> Facts:
    return Facts(True, "", width)


@pytest.mark.parametrize(
    ("widths", "costs", "warned"),
    [
        ((128, 140), ((10.0, 100), (12.0, 110)), ""),
        ((128, 600), ((10.0, 100), (12.0, 110)), "5 × the least width; expected 12 s and 0.00 GB a run"),
        ((128, 140), ((10.0, 10**9), (55.0, 5 * 10**9)), "6 × the least time, 5 × the least memory; expected 55 s"),
        ((128, 600), ((None, None), (None, None)), "gru is 600 wide, lstm 128: 5 × the least width"),
        ((None, 600), ((10.0, 100), (90.0, 110)), ""),  # the other is infeasible, or its data is not here
    ],
)  # fmt: skip
def test_what_is_very_unequal_is_named(widths: tuple[Any, ...], costs: tuple[Any, ...], warned: str) -> None:
    specs = [spec(name) for name in ("lstm", "gru")]
    ids = [one.id for one in specs]
    lines = unequal_networks(specs, dict(zip(ids, map(fact, widths), strict=True)), dict(zip(ids, costs, strict=True)))
    assert (warned in "".join(lines)) if warned else not lines
    assert unequal_networks(specs, {}) == []


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [
        ({"steps": 100}, 2 + 100 * 0.5 + 11 * 3),  # ten validations and a test
        ({"steps": 100, "validate_every": 50}, 2 + 100 * 0.5 + 3 * 3),
        ({"epochs": 4}, 2 + 4 * 20 * 0.5 + 5 * 3),
        ({"minutes": 1}, 2 + 60 + 7 * 3),
        ({"patience": 3}, None),
    ],
)
def test_a_few_steps_foretell_a_run(budget: dict[str, int], seconds: float | None) -> None:
    measured = Measured(2.0, 0.5, 3.0, 20, 7)
    assert measured.seconds(Budget.read(budget, "test")) == (pytest.approx(seconds) if seconds else None)


def test_records_of_the_same_network_come_before_a_measurement_and_that_before_others() -> None:
    record = done(cost=Cost(train_seconds=2.0, total_seconds=10.0, steps=20, epochs=1, peak_memory_bytes=7))
    estimate, other = CostEstimate([record]), spec("gru")
    assert list(estimate.unknown([record.spec, other, other])) == [("adding", "gru")]
    assert estimate.expected(other)[1] == 7  # of the same task
    estimate.measured = {("adding", "gru"): Measured(2.0, 0.5, 3.0, 20, 9), ("adding", "lstm"): Measured(0, 9, 9, 9, 9)}
    assert estimate.expected(other)[1] == 9
    assert estimate.expected(record.spec)[1] == 7


def test_a_network_that_cannot_be_measured_has_no_estimate(
    task: Callable[..., str], architecture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    raises = architecture("raises", "tests.fixtures.strange.Raises")
    grid = {"name": "g", "architectures": [raises, "gru"], "tasks": [task()], "budget": {"steps": 2}}
    broken, good = GridSpec.read(grid, "test").expand()
    make_data(good).prepare_data()
    assert measure(broken) is None
    assert "nothing there" in capsys.readouterr().err
    found = measure(good)
    assert found is not None
    assert min(found) > 0
    assert found.steps_per_epoch == 8
