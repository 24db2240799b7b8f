"""Records: the outcome of one run, with everything that it takes to repeat it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from rnnbench.config.cards import Score
from rnnbench.config.grid import RunSpec
from rnnbench.config.model_size import Fit
from rnnbench.config.schema import StrictModel
from rnnbench.errors import DataUnavailable, Unprepared
from rnnbench.records.probe import Probe

MAX_RECORD_BYTES = 1 << 20
"""Bytes of the largest record that is read; most have a few thousand."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
CodeVersion = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Cost(StrictModel):
    """What a run took. Seconds are of wall-clock time; training without validation, test, start and data.

    `cpu_seconds`: CPU time of the process during training, of a run on the CPU. With one thread it is about
    `train_seconds`, unless others have used the core as well.

    `micro_batches`: parts in which every batch went through the network after memory had run out; their gradients were
    added up. `state_bytes`: what the network keeps of a sequence from step to step; `flops_per_step`: of one more input
    step forwards, see `rnnbench.config.model_size.Flops`. None of networks in which they cannot be counted.
    """

    train_seconds: float = Field(ge=0, le=1e12)
    total_seconds: float = Field(ge=0, le=1e12)
    cpu_seconds: float | None = Field(None, ge=0, le=1e12)
    steps: Count
    epochs: Count
    peak_memory_bytes: Count
    steps_per_epoch: Count | None = None
    state_bytes: Count | None = None
    flops_per_step: Count | None = None
    micro_batches: Count = 1


class Environment(StrictModel):
    """Where a run ran. `instructions`: the vector instructions that torch uses on this processor, such as `AVX2`."""

    python: str
    torch: str
    lightning: str
    rnnbench: str
    platform: str
    processor: str
    device: str
    threads: int
    instructions: str = ""

    def computes_like(self, other: "Environment") -> bool:
        """Whether the same code gives the same numbers to the last bit there: not shown for any accelerator."""
        kind = ("torch", "platform", "processor", "instructions", "threads")
        same = all(getattr(self, name) == getattr(other, name) for name in kind)
        return same and self.device == other.device == "cpu"


class Provenance(StrictModel):
    """Where a published record comes from, and what it takes to verify it.

    Args:
        version: of rnnbench.
        commit: of its source, if that is a repository.
        clean: whether that source was as committed.
        published: UTC, ISO 8601.
        by: who answers for the record.
        needs: what a verifier must have beside rnnbench; if nothing, anyone may verify.
    """

    version: str
    commit: str = Field(pattern=r"^([0-9a-f]{40,64})?$")
    clean: bool | None
    published: str
    by: str = ""
    needs: list[str] = []


class Point(NamedTuple):
    """The learning curve at one validation; in JSON `[step, train_loss, score]`."""

    step: Count
    train_loss: Score | None
    score: Score


class LengthPoint(NamedTuple):
    """The test score at one length; in JSON `[length, score]`."""

    length: Count
    score: Score


MAX_POINTS = 24
"""Of a learning curve in a record, which stays small: of a longer one about every second, third, … is left out."""


