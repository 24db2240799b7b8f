"""What goes to a worker and what comes back while it works."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from rnnbench.config.grid import RunSpec
from rnnbench.config.sampling import SampleConfig
from rnnbench.records.probe import Probe
from rnnbench.records.record import Environment, Record
from rnnbench.utils.fingerprint import digest

ARTEFACTS = "artefacts.json"
OUT_OF_MEMORY = "out of memory"
LOG_TAIL_LINES, LOG_TAIL_LETTERS = 100, 8000


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do.

    Args:
        spec: what to run.
        grid: name of the grid that asked for it.
        folder: where its checkpoint, log and curves go.
        loggers: `csv`, `wandb`, `tensorboard`.
        memory: bytes that runs of its kind have used, if one has been run.
        attempts: how each earlier attempt at it ended.
        spent: seconds that these have taken.
        watch: what is looked at while it is trained, see `GridSpec`.
        asked: what it is asked when it is trained, if anything; the answers go to `ARTEFACTS` in the folder.
        replay: whether the weights of some steps are kept.
        micro_batches: in how many parts every batch goes through the network, after memory ran out.
    """

    spec: RunSpec
    grid: str
    folder: Path
    loggers: tuple[str, ...] = ("csv",)
    memory: int | None = None
    attempts: tuple[str, ...] = ()
    spent: float = 0.0
    watch: tuple[str, ...] = ()
    asked: SampleConfig | None = None
    replay: bool = False
    micro_batches: int = 1

    @property
    def kind(self) -> tuple[str, str]:
        """Runs of one kind need the same memory."""
        task = self.spec.task
        return digest([task.fingerprint, task.data.init_args]), digest(self.spec.network)

    @property
    def log(self) -> Path:
        """Everything the run prints."""
        return self.folder / "log.txt"


class Progress(NamedTuple):
    """How far a run is. `score` is the last validation score, `fraction` of the budget lies in [0, 1]."""

    phase: str
    step: int = 0
    fraction: float = 0.0
    loss: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Taken:
    """A probe that was taken again: what came of it, on which data and where; or why it could not be taken."""

    probe: Probe | None = None
    data: str = ""
    environment: Environment | None = None
    error: str = ""


def next_attempt(job: Job, why: str, retries: int, seconds: float = 0.0) -> Job | None:
    """The next attempt at a job that ended so after some seconds, if one is left.

    When memory ran out every batch goes through the network in twice as many parts, from the start: the same steps on
    the same batches, as a record says.
    """
    if len(job.attempts) >= retries:
        return None
    parts = job.micro_batches
    if why.startswith(OUT_OF_MEMORY):
        parts *= 2
        why += f"; tried again with {parts} micro-batches"
    return replace(job, attempts=(*job.attempts, why), spent=job.spent + seconds, micro_batches=parts)


def failure_record(job: Job, status: Literal["failed", "infeasible"], reason: str, started: str = "") -> Record:
    """The record of a run that gave no score, with the end of its log."""
    tail = ""
    if status == "failed" and job.log.exists():
        lines = job.log.read_text("utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-LOG_TAIL_LINES:])[-LOG_TAIL_LETTERS:]
    reason = " ".join(reason.split())[:500].encode("utf-8", "backslashreplace").decode()  # a path need be no text
    return Record(
        schema_version=2,
        id=job.spec.id,
        spec=job.spec,
        status=status,
        reason=reason,
        log_tail=tail,
        started=started,
        attempts=list(job.attempts),
    )


def timed(record: Record, job: Job, seconds: float) -> Record:
    """A record whose last attempt has taken so long; one that is done tells it in its cost."""
    if record.status != "failed":
        return record
    return record.model_copy(update={"seconds": round(job.spent + seconds, 3)})


class Watcher(Protocol):
    """Whoever wants to know what an executor does."""

    def preparing(self, task: str) -> None:
        """The data of a task is being prepared."""

    def started(self, spec: RunSpec, slot: str) -> None:
        """A run has started on a device."""

    def progress(self, spec: RunSpec, progress: Progress) -> None:
        """A run goes on."""

    def elsewhere(self, spec: RunSpec, owner: str) -> None:
        """Another driver has a run; it is waited for."""

    def retried(self, spec: RunSpec, reason: str) -> None:
        """A run that was cut off will go on."""

    def finished(self, record: Record) -> None:
        """A run has ended, one way or another."""


class Driver(Protocol):
    """Whoever gives an executor its jobs; others may work on the same cells."""

    def claim(self, job: Job) -> Literal["go", "wait", "drop"]:
        """Whether a job may be started: now, later (another has it), or never (another has done it)."""

    def more(self) -> Sequence[Job]:
        """Jobs that have come up since the last call; they are to be done before others."""

    def give_back(self, job: Job) -> None:
        """A job that was claimed is not being run."""

    def heed(self) -> None:
        """Called a few times a second; raises if all is to stop."""


class NullDriver:
    """A driver beside whom there is no other."""

    def claim(self, job: Job) -> Literal["go", "wait", "drop"]:
        """Now."""
        return "go"

    def more(self) -> Sequence[Job]:
        """None."""
        return ()

    def give_back(self, job: Job) -> None:
        """Nothing to note."""

    def heed(self) -> None:
        """Go on."""


ALONE = NullDriver()


class CompositeWatcher:
    """Tells several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def preparing(self, task: str) -> None:
        """The data of a task is being prepared."""
        for watcher in self.watchers:
            watcher.preparing(task)

    def started(self, spec: RunSpec, slot: str) -> None:
        """A run has started on a device."""
        for watcher in self.watchers:
            watcher.started(spec, slot)

    def progress(self, spec: RunSpec, progress: Progress) -> None:
        """A run goes on."""
        for watcher in self.watchers:
            watcher.progress(spec, progress)

    def elsewhere(self, spec: RunSpec, owner: str) -> None:
        """Another driver has a run; it is waited for."""
        for watcher in self.watchers:
            watcher.elsewhere(spec, owner)

    def retried(self, spec: RunSpec, reason: str) -> None:
        """A run that was cut off will go on."""
        for watcher in self.watchers:
            watcher.retried(spec, reason)

    def finished(self, record: Record) -> None:
        """A run has ended, one way or another."""
        for watcher in self.watchers:
            watcher.finished(record)
