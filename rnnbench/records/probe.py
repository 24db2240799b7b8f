"""The probe of a run: a few numbers that come out the same as long as code, data and settings mean the same run.

A record keeps a version of the code and a probe: the losses of the first three optimiser steps, and the validation
scores after them on two batches. Code of another version that gives the same probe gives the same run, as far as three
steps can tell: model, initialisation, data, order of batches, loss, optimiser and validation metrics are all in them.
What acts later is not: a schedule after its third step, the choice of the best checkpoint, what is computed on the test
part alone.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from pydantic import Field

from rnnbench.config.grid import RunSpec
from rnnbench.config.schema import StrictModel
from rnnbench.utils.fingerprint import digest, source_digest

STEPS, BATCHES = 3, 2
"""Optimiser steps of a probe, and validation batches after them."""
LOSS_TOLERANCE = 1e-3
"""Largest relative difference of a loss between two kinds of machine."""
SCORE_TOLERANCE = 0.05
"""The same of a score; or absolute, if it is below 1: two batches hold few sequences, and one may fall otherwise."""
MAX_SCORES = 6
"""Of a probe, and of what a record has of the validation part: a forecast has one for each hour."""
RELEASED = ("torch", "lightning")
"""Packages of which the version counts, not the source."""
Number = Annotated[float, Field(ge=-1e100, le=1e100)]


class Probe(StrictModel):
    """The start of a run, repeated beside it with the same seed.

    Args:
        losses: of the first training steps, at most three, as the module returned them before each update; None for
            one that is not a finite number, or that the module does not return.
        scores: validation scores after these steps, on at most two batches, see `main_scores`.
    """

    losses: list[Number | None] = Field([], max_length=STEPS)
    scores: dict[str, Number] = Field({}, max_length=MAX_SCORES)

    def difference(self, other: "Probe", exact: bool) -> str:
        """The first number of this probe that is not the same in another, in words; empty if none is.

        Scores that only the other has are new ones, and make no difference.

        Args:
            other: computed by other code.
            exact: to the last bit; else within `LOSS_TOLERANCE` and `SCORE_TOLERANCE`.
        """
        if len(self.losses) != len(other.losses):
            return f"{len(self.losses)} training steps then, {len(other.losses)} now"
        for step, (then, now) in enumerate(zip(self.losses, other.losses, strict=True), 1):
            if not _same(then, now, 0.0 if exact else LOSS_TOLERANCE, 0.0):
                return f"the loss of step {step} was {_shown(then)}, is now {_shown(now)}"
        for name, then in self.scores.items():
            now = other.scores.get(name)
            tolerance = 0.0 if exact else SCORE_TOLERANCE
            if not _same(then, now, tolerance, tolerance):
                return f"validation {name} after step {len(self.losses)} was {_shown(then)}, is now {_shown(now)}"
        return ""


def main_scores(scores: dict[str, float], metric: str) -> dict[str, float]:
    """At most `MAX_SCORES` of some scores: that of the task's metric, and the first of the others."""
    names = [name for name in scores if name != metric][: MAX_SCORES - 1]
    return {name: value for name, value in scores.items() if name == metric or name in names}


def _same(then: float | None, now: float | None, relative: float, absolute: float) -> bool:
    if then is None or now is None:
        return then is now
    return abs(then - now) <= max(relative * abs(then), absolute if abs(then) < 1 else 0.0)


def _shown(value: float | None) -> str:
    return "no number" if value is None else f"{value:.9g}"


def code_version(spec: RunSpec) -> str:
    """What decides how a spec is run: all source of rnnbench and of other packages that it names, torch, Lightning."""
    callbacks = [one.class_path for one in spec.training.callbacks] if spec.training else []
    paths = (spec.architecture.class_path, spec.task.data.class_path, spec.task.objective, *callbacks)
    packages = {path.partition(".")[0] for path in paths if "." in path} | {"rnnbench"}
    return _code_version(frozenset(packages - set(RELEASED)))


@cache
def _code_version(packages: frozenset[str]) -> str:
    return digest([*map(source_digest, sorted(packages)), *map(_release, RELEASED)], 12)


def _release(package: str) -> str:
    """The version of a package without the part that names its build, such as `+cpu`."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "absent"
