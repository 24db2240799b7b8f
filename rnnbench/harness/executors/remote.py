"""What executors share that hand jobs to somebody else's scheduler, which starts them on whatever machine it likes."""

import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnbench.config.executors import LocalSettings, RemoteSettings
from rnnbench.config.grid import RunSpec
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.job import ALONE, OUT_OF_MEMORY, Driver, Job, Progress, Watcher, failure_record, next_attempt
from rnnbench.records.record import Record
from rnnbench.utils.files import CACHE_VARIABLE, user_path

POLL = 0.5
"""Seconds between two looks."""
Message = tuple[str, Any]
"""Id of a run, and where it has started (a word) or how far it is (`Progress`)."""


class RemoteExecutor(ABC):
    """Hands each job to a scheduler, and takes its record back; checks are made here, in a process of their own.

    A job that was lost with its machine is handed in again, as often as the settings say; it goes on from its last
    checkpoint where the folder of runs is one that machines share, and else begins anew.
    """

    def __init__(self, settings: RemoteSettings) -> None:
        self.settings = settings
        self.here = LocalExecutor(LocalSettings())

    @abstractmethod
    def start(self) -> None:
        """Find the scheduler.

        Raises:
            RnnbenchError: it is not installed, or cannot be reached.
        """

    @abstractmethod
    def submit(self, job: Job) -> Any:
        """Hand in a job; what stands for it."""

    @abstractmethod
    def ended(self, flying: Sequence[Any]) -> list[Any]:
        """Wait a moment; those that have ended."""

    @abstractmethod
    def result(self, one: Any) -> Record | str:
        """The record of a job that has ended, or why there is none."""

    @abstractmethod
    def close(self, flying: Sequence[Any]) -> None:
        """Call off what still flies, and let go of the scheduler."""

    def messages(self) -> Iterable[Message]:
        """What runs have told since the last look."""
        return ()

    def most(self) -> int:
        """How many jobs are handed in at a time."""
        return 1000

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started, and that there is a scheduler."""
        self.here.check([spec.model_copy(update={"devices": 1}) for spec in specs])
        self.start()

    def survey(self, specs: Sequence[RunSpec]) -> dict[str, tuple[bool, str]]:
        """What is known of runs before they are run, see `Executor`; data in the cache of this machine."""
        return self.here.survey(specs)

    def run(self, jobs: Sequence[Job], watcher: Watcher, driver: Driver = ALONE) -> Generator[Record, None, None]:
        """Run all jobs. When the caller stops, so does whatever still runs."""
        self.start()
        left, flying = deque(jobs), dict[Any, Job]()
        started: set[str] = set()
        try:
            while True:
                left.extendleft(reversed(driver.more()))
                if not (left or flying):
                    break
                driver.heed()
                self._submit(left, flying, driver)
                if not flying:
                    time.sleep(POLL)  # what is left others have claimed
                done = self.ended(list(flying))
                specs = {job.spec.id: job.spec for job in flying.values()}
                for run, what in self.messages():
                    if isinstance(what, Progress) and run in started:
                        watcher.progress(specs[run], what)
                    elif isinstance(what, str):
                        started.add(run)
                        watcher.started(specs[run], what)
                for one in done:
                    job, record = flying.pop(one), self.result(one)
                    why = record if isinstance(record, str) else record.reason
                    lost = isinstance(record, str) or why.startswith(OUT_OF_MEMORY)
                    if lost and (retry := next_attempt(job, why, self.settings.retries)):
                        started.discard(job.spec.id)
                        watcher.retried(job.spec, retry.attempts[-1])
                        driver.give_back(job)
                        left.appendleft(retry)
                        continue
                    if isinstance(record, str):
                        record = failure_record(job, "failed", record)
                    watcher.finished(record)
                    yield record
        finally:
            self.close(list(flying))

    def _submit(self, left: "deque[Job]", flying: dict[Any, Job], driver: Driver) -> None:
        for _ in range(len(left)):
            if len(flying) >= self.most():
                return
            job = left.popleft()
            claimed = driver.claim(job)
            if claimed == "go":
                flying[self.submit(job)] = job
            elif claimed == "wait":
                left.append(job)


def surroundings() -> dict[str, str]:
    """What a run needs of this process on whatever machine it is done: the cache, and the folder of relative paths."""
    found = {"PWD": str(Path.cwd())}
    if cache := os.environ.get(CACHE_VARIABLE):
        found[CACHE_VARIABLE] = str(user_path(cache).absolute())
    return found | {name: os.environ[name] for name in ("WANDB_MODE",) if name in os.environ}


def take_over(environ: dict[str, str]) -> None:
    """Do what is done from here on in these `surroundings`, as far as the machine has the folder."""
    os.environ.update(environ)
    with suppress(OSError):
        os.chdir(environ["PWD"])


class Teller:
    """A watcher, on the machine that has a job, that passes on what it hears."""

    def __init__(self, tell: Callable[[Message], None], where: str) -> None:
        self.tell, self.where = tell, where

    def preparing(self, task: str) -> None:
        """Nobody waits for it."""

    def started(self, spec: RunSpec, slot: str) -> None:
        """Where it runs."""
        self.tell((spec.id, f"{self.where} {slot}"))

    def progress(self, spec: RunSpec, progress: Progress) -> None:
        """How far it is."""
        self.tell((spec.id, progress))

    def elsewhere(self, spec: RunSpec, owner: str) -> None:
        """Only whoever handed it in knows of others."""

    def retried(self, spec: RunSpec, reason: str) -> None:
        """Only whoever handed it in does that."""

    def finished(self, record: Record) -> None:
        """The record says it."""


def do(job: Job, settings: RemoteSettings, tell: Callable[[Message], None], where: str) -> Record:
    """Do a job on this machine, in processes of its own, on the devices that the scheduler lets this one see."""
    own = LocalSettings(
        workers=None if settings.gpus else job.spec.devices,
        retries=0,
        memory=settings.memory,
        timeout_minutes=settings.timeout_minutes,
    )
    executor = LocalExecutor(own)
    (record,) = executor.run([job], Teller(tell, where))
    return record
