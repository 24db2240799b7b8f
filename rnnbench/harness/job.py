"""A job, what comes back while it runs, and how it ends."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from rnnbench.config.cards import ClassSpec
from rnnbench.config.grid import RunSpec
from rnnbench.config.sampling import SampleConfig
from rnnbench.records.probe import Probe
from rnnbench.records.record import Environment, Record
from rnnbench.utils.fingerprint import digest

ARTEFACTS = "artefacts.json"
OUT_OF_MEMORY = "out of memory"
LOG_TAIL_LINES, LOG_TAIL_LETTERS = 100, 8000
FOLDERS = re.compile(r"""(?<![\w:/.~-])/(?:[^\s/'":]+/)+""")
"""The folders of an absolute path: records are for everyone, a machine's are for nobody else."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do.

    Args:
        spec: what to run.
        grid: name of its grid.
        folder: where its checkpoint, log and curves go.
        loggers: `csv`, `wandb`, `tensorboard`, or a class.
        memory: bytes that runs of its kind have used, if any has been run.
        attempts: how each earlier attempt at it ended.
        spent: seconds that these have taken.
        watch: what is logged while it is trained, see `GridSpec`.
        samples: what samples are made when it is trained, if any; they go to `ARTEFACTS` in the folder.
        replay: whether the weights of some steps are kept.
        micro_batches: in how many parts every batch goes through the network, after memory ran out.
    """

    spec: RunSpec
    grid: str
    folder: Path
    loggers: tuple[str | ClassSpec, ...] = ("csv",)
    memory: int | None = None
    attempts: tuple[str, ...] = ()
    spent: float = 0.0
    watch: tuple[str, ...] = ()
    samples: SampleConfig | None = None
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

    @property
    def preparation_log(self) -> Path:
        """Everything that the preparation of its task's data prints; beside the folders of runs."""
        return self.folder.parent / f"prepare-{self.spec.task.name}.log"


class Progress(NamedTuple):
    """How far a run is. `score` is the last validation score, `fraction` of the budget lies in [0, 1]."""

    phase: str
    step: int = 0
    fraction: float = 0.0
    loss: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class ProbeResult:
    """A probe that was taken again, on which data and machine; or why it could not be taken."""

    probe: Probe | None = None
    data: str = ""
    environment: Environment | None = None
    error: str = ""


@dataclass(frozen=True, eq=False)
class Ended:
    """How a job, or the preparation of its data, has ended.

    Args:
        record: of the run; of a preparation the record that says why it failed, or None if it did not.
        cut_off: whether the run was ended by no fault of its own: its process died, or was lost with its machine.
    """

    record: Record | None
    cut_off: bool = False


def next_attempt(job: Job, record: Record, retries: int) -> Job | None:
    """The next attempt at a job that ended with this record; None if there have been as many retries.

    When memory ran out every batch goes through the network in twice as many parts, from the start: the same steps on
    the same batches, as a record says.
    """
    if len(job.attempts) >= retries:
        return None
    reason, parts = record.reason, job.micro_batches
    if reason.startswith(OUT_OF_MEMORY):
        parts *= 2
        reason += f"; tried again with {parts} micro-batches"
    spent = record.seconds or job.spent
    return replace(job, attempts=(*job.attempts, reason), spent=spent, micro_batches=parts)


def failure_record(job: Job, status: Literal["failed", "infeasible"], reason: str, started: str = "") -> Record:
    """The record of a run that gave no score, with the end of its log, without the folders of this machine."""
    tail = ""
    if status == "failed" and job.log.exists():
        lines = job.log.read_text("utf-8", errors="replace").splitlines()
        tail = FOLDERS.sub("…/", "\n".join(lines[-LOG_TAIL_LINES:]))[-LOG_TAIL_LETTERS:]
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
    """The record with the seconds of all attempts if the run has failed, the last of which took so many.

    The cost of a run that is done has them already.
    """
    if record.status != "failed":
        return record
    return record.model_copy(update={"seconds": round(job.spent + seconds, 3)})
