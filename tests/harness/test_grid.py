"""The harness: the same records from each executor, whatever a run does; resumable, reproducible, honest."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnnbench.config.executors import LocalSettings
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.events import Event, Finished
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.hardware import AUTO_RUNS, DevicesFound, Pool, Slot
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import read_board
from rnnbench.records.probe import code_version
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from tests.conftest import Silent

LOCAL = {"local": {"workers": 2}}


def run(grid: GridSpec, folders: Folders, watcher: Silent, retry: tuple[str, ...] = ()) -> dict[str, Record]:
    _, todo = plan(grid, RecordStore(folders.leaderboard).read()[0], retry)
    run_grid(grid, todo, folders, watcher)
    records, problems = RecordStore(folders.leaderboard).read()
    assert not problems
    return {f"{record.spec.architecture.name}/{record.spec.seed}": record for record in records.values()}


def test_a_grid_gives_a_whole_record_a_cell_and_the_second_time_starts_nothing(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    records = run(grid(), folders, watcher)
    assert set(records) == {"elman/0", "gru/0"}
    record = records["gru/0"]
    assert record.status == "done"
    assert [point.step for point in record.curve] == [3, 6]
    assert record.best_step in {3, 6}
    assert record.validation["mse"] == min(point.score for point in record.curve)
    assert record.parameters == 3 * 4 * (2 + 4 + 2) + 5
    assert record.backend == "native"
    assert record.baseline == "always 1"
    assert record.cost is not None
    assert (record.cost.steps, record.environment and record.environment.threads) == (6, 1)
    assert record.code_version == code_version(record.spec)
    assert watcher.count("finished") == 2
    again = Silent()
    run(grid(), folders, again)
    assert again.events == []


def test_one_architecture_more_starts_tasks_times_seeds_runs(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    run(grid(seeds=2), folders, watcher)
    more = Silent()
    run(grid(seeds=2, architectures=["elman", "gru", "lstm"]), folders, more)
    assert (watcher.count("started"), more.count("started")) == (4, 2)


def test_processes_give_the_scores_of_one_process(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent, tmp_path: Path
) -> None:
    inline = run(grid(seeds=2), folders, watcher)
    local = run(grid(seeds=2, executor=LOCAL), Folders(tmp_path / "other", tmp_path / "runs2"), watcher)
    assert {name: (r.scores, r.curve, r.parameters) for name, r in inline.items()} == {
        name: (r.scores, r.curve, r.parameters) for name, r in local.items()
    }
    assert len({record.score for record in local.values()}) == 4


def test_a_run_again_gives_the_same_score(grid: Callable[..., GridSpec], folders: Folders, watcher: Silent) -> None:
    first = run(grid(architectures=["bigru-3"], model={"hidden_size": 4, "dropout": 0.3}), folders, watcher)
    again = run(grid(architectures=["bigru-3"], model={"hidden_size": 4, "dropout": 0.3}), folders, watcher, ("done",))
    assert watcher.count("started") == 2
    assert first["bigru-3/0"].scores == again["bigru-3/0"].scores


STRANGE = {
    "Raises": r"^KeyError: 'nothing there' \(in tests/fixtures/strange\.py, line \d+, in Raises\.training_step\)$",
    "Diverges": r"^diverged: training loss is nan at step 2$",
    "Dies": r"^killed by signal 9 \(SIGKILL\); the system does that when memory runs out$",
    "Exits": r"^the worker ended with exit code 3 and no result$",
    "Greedy": r"^out of memory: ",
}


def test_a_run_that_ends_badly_is_a_record_with_its_reason_and_the_others_go_on(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, watcher: Silent
) -> None:
    names = [architecture(name.lower(), f"tests.fixtures.strange.{name}") for name in STRANGE]
    records = run(grid(architectures=[*names, "gru"], executor=LOCAL), folders, watcher)
    assert len(records) == len(STRANGE) + 1
    assert records.pop("gru/0").status == "done"
    for name, record in records.items():
        assert record.status == "failed"
        assert record.seconds
        assert re.search(STRANGE[name.removesuffix("/0").title()], record.reason), record.reason
    assert "about to fail" in records["raises/0"].log_tail
    assert "KeyError" in records["raises/0"].log_tail
    assert 'File "…/strange.py"' in records["raises/0"].log_tail  # no folder of this machine is in a record
    assert str(Path(__file__).parents[2]) not in "".join(record.log_tail for record in records.values())
    assert "last words" in records["dies/0"].log_tail
    quiet = Silent()
    run(grid(architectures=[*names, "gru"], executor=LOCAL), folders, quiet)
    assert quiet.events == []
    retried = Silent()
    run(grid(architectures=[*names[:1], "gru"], executor=LOCAL), folders, retried, ("failed",))
    assert retried.count("started") == 1


def test_inline_a_run_that_fails_is_the_same_record(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, watcher: Silent
) -> None:
    name = architecture("raises", "tests.fixtures.strange.Raises")
    records = run(grid(architectures=[name, "gru"]), folders, watcher)
    assert re.search(STRANGE["Raises"], records["raises/0"].reason)
    assert "about to fail" in records["raises/0"].log_tail
    assert records["gru/0"].status == "done"


UNPREPARED = {
    "Nowhere": r"^data unavailable: the archive is gone$",
    "NoFile": r"^preparing data: FileNotFoundError: .*'nowhere\.csv' "
    r"\(in tests/fixtures/strange\.py, line \d+, in NoFile\.build_splits\)$",
    "ExitsInPreparation": r"^preparing data: exit\(3\) was called$",
    "NoModelKwargs": r"^preparing data: TypeError: not ours "
    r"\(in tests/fixtures/strange\.py, line \d+, in NoModelKwargs\.model_kwargs\)$",
}


@pytest.mark.parametrize("executor", ["inline", LOCAL])
def test_a_run_whose_data_cannot_be_prepared_stays_missing_and_the_rest_runs(
    executor: Any, grid: Callable[..., GridSpec], task: Callable[..., str], folders: Folders
) -> None:
    broken = [task(name.lower(), f"tests.fixtures.strange.{name}", length=4) for name in UNPREPARED]
    asked = grid(architectures=["gru"], tasks=[task(), *broken], executor=executor)
    told = Reasons()
    run(asked, folders, told)
    kept, _ = RecordStore(folders.leaderboard).read()
    assert [record.spec.task.name for record in kept.values()] == ["short"]
    for name, reason in UNPREPARED.items():
        assert re.search(reason, told.reasons[name.lower()]), told.reasons
    cells, todo = plan(asked, kept)
    assert {cell.spec.task.name: cell.state for cell in todo} == {name.lower(): "missing" for name in UNPREPARED}
    assert len(cells) == 1 + len(UNPREPARED)
    assert "in build_splits" in (folders.working("small") / "prepare-nofile.log").read_text()


class Reasons(Silent):
    """Why runs have ended, by task."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}

    def on_event(self, event: Event) -> None:
        super().on_event(event)
        if isinstance(event, Finished):
            self.reasons[event.record.spec.task.name] = event.record.reason


