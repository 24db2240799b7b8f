"""Runs of a moment on twins, with records and checkpoints, for tests of what is done with trained models."""

from importlib import import_module
from pathlib import Path
from typing import Any

from rnnbench.harness.cell import run
from rnnbench.harness.folders import Folders
from rnnbench.harness.job import Job
from rnnbench.record import Record, RecordStore
from rnnbench.spec import GridSpec, RunSpec
from rnnbench.twins import small_arguments


def small_spec(folder: Path, task: str, architecture: str = "elman", seed: int = 0) -> RunSpec:
    """A run of a moment on a twin; what only a user has is written into `folder`."""
    content: dict[str, Any] = {"name": "small", "tasks": [task], "architectures": [architecture], "seeds": [seed]}
    content |= {"budget": {"steps": 4, "validate_every": 2}, "model": {"hidden_size": 8}}
    spec = GridSpec.read(content, "test").expand()[0]
    module, _, name = spec.task.data.class_path.rpartition(".")
    small = small_arguments(getattr(import_module(module), name), folder)
    data = spec.task.data.model_copy(update={"init_args": {**spec.task.data.init_args, **small, "batch_size": 16}})
    return spec.model_copy(update={"task": spec.task.model_copy(update={"data": data})})


def train(folders: Folders, task: str, architecture: str = "elman", seed: int = 0, **job: Any) -> Record:
    """Train one on a twin and keep its record and checkpoint as a grid does."""
    spec = small_spec(folders.runs, task, architecture, seed)
    record = run(Job(spec, "small", folders.runs / "small" / spec.id, **job), lambda progress: None)
    assert record
    assert record.status == "done", f"{record.reason}\n{record.log_tail}"
    RecordStore(folders.leaderboard).write(record)
    return record
