"""From a grid to its runs: `GridSpec.expand()` gives one `RunSpec` for each architecture × task × seed."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from rnnbench.config.cards import (
    MAX_COUNT,
    ArchitectureCard,
    Budget,
    ClassSpec,
    Direction,
    Lengths,
    Name,
    Scoring,
    TaskCard,
)
from rnnbench.config.executors import ExecutorField
from rnnbench.config.model_size import WIDTH, FlopsField, ParamsField, Size
from rnnbench.config.registry import catalogue, find
from rnnbench.config.sampling import SamplesField
from rnnbench.config.schema import Arguments, StrictModel, read_yaml
from rnnbench.config.search_space import Selected, Space, Trial, Tune, deep_merge, trials_of
from rnnbench.config.seeds import Seed, seed_list, seeds_field
from rnnbench.config.training import CallbackSpec, LoggerSpec, Precision, TrainerArguments, Training
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.files import content_digest, expand_home
from rnnbench.utils.fingerprint import digest, file_digest


class TaskPart(StrictModel):
    """What a run has to know of its task. Records of earlier versions have no `scoring`.

    Of arguments of the data that are files or folders, `files` has a digest of the content; it has none in records that
    were written before files were digested.
    """

    name: Name
    version: int
    fingerprint: str
    objective: str
    metric: str
    direction: Direction
    data: ClassSpec
    scoring: Scoring | None = None
    files: dict[str, str] = {}


class ArchitecturePart(ClassSpec):
    """What a run has to know of its architecture. Of arguments that are files, `files` has a digest of the content."""

    name: Name
    files: dict[str, str] = {}


class RunSpec(StrictModel):
    """One cell of the grid, completely resolved."""

    task: TaskPart
    architecture: ArchitecturePart
    seed: Seed
    budget: Budget
    devices: int = Field(1, ge=1, le=1024)
    data_seed: Seed | None = None
    size: Size | None = None
    training: Training | None = None
    trial: Trial | None = None
    selected: Selected | None = None

    @model_validator(mode="after")
    def _one_design(self) -> Self:
        if self.trial is not None and self.selected is not None:
            raise ValueError("a run is a trial, or of what was selected among trials, not both")
        return self

    @property
    def id(self) -> str:
        """Identity: a digest of the content. Names of files, order and unused defaults do not change it."""
        return digest({**self._content(), "seed": self.seed}, length=12)

    @property
    def former_id(self) -> str:
        """The id that it has in records that were written before files of its data were digested."""
        task = self.task.model_copy(update={"files": {}})
        return self.model_copy(update={"task": task}).id if self.task.files else self.id

    @property
    def configuration(self) -> str:
        """The same of all runs that differ in their seed alone."""
        return digest(self._content(), length=12)

    @property
    def parts(self) -> tuple[int, ...]:
        """Which objects it consists of but for its seed: a key, while it lives, for what is the same for all seeds."""
        return tuple(id(value) for name, value in vars(self).items() if name != "seed")

    def _content(self) -> dict[str, Any]:
        """What makes a run what it is, but its seed."""
        task, model = self.task, self.architecture
        content: dict[str, Any] = {
            "task": [task.fingerprint, task.data.class_path, task.data.init_args],
            "architecture": [model.class_path, model.init_args],
            "budget": self.budget.model_dump(exclude_none=True),
        }
        if self.devices > 1:
            content["devices"] = self.devices
        if model.files:
            content["files"] = model.files
        if task.files:
            content["data_files"] = task.files
        if self.data_seed is not None:
            content["data_seed"] = self.data_seed
        for name in ("size", "training", "trial", "selected"):
            if (part := getattr(self, name)) is not None:
                content[name] = part.content
        return content

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the model: those of the architecture, under those of a trial or of what was selected."""
        design = self.trial or self.selected
        return deep_merge(self.architecture.init_args, design.arguments if design else {})

    @property
    def network(self) -> list[Any]:
        """What shapes the network and its training, beside its data and its seed."""
        size = self.size.content if self.size else None
        return [self.architecture.class_path, self.arguments, size, *self._training]

    @property
    def _training(self) -> list[Any]:
        """How it is trained, if not as usual: nothing at all else, so that digests are those of earlier versions."""
        return [self.training.content] if self.training else []

    @property
    def setting(self) -> list[Any]:
        """What all runs have in common that differ in their seed and what is tuned alone, with the budget of trials."""
        task, model = self.task, self.architecture
        budget = self.budget.part(self.selected.share) if self.selected else self.budget
        return [
            *(task.fingerprint, task.data.class_path, task.data.init_args, self.data_seed),
            *([task.files] if task.files else []),
            *(model.name, model.class_path, model.init_args, self.size.content if self.size else None),
            *(budget.model_dump(exclude_none=True), self.devices),
            *self._training,
        ]

    @property
    def row(self) -> str:
        """The architecture, and how it was tuned: `lstm`, `lstm tuned(16)`, or of a trial `lstm trial 3`."""
        if self.trial is not None:
            return f"{self.architecture.name} trial {self.trial.index}"
        return self.architecture.name + (f" tuned({self.selected.trials})" if self.selected else "")

    @property
    def label(self) -> str:
        """For people: `task/architecture/seed`."""
        return f"{self.task.name}/{self.row}/{self.seed}"


