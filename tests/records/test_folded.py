"""Trials in one file a study: nothing that counts is lost, nothing wrong is read, whatever reads trials goes on."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli import main
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.driver import GridDriver, fold_ended
from rnnbench.harness.grid import plan
from rnnbench.harness.paths import Folders
from rnnbench.records.certificates import Certificates
from rnnbench.records.folded import FoldedTrial, parse_trials, trials_file
from rnnbench.records.record import Record, file_of
from rnnbench.records.selection import runs_of
from rnnbench.records.status import cells_of
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.altered import altered, why_altered
from rnnbench.records.submissions.plausible import InstalledCards
from rnnbench.records.trials import studies
from tests.conftest import Silent
from tests.fixtures.records import certificate, done
from tests.fixtures.trials import SPACE, answered, trial


@pytest.fixture
def tuned(grid: Callable[..., GridSpec], tmp_path: Path) -> GridSpec:
    """Three trials with one architecture, with scores 0.3, none and 0.2 in `kept`."""
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(SPACE))
    return grid(tune={"trials": 3, "space": str(path)}, architectures=["elman"])


SCORES = [0.3, None, 0.2]


def kept(grid: GridSpec, folders: Folders) -> tuple[RecordStore, dict[str, Record]]:
    """The records of all trials of a grid, each in its own file."""
    store, records = RecordStore(folders.leaderboard), answered(grid, SCORES)
    for record in records.values():
        store.write(record)
    return store, records


def test_folding_keeps_configuration_score_and_cost_and_selects_the_same(tuned: GridSpec, folders: Folders) -> None:
    store, records = kept(tuned, folders)
    size = sum((store.folder / record.file).stat().st_size for record in records.values())
    selected = [run.id for run in runs_of(tuned, records) if run.selected]
    fold_ended(tuned.expand(), records, store)
    (path,) = [path for path in store.folder.rglob("*") if path.is_file()]
    assert path == store.folder / trials_file(next(iter(records.values())).spec)
    assert path.stat().st_size < size / 2
    folded, problems = store.read()
    assert problems == []
    assert set(folded) == set(records)
    assert [run.id for run in runs_of(tuned, folded) if run.selected] == selected
    for run, record in records.items():
        now = folded[run]
        assert (now.spec, now.status, now.reason, now.started) == (
            record.spec, record.status, record.reason, record.started)  # fmt: skip
        assert (now.headline_score, now.cost and now.cost.total_seconds) == (
            record.headline_score, record.cost and record.cost.total_seconds)  # fmt: skip
    (before,), (after,) = (studies(some.values()).values() for some in (records, folded))
    assert (before.scores, before.seconds, before.curve, before.lost) == (
        after.scores, after.seconds, after.curve, after.lost)  # fmt: skip
    assert [cell.state for cell in cells_of(tuned.expand(), folded)][:3] == ["done", "failed", "done"]


def test_a_fold_that_was_cut_off_loses_and_doubles_nothing(
    tuned: GridSpec, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of the study is written before any other is removed."""
    store, records = kept(tuned, folders)
    monkeypatch.setattr("rnnbench.records.store.discard", lambda path: None)
    fold_ended(tuned.expand(), records, store)
    assert len(list(store.folder.rglob("*.json"))) == 4
    found, problems = store.read()
    assert (found, problems) == (records, [])
    monkeypatch.undo()
    fold_ended(tuned.expand(), found, store)
    assert len(list(store.folder.rglob("*.json"))) == 1
    assert set(store.read()[0]) == set(records)


def test_a_study_that_has_not_ended_is_not_folded_and_a_trial_that_is_run_again_replaces_the_folded_one(
    tuned: GridSpec, folders: Folders
) -> None:
    store, records = kept(tuned, folders)
    first, failed, _ = records.values()
    fold_ended(tuned.expand(), {run: one for run, one in records.items() if run != first.id}, store)
    assert len(list(store.folder.rglob("*.json"))) == 3
    fold_ended(tuned.expand(), records, store)
    again = trial(failed.spec, 0.1)
    store.write(again)
    found, _ = store.read()
    assert found[failed.id] == again
    assert [run.selected.index for run in runs_of(tuned, found) if run.selected] == [1]
    fold_ended(tuned.expand(), found, store)
    assert len(list(store.folder.rglob("*.json"))) == 1
    assert store.read()[0][failed.id].headline_score == 0.1


