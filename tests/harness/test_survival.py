"""A grid that is killed or interrupted: what is done stays done, nothing is half there, nothing runs on."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.harness.paths import Folders
from rnnbench.records.store import RecordStore
from tests.fixtures.processes import grid_file, records_in, start, wait_for


@pytest.mark.parametrize("whole_tree", [True, False])
def test_after_a_kill_only_runs_in_flight_are_lost_and_no_record_is_half_written(
    whole_tree: bool, task: Callable[..., str], architecture: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    path = grid_file(tmp_path, task(), architecture("slow", "tests.fixtures.strange.Slow"))
    with start(path, folders) as process:
        wait_for(lambda: len(records_in(folders)) >= 2)
        children = descendants(process.pid)
        assert children
        if whole_tree:
            for child in children:
                os.kill(child, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: not any(alive(child) for child in children), 10)
    kept, problems = RecordStore(folders.leaderboard).read()
    assert not problems
    assert 2 <= len(kept) < 6
    assert all(record.status == "done" for record in kept.values())
    with start(path, folders) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert f"6 cells, {len(kept)} settled, {6 - len(kept)} to run" in said
    assert said.count("] start ") == 6 - len(kept)
    final, _ = RecordStore(folders.leaderboard).read()
    assert len(final) == 6
    assert {run_id: final[run_id] for run_id in kept} == kept


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_an_interrupt_stops_keeps_what_is_done_and_says_how_to_go_on(
    executor: str, task: Callable[..., str], architecture: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    path = grid_file(tmp_path, task(), architecture("slow", "tests.fixtures.strange.Slow"))
    with start(path, folders, "--executor", executor) as process:
        wait_for(lambda: len(records_in(folders)) >= 1)
        wait_for(lambda: [one for one in folders.leases.glob("*.json") if "driver" not in one.name])
        children = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    where = f"--leaderboard {folders.leaderboard} --runs {folders.runs}"
    assert f"Go on with: rnnbench run {path} --executor {executor} {where}" in said
    assert 1 <= len(records_in(folders)) < 6  # those in flight were cut short
    wait_for(lambda: not any(alive(child) for child in children), 10)


def test_an_interrupt_that_third_party_code_swallows_still_stops_the_grid(
    task: Callable[..., str], architecture: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    path = grid_file(tmp_path, task(), architecture("slow", "tests.fixtures.strange.Swallows"))
    with start(path, folders, "--executor", "inline") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not records_in(folders)


@pytest.mark.parametrize("seconds", [0.8, 2.0, 4.0])
def test_an_interrupt_while_starting_leaves_one_sentence_and_nothing_else(
    seconds: float, task: Callable[..., str], folders: Folders, tmp_path: Path
) -> None:
    with start(grid_file(tmp_path, task(), "elman"), folders) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert "resource_tracker" not in said


def descendants(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(entry.parent.name)
            found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
