"""Equal tuning: a space of hyper-parameters, and the same points in it for every architecture."""

import math
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from rnnbench.config.cards import Name
from rnnbench.config.registry import catalogue, find
from rnnbench.config.schema import MAX_INTEGER, Arguments, StrictModel, read_yaml, short_repr
from rnnbench.config.seeds import seed_list, seeds_field
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.fingerprint import digest

Sampler = Literal["sobol", "halton"]
MAX_TRIALS, MAX_DIMENSIONS = 4096, 64
SEED = 0
"""Of the scrambling of every sequence: a point is the same in every grid."""
Hyperparameter = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=100)]
"""An argument of a constructor, or a key in one that is a mapping: `layer_options.zoneout`."""


def _values(value: Any) -> Any:
    """The values of a dimension; pydantic itself would tell of each kind of them by itself."""
    for one in value if isinstance(value, list) else ():
        if not isinstance(one, bool | int | float | str | None) or (isinstance(one, float) and not math.isfinite(one)):
            raise ValueError(f"give finite numbers, words, true, false or null, got {short_repr(one)}")
        if isinstance(one, int | float) and abs(one) > MAX_INTEGER:
            raise ValueError(f"{short_repr(one)} is beyond {MAX_INTEGER:.0e}")
    return value


def _ends(value: Any) -> Any:
    """The ends of a range, likewise."""
    if not (isinstance(value, list) and [type(one) in (int, float) for one in value] == [True, True]):
        raise ValueError(f"give two numbers, the lowest and the highest value, got {short_repr(value)}")
    return _values(value)


Bounds = Annotated[list[float | int], BeforeValidator(_ends)]
Whole = Annotated[list[int], BeforeValidator(_ends)]
Choice = Annotated[list[bool | int | float | str | None], BeforeValidator(_values), Field(min_length=2)]


class Dimension(StrictModel):
    """The values of one hyper-parameter, one of:

    Args:
        uniform: [lowest, highest], evenly.
        log_uniform: the same, evenly in the logarithm.
        int_uniform: whole numbers, both ends among them.
        choice: one of a list.
    """

    uniform: Bounds | None = None
    log_uniform: Bounds | None = None
    int_uniform: Whole | None = None
    choice: Choice | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = self.model_dump(exclude_none=True)
        if len(kinds) != 1:
            raise ValueError(f"give one of uniform, log_uniform, int_uniform, choice, got {', '.join(kinds) or 'none'}")
        ((kind, values),) = kinds.items()
        if kind != "choice" and not values[0] < values[1]:
            raise ValueError(f"{kind} goes from the lowest to the highest value, got {values}")
        if kind == "log_uniform" and values[0] <= 0:
            raise ValueError(f"log_uniform has no values at 0 or below, got {values}")
        if kind == "choice" and len({digest([value]) for value in values}) < len(values):
            raise ValueError(f"choice has a value twice: {values}")
        return self

    def at(self, share: float) -> Any:
        """The value at a share of the way, in [0, 1). Six digits: the same on every machine."""
        if self.choice is not None:
            return self.choice[int(share * len(self.choice))]
        if self.int_uniform is not None:
            least, most = self.int_uniform
            return least + int(share * (most - least + 1))
        if self.log_uniform is not None:
            low, high = (math.log(end) for end in self.log_uniform)
            return float(f"{math.exp(low + share * (high - low)):.6g}")
        low, high = self.uniform or (0.0, 1.0)
        return float(f"{low + share * (high - low):.6g}")


class Space(StrictModel):
    """`configs/spaces/<name>.yaml`: what is tuned.

    Args:
        summary: one line.
        shared: hyper-parameters of every architecture.
        architectures: by name, what an architecture has beside them: more dimensions, never more points.
    """

    summary: str = ""
    shared: dict[Hyperparameter, Dimension] = Field(min_length=1)
    architectures: dict[Name, dict[Hyperparameter, Dimension]] = {}

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name, own in self.architectures.items():
            if both := sorted({*own} & {*self.shared}):
                raise ValueError(f"{both[0]!r} is shared: all architectures have the same values, {name!r} too")
        return self

    @model_validator(mode="after")
    def _none_in_another(self) -> Self:
        for own in (self.architectures or {"": {}}).values():
            names = {*self.shared, *own}
            for name in sorted(names):
                parts = name.split(".")
                if outer := names & {".".join(parts[:count]) for count in range(1, len(parts))}:
                    raise ValueError(f"{name!r} would override a value of {min(outer)!r}: tune one of them")
        return self

    @classmethod
    def load(cls, name: str, where: str, architectures: list[str]) -> Self:
        """The space of that name, or in that file.

        Raises:
            RnnbenchError: there is none, something in it is wrong, or it names an unknown architecture.
        """
        path = find("space", name, where)
        space = cls.read(read_yaml(path), str(path))
        for own in space.architectures:
            if own not in (known := {*catalogue("architecture"), *architectures}):
                raise unknown("architecture", own, known, f"{path}: architectures")
        return space

    def dimensions(self, architecture: str) -> dict[str, Dimension]:
        """Those of an architecture: the shared ones, then its own."""
        own = self.architectures.get(architecture, {})
        return {name: some[name] for some in (self.shared, own) for name in sorted(some)}


