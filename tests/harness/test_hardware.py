"""Which devices runs are put on: those of the settings, of the caller's environment, and slices of a GPU."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jsonargparse import Namespace

from rnnbench.cli.run import resolve
from rnnbench.config.executors import LocalSettings
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness import hardware
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.hardware import DevicesFound, Pool, find_devices, mig_slices

GIB = 2**30
LISTING = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 3g.40gb     Device  0: (UUID: MIG-1111)
  MIG 1g.10gb+me  Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
  MIG 1c.2g.20gb  Device  0: (UUID: MIG-GPU-bbbb/1/0)
GPU 2: NVIDIA H100 80GB HBM3 (UUID: GPU-cccc)
"""
UUIDS = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")


def pool(environ: dict[str, str] | None = None, found: DevicesFound | None = None, **settings: Any) -> Pool:
    found = found or DevicesFound("cuda", (80 * GIB, 81 * GIB, 82 * GIB, 83 * GIB), 512 * GIB, UUIDS)
    return Pool(found, 16, LocalSettings(**settings), environ or {})


def places(pool: Pool) -> list[tuple[str, str]]:
    """Name, and what a process there is told to see, of every place."""
    found = []
    while pool.has(1, None):
        slot = pool.acquire(1, None)
        found.append((slot.name, ",".join(f"{name}={value}" for name, value in slot.environment.items())))
    return found


def test_chosen_gpus_are_places_among_those_that_the_caller_sees() -> None:
    chosen = pool({"CUDA_VISIBLE_DEVICES": "7,GPU-x,5,4"}, gpu_ids=[2, 1])
    assert places(chosen) == [("cuda:2", "CUDA_VISIBLE_DEVICES=5"), ("cuda:1", "CUDA_VISIBLE_DEVICES=GPU-x")]
    assert chosen.free == [82 * GIB, 81 * GIB]
    assert places(pool(gpu_ids=[3])) == [("cuda:3", "CUDA_VISIBLE_DEVICES=3")]
    assert places(pool(gpu_ids=["GPU-b"])) == [("cuda:1", "CUDA_VISIBLE_DEVICES=1")]
    assert [name for name, _ in places(pool(gpu_ids=[3], runs_per_device=2))] == ["cuda:3", "cuda:3"]
    slot = pool(gpu_ids=[1, 3]).acquire(2, None)
    assert (slot.name, dict(slot.environment)) == ("cuda:1+3", {"CUDA_VISIBLE_DEVICES": "1,3"})


def test_memory_of_a_chosen_gpu_is_its_own() -> None:
    auto = pool(gpu_ids=[2], runs_per_device="auto")
    slot = auto.acquire(1, 40 * GIB)
    assert slot.memory == 48 * GIB
    assert not auto.has(1, 40 * GIB)
    auto.release(slot)
    assert auto.free == [82 * GIB]


def test_without_gpus_runs_are_on_cores_and_their_processes_see_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    executor = LocalExecutor(LocalSettings(gpu_ids=[]))
    assert executor.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert places(pool(gpu_ids=[], workers=2)) == [("cpu:0", ""), ("cpu:1", "")]
    assert LocalExecutor(LocalSettings(gpu_ids=[1])).environ["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(
    ("gpu_ids", "sentence"),
    [
        ([4], "executor.local.gpu_ids: there is no GPU 4 for this process, it sees those from 0 to 3"),
        (["GPU-z"], "there is no GPU 'GPU-z' for this process, it sees those from 0 to 3 (GPU-a, GPU-b, GPU-c, GPU-d)"),
        ([1, "GPU-b"], "names a GPU twice, by place and by UUID"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(gpu_ids: list[int | str], sentence: str) -> None:
    with pytest.raises(RnnbenchError, match=re.escape(sentence)):
        pool(gpu_ids=gpu_ids)


def test_a_gpu_on_a_machine_without_any_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = LocalExecutor(LocalSettings(gpu_ids=[0]))
    monkeypatch.setattr(executor, "warm_up", lambda: None)
    found = {"check": None, "find_devices": DevicesFound("cpu", (), GIB)}
    monkeypatch.setattr(executor, "_call", lambda target, name, *rest: found[name.partition(":")[2]])
    with pytest.raises(RnnbenchError, match="there is no GPU 0 for this process, it sees none"):
        executor.check([])


@pytest.mark.parametrize("value", [[True], [-1], [0.5], ["0"], 0, "all", [1, 1]])
def test_what_names_no_gpu_is_refused(value: Any) -> None:
    with pytest.raises(RnnbenchError, match=r"gpu_ids: (give a list of GPUs|names a GPU twice)"):
        LocalSettings.read({"gpu_ids": value}, "local")


# --- slices


def test_slices_are_those_of_the_gpus_that_the_caller_sees() -> None:
    every = {"MIG-1111": 40 * 10**9, "MIG-2222": 10 * 10**9, "MIG-GPU-bbbb/1/0": 20 * 10**9}
    assert mig_slices([], LISTING, 1) == every
    assert list(mig_slices(["0"], LISTING, 1)) == ["MIG-1111", "MIG-2222"]
    assert list(mig_slices(["GPU-bbbb", "0"], LISTING, 1)) == ["MIG-GPU-bbbb/1/0", "MIG-1111", "MIG-2222"]
    assert mig_slices(["MIG-2222", "MIG-9999"], LISTING, 7) == {"MIG-2222": 10 * 10**9, "MIG-9999": 7}
    assert mig_slices(["MIG-2222"], "", 7) == {"MIG-2222": 7}  # without nvidia-smi
    assert mig_slices(["2"], LISTING, 1) == {}
    assert mig_slices([], "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)\n", 1) == {}


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., DevicesFound]:
    """What is found on a machine with so many GPUs and such a listing of nvidia-smi."""

    def find(count: int, listing: str = "", hip: str | None = None, **environ: str) -> DevicesFound:
        for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listing}END\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
        monkeypatch.setattr(torch.version, "hip", hip)
        device = SimpleNamespace(total_memory=80 * GIB, uuid="0123-abcd")
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: device)
        return find_devices()

    return find


