"""Executors that hand runs to other machines: a real Ray cluster of several nodes, and submitit's local stand-in."""

import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rnnbench.cli import main
from rnnbench.config.executors import RaySettings
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.events import Event, Progressed
from rnnbench.harness.executors import ray as ray_cluster
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.paths import Folders
from rnnbench.records.record import Environment, Record
from rnnbench.records.store import RecordStore
from tests.conftest import Silent
from tests.fixtures.strange import Slow

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning"
    ),  # Ray and submitit leave files and processes to the collector
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SOMEWHERE = Environment(
    python="3", torch="2", lightning="2", rnnbench="0", platform="p", processor="p", device="cpu", threads=1
)
with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
with_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra slurm")


def run(grid: GridSpec, folders: Folders, watcher: Silent) -> dict[str, Record]:
    run_grid(grid, plan(grid, {})[1], folders, watcher)
    records, problems = RecordStore(folders.leaderboard).read()
    assert not problems
    return {record.spec.label: record for record in records.values()}


def numbers(records: dict[str, Record]) -> dict[str, Any]:
    """All that does not depend on time and machine."""
    kept = {
        "scores",
        "validation",
        "curve",
        "best_step",
        "parameters",
        "status",
        "data_fingerprint",
        "probe",
        "code_version",
        "backend",
    }
    return {label: record.model_dump(include=kept) for label, record in records.items()}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of one core each on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    soon = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500}  # that a node is lost is seen at once
    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": soon}
    )
    made.second = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@with_ray