def thinned(curve: Sequence[Point], best_step: int) -> list[Point]:
    """A curve with at most `MAX_POINTS` points, evenly spread, the best and the last among them."""
    every = max(1, -(-len(curve) // (MAX_POINTS - 2)))
    last = len(curve) - 1
    return [point for at, point in enumerate(curve) if (last - at) % every == 0 or point.step == best_step]


class Record(StrictModel):
    """The outcome of one run. `id` is that of the spec; `score` is the card's metric on the test part.

    That of a trial has validation scores alone.

    Args:
        schema_version: of this format.
        id: of the run.
        spec: what was run.
        status: `done`, `failed` or `infeasible`.
        reason: why not done.
        log_tail: last lines of the log of a failed run.
        started: UTC, ISO 8601.
        seconds: of wall-clock time that a failed run has taken, in all attempts; of one that is done, `cost` tells.
        score: test score by the card's metric.
        scores: all test scores.
        length_curve: test score by length, of a task that is tested on several; `score` is their mean.
        validation: validation scores of the tested checkpoint, see `rnnbench.records.probe.main_scores`.
        best_step: the step of that checkpoint.
        curve: one point a validation, or fewer, see `thinned`.
        baseline: name and test scores of the simple reference, computed from the same data.
        baseline_scores: its scores.
        parameters: trainable numbers.
        size: the width that the rule of `spec.size` has led to, and the count it has matched.
        cost: time, steps, memory.
        backend: what computed the recurrence.
        data_fingerprint: of the content of all splits.
        code_version: what code it ran on, see `rnnbench.records.probe.code_version`.
        probe: what tells whether code of another version would run it the same.
        code: of records of version 1 digests of modules; read, and not used.
        environment: machine and versions.
        attempts: how each earlier attempt ended, from whose checkpoint the next went on.
        provenance: of a record that was published.
    """

    schema_version: Literal[1, 2]
    id: str
    spec: RunSpec
    status: Literal["done", "failed", "infeasible"]
    reason: str = ""
    log_tail: str = ""
    started: str = ""
    seconds: float | None = Field(None, ge=0, le=1e12)
    score: Score | None = None
    scores: dict[str, Score] = {}
    length_curve: list[LengthPoint] = []
    validation: dict[str, Score] = {}
    best_step: Count | None = None
    curve: list[Point] = []
    baseline: str = ""
    baseline_scores: dict[str, Score] = {}
    parameters: Count | None = None
    size: Fit | None = None
    cost: Cost | None = None
    backend: str = ""
    data_fingerprint: str = ""
    code_version: CodeVersion | None = None
    probe: Probe | None = None
    code: dict[str, str] = Field({}, max_length=500, exclude=True)
    environment: Environment | None = None
    attempts: list[str] = []
    provenance: Provenance | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.id != self.spec.id:
            raise ValueError(f"id is {self.id!r}, but its spec hashes to {self.spec.id!r}: one of them was changed")
        if self.status != "done":
            if self.score is not None or not self.reason:
                raise ValueError(f"a record that is {self.status} has a reason and no score")
            return self
        if self.seconds is not None:
            raise ValueError("seconds are of a record that is not done; of one that is, cost tells")
        if None in (self.parameters, self.cost, self.environment) or not self.data_fingerprint:
            raise ValueError("a record that is done has parameters, cost, environment and data_fingerprint")
        if self.schema_version > 1 and None in (self.code_version, self.probe):
            raise ValueError("a record of version 2 that is done has code_version and probe")
        if self.spec.size is not None and (self.size is None or not self.spec.size.met_by(self.size.count)):
            raise ValueError(f"its size is to be {self.spec.size}, got {self.size}")
        self._check_scores()
        return self

    def _check_scores(self) -> None:
        metric = self.spec.task.metric
        if self.spec.trial is not None:
            if self.score is not None or self.scores or self.baseline_scores:
                raise ValueError("a trial never sees the test part, but this one has test scores")
            if metric not in self.validation:
                raise ValueError(f"a trial has a validation score by {metric!r}, got {sorted(self.validation)}")
        elif self.score is None:
            raise ValueError("a record that is done has a score")
        elif self.score != self.scores.get(metric):
            raise ValueError(f"score is {self.score}, but scores has {self.scores.get(metric)} for {metric!r}")

    @property
    def file(self) -> Path:
        """Its place in the folder of records."""
        return Path(self.spec.task.name, self.spec.architecture.name, f"{self.id}.json")

    @property
    def unprepared(self) -> bool:
        """Whether nothing was run since the data could not be prepared: its cell is missing, not settled."""
        return self.status != "done" and self.reason.startswith((Unprepared.PREFIX, DataUnavailable.PREFIX))

    @property
    def training_seconds(self) -> float | None:
        """Of training; with one thread on the CPU its CPU time, if on record, which leaves out waiting for others."""
        if self.cost is None:
            return None
        one_core = self.environment is not None and (self.environment.device, self.environment.threads) == ("cpu", 1)
        return self.cost.cpu_seconds if one_core and self.cost.cpu_seconds is not None else self.cost.train_seconds

    @property
    def headline_score(self) -> float | None:
        """The score by the card's metric: on the test part, or of a trial on the validation part."""
        return self.validation.get(self.spec.task.metric) if self.spec.trial else self.score


def file_of(spec: RunSpec) -> Path:
    """The place of a run's record in the folder of records."""
    return Path(spec.task.name, spec.architecture.name, f"{spec.id}.json")
