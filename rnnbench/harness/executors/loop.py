"""The scheduling loop that all executors share.

It claims jobs from the driver, has the data of a task prepared before the task's first run, starts what there is room
for, retries what was cut off, and yields a record for each run that has ended. An executor only says how a job is
started, how one sees that it has ended, and how it is stopped.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

from rnnbench.config.grid import RunSpec
from rnnbench.harness.events import Finished, Preparing, Progressed, Retried, Started, Watcher
from rnnbench.harness.job import OUT_OF_MEMORY, Ended, Job, Progress, failure_record, next_attempt
from rnnbench.harness.measure import Facts, Measured
from rnnbench.records.record import Record

POLL = 0.5
"""Seconds between two looks at what has ended, at limits, and at what other drivers have done."""
Report = Callable[[str | Progress], None]
"""An executor calls it with where a job has started (`cuda:0`), then with how far it is."""


class Executor(ABC):
    """Runs jobs somewhere. Its handles are hashable, one for each job or preparation at work.

    Attributes:
        retries: how often a run that was cut off, or ran out of memory, is started again.
        prepares_data: whether `prepare` is called once for each task before its first run; else each run does it.
        measures_memory: whether the first run of a kind has to end before others of its kind start.
    """

    retries = 0
    prepares_data = True
    measures_memory = False

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started.

        Raises:
            RnnbenchError: something is wrong with one.
        """
        from rnnbench.harness.preflight import check

        check(specs, here=True)

    def preflight(self, specs: Sequence[RunSpec]) -> dict[str, Facts]:
        """What is known of runs, by their ids."""
        from rnnbench.harness.preflight import preflight

        return preflight(specs)

    def measure(self, specs: Sequence[RunSpec]) -> dict[str, Measured]:
        """What a few steps of runs tell of their cost, by their ids; nothing where that cannot be measured from here.

        Their data must be in the cache.
        """
        return {}

    def capacity(self) -> int:
        """How many runs are at work at a time."""
        return 1

    def has_room(self, running: int) -> bool:
        """Whether any job can be started beside so many; called before a long queue is searched."""
        return running < self.capacity()

    def fits(self, job: Job) -> bool:
        """Whether there is place for this job now."""
        return True

    @abstractmethod
    def open(self) -> None:
        """Get ready to start jobs.

        Raises:
            RnnbenchError: the machines cannot be reached.
        """

    def prepare(self, job: Job) -> Any:
        """Start to prepare the data of a job's task, and return a handle."""
        raise NotImplementedError

    @abstractmethod
    def start(self, job: Job, report: Report) -> Any:
        """Start a job, and return a handle."""

    @abstractmethod
    def wait(self, running: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Wait at most so long for news, and report it; return the handles of what has ended."""

    @abstractmethod
    def result(self, handle: Any) -> Ended:
        """How a job or a preparation has ended; called once for each handle that `wait` has returned."""

    @abstractmethod
    def close(self, running: Sequence[Any]) -> None:
        """Stop what still runs, and let go of the machines."""


class Driver(Protocol):
    """Says which jobs may be started; other processes may work on the same cells."""

    def claim(self, job: Job) -> Literal["go", "wait", "drop"]:
        """Whether a job may be started: now, later (another process has it), or never (another has done it)."""
        ...

    def poll_jobs(self) -> Sequence[Job]:
        """Jobs that have come up since the last call; they go before all others."""
        ...

    def check_stop(self) -> None:
        """Called a few times a second; raises if everything is to stop."""
        ...


class NullDriver:
    """The driver of a process that shares its jobs with no other."""

    def claim(self, job: Job) -> Literal["go", "wait", "drop"]:
        """Every job may be started."""
        return "go"

    def poll_jobs(self) -> Sequence[Job]:
        """No job ever comes up."""
        return ()

    def check_stop(self) -> None:
        """Never stop."""


NULL_DRIVER = NullDriver()


def run_jobs(
    executor: Executor, jobs: Sequence[Job], watcher: Watcher, driver: Driver = NULL_DRIVER
) -> Generator[Record, None, None]:
    """Run all jobs that the driver lets go, as many at a time as there is room for; yield a record for each.

    When the caller closes the generator, or anything raises, whatever still runs is stopped.
    """
    queue = Queue(jobs, driver, executor.prepares_data, executor.measures_memory)
    running: dict[Any, tuple[Job, bool]] = {}  # by handle; whether it is a preparation
    executor.open()
    try:
        while queue.refill() or running:
            driver.check_stop()
            while executor.has_room(len(running)) and (taken := queue.take(executor.fits)):
                job, preparing = taken
                if preparing:
                    watcher.on_event(Preparing(job.spec.task.name))
                    running[executor.prepare(job)] = taken
                else:
                    running[executor.start(job, _reporter(job, watcher, driver))] = taken
            if not running and queue.jobs:  # other processes have them
                time.sleep(POLL)
            for handle in executor.wait(list(running), POLL) if running else ():
                job, preparing = running.pop(handle)
                ended = executor.result(handle)
                records = queue.prepared(job, ended.record) if preparing else _end(job, ended, executor, queue, watcher)
                for record in records:
                    watcher.on_event(Finished(record))
                    yield record
    finally:
        executor.close(list(running))


def _reporter(job: Job, watcher: Watcher, driver: Driver) -> Report:
    """Passes on what is reported of one attempt at a job; progress before its start is of an attempt that was lost."""
    started = False

    def report(message: str | Progress) -> None:
        nonlocal started
        driver.check_stop()
        if isinstance(message, str):
            started = True
            watcher.on_event(Started(job.spec, message))
        elif started:
            watcher.on_event(Progressed(job.spec, message))

    return report


def _end(job: Job, ended: Ended, executor: Executor, queue: "Queue", watcher: Watcher) -> list[Record]:
    """The record of a run that has ended, unless it is tried again."""
    record = ended.record
    assert record is not None  # only preparations have none
    if ended.cut_off or record.reason.startswith(OUT_OF_MEMORY):
        retry = next_attempt(job, record, executor.retries)
        if retry is not None:
            watcher.on_event(Retried(job.spec, retry.attempts[-1]))
            queue.put_back(retry)
            return []
    queue.ended(job, record.cost.peak_memory_bytes if record.cost else None)
    return [record]


class Queue:
    """Jobs that are not started yet, in order; the first of each task is preceded by the preparation of its data.

    Args:
        jobs: in the order in which they are to be started.
        driver: says of each whether it may be.
        prepares_data: whether the data of a task is prepared before its first job.
        measures_memory: whether the first job of a kind has to end before others of its kind start.
    """

    def __init__(
        self, jobs: Sequence[Job], driver: Driver, prepares_data: bool = True, measures_memory: bool = False
    ) -> None:
        self.jobs = {job.spec.id: job for job in jobs}
        self.driver, self.prepares_data, self.measures_memory = driver, prepares_data, measures_memory
        self.data: dict[str, Literal["preparing", "ready"]] = {}
        """State of the data by fingerprint of its task."""
        self.memory: dict[tuple[str, str], int] = {}
        """Most bytes that a job of a kind has used."""
        self.measuring: set[tuple[str, str]] = set()
        """Kinds of which one job is being measured."""

    def refill(self) -> bool:
        """Put jobs that have come up first; return whether there are any jobs."""
        if new := self.driver.poll_jobs():
            self.jobs = {**{job.spec.id: job for job in new}, **self.jobs}
        return bool(self.jobs)

    def take(self, fits: Callable[[Job], bool]) -> tuple[Job, bool] | None:
        """The next job that fits, and whether its data is to be prepared first (then it stays in the queue).

        Returns None while all have to wait. Jobs that another process has go to the end, in case it does not end them.
        """
        taken: tuple[Job, bool] | None = None
        claimed: list[str] = []
        held: list[str] = []
        for job in self._ready():
            task = job.spec.task.fingerprint
            if self.data.get(task) == "preparing" or not fits(job):
                continue
            if self.prepares_data and task not in self.data:
                self.data[task] = "preparing"
                taken = job, True
                break
            answer = self.driver.claim(job)
            (held if answer == "wait" else claimed).append(job.spec.id)
            if answer == "go":
                taken = job, False
                break
        for run in claimed:
            del self.jobs[run]
        for run in held:
            self.jobs[run] = self.jobs.pop(run)
        if self.measures_memory and taken and not taken[1] and taken[0].memory is None:
            self.measuring.add(taken[0].kind)
        return taken

    def _ready(self) -> Iterator[Job]:
        for job in self.jobs.values():
            if not self.measures_memory:
                yield job
            elif job.kind not in self.measuring:
                yield replace(job, memory=self.memory.get(job.kind))

    def put_back(self, job: Job) -> None:
        """Do a job again, before all others."""
        self.measuring.discard(job.kind)
        self.jobs = {job.spec.id: job, **self.jobs}

    def ended(self, job: Job, peak_memory: int | None) -> None:
        """Note the memory that a job has used."""
        self.measuring.discard(job.kind)
        if peak_memory:
            self.memory[job.kind] = max(peak_memory, self.memory.get(job.kind, 0))

    def prepared(self, job: Job, failure: Record | None) -> list[Record]:
        """Note that the data of a job's task is ready. After a failure return a record of it for each job of the task,
        which leave the queue.
        """
        task = job.spec.task.fingerprint
        if failure is None:
            self.data[task] = "ready"
            return []
        del self.data[task]
        lost = [other for other in self.jobs.values() if other.spec.task.fingerprint == task]
        for other in lost:
            del self.jobs[other.spec.id]
        status: Literal["failed", "infeasible"] = "infeasible" if failure.status == "infeasible" else "failed"
        return [failure_record(other, status, failure.reason) for other in lost]
