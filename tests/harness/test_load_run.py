"""From what a person calls a run to its model, and the verbs that ask language models."""

import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rnnbench.architectures import Elman, SequenceModule, WindowMLP
from rnnbench.cli import main
from rnnbench.cli.inference import check_verb
from rnnbench.errors import RnnbenchError
from rnnbench.harness.load_run import checkpoint_of, load_run
from rnnbench.harness.paths import Folders
from rnnbench.records.find import best_of
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from tests.fixtures.records import done, lost, spec
from tests.fixtures.trained import train


@pytest.fixture(scope="module")
def place(module_stand_ins: None, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Where three runs lie: tunes, and films reviewed twice."""
    folder = tmp_path_factory.mktemp("place")
    folders = Folders(folder / "leaderboard", folder / "runs")
    train(folders, "folk-abc")
    for seed in (0, 1):
        train(folders, "sentiment-movies", seed=seed)
    return folders


@pytest.fixture
def records(place: Folders) -> dict[str, Record]:
    return RecordStore(place.leaderboard).read()[0]


def of(records: dict[str, Record], task: str) -> list[Record]:
    return [record for record in records.values() if record.spec.task.name == task]


@pytest.fixture
def ask(place: Folders, capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    """Runs a verb on the runs of this file: exit code, and what is said on both channels."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--leaderboard", str(place.leaderboard), "--runs", str(place.runs)])
        return code, *capsys.readouterr()

    return run  # type: ignore[return-value]


def test_a_run_is_found_by_id_start_label_and_path(place: Folders, records: dict[str, Record]) -> None:
    (tune,) = of(records, "folk-abc")
    files = [checkpoint_of(tune, place.runs), place.leaderboard / "records" / tune.file]
    names = [tune.id, tune.id[:7], "folk-abc/elman", "folk-abc/elman/0", *map(str, files)]
    opened = [load_run(name, place.leaderboard, place.runs) for name in names]
    first = opened[0].model.state_dict()
    for one in opened:
        assert isinstance(one.model, Elman)
        assert not one.model.training
        assert one.record == tune
        assert all(torch.equal(value, first[name]) for name, value in one.model.state_dict().items())
    assert opened[0].data.hparams["batch_size"] == 16


def test_of_several_seeds_the_best_by_validation_is_taken(records: dict[str, Record]) -> None:
    some = {record.id: record for record in of(records, "sentiment-movies")}
    first, second = some.values()
    for better, worse in ((first, second), (second, first)):
        changed = {
            better.id: better.model_copy(update={"validation": {"accuracy": 0.7}, "score": 0.1}),
            worse.id: worse.model_copy(update={"validation": {"accuracy": 0.6}, "score": 0.9}),
        }
        assert best_of("sentiment-movies/elman", changed).id == better.id
    falling = [done(spec(seed=seed), validation={"mse": value}) for seed, value in ((0, 0.5), (1, 0.2), (2, 0.3))]
    assert best_of("adding/lstm", {one.id: one for one in falling}).spec.seed == 1


def test_a_checkpoint_by_itself_says_what_it_is(place: Folders, records: dict[str, Record], tmp_path: Path) -> None:
    (tune,) = of(records, "folk-abc")
    alone = shutil.copy(checkpoint_of(tune, place.runs), tmp_path / "mine.ckpt")
    opened = load_run(str(alone), tmp_path / "none", tmp_path / "none")
    assert opened.model.generate("K:D", 5, greedy=True) == load_run(
        tune.id, place.leaderboard, place.runs
    ).model.generate("K:D", 5, greedy=True)
    with pytest.raises(RnnbenchError, match="no record says what data"):
        _ = opened.data


def test_a_checkpoint_from_anywhere_imports_nothing_of_others(
    place: Folders, records: dict[str, Record], tmp_path: Path
) -> None:
    (tune,) = of(records, "folk-abc")
    content = torch.load(checkpoint_of(tune, place.runs), weights_only=True)
    torch.save({**content, "class_path": "tests.fixtures.strange.Raises"}, tmp_path / "foreign.ckpt")
    with pytest.raises(RnnbenchError, match="names no architecture of rnnbench"):
        load_run(str(tmp_path / "foreign.ckpt"), place.leaderboard, place.runs)
    for name in ("objective", "cell"):
        arguments = {**content["hyper_parameters"], name: "tests.fixtures.strange_import.Thing"}
        cell = {**content, "class_path": "rnnbench.architectures.CellModule", "hyper_parameters": arguments}
        torch.save(cell, tmp_path / "cell.ckpt")
        with pytest.raises(RnnbenchError, match=r"would run tests\.fixtures\.strange_import\.Thing, which is not code"):
            load_run(str(tmp_path / "cell.ckpt"), place.leaderboard, place.runs)
    assert "tests.fixtures.strange_import" not in sys.modules
    torch.save({**content, "class_path": "rnnbench.architectures.LSTM"}, tmp_path / "other.ckpt")
    with pytest.raises(RnnbenchError, match="is no checkpoint of a LSTM"):
        load_run(str(tmp_path / "other.ckpt"), place.leaderboard, place.runs)


