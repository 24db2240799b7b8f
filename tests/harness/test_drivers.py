"""Several processes on one grid; following it, stopping it, planning it, changing it."""

import errno
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli import main
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness import lease
from rnnbench.harness.driver import GridDriver
from rnnbench.harness.grid import plan
from rnnbench.harness.lease import Leases, drivers, leased, read_lease
from rnnbench.harness.paths import Folders
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import file_of
from rnnbench.records.status import Cell, State
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import write_whole
from tests.conftest import Silent
from tests.fixtures.processes import grid_file, records_in, start, wait_for
from tests.fixtures.records import certificate


@pytest.fixture
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 0.02)
    monkeypatch.setattr(lease, "STALE", 0.2)


def test_a_cell_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with Leases(tmp_path) as one, Leases(tmp_path) as other:
        assert one.acquire("a", "task/lstm/0")
        assert one.acquire("a", "task/lstm/0")
        assert not other.acquire("a", "task/lstm/0")
        assert other.acquire("b", "task/lstm/1")
        assert set(leased(tmp_path, ["a", "b", "c"])) == {"a", "b"}
        one.release("a")
        assert other.acquire("a", "task/lstm/0")
    assert not list(tmp_path.iterdir())


def test_what_a_lease_says_is_written_with_the_next_beat(tmp_path: Path, quick_beats: None) -> None:
    with Leases(tmp_path) as leases:
        leases.acquire("a", "task/lstm/0")
        leases.update("a", slot="cpu:1", progress=("train", 3, 0.5, None, 1.5))
        wait_for(lambda: (said := read_lease(tmp_path / "a.json")) and said.slot == "cpu:1", 10)
        said = read_lease(tmp_path / "a.json")
        assert said
        assert said.progress == ("train", 3, 0.5, None, 1.5)
        assert (said.host, said.pid) == (socket.gethostname(), os.getpid())


def someone_else(path: Path, **changes: Any) -> lease.Lease:
    """A lease of a driver that has died."""
    process: dict[str, Any] = {"owner": "x", "host": "elsewhere", "pid": 1, "start_time": 1.0, "heartbeat": 7}
    made = lease.Lease(**{**process, "label": "t/a/0", **changes})
    path.write_text(made.model_dump_json())
    return made


HERE = {"host": socket.gethostname(), "machine": lease.machine_here()}


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(tmp_path: Path) -> None:
    someone_else(tmp_path / "a.json", **HERE, pid=2**22 + 1)
    someone_else(tmp_path / "b.json", **HERE, pid=os.getpid(), start_time=0.5)  # the number is used again
    assert not leased(tmp_path, ["a", "b"])
    with Leases(tmp_path) as leases:
        assert leases.acquire("a", "t/a/0")
        assert leases.acquire("b", "t/a/1")