def test_data_that_cannot_be_prepared_takes_no_record_away(
    grid: Callable[..., GridSpec], task: Callable[..., str], folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials wait for their data; a record that is there stays when its run is to be done again."""
    name = task("gone", "tests.fixtures.strange.Sometimes", length=4, train_size=64, batch_size=32)
    monkeypatch.setenv("RNNBENCH_TEST", "here")
    asked = grid(architectures=["gru"], tasks=[name])
    (before,) = run(asked, folders, Silent()).values()
    monkeypatch.setenv("RNNBENCH_TEST", "gone")
    assert plan(asked, {before.id: before}, ("done",))[1]
    run(asked, folders, Silent(), ("done",))
    tuned = grid(architectures=["gru"], tasks=[name], seeds=[1], tune={"trials": 2, "space": "core"})
    run(tuned, folders, Silent())
    assert list(RecordStore(folders.leaderboard).read()[0].values()) == [before]


def test_a_record_of_data_that_could_not_be_prepared_counts_as_missing(
    grid: Callable[..., GridSpec], folders: Folders
) -> None:
    """As earlier versions have kept them."""
    asked = grid(architectures=["gru"])
    (spec,) = asked.expand()
    old = Record(schema_version=1, id=spec.id, spec=spec, status="infeasible", reason="data unavailable: no network")
    RecordStore(folders.leaderboard).write(old)
    _, todo = plan(asked, {spec.id: old})
    assert [(cell.state, cell.reason) for cell in todo] == [("missing", "data unavailable: no network")]
    (table,), _ = read_board(folders.leaderboard)
    assert [entry.text() for row in table.rows for entry in row.entries.values()] == ["missing"]
    (record,) = run(asked, folders, Silent()).values()
    assert record.status == "done"


@pytest.mark.usefixtures("stand_ins")
def test_a_bidirectional_forecast_is_infeasible(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    records = run(grid(architectures=["bilstm"], tasks=["weather-nyc"]), folders, watcher)
    assert records["bilstm/0"].status == "infeasible"
    assert "causal" in records["bilstm/0"].reason


def test_the_test_part_is_read_once_and_from_the_best_checkpoint(
    grid: Callable[..., GridSpec], task: Callable[..., str], folders: Folders, watcher: Silent, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    notes = tmp_path / "notes"
    monkeypatch.setenv("RNNBENCH_TEST", str(notes))
    peeked = task("peeked", "tests.fixtures.strange.Peeks", length=6, train_size=256, batch_size=32)
    small = grid(architectures=["gru"], tasks=[peeked], budget={"steps": 40, "validate_every": 4},
                 model={"hidden_size": 4, "learning_rate": 1.0})  # fmt: skip
    record = run(small, folders, watcher)["gru/0"]
    assert notes.read_text() == "test\n"
    best = min(record.curve, key=lambda point: point.score)
    assert (record.best_step, record.validation["mse"]) == (best.step, best.score)
    assert best.step < 40  # a rate of 1 makes the last step no better than the best
    checkpoint = torch.load(folders.working("small") / record.id / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["global_step"] == best.step


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ({"epochs": 2}, 16),
        ({"steps": 5}, 5),
        ({"steps": 1000, "epochs": 1}, 8),
        ({"steps": 100_000, "minutes": 0.02}, None),
        ({"epochs": 30, "patience": 1, "steps": 240}, None),
        ({"minutes": 0.05}, None),
    ],
)
def test_a_budget_ends_a_run(
    budget: dict[str, Any], steps: int | None, grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    small = grid(architectures=["gru"], budget=budget, model={"hidden_size": 4, "learning_rate": 0.3})
    record = run(small, folders, watcher)["gru/0"]
    assert record.status == "done", record.reason
    assert record.cost is not None
    if steps is not None:
        assert record.cost.steps == steps
    if "patience" in budget:
        assert record.cost.steps < 240
    if "minutes" in budget:
        assert record.cost.train_seconds < 20


def test_a_worker_sees_its_device_and_its_grids_environment(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, watcher: Silent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from rnnbench.harness.executors.local import LocalExecutor

    monkeypatch.setenv("RNNBENCH_TEST", "here")
    found, environ = DevicesFound("cuda", (1 << 30, 1 << 30), 1 << 34), {"CUDA_VISIBLE_DEVICES": "5,7"}
    monkeypatch.setattr(LocalExecutor, "_pool", lambda self: Pool(found, 8, self.settings, environ))
    records = run(
        grid(architectures=[architecture("tells", "tests.fixtures.strange.Tells")], seeds=4, executor="local"),
        folders,
        watcher,
    )
    logs = [(folders.working("small") / record.id / "log.txt").read_text() for record in records.values()]
    seen = [re.search(r"SEES \{'CUDA_VISIBLE_DEVICES': '(\d)', 'RNNBENCH_TEST': 'here'\} 4 (\d+)", log) for log in logs]
    assert {match[1] for match in seen if match} == {"5", "7"}
    assert len({match[2] for match in seen if match} | {str(os.getpid())}) == 5


GPU = 80 * 2**30


def slots(pool: Pool, devices: int = 1, known: int | None = None) -> list[Slot]:
    """All places for runs of a kind, one after the other."""
    found = []
    while pool.has(devices, known):
        found.append(pool.acquire(devices, known))
    return found


def pool(kind: str, count: int, cores: int, environ: dict[str, str] | None = None, **settings: Any) -> Pool:
    return Pool(DevicesFound(kind, (GPU,) * count, 64 * 2**30), cores, LocalSettings(**settings), environ or {})


def test_slots_are_devices_or_cores() -> None:
    assert [slot.name for slot in slots(pool("cpu", 0, 3))] == ["cpu:0", "cpu:1", "cpu:2"]
    assert {slot.threads for slot in slots(pool("cpu", 0, 3, workers=1))} == {1}
    packed = slots(pool("cuda", 2, 16, workers=4))
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in packed] == ["0", "1", "0", "1"]
    assert {slot.threads for slot in packed} == {4}
    assert len(slots(pool("cuda", 2, 16, runs_per_device=3))) == 6
    (apple,) = slots(pool("mps", 1, 8))
    assert (apple.name, dict(apple.environment)) == ("mps:0", {})


def test_a_run_on_two_devices_takes_two_and_sees_both() -> None:
    four = slots(pool("cuda", 4, 16, {"CUDA_VISIBLE_DEVICES": "9,8,7,6"}), devices=2)
    assert [(slot.name, slot.environment["CUDA_VISIBLE_DEVICES"]) for slot in four] == [
        ("cuda:0+1", "9,8"),
        ("cuda:2+3", "7,6"),
    ]
    mixed = pool("cuda", 2, 16)
    one = mixed.acquire(1, None)
    assert not mixed.has(2, None)
    mixed.release(one)
    assert mixed.has(2, None)


def test_more_devices_a_run_than_there_are_is_refused_with_what_was_found() -> None:
    with pytest.raises(RnnbenchError, match=r"devices: 3 a run, but there are 2 accelerators here: cuda:0, cuda:1"):
        pool("cuda", 2, 16).check(3)
    with pytest.raises(RnnbenchError, match=r"devices: 3 a run, but there are 2 cores without a GPU here: cpu:0"):
        pool("cpu", 0, 2).check(3)


def test_auto_gives_the_first_run_a_device_and_then_packs_as_memory_allows() -> None:
    auto = pool("cuda", 2, 64, runs_per_device="auto")
    first = slots(auto)
    assert [slot.name for slot in first] == ["cuda:0", "cuda:1"]
    for slot in first:
        auto.release(slot)
    packed = slots(auto, known=GPU // 4)
    assert sorted(slot.name for slot in packed) == ["cuda:0"] * 3 + ["cuda:1"] * 3  # a fifth more than was measured
    for slot in packed:
        auto.release(slot)
    assert len(slots(auto, known=GPU // 1000)) == 2 * AUTO_RUNS
    cores = pool("cpu", 0, 4, runs_per_device="auto")
    assert len(slots(cores, known=20 * 2**30)) == 2  # of 64 GiB
    assert len(slots(pool("cpu", 0, 4, runs_per_device="auto"), known=2**30)) == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": {"hiden_size": 4}}, "did you mean 'hidden_size'"),
        ({"model": {"hidden_size": "big"}}, "hidden_size: input should be a valid integer, got 'big'"),
        ({"model": {"hidden_size": 0}}, "hidden_size must be at least 1"),
        ({"model": {"input_size": 4}}, "unknown argument of Elman 'input_size'"),
        ({"model": {"layer_options": {"forgetbias": 1}}}, "unknown layer option"),
        ({"model": {"layer_options": {"nonlinearity": "foo"}}, "architectures": ["elman"]}, "foo"),
        ({"model": {"weight_decay": -1.0}}, "weight_decay must be at least 0"),
        ({"model": {"warmup_steps": -5}}, "warmup_steps must be at least 0"),
        ({"model": {"schedule": "cosine"}, "budget": {"minutes": 1.0}}, "needs a budget in steps or epochs"),
    ],
)
@pytest.mark.parametrize("executor", ["inline", LOCAL])
def test_a_wrong_argument_is_refused_before_anything_starts(
    executor: Any, change: dict[str, Any], told: str, grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    small = grid(**change, executor=executor)
    with pytest.raises(RnnbenchError, match=re.escape(told)):
        run_grid(small, plan(small, {})[1], folders, watcher)
    assert watcher.events == []


def test_a_data_module_that_states_no_facts_is_refused_before_anything_starts(
    grid: Callable[..., GridSpec], task: Callable[..., str], folders: Folders, watcher: Silent
) -> None:
    small = grid(tasks=[task("bare", "lightning.pytorch.LightningDataModule")])
    content = Path(small.tasks[0], "task.yaml")
    card = yaml.safe_load(content.read_text())
    content.write_text(yaml.safe_dump({**card, "data": {"class_path": card["data"]["class_path"]}}))
    with pytest.raises(RnnbenchError, match="is no SequenceDataModule: it has no objective, model_kwargs, metadata"):
        run_grid(small, plan(small, {})[1], folders, watcher)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("rnnbench.architectures.LSTN", "did you mean 'LSTM'"),
        ("rnnbench.nothing.LSTM", "cannot be imported"),
        ("tests.fixtures.strange_import.Model", "cannot be imported: KeyError: 'at import'"),
        ("tests.fixtures.strange.Refuses", r"Refuses: KeyError: \('not today', 4\)"),
        ("rnnbench.nn.LSTM", "is no LightningModule"),
    ],
)
def test_a_wrong_class_is_refused_before_anything_starts(
    path: str,
    told: str,
    grid: Callable[..., GridSpec],
    architecture: Callable[..., str],
    folders: Folders,
    watcher: Silent,
) -> None:
    small = grid(architectures=[architecture("wrong", path)])
    with pytest.raises(RnnbenchError, match=told):
        run_grid(small, plan(small, {})[1], folders, watcher)


@pytest.mark.parametrize("logger", ["csv", "wandb", "tensorboard"])
def test_a_logger_is_written_beside_the_record(
    logger: str, grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    record = run(grid(architectures=["gru"], loggers=[logger], executor=LOCAL), folders, watcher)["gru/0"]
    assert record.status == "done", record.reason + record.log_tail
    folder = folders.working("small") / record.id
    if logger == "csv":
        rows = (folder / "curves" / "metrics.csv").read_text()
        assert "val/mse" in rows
        assert "train/loss" in rows
        assert "test/mse" in rows
    elif logger == "wandb":
        (offline,) = (folder / "wandb").glob(f"offline-run-*-{record.id}")
        content = next(offline.glob("*.wandb")).read_bytes()
        assert b"val/mse" in content
        assert b"small" in content
    else:
        assert next((folder / "tensorboard").glob("events.*")).stat().st_size > 500
