"""The trials of a study in one file: of each its configuration, its validation score and what it took.

A trial that has ended has a record of its own. When all of a study have, they are folded into
`records/<task>/<architecture>/trials-<study>.json`, and their own files are removed: what is left out (learning curve,
probe, end of the log) is of no use once the best is known, which is trained again and has a record in full.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from rnnbench.config.cards import Score
from rnnbench.config.grid import RunSpec
from rnnbench.config.schema import Arguments, StrictModel
from rnnbench.config.search_space import MAX_TRIALS, Trial
from rnnbench.config.seeds import Seed
from rnnbench.errors import RnnbenchError
from rnnbench.records.record import CodeVersion, Cost, Environment, Provenance, Record
from rnnbench.records.selection import study_of

MAX_TRIALS_BYTES = 1 << 24
"""Bytes of the largest file that is read; a trial has about 300."""
PREFIX = "trials-"


def trials_file(spec: RunSpec) -> Path:
    """The file of a trial's study in the folder of records."""
    return Path(spec.task.name, spec.architecture.name, f"{PREFIX}{study_of(spec)}.json")


def is_trials_file(path: Path) -> bool:
    """Whether a file is one of trials, by its name."""
    return path.name.startswith(PREFIX)


class FoldedTrial(Record):
    """A trial with what is kept of it when it is folded: no probe, no size, no log, and a cost without sizes."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.spec.trial is None:
            raise ValueError("only trials are folded")
        if self.status != "done":
            if self.validation or not self.reason:
                raise ValueError(f"a trial that is {self.status} has a reason and no score")
            return self
        if [*self.validation] != [self.spec.task.metric]:
            raise ValueError(f"a trial that is done has a validation score by {self.spec.task.metric!r} alone")
        if self.cost is None or self.environment is None or not self.data_fingerprint:
            raise ValueError("a trial that is done has cost, environment and data_fingerprint")
        if self.seconds is not None:
            raise ValueError("seconds are of a trial that is not done; of one that is, cost tells")
        return self

    @classmethod
    def of(cls, record: Record) -> "FoldedTrial":
        """What is kept of the record of a trial."""
        if isinstance(record, FoldedTrial):
            return record
        score = record.headline_score if record.status == "done" else None
        kept = ("id", "spec", "status", "reason", "started", "seconds", "data_fingerprint", "code_version",
                "environment", "provenance")  # fmt: skip
        return cls(
            schema_version=2,
            validation={} if score is None else {record.spec.task.metric: score},
            cost=record.cost and record.cost.model_copy(update={"state_bytes": None, "flops_per_step": None}),
            **{name: getattr(record, name) for name in kept},
        )

    @property
    def file(self) -> Path:
        """Its place in the folder of records: that of its study."""
        return trials_file(self.spec)


class Origin(StrictModel):
    """What trials have in common that were run at one place, by one version of the code."""

    data_fingerprint: str = ""
    code_version: CodeVersion | None = None
    environment: Environment | None = None
    provenance: Provenance | None = None


class Entry(StrictModel):
    """One trial of a study with one seed.

    Args:
        index: of its configuration in the sequence.
        seed: of the model.
        arguments: hyper-parameters.
        origin: place in the list of origins.
        score: validation score by the card's metric; None of one that is not done.
        cost: of one that is done.
        status: `done`, `failed` or `infeasible`.
        reason: why not done.
        seconds: that one that is not done has taken.
        started: UTC, ISO 8601.
    """

    index: int = Field(ge=0, lt=MAX_TRIALS)
    seed: Seed
    arguments: Arguments
    origin: int = Field(0, ge=0)
    score: Score | None = None
    cost: Cost | None = None
    status: Literal["done", "failed", "infeasible"] = "done"
    reason: str = ""
    seconds: float | None = Field(None, ge=0, le=1e12)
    started: str = ""


class TrialsFile(StrictModel):
    """The content of a file of trials.

    Args:
        schema_version: of this format.
        spec: what all of them have in common, as a run with seed 0 that is no trial.
        design: of all of them, see `rnnbench.config.search_space.Design`.
        space: its name or path.
        origins: where they come from.
        trials: by index, then by seed.
    """

    schema_version: Literal[1]
    spec: RunSpec
    design: str = Field(pattern="^[0-9a-f]{8}$")
    space: str
    origins: list[Origin]
    trials: list[Entry] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.spec.trial, self.spec.selected, self.spec.seed) != (None, None, 0):
            raise ValueError("spec is that of a run with seed 0, without trial and selected")
        keys = [(one.index, one.seed) for one in self.trials]
        if keys != sorted(set(keys)):
            raise ValueError("trials are in the order of index and seed, each once")
        if max(one.origin for one in self.trials) >= len(self.origins):
            raise ValueError(f"a trial names an origin beyond the {len(self.origins)} that there are")
        return self

    @classmethod
    def of(cls, trials: Iterable[FoldedTrial]) -> "TrialsFile":
        """The file of trials of one study."""
        origins: list[Origin] = []
        entries: dict[tuple[int, int], Entry] = {}
        for one in trials:
            assert one.spec.trial is not None
            origin = Origin(**{name: getattr(one, name) for name in Origin.model_fields})
            if origin not in origins:
                origins.append(origin)
            entry = Entry(
                index=one.spec.trial.index,
                seed=one.spec.seed,
                arguments=one.spec.trial.arguments,
                origin=origins.index(origin),
                score=one.headline_score,
                **{name: getattr(one, name) for name in ("cost", "status", "reason", "seconds", "started")},
            )
            entries[entry.index, entry.seed] = entry
            trial, base = one.spec.trial, one.spec.model_copy(update={"seed": 0, "trial": None})
        return cls(
            schema_version=1,
            spec=base,
            design=trial.design,
            space=trial.space,
            origins=origins,
            trials=[entries[key] for key in sorted(entries)],
        )

    def records(self, where: str) -> dict[str, FoldedTrial]:
        """The trials by their ids.

        Raises:
            RnnbenchError: a trial lacks something.
        """
        trials = (self._record(entry, where) for entry in self.trials)
        return {one.id: one for one in trials}

    def _record(self, entry: Entry, where: str) -> FoldedTrial:
        trial = Trial(index=entry.index, arguments=entry.arguments, design=self.design, space=self.space)
        spec = self.spec.model_copy(update={"seed": entry.seed, "trial": trial})
        content = {name: getattr(entry, name) for name in ("cost", "status", "reason", "seconds", "started")}
        content |= dict(self.origins[entry.origin])
        content["validation"] = {} if entry.score is None else {spec.task.metric: entry.score}
        return FoldedTrial.read({"schema_version": 2, "id": spec.id, "spec": spec, **content}, where)

    def text(self) -> str:
        """The content as JSON in one line."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), separators=(",", ":")) + "\n"


def parse_trials(content: bytes, path: str) -> Mapping[str, FoldedTrial]:
    """The trials in the content of a file whose path in the folder of records is the end of `path`.

    Raises:
        RnnbenchError: it is no file of trials, or lies where it does not belong.
    """
    trials = TrialsFile.parse(content, path).records(path)
    own = next(iter(trials.values())).file
    if Path(path).parts[-len(own.parts) :] != own.parts:
        raise RnnbenchError(f"{path}: a file of {own}, in the wrong place")
    return trials