class GridSpec(StrictModel):
    """A grid: every architecture on every task with every seed.

    Args:
        name: of the grid.
        summary: one line.
        architectures: names, or paths of YAML files.
        tasks: names, or paths of folders with a `task.yaml`.
        seeds: of the model, of dropout and of the order of batches: how many (0, 1, …), or which.
        data_seed: of whatever is drawn to make or split the data; without one, as each task's card says.
        params: how many parameters every network is to have, `70_000 ± 2%`: its width is chosen for that.
        flops: or how many operations a step.
        tune: how many trials in which space: beside every architecture as it is, its best trial is a row of its own.
        budget: of every run; without one, each task's own.
        budgets: of all runs on some tasks, by the task's name, instead of their own.
        model: constructor arguments that override those of every architecture.
        batch_size: of every run; without one, each task's own.
        lengths: on which tasks are tested that are tested on longer sequences, `41:500:20`; without, as each card says.
        devices: GPUs (without any, cores) of one run; with two or more it is trained by DDP and tested on one.
        precision: of every run, by Lightning's names: `bf16-mixed`; without one, float32.
        compile: whether every module is compiled by `torch.compile`; its time counts as training time.
        trainer: other arguments of `lightning.Trainer`: `{accumulate_grad_batches: 4}`; not those that the
            harness sets.
        callbacks: Lightning's, or your own: import paths, or `class_path` with `init_args` as LightningCLI has them.
        executor: `local` (default), `inline`, `ray` or `slurm`, or one with settings: `{local: {workers: 2}}`.
        loggers: `csv`, `wandb`, `tensorboard`, others by `class_path` and `init_args`; beside the records,
            never instead.
        watch: `gradients`: logs how far back they reach and how often clipping acts, at each validation.
        artefacts: what every run answers when it is trained, `default` or settings of
            `rnnbench.config.sampling.SampleConfig`; answers lie beside the records, in `artefacts/`.
        replay: keep the weights of steps 0, 1, 4, 16, 64, … for `rnnbench replay`.
    """

    name: Name
    summary: str = ""
    architectures: list[str] = Field(min_length=1)
    tasks: list[str] = Field(min_length=1)
    seeds: Annotated[int | list[int], BeforeValidator(seeds_field)] = 1
    data_seed: Seed | None = None
    params: ParamsField = None
    flops: FlopsField = None
    tune: Tune | None = None
    budget: Budget | None = None
    budgets: dict[Name, Budget] = {}
    model: Arguments = {}
    batch_size: int | None = Field(None, ge=1, le=MAX_COUNT)
    lengths: Lengths | None = None
    devices: int = Field(1, ge=1, le=1024)
    precision: Precision = None
    compile: bool = False
    trainer: TrainerArguments = {}
    callbacks: list[CallbackSpec] = []
    executor: ExecutorField = "local"
    loggers: list[LoggerSpec] = ["csv"]
    watch: list[Literal["gradients"]] = []
    artefacts: SamplesField = None
    replay: bool = False

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.params is not None and self.flops is not None:
            raise ValueError("give params or flops, not both: a network has one width")
        return self

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.budget is not None and self.budgets:
            raise ValueError("give budget or budgets, not both: budget is that of every run")
        return self

    @model_validator(mode="after")
    def _inline_is_one_process(self) -> Self:
        inline = self.executor == "inline" or getattr(self.executor, "inline", None) is not None
        if inline and self.devices > 1:
            raise ValueError(f"devices: {self.devices} needs a process for each; the executor inline has one")
        return self

    @staticmethod
    def load(name: str) -> "GridSpec":
        """The grid or track of that name, or in that file.

        Raises:
            RnnbenchError: there is none, or something in it is wrong.
        """
        path = find("grid", name)
        where = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
        grid = read_grid(read_yaml(path), where)
        if isinstance(grid, Track) and grid.name != path.stem:
            raise RnnbenchError(f"{where}: the track is named {grid.name!r}, but its file {path.name!r}")
        return grid

    def notes(self) -> list[str]:
        """What it asks for without effect, a sentence each."""
        rule = "params" if self.params is not None else "flops"
        if (self.params or self.flops) is None or WIDTH not in self.model:
            return []
        return [f"model.{WIDTH}: {self.model[WIDTH]} has no effect: {rule} chooses the width"]

    @property
    def seed_list(self) -> list[int]:
        """The seeds themselves."""
        return seed_list(self.seeds)

    @property
    def training(self) -> Training | None:
        """How every run is trained, if not as usual."""
        return Training.of(self.precision, self.compile, self.trainer, self.callbacks)

    def expand(self) -> list[RunSpec]:
        """All runs that are known before any has ended: trials, then the architectures as they are.

        The first trial, or seed, of every cell comes before the second of any, so that a board fills evenly.

        Raises:
            RnnbenchError: unknown or broken architecture, task or space; two cells that are the same run; `lengths`
                without a task that is tested on longer sequences.
        """
        where = f"grid {self.name!r}"
        models = [self._architecture(name, where) for name in self.architectures]
        cards = [TaskCard.load(name, where) for name in self.tasks]
        if unknown_tasks := sorted({*self.budgets} - {*(names := [card.name for card in cards])}):
            raise unknown("task", unknown_tasks[0], names, f"{where}: budgets")
        if self.lengths is not None and not any(card.test for card in cards):
            raise RnnbenchError(f"{where}: lengths are given, but no task of it is tested on longer sequences")
        training = self.training
        cells = [
            RunSpec(
                task=self._task(card),
                architecture=model,
                seed=0,
                budget=self.budget_of(card),
                devices=self.devices,
                data_seed=self.data_seed,
                size=Size.of(self.params, self.flops),
                training=training,
            )
            for card in cards
            for model in models
        ]
        with_defaults = self.tune is None or self.tune.defaults
        specs = self._trials(cells) + [
            cell.model_copy(update={"seed": seed}) for seed in self.seed_list if with_defaults for cell in cells
        ]
        _refuse_twice(specs, where)
        return specs

    def budget_of(self, card: TaskCard) -> Budget:
        """The budget of a run on a task; a trial has `tune.share` of it."""
        return self.budget or self.budgets.get(card.name) or card.budget

    def space(self) -> Space | None:
        """What is tuned, if anything.

        Raises:
            RnnbenchError: there is no such space, something in it is wrong, or an architecture is.
        """
        if self.tune is None:
            return None
        where = f"grid {self.name!r}"
        return Space.load(
            self.tune.space, where, [ArchitectureCard.load(name, where)[0] for name in self.architectures]
        )

    def designs(self) -> dict[str, list[Trial]]:
        """The configurations that are tried of each architecture, by its name.

        Raises:
            RnnbenchError: as `space`; or the space has too many dimensions.
        """
        space = self.space()
        if self.tune is None or space is None:
            return {}
        names = [ArchitectureCard.load(name)[0] for name in self.architectures]
        return {name: trials_of(self.tune, space, name) for name in names}

    def _trials(self, cells: list[RunSpec]) -> list[RunSpec]:
        if self.tune is None:
            return []
        designs = self.designs()
        return [
            cell.model_copy(
                update={
                    "seed": seed,
                    "trial": designs[cell.architecture.name][index],
                    "budget": cell.budget.part(self.tune.share),
                }
            )
            for index in range(self.tune.trials)
            for seed in self.tune.seed_list
            for cell in cells
        ]

    def _architecture(self, name: str, where: str) -> ArchitecturePart:
        own, card = ArchitectureCard.load(name, where)
        arguments = {**card.init_args, **self.model}
        content = {"name": own, "class_path": card.class_path, "init_args": arguments, "files": _files(arguments)}
        return ArchitecturePart.read(content, f"architecture {name!r}")

    def _task(self, card: TaskCard) -> TaskPart:
        batch_size = {} if self.batch_size is None else {"batch_size": self.batch_size}
        lengths = {} if self.lengths is None or card.test is None else {"test_lengths": [*self.lengths]}
        data = ClassSpec(class_path=card.data.class_path, init_args={**card.data.init_args, **batch_size, **lengths})
        same = ("name", "version", "fingerprint", "objective", "metric", "direction", "scoring")
        files = data_files(data.init_args)
        return TaskPart(data=data, files=files, **{name: getattr(card, name) for name in same})


