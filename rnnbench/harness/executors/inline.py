"""All runs in this process, one after the other: slow, but a debugger sees everything."""

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from threading import Event, current_thread, main_thread
from typing import Any

from rnnbench.config.grid import RunSpec
from rnnbench.harness.job import ALONE, Driver, Job, Progress, Watcher, timed
from rnnbench.records.record import Record

POLL = 0.5
"""Seconds between two looks at what other drivers have done."""


class InlineExecutor:
    """Runs jobs here, with one thread, as a worker would."""

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started."""
        from rnnbench.harness.preflight import check

        check(specs)

    def survey(self, specs: Sequence[RunSpec]) -> dict[str, tuple[bool, str]]:
        """What is known of runs before they are run, see `Executor`."""
        from rnnbench.harness.preflight import survey

        return survey(specs)

    def places(self) -> int:
        """One."""
        return 1

    def run(self, jobs: Sequence[Job], watcher: Watcher, driver: Driver = ALONE) -> Generator[Record, None, None]:
        """Run all jobs in order."""
        from rnnbench.harness.execute import run

        unprepared: dict[str, Record] = {}  # of each task whose data could not be prepared
        with _heeded_interrupts() as heed:
            for job in claimed(jobs, driver):

                def report(progress: Progress, job: Job = job) -> None:
                    heed()
                    driver.heed()
                    watcher.progress(job.spec, progress)

                if lost := unprepared.get(job.spec.task.fingerprint):
                    record = lost.model_copy(update={"id": job.spec.id, "spec": job.spec})
                    watcher.finished(record)
                    yield record
                    continue
                watcher.started(job.spec, "inline")
                job.folder.mkdir(parents=True, exist_ok=True)
                begun = time.monotonic()
                with _one_thread(), _printing_to(job):
                    ended = run(job, report)
                assert ended is not None  # the only process of its run gives one
                record = timed(ended, job, time.monotonic() - begun)
                if record.unprepared:
                    unprepared[job.spec.task.fingerprint] = record
                heed()
                watcher.finished(record)
                yield record


def claimed(jobs: Sequence[Job], driver: Driver) -> Iterator[Job]:
    """The jobs that nobody else does; those that others have begun last, in case they do not end."""
    left, waiting = deque(jobs), 0
    while True:
        left.extendleft(reversed(driver.more()))
        if not left:
            return
        if waiting >= len(left):  # others have all of them
            time.sleep(POLL)
            waiting = 0
        driver.heed()
        job = left.popleft()
        answer = driver.claim(job)
        if answer == "go":
            waiting = 0
            yield job
        elif answer == "wait":
            left.append(job)
            waiting += 1


@contextmanager
def _heeded_interrupts() -> Iterator[Callable[[], None]]:
    """Ctrl-C raises as ever and is remembered as well: what is yielded raises one that was lost.

    Python drops an exception raised in a destructor or a callback of the garbage collector, and third parties' code
    has bare `except`s; the grid would go on as if nobody had pressed a key.
    """
    before, pressed = signal.getsignal(signal.SIGINT), Event()
    if current_thread() is not main_thread() or not callable(before):
        yield lambda: None
        return

    def note(number: int, frame: Any) -> None:
        pressed.set()
        before(number, frame)

    def heed() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield heed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _printing_to(job: Job) -> Iterator[None]:
    """What Python code prints or logs goes to the job's log; Lightning's handlers keep the stream they began with."""
    names = ("lightning", "lightning.pytorch", "lightning.fabric")
    handlers = [
        handler
        for name in names
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    with (
        job.log.open("w", encoding="utf-8", errors="backslashreplace", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        before = [handler.setStream(log) for handler in handlers]
        try:
            yield
        finally:
            for handler, stream in zip(handlers, before, strict=True):
                if stream is not None:
                    handler.setStream(stream)
