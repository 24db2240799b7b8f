"""Probes: a record outlives any change of the code that gives the same, and no other."""

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import rnnbench
from rnnbench.architectures import Elman, SequenceModule
from rnnbench.architectures import optim as optimisation
from rnnbench.cli import main
from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.data import Adding
from rnnbench.data.batches import GlobalBatches
from rnnbench.harness import execute as cell
from rnnbench.harness.callbacks import Reporter, number_of
from rnnbench.harness.certify import TakeProbes, certify, uncertified_records
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.job import Job, ProbeResult
from rnnbench.harness.paths import Folders
from rnnbench.harness.take_probe import FirstSteps, probe_again
from rnnbench.leaderboard.board import read_board
from rnnbench.nn import GRU, run_padded
from rnnbench.objectives import Regression, Tagging
from rnnbench.records.certificates import MAX_FILE_BYTES, Certificate, Certificates
from rnnbench.records.probe import Probe, code_version
from rnnbench.records.record import MAX_POINTS, Environment, Point, Record, thinned
from rnnbench.records.status import cells_of, cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import audit
from rnnbench.utils import fingerprint
from rnnbench.utils.files import CACHE_VARIABLE, cache_folder
from tests.conftest import Silent
from tests.fixtures.records import certificate, done, lost, spec

NOW = code_version(spec())
OLD = "0" * 12


