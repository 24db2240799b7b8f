"""Seeds of data and of models: apart, both on record, and splits do not move with the second."""

import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import seed_everything

from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.data import Adding
from rnnbench.data.stand_ins import stand_in_arguments, use_stand_ins
from rnnbench.errors import RnnbenchError
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.instantiate import make_data
from rnnbench.harness.paths import Folders
from rnnbench.harness.preflight import check
from rnnbench.leaderboard.table import make_table
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import CACHE_VARIABLE
from tests.conftest import TASKS, Silent

SLOW = {"speech-digits", "ucf101", "flickr8k", "mnist1d", "moving-digits", "caption-emoji"}
"""Tasks whose data takes seconds to prepare: of these, all seeds look for it in the same place."""


def specs_of(task: str, folder: Path, **more: Any) -> list[RunSpec]:
    """Two runs on little of a task's data, which differ in the model's seed."""
    content = {"name": "g", "architectures": ["lstm"], "tasks": [task], "seeds": [0, 1], **more}
    specs = GridSpec.read(content, "test").expand()
    module, _, name = specs[0].task.data.class_path.rpartition(".")
    small = stand_in_arguments(getattr(import_module(module), name), folder)
    data = specs[0].task.data.model_copy(update={"init_args": {**specs[0].task.data.init_args, **small}})
    part = specs[0].task.model_copy(update={"data": data})
    return [spec.model_copy(update={"task": part}) for spec in specs]


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Two caches with the same stand-ins for archives, in which nothing is prepared."""
    first, second = (tmp_path_factory.mktemp("caches") / name for name in ("0", "1"))
    patch = pytest.MonkeyPatch()
    patch.setenv(CACHE_VARIABLE, str(first))
    with use_stand_ins():
        shutil.copytree(first, second)
        yield [first, second]
    patch.undo()


@pytest.mark.parametrize("task", TASKS)
def test_splits_do_not_move_with_the_seed_of_the_model(
    task: str, caches: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprints, folders = [], set()
    for spec, cache in zip(specs_of(task, tmp_path, data_seed=3), caches, strict=True):
        data = make_data(spec)
        folders.add(data.folder.name)
        assert (data.shuffle_seed, data.data_seed) == (spec.seed, 3)
        if task not in SLOW:  # each seed prepares its own
            monkeypatch.setenv(CACHE_VARIABLE, str(cache))
            seed_everything(spec.seed, verbose=False)
            fingerprints.append(data.metadata()["fingerprint"])
    assert len(folders) == 1
    assert len({*fingerprints}) == (task not in SLOW)


def test_the_seed_of_the_data_moves_what_is_drawn_and_is_another_run(tmp_path: Path) -> None:
    first, other = (specs_of("adding", tmp_path, data_seed=seed)[0] for seed in (0, 1))
    assert make_data(first).metadata()["fingerprint"] != make_data(other).metadata()["fingerprint"]
    (default, _) = specs_of("adding", tmp_path)
    assert make_data(first).metadata()["fingerprint"] == make_data(default).metadata()["fingerprint"]
    assert len({first.id, other.id, default.id}) == 3


def test_both_seeds_are_on_record_and_other_data_is_another_column(
    grid: Callable[..., GridSpec], folders: Folders
) -> None:
    for seed in (None, 5):
        asked = grid(architectures=["elman"], data_seed=seed, seeds=[7])
        run_grid(asked, plan(asked, {})[1], folders, Silent())
    records, _ = RecordStore(folders.leaderboard).read()
    assert {(one.spec.seed, one.spec.data_seed) for one in records.values()} == {(7, None), (7, 5)}
    cells = cells_on_record(records)
    assert {cell.state for cell in cells} == {"done"}  # data of another seed makes nothing stale
    columns = make_table(cells).headings.values()
    assert [heading[-2] for heading in columns] == ["batch 32, validated every 3, data seed 5",
                                                    "batch 32, validated every 3"]  # fmt: skip


def test_a_seed_for_data_that_takes_none_is_refused(grid: Callable[..., GridSpec], task: Callable[..., str]) -> None:
    path = task("seedless", "tests.config.test_seeds.Seedless", length=6)
    with pytest.raises(RnnbenchError, match="unknown argument of Seedless 'data_seed'"):
        check(grid(tasks=[path], data_seed=1).expand())


class Seedless(Adding):
    """Has no seed."""

    def __init__(self, length: int = 6, shuffle_seed: int = 0) -> None:
        super().__init__(length, 64, 32, 0, shuffle_seed)