def test_a_trial_that_another_process_has_run_and_folded_is_not_run_again(tuned: GridSpec, folders: Folders) -> None:
    records = answered(tuned, SCORES)
    trials = [cell for cell in plan(tuned, {})[1] if cell.spec.trial]
    with GridDriver(folders, tuned, trials, Silent()) as driver:
        jobs = [driver.make_job(cell) for cell in trials]
        store, _ = kept(tuned, folders)
        fold_ended(tuned.expand(), records, store)
        assert [driver.claim(job) for job in jobs] == ["drop"] * 3
    with GridDriver(folders, tuned, trials, Silent()) as driver:
        again = [cell for cell in plan(tuned, store.read()[0], ["failed"])[1] if cell.spec.trial]
        assert [driver.claim(driver.make_job(cell)) for cell in again] == ["go"]


def test_a_record_that_is_folded_while_others_are_read_is_read(
    tuned: GridSpec, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, records = kept(tuned, folders)
    read_one = store.read_one

    def slow(path: Path) -> Record:
        fold_ended(tuned.expand(), records, RecordStore(folders.leaderboard))
        return read_one(path)

    monkeypatch.setattr(store, "read_one", slow)
    found, problems = store.read()
    assert (set(found), problems) == (set(records), [])


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (["trials", 0, "score"], None, "a trial that is done has a validation score by 'mse' alone"),
        (["trials", 0, "cost"], None, "a trial that is done has cost, environment and data_fingerprint"),
        (["trials", 0, "origin"], 7, "a trial names an origin beyond the"),
        (["trials", 0, "index"], 2, "trials are in the order of index and seed, each once"),
        (["trials", 1, "score"], 0.1, "a trial that is failed has a reason and no score"),
        (["trials", 0, "scores"], {"mse": 0.1}, "unknown key 'scores'"),
        (["trials", 0, "arguments"], {"x": float("nan")}, "is not valid JSON"),
        (["spec", "seed"], 3, "spec is that of a run with seed 0"),
        (["design"], "00000000", "in the wrong place"),
        (["schema_version"], 2, "schema_version: input should be 1, got 2"),
        (["trials"], [], "should have at least 1 item"),
    ],
)
def test_a_file_of_trials_that_is_none_is_refused(
    tuned: GridSpec, folders: Folders, place: list[Any], value: Any, sentence: str
) -> None:
    store, records = kept(tuned, folders)
    path = store.fold(list(records.values()))
    content = json.loads(path.read_text())
    inner = content
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    if value is None:
        del inner[place[-1]]
    with pytest.raises(RnnbenchError, match=sentence.replace("(", r"\(")):
        parse_trials(json.dumps(content).encode(), str(path))
    path.write_text(json.dumps(content))
    found, problems = store.read()
    assert found == {}
    assert len(problems) == 1
    store.fold(list(records.values()))  # a broken file is kept aside, as one of a record is
    assert path.with_suffix(".json.broken").exists()
    assert set(store.read()[0]) == set(records)