class Drawn(Adding):
    """Draws its order from a generator that goes on from one training to the next."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.generator = torch.Generator().manual_seed(1)

    def train_dataloader(self) -> Any:
        loader: Any = super().train_dataloader()
        loader.sampler.seed = int(torch.randint(1000, (), generator=self.generator))
        return loader


class Silently(Elman):
    """Optimises by itself, and returns no loss."""

    def configure_callbacks(self) -> list[Any]:
        self.automatic_optimization = False
        return []

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


# --- what a run keeps


def one_run(grid: GridSpec, folder: Path) -> Record:
    (run,) = grid.expand()
    record = cell.run(Job(run, "g", folder, loggers=()), lambda _: None)
    assert record is not None
    assert record.status == "done", record.reason
    return record


def test_a_probe_has_the_losses_of_the_first_steps_and_scores_of_two_batches(
    grid: Callable[..., GridSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, calls = [], []
    end, validate = Reporter.on_train_batch_end, SequenceModule.validation_step

    def keep(self: Any, trainer: Any, module: Any, outputs: Any, batch: Any, number: int) -> None:
        losses.append(number_of(outputs["loss"]))
        end(self, trainer, module, outputs, batch, number)

    def count(self: Any, batch: Any, number: int) -> None:
        calls.append((len(losses), self.trainer.global_step, number))
        validate(self, batch, number)

    monkeypatch.setattr(Reporter, "on_train_batch_end", keep)
    monkeypatch.setattr(SequenceModule, "validation_step", count)
    record = one_run(grid(architectures=["gru"], model={"hidden_size": 4, "dropout": 0.3}), tmp_path)
    assert record.probe is not None
    assert record.probe.losses == losses[:3]
    assert {"mse", "loss", "mae", "rmse"} == set(record.probe.scores)
    assert [call for call in calls if call[0] == 0] == [(0, 3, 0), (0, 3, 1)]
    assert record.code_version == NOW


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("task_name", "class_path"),
    [("short", "rnnbench.data.Adding"), ("short", "tests.records.test_probe.Drawn"), ("shakespeare-char", "")],
)
def test_a_run_has_the_numbers_that_it_would_have_without_its_probe(
    task_name: str,
    class_path: str,
    grid: Callable[..., GridSpec],
    task: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = task(task_name, class_path, length=6, train_size=256, batch_size=32) if class_path else task_name
    model = {"hidden_size": 4, "dropout": 0.3}
    asked = grid(architectures=["lstm"], tasks=[made], model=model, batch_size=8)
    probed = one_run(asked, tmp_path / "with")
    monkeypatch.setattr(cell, "take_probe", lambda *_: Probe())
    plain = one_run(asked, tmp_path / "without")
    assert probed.probe
    assert len(probed.probe.losses) == 3
    for name in ("scores", "validation", "curve", "best_step", "parameters"):
        assert getattr(probed, name) == getattr(plain, name), name


@pytest.mark.parametrize(
    ("budget", "count"), [({"steps": 2}, 2), ({"steps": 1}, 1), ({"epochs": 1}, 2), ({"epochs": 9}, 3)]
)
def test_a_run_of_fewer_steps_has_a_probe_of_as_many(
    budget: dict[str, int], count: int, grid: Callable[..., GridSpec], tmp_path: Path
) -> None:
    probe = one_run(grid(architectures=["gru"], budget=budget, batch_size=128), tmp_path).probe
    assert probe
    assert (len(probe.losses), "mse" in probe.scores) == (count, True)


def test_a_module_that_returns_no_loss_has_a_probe_by_its_scores(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], tmp_path: Path
) -> None:
    probe = one_run(grid(architectures=[architecture("silently", "tests.records.test_probe.Silently")]), tmp_path).probe
    assert probe
    assert probe.losses == [None] * 3
    assert probe.scores["mse"] > 0


@pytest.mark.parametrize(
    ("outputs", "loss"),
    [({"loss": torch.tensor(0.1)}, 0.1), (torch.tensor([0.5]), 0.5), (0.25, 0.25), (None, None),
     ({"loss": torch.tensor(float("nan"))}, None), (torch.ones(2), None), ("a", None),
     (torch.tensor(1 / 3, dtype=torch.float64), 1 / 3)],
)  # fmt: skip
def test_a_loss_is_kept_to_the_last_bit_whatever_a_module_returns(outputs: Any, loss: float | None) -> None:
    first, trainer = FirstSteps(3), Silent()
    first.on_train_batch_end(trainer, None, outputs, None, 0)  # type: ignore[arg-type]
    assert first.losses == [loss]
    if isinstance(outputs, dict) and loss:
        assert torch.tensor(first.losses[0]) == outputs["loss"]


BEFORE = Probe(losses=[1.0, None, 0.5], scores={"mse": 0.25, "count": 30.0})


@pytest.mark.parametrize(
    ("changes", "exact", "loosely"),
    [
        ({}, "", ""),
        ({"scores": {"mse": 0.25, "count": 30.0, "new": 1.0}}, "", ""),
        ({"losses": [1.0, None, 0.5000001]}, "the loss of step 3 was 0.5, is now 0.5000001", ""),
        ({"losses": [1.0, None, 0.51]}, "the loss of step 3", "the loss of step 3 was 0.5, is now 0.51"),
        ({"losses": [1.0, 1.0, 0.5]}, "the loss of step 2 was no number", "is now 1"),
        ({"losses": [1.0, None]}, "3 training steps then, 2 now", "3 training steps then, 2 now"),
        ({"scores": {"mse": 0.26, "count": 30.0}}, "validation mse after step 3 was 0.25, is now 0.26", ""),
        ({"scores": {"mse": 0.35, "count": 30.0}}, "validation mse", "validation mse"),
        ({"scores": {"mse": 0.25, "count": 31.0}}, "validation count", ""),
        ({"scores": {"mse": 0.25, "count": 33.0}}, "validation count", "validation count"),
        ({"scores": {"mse": 0.25}}, "is now no number", "is now no number"),
    ],
)
def test_probes_are_compared_to_the_last_bit_or_within_a_tolerance(
    changes: dict[str, Any], exact: str, loosely: str
) -> None:
    after = BEFORE.model_copy(update=changes)
    for told, expected in ((BEFORE.difference(after, True), exact), (BEFORE.difference(after, False), loosely)):
        assert expected in told
        assert bool(expected) == bool(told)


def test_only_processors_of_one_kind_are_compared_to_the_last_bit() -> None:
    one = done().environment
    assert one is not None
    assert one.computes_like(one.model_copy(update={"python": "other", "rnnbench": "other"}))
    for name in ("torch", "processor", "instructions", "platform"):
        assert not one.computes_like(one.model_copy(update={name: "other"}))
    assert not one.computes_like(one.model_copy(update={"threads": 2}))
    gpu = one.model_copy(update={"device": "a GPU"})
    assert not gpu.computes_like(gpu)


# --- what becomes of records when the code changes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[GridSpec, Path]:
    """A grid of 2 architectures, a task of regression and one of classification, and 2 seeds; and its leaderboard."""
    folder, tasks = tmp_path_factory.mktemp("made"), []
    for name, like in (("short", "adding"), ("flips", "parity")):
        card = TaskCard.load(like).model_dump(mode="json", exclude_none=True) | {"name": name}
        card["data"]["init_args"] = {"length": 6, "train_size": 256, "batch_size": 32}
        (folder / name).mkdir()
        (folder / name / "task.yaml").write_text(yaml.safe_dump(card))
        tasks.append(str(folder / name))
    content = {"name": "g", "architectures": ["elman", "gru"], "tasks": tasks, "seeds": 2, "executor": "inline",
               "budget": {"steps": 4}, "model": {"hidden_size": 4}}  # fmt: skip
    grid, folders = GridSpec.read(content, "test"), Folders(folder / "leaderboard", folder / "runs")
    run_grid(grid, plan(grid, {})[1], folders, Silent())
    assert set(states(folders.leaderboard).values()) == {"done"}
    return grid, folders.leaderboard


def inline(jobs: Sequence[Job]) -> Iterable[tuple[Job, ProbeResult | None]]:
    """Probes in this process."""
    return ((job, probe_again(job)) for job in jobs)


def certify_now(leaderboard: Path, ask: TakeProbes = inline) -> list[Certificate | tuple[Record, str]]:
    records, problems = RecordStore(leaderboard).read()
    assert not problems
    return list(certify(leaderboard, records, uncertified_records(records, Certificates(leaderboard)), ask))


def states(leaderboard: Path) -> dict[str, str]:
    """State of each configuration, `?` after it if it is not certified."""
    records, _ = RecordStore(leaderboard).read()
    cells = cells_on_record(records, Certificates(leaderboard))
    return {
        f"{one.spec.task.name}/{one.spec.architecture.name}": one.state + "?" * (not one.certified) for one in cells
    }


@pytest.fixture
def board(made: tuple[GridSpec, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its records, and code of another version than that which made them."""
    shutil.copytree(made[1] / "records", tmp_path / "leaderboard" / "records")
    change_version(monkeypatch, "another")
    assert set(states(tmp_path / "leaderboard").values()) == {"done?"}
    return tmp_path / "leaderboard"


