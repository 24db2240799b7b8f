"""What runs say of fixed questions, kept beside their records; weights of some steps, asked the same."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnbench.cli import main
from rnnbench.config.grid import GridSpec
from rnnbench.config.sampling import SampleConfig
from rnnbench.errors import RnnbenchError
from rnnbench.harness.callbacks import is_kept, snapshots
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.load_run import load_run
from rnnbench.harness.paths import Folders
from rnnbench.records.artefacts import MAX_TEXT, Artefact, ArtefactStore
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from tests.conftest import Silent
from tests.fixtures.records import done, lost, spec
from tests.fixtures.trained import train

TASKS = {
    "folk-abc": "tune",
    "shakespeare-word": "sample 1, from the beginning",
    "translate-numbers": "answers to the first 3",
    "speech-prompts": "transcripts of the first 3",
    "sentiment-movies": "classes of 3 inputs",
    "pos-tagging": "tags of 3 sentences",
    "weather-nyc": "24 steps each: temp, °F, EWR from 2013-",
    "bach-chorales": "gone on with after",
    "adding": "values of the first 3",
    "embedded-reber": "symbols that may come next in 3 strings",
}


@pytest.fixture(scope="module")
def place(module_stand_ins: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Folders, dict[str, Record]]:
    """One run on each kind of task, asked and with its steps kept."""
    folder = tmp_path_factory.mktemp("place")
    folders = Folders(folder / "leaderboard", folder / "runs")
    asked = SampleConfig(examples=3, length=30)
    return folders, {task: train(folders, task, samples=asked, replay=True) for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_task_is_answered_the_same_each_time(task: str, place: tuple[Folders, dict[str, Record]]) -> None:
    from rnnbench.harness.samples import make_artefacts

    folders, records = place
    record = records[task]
    path = folders.runs / "small" / record.id / "artefacts.json"
    content = json.loads(path.read_text())
    assert content["id"] == record.id
    assert any(TASKS[task] in one["title"] for one in content["items"])
    assert all(one["text"].strip() for one in content["items"])
    assert path.stat().st_size < 60_000
    run = load_run(record.id, folders.leaderboard, folders.runs)
    again = make_artefacts(run.model, run.data, SampleConfig(examples=3, length=30))
    assert [one.model_dump() for one in again] == content["items"]


def test_a_forecast_has_an_artefact_for_each_channel(place: tuple[Folders, dict[str, Record]]) -> None:
    folders, records = place
    (task,) = [one for one in TASKS if one.startswith("weather")]
    path = folders.runs / "small" / records[task].id / "artefacts.json"
    titles = [one["title"] for one in json.loads(path.read_text())["items"]]
    assert [title.split(": ")[1].split(",")[0] for title in titles][:3] == ["temp", "dewp", "humid"]
    assert len(titles) == len(set(titles)) == 7


def test_texts_of_a_grid_are_asked_instead(place: tuple[Folders, dict[str, Record]]) -> None:
    from rnnbench.harness.samples import make_artefacts

    folders, records = place
    for task, text in (("translate-numbers", "forty-two"), ("sentiment-movies", "A good film"), ("folk-abc", "K:D")):
        run = load_run(records[task].id, folders.leaderboard, folders.runs)
        (made,) = make_artefacts(run.model, run.data, SampleConfig(texts=[text]))
        assert made.text.startswith(text)


def test_steps_are_kept_at_powers_of_four_and_replayed(
    place: tuple[Folders, dict[str, Record]], capsys: pytest.CaptureFixture[str]
) -> None:
    folders, records = place
    assert [step for step in range(1, 300) if is_kept(step)] == [1, 4, 16, 64, 256]
    assert not is_kept(0)
    record = records["folk-abc"]
    folder = folders.runs / "small" / record.id / "checkpoints"
    assert list(snapshots(folder)) == [0, 1, 4]
    where = ["--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
    assert main(["replay", record.id, "--prompt", "K:D", "--length", "9", "--json", *where]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["step"] for one in found] == [
        "step 0",
        "step 1",
        "step 4",
        f"step {record.best_step}, the best by validation",
    ]
    assert all(one["answers"][0]["text"].startswith("K:D") for one in found)
    kept = [
        torch.load(path, weights_only=True)["state_dict"]["objective.head.weight"]
        for path in snapshots(folder).values()
    ]
    assert not any(torch.equal(one, other) for one, other in itertools.pairwise(kept))
    assert main(["replay", records["translate-numbers"].id, "--examples", "2", *where]) == 0
    assert "step 0" in capsys.readouterr().out
    assert main(["replay", record.id, "--temperature", "0", *where]) == 2
    assert "temperature: input should be greater than 0" in capsys.readouterr().err
    for path in folder.glob("step-*"):
        path.unlink()
    assert main(["replay", record.id, *where]) == 2
    assert "has kept no steps: set `replay: true`" in capsys.readouterr().err


def test_a_grid_asks_and_keeps_and_its_runs_are_the_same_runs(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, asking = grid(architectures=["gru"]), grid(architectures=["gru"], artefacts="default", replay=True)
    assert [one.id for one in plain.expand()] == [one.id for one in asking.expand()]
    _, todo = plan(asking, {})
    assert run_grid(asking, todo, folders, watcher)["done"] == 1
    (record,) = RecordStore(folders.leaderboard).read()[0].values()
    (made,) = ArtefactStore(folders.leaderboard).of(record)
    assert made["title"] == "values of the first 5 of the test part"
    assert made["text"].count("→") == 5
    assert (folders.leaderboard / "artefacts" / "short" / "gru" / f"{record.id}.json").is_file()
    assert list(snapshots(folders.runs / "small" / record.id / "checkpoints")) == [0, 1, 4]
    assert main(["show", record.id, "--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]) == 0
    assert "values of the first 5" in capsys.readouterr().out
    other = Folders(folders.leaderboard.parent / "other", folders.runs.parent / "others")
    run_grid(plain, plan(plain, {})[1], other, watcher)
    (without,) = RecordStore(other.leaderboard).read()[0].values()
    assert without.scores == record.scores
    assert ArtefactStore(other.leaderboard).of(without) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("defualt", "unknown artefacts 'defualt'; did you mean 'default'"),
        ({"txts": ["a"]}, "did you mean 'texts'"),
        ({"length": 0}, "length"),
        ({"temperature": 0.0}, "temperature"),
        (3, "artefacts"),
    ],
)
def test_wrong_artefacts_of_a_grid_are_refused(value: Any, said: str, grid: Callable[..., GridSpec]) -> None:
    with pytest.raises(RnnbenchError, match=said):
        grid(artefacts=value)


def test_artefacts_are_read_strictly_and_a_broken_file_is_told(tmp_path: Path) -> None:
    store, record = ArtefactStore(tmp_path), done()
    assert store.of(record) == []
    path = store.write(record.spec, [Artefact(title="one", text="two")])
    assert store.of(record) == [{"title": "one", "text": "two"}]
    other = done(spec(seed=7))
    (tmp_path / "artefacts" / other.file).write_text(path.read_text())
    assert "in the place of those of" in store.of(other)[0]["text"]
    path.write_text("{")
    assert "not valid JSON" in store.of(record)[0]["text"]
    with pytest.raises(ValueError, match="at most"):
        Artefact(title="long", text="x" * (MAX_TEXT + 1))
    assert store.of(lost()) == store.of(record)  # of the same spec