def test_trials_are_stale_where_the_code_has_changed_what_was_selected_among_them(
    tuned: GridSpec, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, records = kept(tuned, folders)
    fold_ended(tuned.expand(), records, store)
    (selected,) = [run for run in runs_of(tuned, records) if run.selected]
    store.write(done(selected, code_version="0" * 12))
    certificates = Certificates(folders.leaderboard)
    certificates.add([certificate(done(selected, code_version="0" * 12), why="the loss of step 1")])
    found, _ = store.read()
    found = {run: one.model_copy(update={"code_version": "0" * 12}) if one.spec.trial else one
             for run, one in found.items()}  # fmt: skip
    cells, todo = plan(tuned, found, certificates=certificates)
    states = {cell.spec.row: cell.state for cell in cells}
    assert states == {"elman trial 0": "stale", "elman trial 1": "failed", "elman trial 2": "stale",
                      "elman tuned(3)": "stale", "elman": "missing"}  # fmt: skip
    assert {cell.spec.row for cell in todo} == {"elman trial 0", "elman trial 2", "elman"}
    (first, *_) = [one for one in found.values() if one.spec.row == "elman trial 0"]
    again = {**found, first.id: trial(first.spec, 0.3)}
    cells, todo = plan(tuned, again, certificates=certificates)
    assert {cell.spec.row for cell in todo} == {"elman trial 2", "elman"}  # what was run again is not stale


def test_a_tuned_run_may_be_removed_if_other_code_has_selected_another(tuned: GridSpec) -> None:
    def chosen(scores: list[float | None]) -> RunSpec:
        (run,) = [run for run in runs_of(tuned, answered(tuned, scores)) if run.selected]
        return run

    cards, later = InstalledCards(), "2026-02-01T00:00:00+00:00"
    old, of_older_code = done(chosen(SCORES)), done(chosen(SCORES), code_version="0" * 12)
    new, early = done(chosen([0.1, None, 0.2]), started=later), done(chosen([0.1, None, 0.2]))
    assert old.spec.selected != new.spec.selected

    def told(before: Record, *after: Record) -> str:
        return "".join(altered({before.id: before}, {one.id: one for one in after}, cards))

    assert not told(of_older_code, new)
    for before, after in ((of_older_code, []), (of_older_code, [early]), (old, [new])):
        assert "a score was removed that still counts" in told(before, *after)


def test_folding_is_no_alteration_but_another_score_is(tuned: GridSpec) -> None:
    first, *_ = answered(tuned, SCORES).values()
    cards = InstalledCards()
    folded = FoldedTrial.of(first)
    assert why_altered(first, folded, cards) == why_altered(folded, first, cards) == ""
    other = folded.model_copy(update={"validation": {"mse": 0.1}})
    assert "altered after the fact: validation" in why_altered(first, other, cards)
    assert why_altered(folded, None, cards) == "a score was removed that still counts"


def test_trials_go_with_what_was_selected_among_them_when_it_is_published(
    tuned: GridSpec, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    store, records = kept(tuned, folders)
    fold_ended(tuned.expand(), records, store)
    (selected,) = [run for run in runs_of(tuned, records) if run.selected]
    store.write(done(selected, 0.2))
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "-q"], ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q",
                                            "--allow-empty", "-m", "empty"]):  # fmt: skip
        subprocess.run(command, check=True)
    publish = ["publish", selected.id, "--to", "board", "--by", "A", "--leaderboard", str(folders.leaderboard)]
    assert main(publish) == 0
    said = capsys.readouterr().out
    assert "short/elman: 3 trials" in said
    assert "2 published, 0 there already" in said
    published, problems = RecordStore(Path("board")).read()
    assert (set(published), problems) == ({selected.id, *records}, [])
    assert {one.provenance.by for one in published.values() if one.provenance} == {"A"}
    assert main(["check", "board"]) == 0
    assert main(publish) == 0
    assert "0 published, 2 there already" in capsys.readouterr().out
    assert main(["board", "--preview", "--leaderboard", "board"]) == 0
    assert not (Path("board/records") / file_of(next(iter(records.values())).spec)).exists()


def test_the_file_of_a_study_names_no_run(
    tuned: GridSpec, folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    store, records = kept(tuned, folders)
    path = store.fold(list(records.values()))
    run = next(iter(records))
    assert main(["show", str(path), "--leaderboard", str(folders.leaderboard)]) == 2
    assert "has several trials: name one by its id" in capsys.readouterr().err
    assert main(["show", run, "--leaderboard", str(folders.leaderboard)]) == 0
    assert f"record: {path}" in capsys.readouterr().out.replace("\n", "")
