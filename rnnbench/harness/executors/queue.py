"""Jobs in order; the first of each task is preceded by the preparation of its data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rnnbench.harness.job import Driver, Job


class Queue:
    """What is left to do.

    Args:
        jobs: in the order in which they are to be started.
        driver: says of each whether it may be.
        measures: whether the first job of a kind has to end before others of its kind start.
    """

    def __init__(self, jobs: Sequence[Job], driver: Driver, measures: bool = False) -> None:
        self.jobs = {job.spec.id: job for job in jobs}
        self.driver, self.measures = driver, measures
        self.data: dict[str, str] = {}
        self.memory: dict[tuple[str, str], int] = {job.kind: job.memory for job in jobs if job.memory is not None}
        self.measured: set[tuple[str, str]] = set()
        """Kinds of which one is being measured."""

    def open(self) -> bool:
        """Whether anything is left, with what has come up by now."""
        if more := self.driver.more():
            self.jobs = {**{job.spec.id: job for job in more}, **self.jobs}
        return bool(self.jobs)

    def take(self, fits: Callable[[Job], bool]) -> tuple[Job, bool] | None:
        """The next thing to do that fits, and whether it is to prepare the job's data; None while all must wait."""
        for job in self._ready():
            state = self.data.get(job.spec.task.fingerprint)
            if state == "preparing" or not fits(job):
                continue
            if state is None:
                self.data[job.spec.task.fingerprint] = "preparing"
                return job, True
            claimed = self.driver.claim(job)
            if claimed == "wait":
                continue
            del self.jobs[job.spec.id]
            if claimed == "go":
                if self.measures and job.memory is None:
                    self.measured.add(job.kind)
                return job, False
        return None

    def _ready(self) -> Iterator[Job]:
        for job in list(self.jobs.values()):
            if not (self.measures and job.kind in self.measured):
                yield replace(job, memory=self.memory.get(job.kind)) if self.measures else job

    def put_back(self, job: Job) -> None:
        """Do a job again, before all others."""
        self.measured.discard(job.kind)
        self.jobs = {job.spec.id: job, **self.jobs}

    def ended(self, job: Job, used: int | None) -> None:
        """Note the memory that a job has used."""
        self.measured.discard(job.kind)
        if used:
            self.memory[job.kind] = max(used, self.memory.get(job.kind, 0))

    def prepared(self, job: Job, status: str) -> list[Job]:
        """Note the state of a job's data; the jobs that can now never run, which leave the queue."""
        task = job.spec.task.fingerprint
        self.data[task] = status
        if status == "ready":
            return []
        lost = [other for other in self.jobs.values() if other.spec.task.fingerprint == task]
        for other in lost:
            del self.jobs[other.spec.id]
        return lost
