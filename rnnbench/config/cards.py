"""Cards: what a task is, and what a named architecture is."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rnnbench.config.registry import find
from rnnbench.config.schema import Arguments, StrictModel, read_yaml, short_repr
from rnnbench.errors import RnnbenchError
from rnnbench.utils.fingerprint import digest

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*\.")


def _portable(name: str) -> str:
    """A name, if files can have it on every system: records of it are for all."""
    if RESERVED.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a file on Windows, choose another")
    return name


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64), AfterValidator(_portable)]
Direction = Literal["minimise", "maximise"]
Kind = Literal["real", "synthetic"]
Score = Annotated[float, Field(ge=-1e100, le=1e100)]
"""Sums of squares of scores stay finite."""


class ClassSpec(StrictModel):
    """A class and the arguments to construct it with."""

    class_path: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    init_args: Arguments = {}


MAX_COUNT = 10**9
"""Of whatever a grid counts: Lightning and torch can still hold it, and nobody lives to see it."""


class Budget(StrictModel):
    """When training ends: at whichever of these comes first.

    Args:
        steps: optimiser steps.
        epochs: passes over the training part.
        minutes: of training (a run is then not reproducible).
        patience: validations in a row without a better score.
        validate_every: optimiser steps between two validations; by default ten validations in `steps`, or one an epoch.
    """

    steps: int | None = Field(None, ge=1, le=MAX_COUNT)
    epochs: int | None = Field(None, ge=1, le=MAX_COUNT)
    minutes: float | None = Field(None, gt=0, le=MAX_COUNT)
    patience: int | None = Field(None, ge=1, le=MAX_COUNT)
    validate_every: int | None = Field(None, ge=1, le=MAX_COUNT)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.steps is self.epochs is self.minutes is self.patience is None:
            raise ValueError("never ends: give at least one of steps, epochs, minutes, patience")
        return self

    def part(self, share: float) -> Self:
        """A share of the steps, epochs and minutes, at least one of each; patience stays as it is."""
        if share == 1:
            return self
        whole = {name: getattr(self, name) for name in ("steps", "epochs", "validate_every")}
        less: dict[str, Any] = {name: max(1, round(share * value)) for name, value in whole.items() if value}
        if self.minutes:
            less["minutes"] = share * self.minutes
        return self.model_copy(update=less)


MAX_LENGTH = 10**6
"""Of a sequence on which something is tested: evaluation still holds one batch of them in memory."""


def read_lengths(value: Any) -> Any:
    """Lengths to test on: `[41, 500]`, `[41, 500, 20]` or `41:500:20`, the first, the last and the step (20).

    Raises:
        ValueError: the value is not that.
    """
    parts = value.split(":") if isinstance(value, str) else value
    try:
        first, last, step = map(int, [*parts, 20][:3] if len(parts) == 2 else parts)
    except (TypeError, ValueError):
        first = last = step = 0
    if not (1 <= first <= last <= MAX_LENGTH and step >= 1):
        raise ValueError(
            f"give the first and the last length and the step, such as 41:500:20 or [41, 500, 20], lengths from 1 to "
            f"{MAX_LENGTH:,}, got {short_repr(value)}"
        )
    return first, last, step


Lengths = Annotated[tuple[int, int, int], BeforeValidator(read_lengths)]


class HeldOut(StrictModel):
    """What the test part has that training has not.

    Args:
        length: lengths of its sequences; given to the data module as `test_lengths`.
    """

    length: Lengths


class Chance(StrictModel):
    """The score of the simplest reference.

    Args:
        value: the score.
        of: what the reference is.
        margin: by how much a score has to be better to be no chance.
    """

    value: Score
    of: str
    margin: Score = Field(ge=0)

    def beaten(self, score: float, direction: Direction) -> bool:
        """Whether a score is better by the margin."""
        better = self.value - score if direction == "minimise" else score - self.value
        return better >= self.margin


class Scoring(StrictModel):
    """How the scores of a task are read. A record has it, so that a board can be made without the task's card.

    Args:
        group: tasks that are shown together.
        kind: `real` data or `synthetic`.
        chance: the reference printed beside the scores.
        ceiling: best score possible, if known.
    """

    group: str
    kind: Kind
    chance: Chance
    ceiling: Score | None = None


class Published(StrictModel):
    """A number from the literature.

    Args:
        architecture: as its source names it.
        value: in the unit of the card's metric.
        source: author, year, place.
        comparable: whether data, split and metric are those of the card.
        note: what is different, or how it was found.
    """

    architecture: str
    value: float
    source: str
    comparable: bool
    note: str = ""


class TaskCard(StrictModel):
    """One task: `tasks/<name>/task.yaml`.

    Args:
        name: of the task and of its folder.
        version: raised whenever scores before and after are not comparable.
        title: a few words.
        summary: one line.
        group: tasks that are shown together.
        kind: `real` data or `synthetic`.
        objective: as the data module declares it.
        data: the LightningDataModule.
        test: what only the test part has: longer sequences.
        metric: what ranks, by the name under which the objective logs it.
        direction: which way is better.
        chance: the reference printed beside the scores.
        ceiling: best score possible, if known.
        published: numbers from the literature in the card's metric.
        budget: unless a grid says otherwise.
        source: where the data comes from.
        licence: of the data.
        references: papers that define the task.
    """

    name: Name
    version: int = Field(ge=1)
    title: str
    summary: str
    group: str
    kind: Kind
    objective: str
    data: ClassSpec
    test: HeldOut | None = None
    metric: str
    direction: Direction
    chance: Chance
    ceiling: Score | None = None
    published: list[Published] = []
    budget: Budget
    source: str
    licence: str
    references: list[str]

    @model_validator(mode="after")
    def _test_lengths(self) -> Self:
        if self.test is not None:
            self.data.init_args["test_lengths"] = [*self.test.length]
        return self

    @property
    def fingerprint(self) -> str:
        """Digest of whatever changes the meaning of a score."""
        data = {name: value for name, value in self.data.init_args.items() if name != "batch_size"}
        return digest([self.version, self.objective, self.data.class_path, data, self.metric, self.direction])

    @property
    def scoring(self) -> Scoring:
        """How its scores are read."""
        return Scoring(group=self.group, kind=self.kind, chance=self.chance, ceiling=self.ceiling)

    @classmethod
    def load(cls, name: str, where: str = "") -> Self:
        """The card of that name, or in that folder.

        Raises:
            RnnbenchError: there is none, or something in it is wrong.
        """
        path = find("task", name, where)
        card = cls._load(path, *_stamp(path))
        if card.name != path.resolve().parent.name:
            raise RnnbenchError(f"{path}: name is {card.name!r}, but the folder is {path.resolve().parent.name!r}")
        return card

    @classmethod
    @lru_cache(256)
    def _load(cls, path: Path, *stamp: int) -> Self:
        return cls.read(read_yaml(path), str(path))


def _stamp(path: Path) -> tuple[int, ...]:
    """What tells a file from a later one in its place."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


class ArchitectureCard(ClassSpec):
    """A named point: `configs/architectures/<name>.yaml`, with one line that says what it is."""

    summary: str
    init_args: Arguments = {}

    @classmethod
    def load(cls, name: str, where: str = "") -> tuple[str, Self]:
        """Name and content of the architecture of that name, or in that file.

        Raises:
            RnnbenchError: there is none, or something in it is wrong.
        """
        path = find("architecture", name, where)
        return path.stem, cls.read(read_yaml(path), str(path))


def summary_of(path: Path) -> str:
    """The `summary` in a card's file."""
    content = read_yaml(path)
    return str(content.get("summary", "")) if isinstance(content, dict) else ""
