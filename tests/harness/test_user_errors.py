"""What the code of a user raises is told as theirs, with file, line and function; nothing blames the cache."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import LightningDataModule

from rnnbench.cli import smoke
from rnnbench.config.cards import ClassSpec
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.events import Event, Finished
from rnnbench.harness.grid import UNPREPARED, plan, run_grid
from rnnbench.harness.instantiate import construct, prepare
from rnnbench.harness.paths import Folders
from rnnbench.records.store import RecordStore

MODULE = """
import torch
from rnnbench.architectures import Elman
from rnnbench.data import Adding
from rnnbench.nn import Cell


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        raise KeyError(f"row {index}")


class InPrepareData(Adding):
    def prepare_data(self):
        raise OSError(28, "No space left on device")


class InBuildSplits(Adding):
    def build_splits(self, folder):
        raise OSError(28, "No space left on device", "/elsewhere")


class InSetup(Adding):
    def setup(self, stage=None):
        return 1 / 0


class InLoader(Adding):
    def train_dataloader(self):
        raise ValueError("no loader")


class InWorker(Adding):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(Rows(), batch_size=2, num_workers=1)


class InTestLoader(Adding):
    def test_dataloader(self):
        raise LookupError("no test")


class InTrainingStep(Elman):
    def training_step(self, batch, batch_idx):
        return torch.ones(2, 3) @ torch.ones(2, 3)


class InOptimizers(Elman):
    def configure_optimizers(self):
        raise AttributeError("no optimiser")


class InConstructor(Elman):
    def __init__(self, **options):
        super().__init__(**options)
        if options.get("input_size"):
            raise TypeError("no model")


class InStep(Cell):
    states = ("h",)
    gates = ("i",)

    def step(self, z, s):
        return torch.tanh(z.missing)


class InCellConstructor(InStep):
    def __init__(self):
        super().__init__()
        raise RuntimeError("no cell")


class NotJson(Adding):
    def build_splits(self, folder):
        splits = super().build_splits(folder)
        splits.objective_options["f"] = object()
        return splits


class NoTable(Adding):
    def build_splits(self, folder):
        splits = super().build_splits(folder)
        splits.tables["test"] = {"inputs": []}
        return splits
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of a user."""
    name = f"mine_{tmp_path.name}".replace("-", "_")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return name


def place(module: str, text: str, function: str) -> str:
    """Where the code raises, as it is told."""
    line = next(number for number, one in enumerate(MODULE.splitlines(), 1) if text in one)
    return rf" \(in {module}\.py, line {line}, in {re.escape(function)}\)$"


OF_DATA = {
    "InPrepareData": (r"^preparing data: OSError: \[Errno 28\] No space left on device", 'device")', "prepare_data"),
    "InBuildSplits": (r"^preparing data: OSError: .*'/elsewhere'", "/elsewhere", "build_splits"),
    "InSetup": ("^ZeroDivisionError: division by zero", "1 / 0", "setup"),
    "InLoader": ("^ValueError: no loader", "no loader", "train_dataloader"),
    "InTestLoader": ("^LookupError: no test", "no test", "test_dataloader"),
}
OF_MODELS = {
    "InTrainingStep": ("^RuntimeError: mat1 and mat2 shapes", "@ torch", "training_step"),
    "InOptimizers": ("^AttributeError: no optimiser", "no optimiser", "configure_optimizers"),
    "InConstructor": ("^architecture 'inconstructor': InConstructor: TypeError: no model", "no model", "__init__"),
}


class Reasons:
    """Why each run has failed, by the name of its task and architecture."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, Finished):
            spec = event.record.spec
            self.reasons[f"{spec.task.name}/{spec.architecture.name}"] = event.record.reason


def reasons(grid: GridSpec, folders: Folders) -> dict[str, str]:
    """Why each cell has failed, or could not be prepared, by the name of its task and architecture."""
    _, todo = plan(grid, RecordStore(folders.leaderboard).read()[0])
    watcher = Reasons()
    ended = run_grid(grid, todo, folders, watcher)
    assert ended["failed"] + ended[UNPREPARED] == len(todo)
    return watcher.reasons


def test_errors_of_data_name_the_users_file_and_line(
    mine: str, grid: Callable[..., GridSpec], task: Callable[..., str], folders: Folders
) -> None:
    names = {name: task(name.lower(), f"{mine}.{name}", length=4) for name in OF_DATA}
    found = reasons(grid(tasks=[*names.values()], architectures=["elman"]), folders)
    for name, (message, text, function) in OF_DATA.items():
        said = found[f"{name.lower()}/elman"]
        assert re.search(message + ".*" + place(mine, text, f"{name}.{function}"), said), said
        assert "cache" not in said


def test_errors_of_models_and_cells_name_the_users_file_and_line(
    mine: str, grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders
) -> None:
    names = [architecture(name.lower(), f"{mine}.{name}") for name in OF_MODELS]
    cell = architecture("instep", "rnnbench.architectures.CellModule", cell=f"{mine}.InStep")
    found = reasons(grid(architectures=[*names, cell]), folders)
    expected = OF_MODELS | {"InStep": ("^AttributeError: .*'missing'", "z.missing", "step")}
    for name, (message, text, function) in expected.items():
        said = found[f"short/{name.lower()}"]
        assert re.search(message + ".*" + place(mine, text, f"{name}.{function}"), said), said
    broken = architecture("broken", "rnnbench.architectures.CellModule", cell=f"{mine}.InCellConstructor")
    where = place(mine, "no cell", "InCellConstructor.__init__")
    with pytest.raises(RnnbenchError, match=f"Constructor' cannot be made: RuntimeError: no cell{where}"):
        reasons(grid(architectures=[broken]), folders)


def test_an_error_in_a_worker_of_a_loader_is_that_of_the_user(
    mine: str, grid: Callable[..., GridSpec], task: Callable[..., str], folders: Folders
) -> None:
    found = reasons(grid(tasks=[task("worker", f"{mine}.InWorker", length=4)], architectures=["elman"]), folders)
    assert re.search("^KeyError: 'row 0'" + place(mine, "row {index}", "__getitem__"), found["worker/elman"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("NotJson", "Splits must be made of plain values beside its tables: Object of type object is not JSON"),
        ("NoTable", "NoTable, split 'test' must be a datasets.Dataset, got dict"),
    ],
)
def test_splits_that_are_none_are_told_by_what_is_wrong_with_them(name: str, why: str, mine: str) -> None:
    data = construct(
        ClassSpec(class_path=f"{mine}.{name}", init_args={"length": 4}), LightningDataModule, "task", set()
    )
    with pytest.raises(RnnbenchError, match=why):
        prepare(data)


def test_smoke_tells_errors_of_data_as_the_users(
    mine: str, task: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke._modules.cache_clear()
    for name in ("InSetup", "InBuildSplits"):
        path = task(name.lower(), f"{mine}.{name}", length=4)
        monkeypatch.setattr(smoke, "_worker_arguments", ([path], tmp_path), raising=False)
        message, text, function = OF_DATA[name]
        where = place(mine, text, f"{name}.{function}")
        with pytest.raises(RnnbenchError, match=message.removeprefix("^") + ".*" + where):
            smoke._modules()
        smoke._modules.cache_clear()
