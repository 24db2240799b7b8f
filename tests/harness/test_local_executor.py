"""The local executor: limits kept from outside, runs that go on after a death, runs on several devices."""

import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnbench.config.executors import LocalSettings
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.events import Event, Finished, Progressed, Started
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.executors.loop import NullDriver, Queue
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.hardware import DevicesFound, Pool
from rnnbench.harness.job import Job
from rnnbench.harness.paths import Folders
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from tests.conftest import Silent


def local(**settings: Any) -> dict[str, Any]:
    return {"local": {"workers": 2, **settings}}


def run(grid: GridSpec, folders: Folders, watcher: Silent) -> Record:
    """A grid of one cell."""
    run_grid(grid, plan(grid, {})[1], folders, watcher)
    (record,) = RecordStore(folders.leaderboard).read()[0].values()
    return record


def same_numbers(one: Record, other: Record) -> bool:
    kept = {"scores", "validation", "curve", "best_step", "parameters", "status"}
    return one.model_dump(include=kept) == other.model_dump(include=kept)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_run_whose_process_dies_goes_on_and_ends_with_the_same_score(
    number: signal.Signals, grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders,
    watcher: Silent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("RNNBENCH_TEST", str(tmp_path))
    monkeypatch.setenv("RNNBENCH_SIGNAL", str(int(number)))
    dies = architecture("dies", "tests.fixtures.strange.DiesOnce", dropout=0.2, hidden_size=4)
    once = grid(architectures=[dies], budget={"steps": 12, "validate_every": 4}, executor=local())
    record = run(once, folders, watcher)
    assert record.status == "done", record.reason + record.log_tail
    reason = "stopped by SIGTERM" if number == signal.SIGTERM else f"killed by signal {int(number)} ({number.name})"
    (attempt,) = record.attempts
    assert attempt.startswith(reason)
    assert ("retried", attempt) in watcher.events
    assert not list(folders.runs.rglob("resume.*"))
    untouched = Folders(tmp_path / "other", tmp_path / "runs-2")  # the mark is there: it does not die again
    assert same_numbers(record, run(once, untouched, Silent()))


def test_a_run_that_dies_again_and_again_has_failed(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, watcher: Silent
) -> None:
    dies = architecture("dies", "tests.fixtures.strange.Exits")
    record = run(grid(architectures=[dies], executor=local(retries=2)), folders, watcher)
    assert record.status == "failed"
    assert record.reason == "the worker ended with exit code 3 and no result"
    assert record.attempts == [record.reason] * 2


def test_a_run_that_uses_too_much_memory_is_ended_from_outside(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, watcher: Silent
) -> None:
    fat = architecture("fat", "tests.fixtures.strange.Fat")
    record = run(grid(architectures=[fat], budget={"steps": 400}, executor=local(memory="1GB")), folders, watcher)
    assert record.status == "failed"
    assert record.reason.startswith("out of memory: used ")
    assert record.reason.endswith("the limit is 1.00 GB (executor.local.memory)")
    (attempt,) = record.attempts
    assert attempt.startswith("out of memory: used ")
    assert attempt.endswith("; tried again with 2 micro-batches")


def test_a_run_that_takes_too_long_is_ended_from_outside_even_if_it_does_not_listen(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, watcher: Silent
) -> None:
    slow = architecture("stubborn", "tests.fixtures.strange.Stubborn")
    small = grid(architectures=[slow], budget={"steps": 4000}, executor=local(timeout_minutes=0.05))
    record = run(small, folders, watcher)
    assert record.status == "failed"
    assert record.reason == "timeout: took longer than 0.05 minutes (executor.local.timeout_minutes)"


def dies(times: int, counter: Path, environ: dict[str, str], answer: Any) -> None:
    """A question to a worker, who is killed so often before he answers, or in the middle of it."""
    counter.write_text(counter.read_text() + "x")
    if len(counter.read_text()) <= times:
        if times == 2:
            os.write(answer.fileno(), struct.pack("!i", 1000) + b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    answer.send("here")


@pytest.mark.parametrize("times", [0, 2, 3])
def test_before_anything_runs_another_worker_is_asked_in_the_place_of_one_that_dies(times: int, tmp_path: Path) -> None:
    counter, executor = tmp_path / "counter", LocalExecutor(LocalSettings())
    counter.touch()
    executor.warm_up()
    if times < 3:
        assert executor._call(dies, times, counter) == "here"
    else:
        with pytest.raises(
            RnnbenchError, match=r"^3 worker .* died before .*; the last: killed by signal 9 \(SIGKILL\)"
        ):
            executor._call(dies, times, counter)
    assert len(counter.read_text()) == min(times + 1, 3)
    assert not executor.processes


def test_whoever_does_not_stop_when_told_to_is_killed(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnbench.harness.executors.local.GRACE", 0.5)

    class Leaves(Silent):
        def on_event(self, event: Event) -> None:
            if isinstance(event, Progressed) and event.progress.step:
                raise KeyboardInterrupt

    slow = architecture("stubborn", "tests.fixtures.strange.Stubborn")
    small = grid(architectures=[slow], budget={"steps": 4000}, executor=local())
    with pytest.raises(KeyboardInterrupt):
        run_grid(small, plan(small, {})[1], folders, Leaves())
    assert not RecordStore(folders.leaderboard).read()[0]


def test_a_run_on_two_devices_is_trained_by_both_and_tested_on_one(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"architectures": ["gru"], "budget": {"steps": 8, "validate_every": 4}}
    two = run(grid(**changes, devices=2, executor=local(), watch=["gradients"]), folders, watcher)
    assert two.status == "done", two.reason + two.log_tail
    assert ("started", two.id) in watcher.events
    one = run(grid(**changes, executor=local()), Folders(tmp_path / "other", tmp_path / "runs-2"), Silent())
    assert two.id != one.id
    assert two.cost
    assert one.cost
    assert two.cost.steps == one.cost.steps == 8
    assert two.scores == pytest.approx(one.scores, rel=1e-4)  # the same batches, halved
    assert (folders.working("small") / two.id / "log-1.txt").exists()
    assert "gradients/layer1/distance" in (folders.working("small") / two.id / "curves" / "metrics.csv").read_text()


def test_a_run_on_two_devices_that_loses_one_goes_on(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, watcher: Silent, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("RNNBENCH_TEST", str(tmp_path))
    monkeypatch.setenv("RNNBENCH_SIGNAL", str(int(signal.SIGKILL)))
    (tmp_path / "DiesOnce-0").touch()  # only the second dies
    dies = architecture("dies", "tests.fixtures.strange.DiesOnce", hidden_size=4)
    record = run(
        grid(architectures=[dies], devices=2, budget={"steps": 12, "validate_every": 4}, executor=local()),
        folders,
        watcher,
    )
    assert record.status == "done", record.reason + record.log_tail
    assert record.attempts == ["killed by signal 9 (SIGKILL); the system does that when memory runs out"]


def test_with_auto_the_first_run_of_a_kind_is_measured_before_others_of_its_kind_start(
    grid: Callable[..., GridSpec], tmp_path: Path
) -> None:
    specs = grid(architectures=["gru", "elman"], seeds=3).expand()
    queue = Queue([Job(spec, "g", tmp_path) for spec in specs], NullDriver(), measures_memory=True)
    task = specs[0].task.fingerprint
    assert queue.take(lambda job: True) == (Job(specs[0], "g", tmp_path), True)
    queue.data[task] = "ready"

    def take() -> list[Job]:
        found = []
        while taken := queue.take(lambda job: True):
            found.append(taken[0])
        return found

    first = take()
    assert [job.spec.architecture.name for job in first] == ["gru", "elman"]
    queue.ended(first[0], 10**9)
    assert [(job.spec.architecture.name, job.memory) for job in take()] == [("gru", 10**9)] * 2
    queue.ended(first[1], None)  # it died before anybody could look: the next one is measured
    assert [(job.spec.architecture.name, job.memory) for job in take()] == [("elman", None)]


def test_simulated_devices_hold_no_more_runs_than_they_have_places(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnnbench.harness.executors.local import LocalExecutor

    pools: list[Pool] = []

    def pool(self: LocalExecutor) -> Pool:
        pools.append(Pool(DevicesFound("cuda", (10**11, 10**11), 10**11), 4, self.settings, {}))
        return pools[-1]

    monkeypatch.setattr(LocalExecutor, "_pool", pool)
    most, at_work = 0, set()

    class Counts(Silent):
        def on_event(self, event: Event) -> None:
            nonlocal most
            if isinstance(event, Started):
                at_work.add(event.spec.id)
                most = max(most, len(at_work))
            elif isinstance(event, Finished):
                at_work.discard(event.record.id)
            super().on_event(event)

    small = grid(architectures=["gru"], seeds=6, executor={"local": {"runs_per_device": 2}})
    run_grid(small, plan(small, {})[1], folders, Counts())
    assert len(RecordStore(folders.leaderboard).read()[0]) == 6
    assert 2 <= most <= 4
    assert [device.places for device in pools[-1].devices] == [2, 2]
