"""Cards: every one that is found is whole, agrees with its code, and has an essay."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningDataModule

from rnnbench.config.cards import ArchitectureCard, TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.config.registry import catalogue
from rnnbench.harness.instantiate import construct
from rnnbench.harness.preflight import check
from rnnbench.utils.files import CACHE_VARIABLE
from tests.conftest import ARCHITECTURES, GRIDS, TASKS


def data_of(card: TaskCard) -> Any:
    return construct(card.data, LightningDataModule, card.name, set())


def fetched(name: str) -> bool:
    """Whether a task reads archives that anyone can fetch; the data of others is a file that only its user has."""
    data = data_of(TaskCard.load(name))
    return bool(data.sources) and not data.user_path_arg


def test_there_are_the_named_points_and_tasks() -> None:
    assert {"elman", "elman-relu", "lstm", "gru", "lstm-2", "bilstm", "bigru", "bigru-3"} <= set(ARCHITECTURES)
    assert {"adding", "copy-memory", "weather-nyc", "sentiment-movies"} <= set(TASKS)
    assert "quickstart" in GRIDS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_an_essay_and_references(name: str) -> None:
    essay = catalogue("task")[name].with_name("README.md").read_text()
    card = TaskCard.load(name)
    assert len(essay) > 500
    assert card.references
    for heading in ("## What it tests", "## Data and split", "## Score"):
        assert heading in essay


def test_all_cards_and_configs_fit_their_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))  # another test's made-up archives are not those of the cards
    names = {"architectures": ARCHITECTURES, "tasks": TASKS}
    check(GridSpec.read({"name": "all", **names}, "all").expand())


@pytest.mark.parametrize("name", [name for name in TASKS if TaskCard.load(name).kind == "synthetic"])
def test_the_chance_on_a_card_is_what_its_data_computes(name: str) -> None:
    card = TaskCard.load(name)
    about = data_of(card).metadata()
    assert about["baseline_scores"][card.metric] == pytest.approx(card.chance.value, rel=1e-9)
    assert about["baseline"] == card.chance.of


@pytest.mark.archive
@pytest.mark.usefixtures("users_cache")
@pytest.mark.parametrize("name", [name for name in TASKS if fetched(name)])
def test_the_chance_on_a_card_is_what_the_real_data_computes(name: str) -> None:
    card = TaskCard.load(name)
    about = data_of(card).metadata()
    assert about["baseline_scores"][card.metric] == pytest.approx(card.chance.value, rel=1e-6)
    assert about["baseline"] == card.chance.of


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_says_what_it_is_in_one_line(name: str) -> None:
    own, card = ArchitectureCard.load(name)
    assert own == name
    assert 10 < len(card.summary) < 100


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_expands(name: str) -> None:
    grid = GridSpec.load(name)
    assert grid.name == name
    assert grid.summary
    runs = len(grid.seed_list) if grid.tune is None or grid.tune.defaults else 0
    runs += grid.tune.trials * len(grid.tune.seed_list) if grid.tune else 0
    assert len(grid.expand()) == len(grid.architectures) * len(grid.tasks) * runs