def test_whole_gpus_are_found_as_torch_sees_them(faked: Callable[..., DevicesFound]) -> None:
    found = faked(2, CUDA_VISIBLE_DEVICES="3,1")
    assert found[:2] == ("cuda", (80 * GIB, 80 * GIB))
    assert found.uuids == ("GPU-0123-abcd",) * 2
    assert places(pool({"CUDA_VISIBLE_DEVICES": "3,1"}, found)) == [
        ("cuda:0", "CUDA_VISIBLE_DEVICES=3"), ("cuda:1", "CUDA_VISIBLE_DEVICES=1")]  # fmt: skip


def test_all_slices_are_used_although_a_process_sees_one(faked: Callable[..., DevicesFound]) -> None:
    found = faked(1, LISTING)
    assert found.memories == (40 * 10**9, 10 * 10**9, 20 * 10**9)
    divided = pool({}, found)
    assert places(divided) == [
        (f"cuda:{place}", f"CUDA_VISIBLE_DEVICES={uuid}")
        for place, uuid in enumerate(["MIG-1111", "MIG-2222", "MIG-GPU-bbbb/1/0"])
    ]
    listed = {"CUDA_VISIBLE_DEVICES": "MIG-2222,MIG-1111"}
    two = pool(listed, faked(1, LISTING, **listed), gpu_ids=["MIG-1111"])
    assert places(two) == [("cuda:1", "CUDA_VISIBLE_DEVICES=MIG-1111")]
    assert two.free == [40 * 10**9]
    with pytest.raises(RnnbenchError, match=r"devices: 2 a run, but the devices here are slices of GPUs \(MIG\)"):
        divided.check(2)
    divided.check(1)


def test_gpus_of_amd_have_a_list_of_their_own(faked: Callable[..., DevicesFound]) -> None:
    found = faked(2, hip="6.2", HIP_VISIBLE_DEVICES="5,6")
    assert places(pool({"HIP_VISIBLE_DEVICES": "5,6"}, found))[1] == ("cuda:1", "HIP_VISIBLE_DEVICES=6")
    assert places(pool({"CUDA_VISIBLE_DEVICES": "2,3"}, found))[1] == ("cuda:1", "HIP_VISIBLE_DEVICES=3")


def test_a_program_that_fails_lists_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho GPU 0: broken\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.nvidia_listing() == ""
    monkeypatch.setenv("PATH", "")
    assert hardware.nvidia_listing() == ""


# --- the command line


def resolved(grid: GridSpec, tmp_path: Path, **options: Any) -> Any:
    path = tmp_path / "small.yaml"
    path.write_text(grid.model_dump_json(exclude_unset=True))
    none = {"executor": None, "workers": None, "lengths": None, "leaderboard": tmp_path, "runs": tmp_path}
    return resolve(Namespace({**none, "grid": str(path), **options})).executor  # type: ignore[no-untyped-call]


def test_options_keep_the_other_settings_of_the_grids_own_executor(
    grid: Callable[..., GridSpec], tmp_path: Path
) -> None:
    own = grid(executor={"local": {"gpu_ids": [1], "memory": "4GB", "runs_per_device": 2}})
    changed = resolved(own, tmp_path, workers=3).local
    assert (changed.gpu_ids, changed.memory, changed.workers, changed.runs_per_device) == ([1], 4 * 10**9, 3, None)
    assert resolved(own, tmp_path, executor="local") == own.executor
    assert resolved(own, tmp_path, executor="inline") == "inline"
    assert resolved(grid(), tmp_path, workers=2).local.workers == 2
