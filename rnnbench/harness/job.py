"""What goes to a worker and what comes back while it works."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from rnnbench.record import Record
from rnnbench.spec import RunSpec

LOG_TAIL_LINES, LOG_TAIL_LETTERS = 100, 8000


@dataclass(frozen=True)
class Job:
    """One run to do.

    Args:
        spec: what to run.
        grid: name of the grid that asked for it.
        folder: where its checkpoint, log and curves go.
        loggers: `csv`, `wandb`, `tensorboard`.
    """

    spec: RunSpec
    grid: str
    folder: Path
    loggers: tuple[str, ...] = ("csv",)

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


def not_done(job: Job, status: Literal["failed", "infeasible"], reason: str, started: str = "") -> Record:
    """The record of a run that gave no score, with the end of its log."""
    tail = ""
    if status == "failed" and job.log.exists():
        lines = job.log.read_text("utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-LOG_TAIL_LINES:])[-LOG_TAIL_LETTERS:]
    reason = " ".join(reason.split())[:500]
    return Record(
        schema_version=1, id=job.spec.id, spec=job.spec, status=status, reason=reason, log_tail=tail, started=started
    )


class Watcher(Protocol):
    """Whoever wants to know what an executor does."""

    def preparing(self, task: str) -> None:
        """The data of a task is being prepared."""

    def started(self, spec: RunSpec, slot: str) -> None:
        """A run has started on a device."""

    def progress(self, spec: RunSpec, progress: Progress) -> None:
        """A run goes on."""

    def finished(self, record: Record) -> None:
        """A run has ended, one way or another."""


class Everyone:
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

    def finished(self, record: Record) -> None:
        """A run has ended, one way or another."""
        for watcher in self.watchers:
            watcher.finished(record)
