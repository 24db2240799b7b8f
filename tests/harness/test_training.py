"""Runs in other precisions, with arguments of the Trainer, compiled, with a user's own callback and logger."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnbench.cli import main
from rnnbench.config.grid import GridSpec
from rnnbench.data.stand_ins import use_stand_ins
from rnnbench.errors import RnnbenchError
from rnnbench.harness import trainer
from rnnbench.harness.execute import run
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.executors.remote import check_here
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.job import Job
from rnnbench.harness.paths import Folders
from rnnbench.harness.preflight import check
from rnnbench.harness.take_probe import probe_again
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from tests.conftest import Silent
from tests.harness.test_resume import whole_and_cut

COUNTS = {"class_path": "tests.fixtures.training.Counts", "init_args": {"most": 2}}
LINES = {"class_path": "tests.fixtures.training.Lines", "init_args": {"prefix": "mine"}}


def outcome(grid: GridSpec, folder: Path) -> Record:
    record = run(Job(grid.expand()[0], grid.name, folder), lambda progress: None)
    assert record
    assert record.status == "done", f"{record.reason}\n{record.log_tail}"
    return record


def test_a_grid_in_bf16_with_a_callback_and_a_logger_of_a_users_own_runs_on_a_cpu(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    own = grid(architectures=["gru"], precision="bf16-mixed", callbacks=[COUNTS], loggers=["csv", LINES])
    run_grid(own, plan(own, {})[1], folders, watcher)
    (record,) = RecordStore(folders.leaderboard).read()[0].values()
    assert record.status == "done", record.reason + record.log_tail
    assert record.spec.training == own.training
    folder = folders.working("small") / record.id
    assert (folder / "counts.txt").read_text() == "6 bf16-mixed 2"
    lines = (folder / "lines.txt").read_text().splitlines()
    assert len(lines) == 3  # two validations and the test
    assert lines[0].startswith("mine short/gru/0 ")
    assert (folder / "curves" / "metrics.csv").exists()
    usual = outcome(grid(architectures=["gru"]), folders.runs / "usual")
    assert record.score != usual.score
    assert record.score == pytest.approx(usual.score, rel=0.05)
    assert record.probe != usual.probe


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_other_precisions_run_and_leave_weights_that_can_be_asked(
    precision: str, grid: Callable[..., GridSpec], tmp_path: Path
) -> None:
    record = outcome(grid(architectures=["gru"], precision=precision), tmp_path)
    assert record.cost
    assert record.cost.flops_per_step  # counted on the trained network, with inputs in float32


def test_steps_of_several_batches_are_counted_and_validated_as_steps(
    grid: Callable[..., GridSpec], tmp_path: Path
) -> None:
    record = outcome(grid(architectures=["gru"], trainer={"accumulate_grad_batches": 3}), tmp_path)
    assert [point.step for point in record.curve] == [3, 6]
    assert record.cost
    assert (record.cost.steps, record.cost.steps_per_epoch, record.cost.epochs) == (6, 3, 2)  # of 8 batches
    assert record.probe
    assert len(record.probe.losses) == 3
    usual = outcome(grid(architectures=["gru"]), tmp_path / "usual")
    assert usual.probe
    assert record.probe.losses[0] == pytest.approx(usual.probe.losses[0], rel=0.5)  # a mean, no sum and no third


def test_a_run_cut_off_between_the_batches_of_a_step_ends_as_one_in_one_go(
    grid: Callable[..., GridSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"hidden_size": 4, "dropout": 0.3, "learning_rate": 0.01}
    own = grid(architectures=["lstm"], model=model, trainer={"accumulate_grad_batches": 5}, budget={"steps": 3})
    whole, cut, lives = whole_and_cut(own.expand()[0], tmp_path, monkeypatch, [0, 1])
    assert lives == 3
    assert cut == whole


def test_a_compiled_run_has_the_scores_of_one_that_is_not(
    grid: Callable[..., GridSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []
    compile_it = torch.compile

    def keep(model: Any) -> Any:
        compiled.append(model)
        return compile_it(model)

    monkeypatch.setattr(torch, "compile", keep)
    usual = outcome(grid(architectures=["gru"]), tmp_path / "usual")
    assert not compiled
    with torch.compiler.set_stance("force_eager"):  # inductor would take half a minute
        record = outcome(grid(architectures=["gru"], compile=True), tmp_path / "compiled")
    (model,) = compiled
    assert model._compiler_ctx is None  # what follows a run does not compile it again for every shape
    assert record.scores == usual.scores
    assert record.id != usual.id


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"trainer": {"acumulate_grad_batches": 2}}, "trainer: unknown argument of Trainer 'acumulate_grad_batches'; "
                                                     "did you mean 'accumulate_grad_batches'?"),
        ({"trainer": {"gradient_clip_val": "x"}}, "trainer: gradient_clip_val: input should be a valid"),
        ({"trainer": {"gradient_clip_algorithm": "nrm"}}, "trainer: MisconfigurationException: `gradient_clip_algo"),
        ({"precision": "16-mixed"}, "precision '16-mixed' needs a GPU, and there is none here"),
        ({"callbacks": ["tests.fixtures.training.Lines"]}, "class_path 'tests.fixtures.training.Lines' is no Callback"),
        ({"callbacks": ["tests.fixtures.training.Cuonts"]}, "unknown class in tests.fixtures.training 'Cuonts'; did "
                                                            "you mean 'Counts'?"),
        ({"callbacks": ["tests.fixtures.training.Raises"]}, "Raises: no such thing today (in tests/"),
        ({"callbacks": [{**COUNTS, "init_args": {"mots": 1}}]}, "argument of Counts 'mots'; did you mean 'most'?"),
        ({"callbacks": ["EarlyStoping"]}, "'EarlyStoping'; did you mean 'EarlyStopping'?"),
        ({"callbacks": ["RichProgressBar"]}, "trainer: MisconfigurationException: Trainer was configured with"),
        ({"loggers": ["tests.fixtures.training.Counts"]}, "class_path 'tests.fixtures.training.Counts' is no Logger"),
        ({"loggers": [{**LINES, "init_args": {"prefix": 3}}]}, "Lines': prefix: input should be a valid string, got 3"),
        ({"loggers": ["CSVLoger"]}, "unknown logger 'CSVLoger'"),
        ({"loggers": [{"class_path": "CometLogger"}]}, "needs the package comet_ml, which is not installed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_before_anything_starts(
    change: dict[str, Any], sentence: str, grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    with pytest.raises(RnnbenchError, match=re.escape(sentence)):
        run_grid(own := grid(**change), plan(own, {})[1], folders, watcher)
    assert not watcher.events
    assert not folders.runs.exists()


def test_what_has_to_be_on_a_gpu_is_refused_only_where_it_would_run(
    grid: Callable[..., GridSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = grid(precision="16-mixed", architectures=["gru"]).expand()
    check(specs)  # as `rnnbench check` does
    asked: list[Any] = []
    monkeypatch.setattr(LocalExecutor, "_call", lambda self, *call: asked.append(call))
    check_here(specs)  # as does an executor whose machines are others
    assert asked[0][1:] == ("rnnbench.harness.preflight:check", specs, False)
    with pytest.raises(RnnbenchError, match="needs a GPU"):
        check(specs, here=True)
    record = run(Job(specs[0], "g", tmp_path), lambda progress: None)
    assert record
    assert record.reason.startswith("precision '16-mixed' needs a GPU")
    assert probe_again(Job(specs[0], "g", tmp_path)).error.startswith("precision '16-mixed' needs a GPU")


def test_a_check_leaves_the_process_as_it_was(grid: Callable[..., GridSpec]) -> None:
    torch.use_deterministic_algorithms(False)  # whatever ran in this process before
    check(grid(trainer={"deterministic": True, "benchmark": True}).expand())
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    ("arguments", "before", "after"),
    [({}, None, ":4096:8"), ({"deterministic": True}, ":16:8", ":16:8"), ({"deterministic": False}, None, None)],
)
def test_cublas_is_made_deterministic_before_a_run_touches_a_device(
    arguments: dict[str, Any], before: str | None, after: str | None, grid: Callable[..., GridSpec], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    name, _ = trainer.CUBLAS_WORKSPACE
    monkeypatch.setenv(name, before or "")
    if before is None:
        monkeypatch.delenv(name)
    seen: list[str | None] = []

    def stop(spec: Any) -> None:
        seen.append(os.environ.get(name))
        raise RnnbenchError("seen")

    monkeypatch.setattr("rnnbench.harness.execute.make_data", stop)  # the first thing that a run does
    spec = grid(trainer=arguments).expand()[0]
    run(Job(spec, "g", tmp_path), lambda progress: None)
    assert seen == [after]


def test_a_module_beside_a_grids_file_can_be_named_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grids, elsewhere = tmp_path / "grids", tmp_path / "elsewhere"
    for folder in (grids, elsewhere):
        folder.mkdir()
    (grids / "beside_a_grid.py").write_text(
        "from lightning.pytorch.callbacks import Callback\n\n\nclass Mine(Callback):\n    pass\n"
    )
    (grids / "my.yaml").write_text(
        "name: my\narchitectures: [elman]\ntasks: [adding]\nbudget: {steps: 2}\nexecutor: inline\n"
        "callbacks: [beside_a_grid.Mine]\nmodel: {hidden_size: 2}\n"
    )
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with use_stand_ins():
        assert main(["run", str(grids / "my.yaml"), "--dry-run"]) == 0
    assert "nothing was started" in capsys.readouterr().out


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed", "32-true"])
def test_a_grid_on_a_card_is_deterministic_in_every_precision(
    precision: str, grid: Callable[..., GridSpec], tmp_path: Path
) -> None:
    own = grid(
        architectures=["lstm-peephole"], precision=precision, executor={"local": {"gpu_ids": [0], "runs_per_device": 2}}
    )
    scores = []
    for name in ("once", "again"):
        folders = Folders(tmp_path / name, tmp_path / f"runs-{name}")
        run_grid(own, plan(own, {})[1], folders, Silent())
        (record,) = RecordStore(folders.leaderboard).read()[0].values()
        assert record.status == "done", record.reason + record.log_tail
        assert record.environment
        assert record.environment.device == torch.cuda.get_device_name(0)
        scores.append(record.scores)
    assert scores[0] == scores[1]


@pytest.mark.gpu
def test_without_gpus_a_run_is_on_the_cpu_of_a_machine_that_has_some(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    own = grid(architectures=["gru"], executor={"local": {"gpu_ids": [], "workers": 1}})
    run_grid(own, plan(own, {})[1], folders, watcher)
    (record,) = RecordStore(folders.leaderboard).read()[0].values()
    assert record.environment
    assert record.environment.device == "cpu"