def test_the_lease_of_another_machine_is_taken_when_it_has_not_beaten_for_long(
    tmp_path: Path, quick_beats: None
) -> None:
    dead = someone_else(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("no lease at all")
    with Leases(tmp_path) as leases:
        assert not leases.acquire("a", "t/a/0")
        someone_else(tmp_path / "a.json", heartbeat=dead.heartbeat + 1)  # it lives
        assert not leases.acquire("a", "t/a/0")
        wait_for(lambda: leases.acquire("a", "t/a/0"), 10)
        wait_for(lambda: leases.acquire("b", "t/a/1"), 10)
        said = read_lease(tmp_path / "a.json")
        assert said
        assert said.owner == leases.owner


def test_a_process_of_a_machine_of_the_same_name_is_not_taken_for_dead(tmp_path: Path) -> None:
    someone_else(tmp_path / "a.json", host=socket.gethostname(), machine="another container", pid=2**22 + 1)
    with Leases(tmp_path) as leases:
        assert not leases.acquire("a", "t/a/0")
        assert set(leased(tmp_path, ["a"])) == {"a"}


def test_what_a_killed_driver_has_left_is_removed_when_the_next_begins(tmp_path: Path) -> None:
    dead: dict[str, Any] = {**HERE, "pid": 2**22 + 1}
    someone_else(tmp_path / "driver-x.json", **dead, label="grid")
    someone_else(tmp_path / "a.json", **dead)  # of a cell whose record it had written
    someone_else(tmp_path / "b.json", **HERE, pid=os.getpid(), start_time=lease._start_time(os.getpid()))
    someone_else(tmp_path / "driver-y.json")  # of another machine: nobody knows yet
    (tmp_path / ".c.json.17.tmp").write_text("{")
    os.utime(tmp_path / ".c.json.17.tmp", (1.0, 1.0))
    (tmp_path / ".d.json.18.tmp").write_text("{")  # it may be about to be written
    with Leases(tmp_path):
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {"b.json", "driver-y.json", ".d.json.18.tmp"}


def test_the_last_driver_of_all_removes_what_one_has_left_that_was_killed_beside_it(tmp_path: Path) -> None:
    with Leases(tmp_path):
        someone_else(tmp_path / "driver-x.json", **HERE, pid=2**22 + 1, label="grid")
    assert not list(tmp_path.iterdir())


def test_a_grid_that_is_done_removes_what_a_driver_has_left_that_was_killed_at_its_end(
    task: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    path = tmp_path / "g.yaml"
    small = {"name": "g", "architectures": ["gru"], "tasks": [task()], "budget": {"steps": 2},
             "model": {"hidden_size": 4}, "executor": "inline"}  # fmt: skip
    path.write_text(yaml.safe_dump(small))
    where = [str(path), "--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
    assert main(["run", *where]) == 0
    someone_else(folders.leases / "driver-x.json", **HERE, pid=2**22 + 1, label="g")
    assert main(["run", *where]) == 0
    assert not list(folders.leases.iterdir())


def test_a_driver_of_another_machine_that_has_died_is_removed_by_and_by(tmp_path: Path, quick_beats: None) -> None:
    someone_else(tmp_path / "driver-y.json", label="grid")
    pulse = lease.LivenessTracker()
    assert drivers(tmp_path, "grid", pulse)
    wait_for(lambda: not drivers(tmp_path, "grid", pulse), 10)  # whoever watches no longer counts it
    with Leases(tmp_path):
        wait_for(lambda: not list(tmp_path.iterdir()), 10)


def test_of_many_who_find_a_dead_lease_one_gets_it(tmp_path: Path) -> None:
    from threading import Barrier, Thread

    for round_ in range(20):
        someone_else(tmp_path / f"{round_}.json", **HERE, pid=2**22 + 1)
    crowd = [Leases(tmp_path) for _ in range(8)]
    got: Counter[int] = Counter()
    barrier = Barrier(len(crowd))

    def grab(leases: Leases) -> None:
        for round_ in range(20):
            barrier.wait()
            if leases.acquire(str(round_), "t/a/0"):
                got[round_] += 1

    threads = [Thread(target=grab, args=(leases,)) for leases in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for leases in crowd:
        leases.close()
    assert got == dict.fromkeys(range(20), 1)


def test_who_slept_too_long_learns_that_his_cell_is_lost(tmp_path: Path, quick_beats: None) -> None:
    lost: list[str] = []
    with Leases(tmp_path, lost.append) as leases:
        leases.acquire("a", "t/a/0")
        someone_else(tmp_path / "a.json")
        wait_for(lambda: lost == ["a"], 10)
    assert (tmp_path / "a.json").exists()  # another's lease is left alone


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RnnbenchError, match="the leases of a leaderboard"):
        Leases(tmp_path / "file" / "leases")


def test_two_processes_share_a_grid_and_no_cell_is_run_twice(
    task: Callable[..., str], architecture: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    path = grid_file(tmp_path, task(), architecture("slow", "tests.fixtures.strange.Slow"))
    with start(path, folders) as one, start(path, Folders(folders.leaderboard, tmp_path / "runs-2")) as other:
        said = [process.communicate(timeout=120)[0] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    records, problems = RecordStore(folders.leaderboard).read()
    assert not problems
    assert len(records) == 6
    started = Counter(
        line.split(" start ")[1].split()[0] for text in said for line in text.splitlines() if "] start " in line
    )
    assert set(started.values()) == {1}
    assert len(started) == 6
    assert all(text.count("] start ") for text in said), "one has done it all"
    assert all(text.count("] done ") == 6 for text in said)  # each shows what the other has done
    assert not list(folders.leases.iterdir())


def test_a_cell_that_another_machine_has_is_told_once_and_waited_for(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent, tmp_path: Path
) -> None:
    asked = grid(architectures=["elman"], seeds=1)
    (cell,) = plan(asked, {})[1]
    folders.leases.mkdir(parents=True)
    someone_else(folders.leases / f"{cell.spec.id}.json")
    with GridDriver(folders, asked, [cell], watcher) as driver:
        assert [driver.claim(driver.make_job(cell)) for _ in range(3)] == ["wait"] * 3
        assert watcher.events == [("elsewhere", "process 1 of elsewhere")]


@pytest.mark.parametrize("state", ["missing", "stale"])
def test_a_broken_file_in_the_place_of_a_record_or_none_any_more_does_not_keep_its_cell_from_being_run(
    state: State, grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    asked = grid(architectures=["elman"], seeds=1)
    (spec,) = asked.expand()
    place = RecordStore(folders.leaderboard).folder / file_of(spec)
    place.parent.mkdir(parents=True)
    place.write_text("{")
    with GridDriver(folders, asked, [], watcher) as driver:
        job = driver.make_job(Cell(spec, state))
        if state == "stale":
            place.unlink()
        assert driver.claim(job) == "go"
    assert not watcher.events


def test_a_process_that_is_killed_leaves_its_cells_to_the_other(
    task: Callable[..., str], architecture: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    path = grid_file(tmp_path, task(), architecture("slow", "tests.fixtures.strange.Slow"))
    with start(path, folders) as one, start(path, Folders(folders.leaderboard, tmp_path / "runs-2")) as other:
        wait_for(lambda: len(records_in(folders)) >= 1)
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
        said, _ = other.communicate(timeout=120)
    assert other.returncode == 0, said
    records, problems = RecordStore(folders.leaderboard).read()
    assert not problems
    assert len(records) == 6
    assert all(record.status == "done" for record in records.values())


def long_grid(tmp_path: Path, task: str, slow: str) -> Path:
    """A grid whose runs take six seconds."""
    path = grid_file(tmp_path, task, slow)
    content = yaml.safe_load(path.read_text())
    content |= {"architectures": [slow], "seeds": 2, "budget": {"steps": 60, "validate_every": 10}}
    path.write_text(yaml.safe_dump(content))
    return path


def training(folders: Folders) -> bool:
    """Whether a run has told that it trains."""
    return any("train" in one.read_text() for one in folders.leases.glob("*.json"))


def test_sigterm_keeps_checkpoints_and_the_next_run_goes_on_from_them(
    task: Callable[..., str], architecture: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    path = long_grid(tmp_path, task(), architecture("slow", "tests.fixtures.strange.Slow"))
    with start(path, folders) as process:
        wait_for(lambda: training(folders))
        os.kill(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    kept = list(folders.runs.rglob("resume.ckpt"))
    assert kept
    assert not list(folders.leases.iterdir())
    with start(path, folders) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert any("goes on from resume.ckpt" in log.read_text() for log in folders.runs.rglob("log.txt"))
    assert not list(folders.runs.rglob("resume.ckpt"))


def test_a_grid_is_followed_and_stopped_from_another_terminal(
    task: Callable[..., str], architecture: Callable[..., str], folders: Folders, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = long_grid(tmp_path, task(), architecture("slow", "tests.fixtures.strange.Slow"))
    where = [str(path), "--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]
    assert main(["stop", *where]) == 2
    assert "nobody runs grid 'slow'" in capsys.readouterr().err
    assert main(["watch", *where]) == 0
    assert "nobody runs grid slow now" in capsys.readouterr().out
    with start(path, folders) as process:
        wait_for(lambda: training(folders))
        assert main(["status", *where]) == 0
        said = capsys.readouterr().out
        assert re.search(rf"running short/slow/\d on cpu:\d of {socket.gethostname()}: ", said)
        assert len(drivers(folders.leases, "slow")) == 1
        assert main(["stop", str(path), "--leaderboard", str(folders.leaderboard)]) == 0  # wherever its --runs are
        assert f"asked to stop: process {process.pid} of" in capsys.readouterr().err
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert not records_in(folders)
    assert main(["watch", *where]) == 0


def _read_only(patch: pytest.MonkeyPatch) -> None:
    """From now on every file system is read-only."""
    opened = io.open

    def refuse(path: Any, *_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def only_read(path: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        return opened(path, mode, *rest, **more) if set(mode) <= set("rbt") else refuse(path)

    for name in ("unlink", "replace", "link", "mkdir", "open"):
        patch.setattr(os, name, refuse)
    patch.setattr(io, "open", only_read)


def test_a_file_system_that_becomes_read_only_is_told_and_nothing_else_goes_wrong(
    tmp_path: Path, quick_beats: None
) -> None:
    with Leases(tmp_path) as mine:
        assert mine.acquire("one", "a/b/0")
        with pytest.MonkeyPatch.context() as patch:
            _read_only(patch)
            with pytest.raises(RnnbenchError, match=r"^cannot write to .*, the leases of .*: Read-only file system$"):
                mine.acquire("two", "a/b/1")
            with pytest.raises(RnnbenchError, match=r"^cannot write .*board.md: Read-only file system$"):
                write_whole(tmp_path / "board.md", "text")
            mine.release("one")
            before = read_lease(tmp_path / "one.json")
            assert before is not None  # it could not be given back
        assert mine.acquire("three", "a/b/2")
        third = mine.read("three")
        assert third is not None
        wait_for(lambda: (now := mine.read("three")) is not None and now.heartbeat > third.heartbeat)


def test_refresh_runs_what_is_stale_and_nothing_else(
    task: Callable[..., str], folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "g.yaml"
    content: dict[str, Any] = {"name": "g", "architectures": ["gru"], "tasks": [task()], "budget": {"steps": 2},
                               "model": {"hidden_size": 4}}  # fmt: skip
    path.write_text(yaml.safe_dump(content))
    where = [str(path), "--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs), "--executor", "inline"]
    assert main(["run", *where]) == 0
    (file,) = records_in(folders)
    store = RecordStore(folders.leaderboard)
    record = store.read_one(file).model_copy(update={"code_version": "0" * 12})
    store.write(record)
    assert main(["run", *where, "--refresh"]) == 0
    assert (
        "1 cells, 1 settled, 0 to run" in capsys.readouterr().out
    )  # nothing says yet that other code runs it otherwise
    Certificates(folders.leaderboard).add([certificate(record, why="the loss of step 1 was 1, is now 2")])
    path.write_text(yaml.safe_dump({**content, "seeds": 2}))
    capsys.readouterr()
    assert main(["run", *where, "--dry-run", "--refresh"]) == 0
    assert "1 to run" in capsys.readouterr().out
    assert main(["run", *where, "--refresh"]) == 0
    assert "2 cells, 1 settled, 1 to run" in capsys.readouterr().out
    assert len(records_in(folders)) == 1


def test_the_driver_of_a_grid_never_imports_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from rnnbench.harness import executors
from rnnbench.harness import grid as harness_grid
from rnnbench.harness.paths import Folders
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.config.grid import GridSpec
import rnnbench.cli.run
LocalExecutor.check = lambda self, specs: None  # as the workers do it
harness_grid.run_jobs = lambda executor, jobs, watcher, driver: (record for record in ())
grid = GridSpec.read({{"name": "g", "architectures": ["gru"], "tasks": ["adding"]}}, "g")
run_grid(grid, plan(grid, {{}})[1], Folders(Path({str(tmp_path)!r}), Path({str(tmp_path)!r})), None)
sys.exit(bool({{"torch", "lightning"}} & set(sys.modules)))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