def test_a_grid_on_a_ray_cluster_survives_the_loss_of_a_node_and_gives_the_same_records(
    cluster: Any, grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    slow = architecture("slow", "tests.fixtures.strange.Slow", hidden_size=4)
    changes: dict[str, Any] = {"architectures": [slow], "seeds": 3, "budget": {"steps": 20, "validate_every": 10}}

    class Cuts(Silent):
        """Takes the second node away when both are at work."""

        def on_event(self, event: Event) -> None:
            super().on_event(event)
            if not isinstance(event, Progressed):
                return
            if event.progress.step and cluster.second is not None and self.count("started") >= 2:
                cluster.remove_node(cluster.second, allow_graceful=False)
                cluster.second = None

    watcher = Cuts()
    many = run(grid(**changes, executor={"ray": {"address": cluster.address}}), folders, watcher)
    assert cluster.second is None
    assert len(many) == 3
    assert all(record.status == "done" for record in many.values())
    assert any(record.attempts for record in many.values())
    assert all("lost by Ray" in attempt for record in many.values() for attempt in record.attempts)
    monkeypatch.delattr(Slow, "training_step")  # the same numbers, at once
    alone = run(grid(**changes), Folders(tmp_path / "other", tmp_path / "runs-2"), Silent())
    assert numbers(many) == numbers(alone)


@with_ray
def test_the_board_is_the_same_to_the_byte_from_every_executor(
    grid: Callable[..., GridSpec], tmp_path: Path, watcher: Silent
) -> None:
    def board_from(name: str, executor: Any) -> dict[str, bytes]:
        folders = Folders(tmp_path / name, tmp_path / f"runs-{name}")
        records = run(grid(architectures=["elman", "gru"], executor=executor), folders, watcher)
        assert {record.status for record in records.values()} == {"done"}
        timeless = RecordStore(tmp_path / f"timeless-{name}")
        for record in records.values():
            assert record.cost
            cost = record.cost.model_copy(
                update={"train_seconds": 1, "cpu_seconds": 1, "total_seconds": 1, "peak_memory_bytes": 1}
            )
            timeless.write(record.model_copy(update={"started": "", "cost": cost, "environment": SOMEWHERE}))
        assert main(["board", "--leaderboard", str(timeless.folder.parent)]) == 0
        return {path.name: path.read_bytes() for path in timeless.folder.parent.glob("*.*")}

    expected = board_from("inline", "inline")
    assert b"gru" in expected["README.md"]
    assert board_from("one", {"local": {"workers": 1}}) == expected
    assert board_from("eight", {"local": {"workers": 8}}) == expected
    assert board_from("ray", "ray") == expected  # without an address: a cluster of this machine alone


@with_ray
def test_a_cluster_that_cannot_be_reached_is_told_with_its_address(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    small = grid(executor={"ray": {"address": "127.0.0.1:9"}})
    with pytest.raises(RnnbenchError, match=r"no cluster at address '127\.0\.0\.1:9'"):
        run(small, folders, watcher)
    assert watcher.events == []


@pytest.mark.parametrize(
    ("settings", "devices", "needs"),
    [
        ({}, 9, "9 cores and 0 GPUs of one machine (devices: 9)"),
        ({"gpus": 0.5}, 3, "3 cores and 1.5 GPUs"),
        ({}, 8, ""),
    ],
)
def test_a_run_that_no_machine_of_a_cluster_has_place_for_is_told_before_it_waits_forever(
    settings: dict[str, Any], devices: int, needs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cluster:
        def nodes(self) -> list[dict[str, Any]]:
            large, small = {"CPU": 8.0, "GPU": 1.0}, {"CPU": 2.0}
            return [{"Alive": True, "Resources": one} for one in (small, large, small)] + [
                {"Alive": False, "Resources": {"CPU": 64.0}}
            ]

    monkeypatch.setattr(ray_cluster, "_ray", Cluster)
    executor = ray_cluster.RayExecutor(RaySettings(**settings))
    if not needs:
        executor.check_place(devices)
        return
    with pytest.raises(
        RnnbenchError, match=r"2 machines with 2 cores and 0 GPUs, 1 machine with 8 cores and 1 GPUs$"
    ) as raised:
        executor.check_place(devices)
    assert f"a run needs {needs}" in str(raised.value)


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_is_not_installed_is_told_with_the_extra_that_has_it(
    name: str, package: str, grid: Callable[..., GridSpec], folders: Folders, watcher: Silent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RnnbenchError, match=rf"pip install 'rnnbench\[{name}\]'"):
        run(grid(executor=name), folders, watcher)


@with_submitit
def test_submitit_gives_the_same_records(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent, tmp_path: Path
) -> None:
    records = run(grid(executor={"slurm": {"cluster": "local"}}), folders, watcher)
    alone = run(grid(), Folders(tmp_path / "other", tmp_path / "runs-2"), Silent())
    assert {record.status for record in records.values()} == {"done"}
    assert numbers(records) == numbers(alone)


@with_submitit
def test_a_machine_without_slurm_is_told_before_anything_starts(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    with pytest.raises(RnnbenchError, match="there is no Slurm on this machine"):
        run(grid(executor="slurm"), folders, watcher)
    assert watcher.events == []


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Slurm that refuses all jobs; the file that has what it was handed last."""
    folder, handed = tmp_path / "bin", tmp_path / "handed"
    folder.mkdir()
    scripts = {"srun": "exit 1", "sbatch": f'cp "$1" {handed}; echo "invalid partition specified: gpus" >&2; exit 1'}
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return handed


@with_submitit
def test_slurm_is_asked_for_what_a_run_needs_and_what_it_refuses_is_told(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent, slurm: Path
) -> None:
    settings = {"cpus": 3, "gpus": 1, "minutes": 90, "timeout_minutes": 0.5, "options": {"partition": "gpus"}}
    with pytest.raises(RnnbenchError, match=r"^executor slurm: a job was refused: .*invalid partition specified: gpus"):
        run(grid(executor={"slurm": settings}, devices=2), folders, watcher)
    asked = {line.removeprefix("#SBATCH --") for line in slurm.read_text().splitlines() if line.startswith("#SBATCH")}
    assert {"cpus-per-task=6", "gpus-per-node=2", "time=90", "partition=gpus"} <= asked
    assert watcher.events == []


@with_submitit
def test_an_option_that_submitit_does_not_know_is_told_before_anything_starts(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    with pytest.raises(RnnbenchError, match=r"^executor slurm: options: Unknown argument 'partitoin' .*partition"):
        run(grid(executor={"slurm": {"cluster": "local", "options": {"partitoin": "gpu"}}}), folders, watcher)
    assert watcher.events == []
    assert not folders.leaderboard.exists()