class Tune(StrictModel):
    """How a grid is tuned.

    Args:
        trials: configurations that are tried of each architecture on each task.
        space: name or path of a file that says what is tuned.
        sampler: of the points: `sobol` (Sobol 1967, scrambled) or `halton`. Point i is the same however many there are.
        seeds: with which each is tried, how many or which; the mean over them counts.
        share: of the steps and epochs of a run that a trial gets. Below 1, what is selected is trained longer than it
            was tried.
        defaults: whether every architecture is run as its file has it, too.
    """

    trials: int = Field(ge=1, le=MAX_TRIALS)
    space: str
    sampler: Sampler = "sobol"
    seeds: Annotated[int | list[int], BeforeValidator(seeds_field)] = 1
    share: float = Field(1.0, gt=0, le=1)
    defaults: bool = True

    @property
    def seed_list(self) -> list[int]:
        """The seeds themselves."""
        return seed_list(self.seeds)


class Design(StrictModel):
    """Where a configuration comes from.

    Args:
        index: its number in the sequence, from 0.
        arguments: hyper-parameters, which override the model's arguments.
        design: digest of dimensions and sampler: trials of one design can be compared.
        space: name or path of the space.
    """

    index: int = Field(ge=0, lt=MAX_TRIALS)
    arguments: Arguments
    design: str = Field(pattern="^[0-9a-f]{8}$")
    space: str

    @property
    def content(self) -> dict[str, Any]:
        """What of it makes two runs different."""
        return {"index": self.index, "arguments": self.arguments, "design": self.design}


class Trial(Design):
    """A configuration that is tried: its run never sees the test part, and has validation scores alone."""


class Selected(Design):
    """A configuration that was chosen among trials by their validation scores alone, and is then tested.

    Args:
        trials: how many there were.
        by: what was compared, `validation mse`.
        share: of its budget that a trial had.
    """

    trials: int = Field(ge=1, le=MAX_TRIALS)
    by: str
    share: float = Field(1.0, gt=0, le=1)

    @property
    def content(self) -> dict[str, Any]:
        """What of it makes two runs different."""
        return super().content | ({} if self.share == 1 else {"share": self.share})


def design_of(space: Space, architecture: str, sampler: Sampler) -> str:
    """The digest of what decides an architecture's points: trials with the same can be compared."""
    content = {name: one.model_dump(exclude_none=True) for name, one in space.dimensions(architecture).items()}
    return digest([content, sampler], length=8)


def trials_of(tune: Tune, space: Space, architecture: str) -> list[Trial]:
    """The configurations of an architecture that are tried.

    Raises:
        RnnbenchError: more dimensions than the sequences have.
    """
    dimensions = space.dimensions(architecture)
    if len(dimensions) > MAX_DIMENSIONS:
        raise RnnbenchError(f"space {tune.space!r}: {len(dimensions)} dimensions are more than {MAX_DIMENSIONS}")
    common = {"design": design_of(space, architecture, tune.sampler), "space": tune.space}
    trials = []
    for index, point in enumerate(points(tune.sampler, tune.trials)):
        arguments = {name: one.at(share) for (name, one), share in zip(dimensions.items(), point, strict=False)}
        trials.append(Trial(index=index, arguments=arguments, **common))
    return trials


def points(sampler: Sampler, count: int) -> list[list[float]]:
    """The first points of a low-discrepancy sequence, each with `MAX_DIMENSIONS` coordinates in [0, 1).

    Every sequence has all its dimensions, so that a coordinate does not change with how many are used.
    """
    return _points(sampler, 1 << max(0, count - 1).bit_length())[:count]


@cache
def _points(sampler: Sampler, count: int) -> list[list[float]]:
    from scipy.stats import qmc

    make = {"sobol": qmc.Sobol, "halton": qmc.Halton}[sampler]
    drawn: list[list[float]] = make(MAX_DIMENSIONS, scramble=True, rng=SEED).random(count).tolist()
    return drawn


def deep_merge(arguments: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`arguments` updated with `more`; `a.b` is the key `b` in the mapping `a`."""
    result = dict(arguments)
    for name, value in more.items():
        first, _, rest = name.partition(".")
        inner = result.get(first)
        result[first] = deep_merge(inner if isinstance(inner, dict) else {}, {rest: value}) if rest else value
    return result