def test_what_cannot_be_opened_is_told(place: Folders, records: dict[str, Record], tmp_path: Path) -> None:
    (tune,) = of(records, "folk-abc")
    whole = checkpoint_of(tune, place.runs).read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    (tmp_path / "empty.ckpt").touch()
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    said = {
        "cut.ckpt": "cut off or no checkpoint",
        "text.ckpt": "cut off or no checkpoint",
        "empty.ckpt": "cut off or no checkpoint",
        "other.ckpt": "no checkpoint of Lightning",
        "absent.ckpt": "there is no checkpoint",
    }
    for name, why in said.items():
        with pytest.raises(RnnbenchError, match=why):
            load_run(str(tmp_path / name), place.leaderboard, place.runs)
    with pytest.raises(RnnbenchError, match="has a record, but no checkpoint"):
        load_run(tune.id, place.leaderboard, tmp_path)
    for name, why in {
        "zzzz": "unknown run",
        "": "unknown run",
        "folk-abc/elmn": "did you mean 'folk-abc/elman'",
    }.items():
        with pytest.raises(RnnbenchError, match=why):
            load_run(name, place.leaderboard, place.runs)


def test_an_ambiguous_start_lists_the_candidates_and_a_failed_run_says_why(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    made = [done(spec(seed=seed)) for seed in range(20)]
    starts = [record.id[0] for record in made]
    start = max(starts, key=starts.count)
    for record in made:
        store.write(record)
    with pytest.raises(RnnbenchError) as error:
        load_run(start, tmp_path, tmp_path)
    for record in made:
        if record.id.startswith(start):
            assert f"{record.id} ({record.spec.label})" in str(error.value)
    failed = lost(spec(seed=99), reason="it broke")
    store.write(failed)
    with pytest.raises(RnnbenchError, match="is failed, it left no model: it broke"):
        load_run(failed.id, tmp_path, tmp_path)


def test_a_verb_for_another_objective_says_what_the_run_can(ask) -> None:  # type: ignore[no-untyped-def]
    code, _, said = ask("generate", "sentiment-movies/elman")
    assert code == 2
    assert "this run is a classifier; it can: classify, gates" in said


@pytest.mark.parametrize(
    ("module", "objective", "others", "says"),
    [
        (WindowMLP, "regression", (), "a model of values; it can: be shown (rnnbench show)"),
        (Elman, "regression", ("replay",), "a model of values; it can: gates, replay"),
        (WindowMLP, "classification", ("replay",), "a classifier; it can: classify, replay"),
        (Elman, "tagging", (), "a tagger; it can: classify, gates"),
    ],
)
def test_all_that_a_run_can_is_told(
    module: type[SequenceModule], objective: str, others: tuple[str, ...], says: str
) -> None:
    model = module(input_size=2, output_size=3, objective=objective, hidden_size=4)
    with pytest.raises(RnnbenchError) as told:
        check_verb(model, "generate", *others)
    assert str(told.value) == f"this run is {says}"


def test_generate_prints_texts_and_json_and_repeats_itself(ask) -> None:  # type: ignore[no-untyped-def]
    words = (
        "generate",
        "folk-abc/elman",
        "--prompt",
        "K:D\n",
        "--prompt",
        "é",
        "--length",
        "12",
        "--count",
        "2",
        "--seed",
        "3",
    )
    code, first, told = ask(*words, "--json")
    assert code == 0
    assert "not in the vocabulary, read as <unk>: 'é'" in told
    found = json.loads(first)
    assert [one["prompt"] for one in found] == ["K:D\n", "K:D\n", "é", "é"]
    assert all(len(one["text"]) <= 12 for one in found)
    assert ask(*words, "--json")[1] == first
    assert "1 of 4" in ask(*words)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--temperature", "0"], "temperature must be greater than 0"),
        (["--top-k", "0"], "top_k must be at least 1"),
        (["--length", "0"], "length must be at least 1"),
        (["--count", "0"], "--count must be at least 1"),
        (["--beam", "0"], "beam must be at least 1"),
        (["--beam", "2", "--top-k", "3"], "a beam draws nothing"),
        (["--greedy", "--temperature", "2"], "greedy decoding draws nothing"),
        (["--piece", "2"], "--piece is for models of piano rolls"),
        (["--given", "8"], "--given is for models of piano rolls"),
    ],
)
def test_generate_refuses_what_says_nothing(words: list[str], said: str, ask) -> None:  # type: ignore[no-untyped-def]
    code, _, told = ask("generate", "folk-abc/elman", *words)
    assert code == 2
    assert said in told


def test_score_compares_texts_of_arguments_files_and_the_standard_input(  # type: ignore[no-untyped-def]
    ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said, _ = ask("score", "folk-abc/elman", "ABc", "ABd", "--tokens")
    assert code == 0
    assert "likeliest:" in said
    (tmp_path / "lines").write_text("ABc\nABd\n")
    code, from_file, _ = ask("score", "folk-abc/elman", "--file", str(tmp_path / "lines"), "--json")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ABc\nABd\n")))
    assert ask("score", "folk-abc/elman", "--file", "-", "--json")[1] == from_file
    first, second = json.loads(from_file)
    assert [one["token"] for one in first["tokens"]] == ["A", "B", "c"]
    assert first["log_prob"] == pytest.approx(sum(one["log_prob"] for one in first["tokens"]))
    assert first["tokens"][:2] == second["tokens"][:2]
    for words, why in ((["A", " "], "text 2 of 2 is empty"), ([], "nothing to score")):
        code, _, told = ask("score", "folk-abc/elman", *words)
        assert code == 2
        assert why in told
