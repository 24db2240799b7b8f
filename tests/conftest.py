"""Shared by all tests: a cache of their own, stand-ins for the real archives, small grids, strange data and models."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.config.registry import catalogue, roots
from rnnbench.data.stand_ins import STAND_IN_ARCHIVES, use_stand_ins
from rnnbench.harness.events import Event, Finished, HeldElsewhere, Noted, Preparing, Progressed, Retried, Started
from rnnbench.harness.job import Progress
from rnnbench.harness.paths import Folders
from rnnbench.utils.files import CACHE_VARIABLE, cache_folder

USERS_CACHE = os.environ.get(CACHE_VARIABLE)
REAL_ARCHIVES = {cls: cls.sources for cls in STAND_IN_ARCHIVES}
TASKS, ARCHITECTURES, GRIDS = (list(catalogue(kind)) for kind in ("task", "architecture", "grid"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache; processes of one test run share theirs."""
    patch, base = pytest.MonkeyPatch(), tmp_path_factory.getbasetemp()
    patch.setenv(CACHE_VARIABLE, str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("COLUMNS", raising=False)  # set by readline in the processes that pytest-xdist starts


@pytest.fixture
def users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own cache and the real archives, for tests marked `archive`."""
    for cls, sources in REAL_ARCHIVES.items():  # a file's other tests may read stand-ins
        monkeypatch.setattr(cls, "sources", sources)
    if USERS_CACHE is None:
        monkeypatch.delenv(CACHE_VARIABLE)
    else:
        monkeypatch.setenv(CACHE_VARIABLE, USERS_CACHE)
    missing = [source for sources in REAL_ARCHIVES.values() for source in sources if not source.path.exists()]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{missing[0].file} is not in the cache; CI fetches it")


def _with_kernels(folder: Path) -> str:
    """A cache of its own, but with the kernels that other tests have compiled."""
    kernels = cache_folder("kernels").resolve()
    folder.mkdir(exist_ok=True)
    (folder / "kernels").symlink_to(kernels, target_is_directory=True)
    return str(folder)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Archives of the real schemas with made-up content, in a cache of this test."""
    monkeypatch.setenv(CACHE_VARIABLE, _with_kernels(tmp_path / "cache"))
    with use_stand_ins():
        yield


@pytest.fixture(scope="module")
def module_stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As `stand_ins`, prepared once for a whole file."""
    patch = pytest.MonkeyPatch()
    patch.setenv(CACHE_VARIABLE, _with_kernels(tmp_path_factory.mktemp("stand_ins")))
    with use_stand_ins():
        yield
    patch.undo()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "leaderboard", tmp_path / "runs")


class Silent:
    """A watcher that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.steps: list[Progress] = []

    def on_event(self, event: Event) -> None:
        match event:
            case Noted(text):
                self.events.append(("noted", text))
            case Preparing(task):
                self.events.append(("preparing", task))
            case Started(spec, _):
                self.events.append(("started", spec.id))
            case Progressed(_, progress):
                self.steps.append(progress)
            case HeldElsewhere(_, owner):
                self.events.append(("elsewhere", owner))
            case Retried(_, reason):
                self.events.append(("retried", reason))
            case Finished(record):
                self.events.append(("finished", record.id))

    def count(self, what: str) -> int:
        return sum(one == what for one, _ in self.events)


@pytest.fixture
def watcher() -> Silent:
    return Silent()


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., str]:
    """Makes a card, by default a short adding problem, and gives its path."""

    def make(name: str = "short", class_path: str = "rnnbench.data.Adding", **init_args: Any) -> str:
        import yaml

        card = TaskCard.load("adding").model_dump(mode="json", exclude_none=True)
        small = {"length": 6, "train_size": 256, "batch_size": 32}
        card |= {"name": name, "data": {"class_path": class_path, "init_args": init_args or small}}
        folder = tmp_path / "cards" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "task.yaml").write_text(yaml.safe_dump(card))
        return str(folder)

    return make


@pytest.fixture
def architecture(tmp_path: Path) -> Callable[..., str]:
    """Makes an architecture's file and gives its path."""

    def make(name: str, class_path: str, **init_args: Any) -> str:
        import yaml

        path = tmp_path / "architectures" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"summary": "made up", "class_path": class_path, "init_args": init_args}))
        return str(path)

    return make


@pytest.fixture
def grid(task: Callable[..., str]) -> Callable[..., GridSpec]:
    """Makes a small grid."""

    def make(**changes: Any) -> GridSpec:
        content: dict[str, Any] = {
            "name": "small",
            "architectures": ["elman", "gru"],
            "tasks": [task()],
            "seeds": 1,
            "budget": {"steps": 6, "validate_every": 3},
            "model": {"hidden_size": 4},
            "executor": "inline",
        }
        return GridSpec.read({**content, **changes}, "test")

    return make


def pytest_sessionstart() -> None:
    roots.cache_clear()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` are skipped where torch sees no CUDA device."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
