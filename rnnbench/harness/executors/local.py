"""Every run in processes of its own on this machine, one slot a GPU, or without GPUs one slot a core."""

import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import current_thread, main_thread
from types import ModuleType
from typing import Any

from rnnbench.config.executors import LocalSettings
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError, Unprepared
from rnnbench.harness.executors import worker
from rnnbench.harness.executors.processes import GRACE, Running, ended, stop, told
from rnnbench.harness.executors.queue import Queue
from rnnbench.harness.hardware import Pool, Slot, usable_cores
from rnnbench.harness.job import ALONE, OUT_OF_MEMORY, Driver, Job, Watcher, failure_record, next_attempt, timed
from rnnbench.records.record import Record

PRELOADED = ["rnnbench.harness.executors.preload"]
TRIES = 3
"""Workers that are asked one after the other, if they die, before anything is run."""
POLL = 0.5
"""Seconds between two looks at limits, and at what other drivers have done."""


class LocalExecutor:
    """Runs jobs in processes forked from a server that has torch and Lightning imported; spawned where fork is unsafe.

    The data of each task is prepared once, before its first run; other tasks go on meanwhile. A run whose process dies
    goes on from its last checkpoint, as often as the settings say.
    """

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self.environ = dict(os.environ)
        self.processes: set[BaseProcess] = set()

    def warm_up(self) -> None:
        """Start the server now, so that its imports run while something else is done."""
        if self.context.get_start_method() == "forkserver":
            from multiprocessing import forkserver

            self.context.set_forkserver_preload(PRELOADED)
            # One thread: read when torch is imported, and a pool of threads would not be forked. The tracker of
            # resources would complain of what killed workers leave; it cleans that up all the same.
            variables = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore:resource_tracker"}
            with _no_main(), _no_interrupt(), _variables(variables):
                forkserver.ensure_running()

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started; in a worker, so that this process never imports torch."""
        self.warm_up()
        if problem := self._ask(worker.check, list(specs)):
            raise RnnbenchError(problem)
        if (most := max((spec.devices for spec in specs), default=1)) > 1:
            self._pool().check(most)

    def survey(self, specs: Sequence[RunSpec]) -> dict[str, tuple[bool, str]]:
        """What is known of runs before they are run, see `Executor`."""
        answer = self._ask(worker.survey, list(specs))
        if isinstance(answer, str):
            raise RnnbenchError(answer)
        return answer  # type: ignore[no-any-return]

    def places(self) -> int:
        """How many run at a time."""
        return sum(one.places for one in self._pool().devices)

    def run(self, jobs: Sequence[Job], watcher: Watcher, driver: Driver = ALONE) -> Generator[Record, None, None]:
        """Run all jobs, as many at a time as there is place for. When the caller stops, so does whatever still runs."""
        self.warm_up()
        pool, queue = self._pool(), Queue(jobs, driver, self.settings.runs_per_device == "auto")
        running: list[Running] = []
        grace = GRACE
        try:
            while queue.open() or running:
                driver.heed()
                running += self._fill(queue, pool, watcher)
                if not running:
                    time.sleep(POLL)  # what is left others have claimed
                for one in ended(running, watcher, POLL):
                    running.remove(one)
                    pool.give(one.slot)
                    for record in self._outcome(one, queue, watcher):
                        watcher.finished(record)
                        yield record
                for one in running:
                    one.limit(self.settings.memory, 60 * (self.settings.timeout_minutes or math.inf))
            grace = 0.0
        finally:
            self._stop(grace)

    def _fill(self, queue: Queue, pool: Pool, watcher: Watcher) -> Iterator[Running]:
        """Start what there is place for."""
        while pool.idle() and (taken := queue.take(lambda job: pool.has(job.spec.devices, job.memory))):
            job, preparing = taken
            yield self._start(job, preparing, pool.take(job.spec.devices, job.memory), watcher)

    def _outcome(self, one: Running, queue: Queue, watcher: Watcher) -> list[Record]:
        """What has come of it: the record of a run; for data that is not to be had, one for each run that needs it."""
        one.close()
        self.processes.difference_update(one.processes)
        if one.preparing:
            outcome: worker.Outcome = one.answer or ("failed", f"{Unprepared.PREFIX}{one.cause}")
            status, reason = outcome
            lost = queue.prepared(one.job, status)
            return [failure_record(job, "infeasible" if status == "infeasible" else "failed", reason) for job in lost]
        record: Record | None = one.answer
        seconds = time.monotonic() - one.begun
        why = record.reason if record else one.cause
        cut_off = record is None and not one.stopped
        if (cut_off or why.startswith(OUT_OF_MEMORY)) and (
            job := next_attempt(one.job, why, self.settings.retries, seconds)
        ):
            watcher.retried(job.spec, job.attempts[-1])
            queue.driver.give_back(job)
            queue.put_back(job)
            return []
        cost = record.cost if record else None
        queue.ended(one.job, cost.peak_memory_bytes if cost else None)
        return [timed(record or failure_record(one.job, "failed", one.cause), one.job, seconds)]

    def _stop(self, grace: float = 0.0) -> None:
        """End whatever still runs."""
        stop(list(self.processes), grace)
        self.processes.clear()

    def _pool(self) -> Pool:
        return Pool(self._ask(worker.find_devices), usable_cores(), self.settings, self.environ)

    def _ask(self, question: Callable[..., None], *arguments: Any) -> Any:
        """What a worker answers; another is asked in the place of one that dies."""
        for _ in range(TRIES):
            process, answers = self._spawn(question, *arguments, self.environ)
            try:
                return answers.recv()
            except (EOFError, OSError):  # it died, perhaps in the middle of its answer
                process.join()
            finally:
                self._stop()
        why = told(process.exitcode or 0)
        raise RnnbenchError(f"{TRIES} worker processes died while asked to {question.__name__}; of the last: {why}")

    def ask_each(self, question: Callable[..., None], asked: Sequence[Any]) -> Generator[tuple[Any, Any], None, None]:
        """What workers answer to a question about each of some things, as they answer: as many at a time as there is
        place for, each in a process of its own, which gets the thing and the slot. The answer is None if it died.
        """
        self.warm_up()
        pool, todo = self._pool(), list(reversed(asked))
        running: dict[Any, tuple[Any, Slot, BaseProcess]] = {}
        try:
            while todo or running:
                while todo and pool.has(1, None):
                    one, slot = todo.pop(), pool.take(1, None)
                    process, answers = self._spawn(question, one, slot, self.environ)
                    running[answers] = one, slot, process
                for ready in multiprocessing.connection.wait(list(running)):
                    one, slot, process = running.pop(ready)
                    answer = None
                    with suppress(EOFError, OSError):
                        answer = ready.recv()  # type: ignore[union-attr, call-arg]
                    process.join()
                    self.processes.discard(process)
                    pool.give(slot)
                    yield one, answer
        finally:
            self._stop()

    def _start(self, job: Job, preparing: bool, slot: Slot, watcher: Watcher) -> Running:
        if preparing:
            watcher.preparing(job.spec.task.name)
            process, answers = self._spawn(worker.prepare, job, self.environ)
            return Running(job, slot, [process], answers, preparing)
        watcher.started(job.spec, slot.name)
        groups = worker.ranks(len(slot.devices))
        first, *others = [self._spawn(worker.work, job, slot, {**self.environ, **group}) for group in groups]
        for _, answers in others:
            answers.close()
        return Running(job, slot, [first[0], *(process for process, _ in others)], first[1], preparing)

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, "Connection[Any, Any]"]:
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=target, args=(*arguments, sender))
        self.processes.add(process)  # before it starts: an interrupt in the middle must not leave it running
        with _no_main():
            process.start()
        sender.close()  # so that the pipe ends when the worker does
        return process, receiver


@contextmanager
def _no_main() -> Iterator[None]:
    """Without this, multiprocessing would run the caller's script again in every worker; none needs anything of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process started meanwhile ignores Ctrl-C from its first moment, as does whatever it forks: the grid decides."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
