"""From a grid to its runs: `GridSpec.expand()` gives one `RunSpec` for each architecture × task × seed."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from rnnbench.card import ArchitectureCard, Budget, ClassSpec, Direction, Name, TaskCard
from rnnbench.errors import RnnbenchError
from rnnbench.executor_settings import ExecutorField
from rnnbench.fingerprint import digest, file_digest
from rnnbench.resources import find
from rnnbench.size import FlopsField, ParamsField, Size
from rnnbench.strict import Arguments, Strict, read_yaml

Seed = Annotated[int, Field(ge=0, lt=2**31)]
MOST_SEEDS = 10_000
LoggerName = Literal["csv", "wandb", "tensorboard"]


class TaskPart(Strict):
    """What a run has to know of its task."""

    name: Name
    version: int
    fingerprint: str
    objective: str
    metric: str
    direction: Direction
    data: ClassSpec


class ArchitecturePart(ClassSpec):
    """What a run has to know of its architecture. Of arguments that are files, `files` has a digest of the content."""

    name: Name
    files: dict[str, str] = {}


class RunSpec(Strict):
    """One cell of the grid, completely resolved."""

    task: TaskPart
    architecture: ArchitecturePart
    seed: Seed
    budget: Budget
    devices: int = Field(1, ge=1, le=1024)
    size: Size | None = None

    @property
    def id(self) -> str:
        """Identity: a digest of the content. Names of files, order and unused defaults do not change it."""
        task, model = self.task, self.architecture
        content: dict[str, Any] = {
            "task": [task.fingerprint, task.data.class_path, task.data.init_args],
            "architecture": [model.class_path, model.init_args],
            "seed": self.seed,
            "budget": self.budget.model_dump(exclude_none=True),
        }
        if self.devices > 1:
            content["devices"] = self.devices
        if model.files:
            content["files"] = model.files
        if self.size:
            content["size"] = self.size.content
        return digest(content, length=12)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the model."""
        return self.architecture.init_args

    @property
    def network(self) -> list[Any]:
        """What shapes the network and its training, beside its data and its seed."""
        return [self.architecture.class_path, self.arguments, self.size.content if self.size else None]

    @property
    def label(self) -> str:
        """For people: `task/architecture/seed`."""
        return f"{self.task.name}/{self.architecture.name}/{self.seed}"


def _seeds(value: Any) -> Any:
    """What `seeds` may be; pydantic itself would tell of each alternative by itself."""
    numbers = value if isinstance(value, list) else [value]
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in numbers)
    if numbers and whole and (all(0 <= one < 2**31 for one in value) if numbers is value else 1 <= value <= MOST_SEEDS):
        return value
    raise ValueError(
        f"give a number of seeds from 1 to {MOST_SEEDS}, or a list of seeds (whole numbers from 0), got {value!r}"
    )


class GridSpec(Strict):
    """A grid: every architecture on every task with every seed.

    Args:
        name: of the grid.
        summary: one line.
        architectures: names, or paths of YAML files.
        tasks: names, or paths of folders with a `task.yaml`.
        seeds: how many (0, 1, …), or which.
        params: how many parameters every network is to have, `70_000 ± 2%`: its width is chosen for that.
        flops: or how many operations a step.
        budget: of every run; without one, each task's own.
        model: constructor arguments laid over those of every architecture.
        batch_size: of every run; without one, each task's own.
        devices: GPUs (without any, cores) of one run; with two or more it is trained by DDP and tested on one.
        executor: `local` (default), `inline`, `ray` or `slurm`, or one with settings: `{local: {workers: 2}}`.
        loggers: `csv`, `wandb`, `tensorboard`; beside the records, never instead.
        watch: `gradients`: loggers are told how far back they reach and how often clipping acts, at each validation.
    """

    name: Name
    summary: str = ""
    architectures: list[str] = Field(min_length=1)
    tasks: list[str] = Field(min_length=1)
    seeds: Annotated[int | list[int], BeforeValidator(_seeds)] = 1
    params: ParamsField = None
    flops: FlopsField = None
    budget: Budget | None = None
    model: Arguments = {}
    batch_size: int | None = Field(None, ge=1)
    devices: int = Field(1, ge=1, le=1024)
    executor: ExecutorField = "local"
    loggers: list[LoggerName] = ["csv"]
    watch: list[Literal["gradients"]] = []

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.params is not None and self.flops is not None:
            raise ValueError("give params or flops, not both: a network has one width")
        return self

    @model_validator(mode="after")
    def _inline_is_one_process(self) -> Self:
        inline = self.executor == "inline" or getattr(self.executor, "inline", None) is not None
        if inline and self.devices > 1:
            raise ValueError(f"devices: {self.devices} needs a process for each; the executor inline has one")
        return self

    @classmethod
    def load(cls, name: str) -> Self:
        """The grid of that name, or in that file.

        Raises:
            RnnbenchError: there is none, or something in it is wrong.
        """
        path = find("grid", name)
        return cls.read(read_yaml(path), os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path))

    @property
    def seed_list(self) -> list[int]:
        """The seeds themselves."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    def expand(self) -> list[RunSpec]:
        """All runs, the first seed of every cell before the second of any, so that a board fills evenly.

        Raises:
            RnnbenchError: unknown or broken architecture or task; two cells that are the same run.
        """
        where = f"grid {self.name!r}"
        models = [self._architecture(name, where) for name in self.architectures]
        cards = [TaskCard.load(name, where) for name in self.tasks]
        cells = [(card, self._task(card), model) for card in cards for model in models]
        size = Size.of(self.params, self.flops)
        specs = [
            RunSpec(
                task=task,
                architecture=model,
                seed=seed,
                budget=self.budget or card.budget,
                devices=self.devices,
                size=size,
            )
            for seed in self.seed_list
            for card, task, model in cells
        ]
        _refuse_twice(specs, where)
        return specs

    def _architecture(self, name: str, where: str) -> ArchitecturePart:
        own, card = ArchitectureCard.load(name, where)
        arguments = {**card.init_args, **self.model}
        content = {"name": own, "class_path": card.class_path, "init_args": arguments, "files": _files(arguments)}
        return ArchitecturePart.read(content, f"architecture {name!r}")

    def _task(self, card: TaskCard) -> TaskPart:
        batch_size = {} if self.batch_size is None else {"batch_size": self.batch_size}
        data = ClassSpec(class_path=card.data.class_path, init_args={**card.data.init_args, **batch_size})
        known = {
            name: getattr(card, name) for name in ("name", "version", "fingerprint", "objective", "metric", "direction")
        }
        return TaskPart(data=data, **known)


def _files(arguments: dict[str, Any]) -> dict[str, str]:
    """Digests of the files that some arguments name, such as word vectors: another content makes another run."""
    paths = {name: Path(value) for name, value in arguments.items() if isinstance(value, str)}
    return {name: file_digest(path) for name, path in paths.items() if path.suffix and path.is_file()}


def _refuse_twice(specs: Iterable[RunSpec], where: str) -> None:
    seen: dict[str, str] = {}
    for spec in specs:
        if other := seen.get(spec.id):
            names = spec.label if other == spec.label else f"{other} and {spec.label}"
            raise RnnbenchError(f"{where}: duplicated cell: {names} would be the same run; name each once")
        seen[spec.id] = spec.label
