"""A run that is cut off goes on from its checkpoint and ends with the numbers of one that never was."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnbench.config.grid import GridSpec
from rnnbench.data.stand_ins import stand_in_arguments
from rnnbench.errors import Preempted
from rnnbench.harness import callbacks as resume
from rnnbench.harness.execute import run
from rnnbench.harness.job import Job
from rnnbench.records.record import Record

MODEL = {"hidden_size": 4, "learning_rate": 1e-2, "dropout": 0.3}


def outcome(record: Record | None) -> dict[str, Any]:
    """Everything in a record but when and how long."""
    assert record
    assert record.status == "done", f"{record.reason}\n{record.log_tail}"
    assert record.cost
    kept = record.model_dump(exclude={"started", "cost"})
    return {**kept, "steps": record.cost.steps, "epochs": record.cost.epochs}


def whole_and_cut(spec: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, at: list[int]) -> tuple[Any, Any, int]:
    """A run in one go; the same run cut off at each of some steps; and how often it was."""
    whole = outcome(run(Job(spec, "g", folder / "whole"), lambda progress: None))
    cuts = list(at)
    save = resume.Resume._save

    def cut(self: resume.Resume, trainer: Any) -> None:
        save(self, trainer)
        if cuts and trainer.global_step >= cuts[0]:
            cuts.pop(0)
            raise Preempted("cut")

    monkeypatch.setattr(resume, "CHECKPOINT_INTERVAL", 0.0)
    monkeypatch.setattr(resume.Resume, "_save", cut)
    lives = 0
    while True:
        lives += 1
        torch.manual_seed(lives)  # whatever was drawn in between
        try:
            record = run(Job(spec, "g", folder / "cut"), lambda progress: None)
        except Preempted:
            continue
        return whole, outcome(record), lives


@pytest.mark.parametrize(
    ("task", "architecture", "model", "budget"),
    [
        ("adding", "lstm", MODEL, {"steps": 13, "validate_every": 3}),
        ("adding", "gru", MODEL, {"epochs": 3}),
        ("adding", "lstm-zoneout", {"hidden_size": 4, "schedule": "cosine"}, {"steps": 12, "validate_every": 4}),
        ("adding", "elman", {"hidden_size": 3, "learning_rate": 0.3}, {"epochs": 40, "patience": 2}),
        ("japanese-vowels", "lstm", MODEL, {"steps": 12, "validate_every": 5}),
        ("shakespeare-char", "lstm-2", {"hidden_size": 4}, {"steps": 12, "validate_every": 5}),
        ("weather-nyc-24h", "gru", {"hidden_size": 4, "teacher_forcing": 0.5}, {"steps": 10, "validate_every": 4}),
        ("translate-numbers", "lstm-luong", {"hidden_size": 4, "teacher_forcing": 0.5}, {"steps": 9}),
    ],
)
def test_a_run_cut_off_anywhere_ends_as_one_in_one_go(
    task: str,
    architecture: str,
    model: dict[str, Any],
    budget: dict[str, int],
    stand_ins: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid = {"name": "g", "tasks": [task], "architectures": [architecture], "model": model, "budget": budget}
    spec = GridSpec.read({**grid, "batch_size": 16}, "test").expand()[0]
    module, _, name = spec.task.data.class_path.rpartition(".")
    small = stand_in_arguments(getattr(import_module(module), name), tmp_path)
    data = spec.task.data.model_copy(update={"init_args": {**spec.task.data.init_args, **small}})
    spec = spec.model_copy(update={"task": spec.task.model_copy(update={"data": data})})
    whole, cut, lives = whole_and_cut(spec, tmp_path, monkeypatch, [1, 2, 4, 5, 8, 9])
    assert lives > 2
    assert cut == whole