class Track(GridSpec):
    """A grid with the rules under which rows of the board are compared: `configs/tracks/<name>.yaml`.

    A record belongs to it if the grid has its run; a tuned one, if the grid's trials have selected it.

    Args:
        title: a few words.
        summary: one sentence: what is compared, and under which rules.
        version: raised whenever runs before and after are not comparable.
        groups: the tasks by groups that are shown together; without it, as each task's card says. Stands for `tasks`.
    """

    title: str = Field(min_length=1, max_length=100)
    summary: str = Field(min_length=1, max_length=500)
    version: int = Field(ge=1)
    groups: dict[str, list[str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _tasks_of_groups(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "tasks" in content or not isinstance(content.get("groups"), dict):
            return content
        tasks = [task for group in content["groups"].values() for task in (group if isinstance(group, list) else [])]
        return {**content, "tasks": tasks}

    @model_validator(mode="after")
    def _each_task_in_a_group(self) -> Self:
        tasks = [task for group in self.groups.values() for task in group]
        if self.groups and tasks != self.tasks:
            raise ValueError("groups and tasks differ: give groups alone, each task in one of them")
        return self

    def group_of(self) -> dict[str, str]:
        """The group of each task, by the name on its card; empty without groups.

        Raises:
            RnnbenchError: there is no such task, or its card is wrong.
        """
        return {TaskCard.load(task).name: group for group, tasks in self.groups.items() for task in tasks}


def read_grid(content: Any, where: str) -> GridSpec:
    """A grid, or a track if `content` has a field of one.

    Raises:
        RnnbenchError: something in it is wrong.
    """
    is_track = isinstance(content, dict) and not {"title", "version", "groups"}.isdisjoint(content)
    return Track.read(content, where) if is_track else GridSpec.read(content, where)


def tracks() -> list[Track]:
    """All tracks that have a name, `core` first.

    Raises:
        RnnbenchError: one of them is wrong.
    """
    grids = [GridSpec.load(str(path)) for path in catalogue("track").values()]
    found = [grid for grid in grids if isinstance(grid, Track)]
    return sorted(found, key=lambda track: (track.name != "core", track.name))


def _files(arguments: dict[str, Any]) -> dict[str, str]:
    """Digests of the files that some arguments name, such as word vectors: another content makes another run."""
    paths = {name: Path(expand_home(value)) for name, value in arguments.items() if isinstance(value, str)}
    return {name: file_digest(path) for name, path in paths.items() if path.suffix and path.is_file()}


def data_files(arguments: dict[str, Any]) -> dict[str, str]:
    """Digests of the files and folders that arguments of data name: another content makes another run.

    A file is whatever is there by that name and has an ending. A folder counts if its argument is called `path`, or it
    is written with a `/`: a word such as `characters` may by chance be the name of a folder, too.
    """
    paths = {name: Path(expand_home(value)) for name, value in arguments.items() if isinstance(value, str) and value}
    written = {name for name in paths if name == "path" or "/" in arguments[name]}
    return {
        name: content_digest(path)
        for name, path in paths.items()
        if (path.is_file() and (path.suffix or name in written)) or (name in written and path.is_dir())
    }


def _refuse_twice(specs: Iterable[RunSpec], where: str) -> None:
    seen: dict[str, RunSpec] = {}
    for spec in specs:
        other = seen.setdefault(spec.id, spec)
        if other is not spec:
            names = spec.label if other.label == spec.label else f"{other.label} and {spec.label}"
            raise RnnbenchError(f"{where}: duplicated cell: {names} would be the same run; name each once")
