"""How a grid says that its runs are trained: what is allowed, what is the same run, and where it is shown."""

import re
from inspect import signature
from typing import Any, get_args

import pytest
from lightning.fabric.plugins.precision import precision as lightning_precision
from lightning.pytorch import Trainer

from rnnbench.config.grid import GridSpec
from rnnbench.config.training import OWNED, POSITIVE, PRECISION_ALIASES, PRECISIONS
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.configuration import Configuration, settings_of
from rnnbench.leaderboard.costs import cost_rows
from rnnbench.leaderboard.export import flat, rows_of, to_csv
from rnnbench.leaderboard.html.runs import grid_of, runs_data
from rnnbench.leaderboard.table import make_table
from rnnbench.records.folded import FoldedTrial, TrialsFile
from rnnbench.records.probe import code_version
from rnnbench.records.record import Record
from rnnbench.records.selection import study_of, tuned_runs
from tests.fixtures.cells import cells
from tests.fixtures.records import done

GRID: dict[str, Any] = {"name": "my", "architectures": ["lstm"], "tasks": ["adding"], "budget": {"steps": 3}}
TRAINED: dict[str, Any] = {
    "precision": "bf16-mixed",
    "compile": True,
    "trainer": {"gradient_clip_val": 0.5},
    "callbacks": [{"class_path": "tests.fixtures.training.Counts", "init_args": {"most": 3}}],
}


def read(**changes: Any) -> GridSpec:
    return GridSpec.read({**GRID, **changes}, "my.yaml")


def run_id(**changes: Any) -> str:
    (spec,) = read(**changes).expand()
    return spec.id


def test_precisions_are_those_of_lightning() -> None:
    assert set(PRECISIONS) == set(get_args(lightning_precision._PRECISION_INPUT_STR))
    assert PRECISION_ALIASES == lightning_precision._PRECISION_INPUT_STR_ALIAS_CONVERSION


def test_what_the_harness_sets_itself_are_arguments_of_the_trainer() -> None:
    arguments = set(signature(Trainer.__init__).parameters) - {"self"}
    assert set(OWNED) <= arguments
    assert set(POSITIVE) <= arguments - set(OWNED)


@pytest.mark.parametrize(
    "change",
    [
        {"precision": 32},
        {"precision": "32-true"},
        {"precision": None},
        {"compile": False, "trainer": {}, "callbacks": []},
    ],
)
def test_what_is_the_default_does_not_change_identity(change: dict[str, Any]) -> None:
    assert run_id(**change) == run_id()


def test_identity_is_that_of_earlier_versions() -> None:
    """As committed records have it; a change here would make strangers of all records."""
    (spec,) = GridSpec.read({**GRID, "budget": {"steps": 300}, "model": {"hidden_size": 4}}, "g").expand()
    assert "training" not in spec._content()
    assert spec.network == [spec.architecture.class_path, spec.arguments, None]
    assert len(spec.setting) == 10


def test_each_way_of_training_is_a_run_of_its_own() -> None:
    alone = [run_id(**{name: value}) for name, value in TRAINED.items()]
    others = [run_id(precision="16-true"), run_id(trainer={"gradient_clip_val": 1}), run_id(callbacks=["Timer"])]
    assert len({run_id(), run_id(**TRAINED), *alone, *others}) == 9