def change_version(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Some code has changed: the source of rnnbench has another digest."""
    import rnnbench.records.probe

    monkeypatch.setattr(rnnbench.records.probe, "source_digest", lambda package: f"{package} {name}")
    rnnbench.records.probe._code_version.cache_clear()


@pytest.fixture(autouse=True)
def _versions() -> Iterable[None]:
    import rnnbench.records.probe

    yield
    rnnbench.records.probe._code_version.cache_clear()


def test_a_refactoring_keeps_all_records_by_one_probe_a_configuration(board: Path, made: tuple[GridSpec, Path]) -> None:
    found = certify_now(board)
    assert len(found) == 4
    assert all(isinstance(one, Certificate) and one.holds_for and one.exact for one in found)
    assert set(states(board).values()) == {"done"}
    assert certify_now(board) == []
    records, _ = RecordStore(board).read()
    for refresh in (False, True):
        assert not plan(made[0], records, refresh=refresh, certificates=Certificates(board))[1]


def test_only_what_a_probe_has_shown_to_be_other_is_run_again(board: Path, made: tuple[GridSpec, Path]) -> None:
    records, _ = RecordStore(board).read()
    assert not plan(made[0], records, refresh=True, certificates=Certificates(board))[1]
    one = next(one for one in records.values() if one.spec.architecture.name == "gru")
    Certificates(board).add([certificate(one, why="other")])
    for refresh in (False, True):
        todo = plan(made[0], records, refresh=refresh, certificates=Certificates(board))[1]
        assert [cell.spec.configuration for cell in todo] == [one.spec.configuration] * 2


def other_loss(patch: pytest.MonkeyPatch) -> None:
    before = Regression.loss
    patch.setattr(Regression, "loss", lambda *parts: (before(*parts)[0] * 1.000001, before(*parts)[1]))


def other_metric(patch: pytest.MonkeyPatch) -> None:
    before = Tagging.metrics

    def metrics(self: Any) -> Any:
        found = before(self)
        found["accuracy"].average = "macro"
        return found

    patch.setattr(Tagging, "metrics", metrics)


def other_initialisation(patch: pytest.MonkeyPatch) -> None:
    before = GRU.reset_parameters

    def reset(self: Any) -> None:
        before(self)
        with torch.no_grad():
            next(self.parameters()).mul_(1.01)

    patch.setattr(GRU, "reset_parameters", reset)


def other_optimiser(patch: pytest.MonkeyPatch) -> None:
    before = optimisation.make_optimizer

    def make(*parts: Any) -> Any:
        made = before(*parts)
        for group in made.param_groups:
            group["betas"] = (0.8, 0.999)
        return made

    patch.setattr("rnnbench.architectures.module.make_optimizer", make)


def other_order(patch: pytest.MonkeyPatch) -> None:
    before = GlobalBatches.all_batches
    patch.setattr(GlobalBatches, "all_batches", lambda self: before(self)[::-1])


ALL = {"short/elman", "short/gru", "flips/elman", "flips/gru"}


@pytest.mark.parametrize(
    ("change", "concerned", "why"),
    [
        (other_loss, {"short/elman", "short/gru"}, "the loss of step 1 was"),
        (other_metric, {"flips/elman", "flips/gru"}, "validation accuracy after step 3 was"),
        (other_initialisation, {"short/gru", "flips/gru"}, "the loss of step 1 was"),
        (other_optimiser, ALL, "of step 3 was"),
        (other_order, ALL, "the loss of step 1 was"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_change_of_what_is_computed_makes_the_records_concerned_stale_and_no_others(
    change: Callable[[pytest.MonkeyPatch], None],
    concerned: set[str],
    why: str,
    board: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(monkeypatch)
    told = [one.why for one in certify_now(board) if isinstance(one, Certificate)]
    assert {name for name, state in states(board).items() if state == "stale"} == concerned
    assert {state for name, state in states(board).items() if name not in concerned} <= {"done"}
    assert all(one.startswith("the code no longer gives the same: ") and why in one for one in told if one)


READER = "def read(values):\n    return values * {factor}\n"
TASK = """
from rnnbench.data import Adding
from yours.reader import read


class Yours(Adding):
    def build_splits(self, folder):
        made = super().build_splits(folder)
        tables = {
            name: table.map(lambda row: {"targets": float(read(row["targets"]))})
            for name, table in made.tables.items()
        }
        return type(made)(**{**vars(made), "tables": tables})
"""


def test_a_change_of_a_data_reader_makes_the_records_of_its_task_stale(
    grid: Callable[..., GridSpec],
    task: Callable[..., str],
    folders: Folders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "code" / "yours"
    home.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "code")

    def write(factor: float, comment: str = "") -> None:
        (home / "__init__.py").write_text(comment)
        (home / "task.py").write_text(TASK)
        (home / "reader.py").write_text(READER.format(factor=factor))
        for name in [name for name in sys.modules if name.partition(".")[0] == "yours"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        of_sources = (fingerprint.source_digest, fingerprint.imported_modules, fingerprint._imports)
        for cached in (*of_sources, rnnbench.records.probe._code_version):
            cached.cache_clear()

    write(1.0)
    asked = grid(architectures=["gru"], tasks=[task(), task("yours", "yours.task.Yours", length=6, train_size=256)])
    run_grid(asked, plan(asked, {})[1], folders, Silent())
    board = folders.leaderboard
    assert states(board) == {"short/gru": "done", "yours/gru": "done"}
    write(1.0, "# nothing that matters")
    assert states(board) == {"short/gru": "done", "yours/gru": "done?"}
    certify_now(board)
    assert states(board) == {"short/gru": "done", "yours/gru": "done"}
    write(1.5)
    certify_now(board)
    assert states(board) == {"short/gru": "done", "yours/gru": "stale"}
    (found,) = Certificates(board).all.values()
    assert found.why == "its data has changed"


def test_a_moved_module_and_a_renamed_function_keep_all_records(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Path(inspect.getfile(rnnbench)).parent
    copy = tmp_path / "copy" / "rnnbench"
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("tasks", "configs"):
        (copy.parent / folder).symlink_to(home.parent / folder)
    moved = Path(inspect.getfile(GlobalBatches)).relative_to(home)
    (copy / moved).rename((copy / moved).with_stem("moved"))
    renamed = {
        GlobalBatches.__module__: f"{GlobalBatches.__module__.rpartition('.')[0]}.moved",
        run_padded.__name__: "renamed",
    }
    for path in copy.rglob("*.py"):
        text = path.read_text()
        for name, other in renamed.items():
            text = re.sub(rf"\b{re.escape(name)}\b", other, text)
        path.write_text(text)
    environ = {**os.environ, "PYTHONPATH": str(copy.parent), CACHE_VARIABLE: str(cache_folder())}
    command = [sys.executable, "-m", "rnnbench", "certify", "--leaderboard", str(board)]
    said = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "4 configurations hold, 0 do not" in said.stdout
    found = Certificates(board).all.values()
    assert all(one.exact and one.holds_for not in (None, NOW) for one in found)


# --- certificates


def test_probes_that_could_not_be_taken_certify_nothing_and_what_was_certified_before_a_kill_stays(board: Path) -> None:
    def one_then_dies(jobs: Sequence[Job]) -> Iterable[tuple[Job, ProbeResult | None]]:
        yield jobs[0], probe_again(jobs[0])
        yield jobs[1], None
        yield jobs[2], ProbeResult(error="data unavailable: the archive is gone")
        raise KeyboardInterrupt

    found: list[Any] = []
    records, _ = RecordStore(board).read()
    going = certify(board, records, uncertified_records(records, Certificates(board)), one_then_dies)
    with pytest.raises(KeyboardInterrupt):
        found.extend(iter(lambda: found.append(next(going)), 0))
    assert [one[1] for one in found if isinstance(one, tuple)] == [
        "the process that took the probe died",
        "data unavailable: the archive is gone",
    ]
    assert sorted(states(board).values()) == ["done", "done?", "done?", "done?"]
    assert len(certify_now(board)) == 3
    assert set(states(board).values()) == {"done"}


def test_records_of_one_configuration_made_by_different_code_are_certified_apart(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    first, second = done(spec(seed=0), code_version="1" * 12), done(spec(seed=1), code_version="2" * 12)
    for record in (second, first, done(spec(seed=2)), done(spec("gru"), code_version="1" * 12), lost(spec(seed=5))):
        store.write(record)
    records, _ = store.read()
    assert {one.id for one in uncertified_records(records, Certificates(tmp_path))} == {
        first.id,
        second.id,
        spec("gru").id,
    }
    certificates = Certificates(tmp_path)
    certificates.add([certificate(first), certificate(second, why="other")])
    found = cells_on_record(records, Certificates(tmp_path))
    cells = {one.spec.seed: one.state for one in found if one.spec.architecture.name == "lstm"}
    assert cells == {0: "done", 1: "stale", 2: "done", 5: "failed"}
    (again,) = uncertified_records(records, Certificates(tmp_path))
    assert again.id == spec("gru").id


def test_a_certificate_of_another_version_of_the_code_says_nothing(tmp_path: Path) -> None:
    record = done(code_version=OLD)
    certificates = Certificates(tmp_path)
    certificates.add([certificate(record, holds_for="f" * 12)])
    (one,) = cells_of([record.spec], {record.id: record}, certificates=certificates)
    assert (one.state, one.certified) == ("done", False)


def test_certificates_of_two_processes_are_kept_beside_each_other(tmp_path: Path) -> None:
    one, other = done(code_version=OLD), done(spec("gru"), code_version=OLD)
    first, second = Certificates(tmp_path), Certificates(tmp_path)
    assert not first.all
    assert not second.all
    first.add([certificate(one)])
    second.add([certificate(other)])
    second.add([certificate(one, why="other")])
    found = Certificates(tmp_path).all
    assert {(key[0], found[key].why) for key in found} == {
        (one.spec.configuration, "other"),
        (other.spec.configuration, ""),
    }
    first.add([], {other.id})
    assert [found.run for found in Certificates(tmp_path).all.values()] == [other.id]


GOOD = certificate(done(code_version=OLD)).model_dump(mode="json", exclude_defaults=True)
BROKEN = {
    "no JSON": "{",
    "missing field": json.dumps({"certificates": [{}]}),
    "unknown key": json.dumps({"certificates": [GOOD | {"more": 1}]}),
    "holds_for, or fails_for and why": json.dumps({"certificates": [GOOD | {"fails_for": NOW}]}),
    "certificates.0.made_by": json.dumps({"certificates": [GOOD | {"made_by": "../../x"}]}),
    "schema_version": json.dumps({"schema_version": 2}),
    "two certificates": json.dumps({"certificates": [GOOD, GOOD | {"date": "later"}]}),
    "are more than": " " * (MAX_FILE_BYTES + 1),
}


@pytest.mark.parametrize("why", BROKEN)
def test_broken_certificates_are_told_and_certify_nothing(why: str, tmp_path: Path) -> None:
    RecordStore(tmp_path).write(done(code_version=OLD))
    path = tmp_path / "certificates.json"
    path.write_text(BROKEN[why])
    assert why.replace("no JSON", "not valid JSON") in Certificates(tmp_path).problem
    assert states(tmp_path) == {"adding/lstm": "done?"}
    assert any("certificates.json" in one for one in read_board(tmp_path)[1])
    assert any("certificates.json" in one for one in audit(tmp_path).problems)
    Certificates(tmp_path).add([certificate(done(code_version=OLD))])
    assert states(tmp_path) == {"adding/lstm": "done"}
    assert not audit(tmp_path).problems


def test_a_certificate_of_no_record_is_told(tmp_path: Path) -> None:
    record = done(code_version=OLD)
    RecordStore(tmp_path).write(record)
    Certificates(tmp_path).add([certificate(record), certificate(done(spec("gru"), code_version=OLD))])
    (problem,) = audit(tmp_path).problems
    assert f"a certificate of run {spec('gru').id}, of which there is no such record" in problem
    assert main(["certify", "--leaderboard", str(tmp_path)]) == 0  # takes it away
    assert not audit(tmp_path).problems


def test_certificates_go_with_the_records_that_are_published(tmp_path: Path) -> None:
    record, other = done(code_version=OLD), done(spec("gru"), code_version=OLD, parameters=9)
    for one in (record, other):
        RecordStore(tmp_path / "mine").write(one)
    Certificates(tmp_path / "mine").add([certificate(record), certificate(other)])
    assert main(["publish", record.id, "--leaderboard", str(tmp_path / "mine"), "--to", str(tmp_path / "shared")]) == 0
    assert [one.run for one in Certificates(tmp_path / "shared").all.values()] == [record.id]
    assert states(tmp_path / "shared") == {"adding/lstm": "done"}


def test_every_verb_that_shows_states_takes_certificates_into_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rnnbench.cli.board.can_build", lambda: False)
    grid = {"name": "g", "architectures": ["lstm"], "tasks": ["adding"], "budget": {"steps": 3}}
    (tmp_path / "g.yaml").write_text(yaml.safe_dump(grid))
    record = done(code_version=OLD)
    RecordStore(tmp_path / "leaderboard").write(record)
    told = {
        "made by another version of the code": [["board"], ["status", "g.yaml"]],
        "0.500 °": [["board", "g.yaml"], ["run", "g.yaml"]],
        r"0.500 {$^{\circ \approx}$}": [["export", "--format", "latex"]],
        '"certified": false': [["export", "--format", "json"], ["export", "g.yaml", "--format", "json"]],
    }
    for words, verbs in told.items():
        for verb in verbs:
            assert main(verb) == 0
            assert words in capsys.readouterr().out, verb
    assert "0.500 °" in (tmp_path / "leaderboard" / "README.md").read_text()
    Certificates(tmp_path / "leaderboard").add([certificate(record, why="the loss was 1, is now 2")])
    stale = ["board g.yaml", "status g.yaml", "export --format json"]
    for words in stale:
        assert main(words.split()) == 0
        assert re.search('1 stale|stale: adding|"stale"', capsys.readouterr().out), words


def test_code_of_others_is_probed_only_when_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strangers.py").write_text("import pathlib\npathlib.Path('ran').touch()")
    run = spec()
    own = run.architecture.model_copy(update={"name": "mine", "class_path": "strangers.Net"})
    RecordStore(tmp_path / "leaderboard").write(done(run.model_copy(update={"architecture": own}), code_version=OLD))
    assert main(["certify"]) == 1
    assert "it would run strangers.Net" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()
    assert main(["certify", "--workers", "0"]) == 2
    assert main(["certify", "--leaderboard", "nothing"]) == 2


def test_code_of_a_users_own_class_is_part_of_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    run = spec()
    own = run.model_copy(update={"architecture": run.architecture.model_copy(update={"class_path": "theirs.Net"})})
    versions = []
    for text in ("x = 1", "x = 2"):
        (tmp_path / "theirs.py").write_text(text)
        fingerprint.source_digest.cache_clear()
        rnnbench.records.probe._code_version.cache_clear()
        versions.append(code_version(own))
        assert code_version(run) == NOW
    assert len({*versions, NOW}) == 3


# --- small records


def test_a_record_is_small_and_in_one_line(tmp_path: Path) -> None:
    where = Environment(python="3.11.7", torch="2.13.0+cu128", lightning="2.6.6", rnnbench="0.1.0", threads=16,
                        platform="Linux x86_64", processor="AMD EPYC 9654 96-Core Processor", device="NVIDIA H100 80GB",
                        instructions="AVX512")  # fmt: skip
    scores = dict.fromkeys(("loss", "mse", "mae", "rmse", "cross_entropy", "token_accuracy"), 0.12345678)
    curve = [Point(100 * number, 1.2345678, 0.12345678) for number in range(1, 1001)]
    record = done(score=0.12345678, scores=scores, validation=scores, environment=where, best_step=100 * 17,
                  curve=thinned(curve, 100 * 17), probe=Probe(losses=[1.2345678] * 3, scores=scores))  # fmt: skip
    path = RecordStore(tmp_path).write(record)
    assert path.stat().st_size <= 2500
    assert path.read_text().count("\n") == 1
    assert RecordStore(tmp_path).read_one(path) == record


@pytest.mark.parametrize("count", [1, 10, 22, 23, 24, 25, 100, 997])
@pytest.mark.parametrize("at", [0, 0.5, 1])
def test_a_long_curve_keeps_its_best_and_its_last_point(count: int, at: float) -> None:
    curve = [Point(number, None, 0.5) for number in range(1, count + 1)]
    best = 1 + int(at * (count - 1))
    kept = thinned(curve, best)
    assert len(kept) <= MAX_POINTS
    assert kept == sorted(kept)
    assert {best, count} <= {point.step for point in kept}
    assert kept == curve or count > MAX_POINTS - 2


def test_records_of_the_first_version_are_read_and_are_stale_as_they_have_no_probe(tmp_path: Path) -> None:
    content = json.loads(done().model_dump_json(exclude_defaults=True, exclude={"code_version", "probe"}))
    content |= {"schema_version": 1, "code": {"rnnbench.nn.*": "0" * 16}}
    content["curve"] = [{"step": 3, "train_loss": None, "score": 0.5}]
    path = tmp_path / "records" / done().file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content, indent=1))
    records, problems = RecordStore(tmp_path).read()
    assert not problems
    assert records[done().id].curve == [Point(3, None, 0.5)]
    assert states(tmp_path) == {"adding/lstm": "stale"}
    assert not uncertified_records(records, Certificates(tmp_path))
    assert "code" not in json.loads(RecordStore(tmp_path).write(records[done().id]).read_text())


def test_configurations_differ_in_all_but_the_seed() -> None:
    one = spec()
    assert one.configuration == spec(seed=1).configuration != one.id
    others: list[RunSpec] = [spec("gru"), spec(task="parity"), spec(steps=4), one.model_copy(update={"data_seed": 3})]
    assert len({one.configuration, *(other.configuration for other in others)}) == 5