def test_short_names_are_the_same_run() -> None:
    assert run_id(precision="bf16") == run_id(precision="bf16-mixed")
    assert run_id(precision=16) == run_id(precision="16-mixed")
    long = {"class_path": "lightning.pytorch.callbacks.Timer", "init_args": {}}
    assert run_id(callbacks=["Timer"]) == run_id(callbacks=[long]) == run_id(callbacks=[long["class_path"]])
    assert run_id(loggers=["csv", {"class_path": "MLFlowLogger"}]) == run_id()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"precision": "bf16-mixd"}, "my.yaml: precision: unknown precision 'bf16-mixd'; did you mean 'bf16-mixed'?"),
        ({"precision": True}, "precision: give one of transformer-engine,"),
        ({"compile": "yes"}, "compile: input should be a valid boolean, got 'yes'"),
        ({"trainer": {"max_epochs": 3}}, "trainer: max_epochs cannot be set here: the budget says when training ends"),
        ({"trainer": {"precision": 16}}, "trainer: precision cannot be set here: use the field precision of the grid"),
        ({"trainer": {"limit_val_batches": 0}}, "trainer: limit_val_batches must be above 0, got 0"),
        ({"trainer": {"accumulate_grad_batches": 0}}, "trainer: accumulate_grad_batches must be above 0, got 0"),
        ({"trainer": {"detect_anomaly": float("nan")}}, "trainer: detect_anomaly is nan; allowed are"),
        ({"callbacks": [3]}, "callbacks.0: give an import path, or class_path and init_args, got 3"),
        ({"callbacks": [{"class": "Timer"}]}, "unknown key 'class'; did you mean 'class_path'?"),
        ({"callbacks": [{"class_path": "a b.c"}]}, "class_path: string should match pattern"),
        ({"loggers": ["tensorbord"]}, "unknown logger 'tensorbord'; did you mean 'tensorboard'?"),
        ({"loggers": [["csv"]]}, "give an import path, or class_path and init_args, got ['csv']"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_when_a_grid_is_read(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RnnbenchError, match=re.escape(sentence)):
        read(**change)


def test_a_record_cannot_set_what_the_harness_owns() -> None:
    (spec,) = read(**TRAINED).expand()
    content = done(spec).model_dump(mode="json", exclude_defaults=True)
    assert Record.read(content, "r").spec == spec
    content["spec"]["training"]["trainer"] = {"default_root_dir": "/"}
    with pytest.raises(RnnbenchError, match="default_root_dir cannot be set here"):
        Record.read(content, "r")


def test_trials_and_what_they_select_are_trained_as_the_grid_says() -> None:
    tune = {"space": "core", "trials": 2}
    grid = read(tune=tune, **TRAINED)
    specs = grid.expand()
    assert all(spec.training == grid.training for spec in specs)
    trials = [spec for spec in specs if spec.trial]
    plain = [spec for spec in read(tune=tune).expand() if spec.trial]
    assert {study_of(spec) for spec in trials}.isdisjoint(study_of(spec) for spec in plain)
    records = {
        spec.id: done(spec, score=None, scores={}, validation={"mse": float(k)})  # type: ignore[arg-type]
        for k, spec in enumerate(trials)
    }
    (tuned,) = tuned_runs(grid, trials, records)
    assert tuned.training == grid.training
    folded = TrialsFile.of(map(FoldedTrial.of, records.values()))
    again = TrialsFile.parse(folded.text().encode(), "trials").records("trials")
    assert {one.spec.id for one in again.values()} == set(records)


def test_runs_that_are_trained_otherwise_are_rows_of_their_own_and_say_so() -> None:
    (usual,), (other,) = read().expand(), read(**TRAINED).expand()
    table = make_table(cells(done(usual, 0.1), done(other, 0.2)))
    assert [row.settings for row in table.rows] == [
        "",
        'callbacks=[{"class_path":"tests.fixtures.training.Counts","init_args":{"most":3}}], compile=true, '
        "precision=bf16-mixed, trainer.gradient_clip_val=0.5",
    ]
    assert [row.training for row in cost_rows(table)] == ["", table.rows[1].settings]
    settings = settings_of(read(**TRAINED))
    assert settings(Configuration.of(other)) == ""
    assert settings(Configuration.of(usual)).endswith("trainer.gradient_clip_val=default")
    opened = runs_data(table)["fields"]["1,0"]
    assert opened["settings"]["precision"] == "bf16-mixed"
    assert 'precision: "bf16-mixed"' in opened["again"]
    assert GridSpec.read(grid_of([other]), "again").expand()[0].id == other.id
    (first,), (second,) = rows_of(cells(done(usual, 0.1))), rows_of(cells(done(other, 0.2)))
    assert [first[name] for name in TRAINED] == [None] * 4
    assert [second[name] for name in TRAINED] == list(TRAINED.values())
    assert flat(second)["callbacks"].startswith('[{"class_path"')
    assert "bf16-mixed" in to_csv([second])


def test_the_code_of_a_callback_is_part_of_the_version_of_the_code() -> None:
    (usual,), (own,) = read().expand(), read(callbacks=["tests.fixtures.training.Counts"]).expand()
    (lightnings,) = read(callbacks=["Timer"]).expand()
    assert code_version(usual) == code_version(lightnings) != code_version(own)


def test_a_record_with_callbacks_is_verified_for_whoever_trusts_them() -> None:
    from rnnbench.cli.publish import needs
    from rnnbench.records.trust import foreign

    (spec,) = read(callbacks=["Timer", "tests.fixtures.training.Counts"]).expand()
    assert foreign(spec) == ["lightning.pytorch.callbacks.Timer", "tests.fixtures.training.Counts"]
    assert needs(spec) == ["the code of `tests.fixtures.training.Counts`"]
