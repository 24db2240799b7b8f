"""Every run in its own process on this machine, one slot a GPU, or without GPUs one slot a core."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import current_thread, main_thread
from types import ModuleType
from typing import Any

from rnnbench.errors import RnnbenchError
from rnnbench.harness import worker
from rnnbench.harness.devices import Slot, make_slots, usable_cores
from rnnbench.harness.job import Job, Progress, Watcher, not_done
from rnnbench.record import Record
from rnnbench.spec import LocalSettings, RunSpec

PRELOADED = ["rnnbench.harness.preload"]


class LocalExecutor:
    """Runs jobs in processes forked from a server that has torch and Lightning imported; spawned where fork is unsafe.

    The data of each task is prepared once, before its first run; other tasks go on meanwhile.
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

    def run(self, jobs: Sequence[Job], watcher: Watcher) -> Generator[Record, None, None]:
        """Run all jobs, as many at a time as there are slots. When the caller stops, so does whatever still runs."""
        self.warm_up()
        free, queue = deque(self._slots()), Queue(jobs)
        running: list[Running] = []
        try:
            while queue.jobs or running:
                while free and (taken := queue.take()):
                    running.append(self._start(*taken, free.popleft(), watcher))
                for one in _ended(running, watcher):
                    running.remove(one)
                    free.appendleft(one.slot)
                    self.processes.discard(one.process)
                    for record in one.records(queue):
                        watcher.finished(record)
                        yield record
        finally:
            self._stop()

    def _stop(self) -> None:
        """Kill whatever still runs. A process whose start was cut off has no number yet; it ends with this one."""
        started = [process for process in self.processes if process.pid is not None]
        for process in started:
            process.kill()
        for process in started:
            process.join()
        self.processes.clear()

    def _slots(self) -> list[Slot]:
        kind, count = self._ask(worker.count_devices)
        return make_slots(kind, count, usable_cores(), self.settings.workers, self.environ)

    def _ask(self, question: Callable[..., None], *arguments: Any) -> Any:
        try:
            _, answers = self._spawn(question, *arguments, self.environ)
            return answers.recv()
        except EOFError:
            raise RnnbenchError(f"a worker process died while asked to {question.__name__}") from None
        finally:
            self._stop()

    def _start(self, job: Job, preparing: bool, slot: Slot, watcher: Watcher) -> "Running":
        if preparing:
            watcher.preparing(job.spec.task.name)
            return Running(job, slot, *self._spawn(worker.prepare, job, self.environ), preparing)
        watcher.started(job.spec, slot.name)
        return Running(job, slot, *self._spawn(worker.work, job, slot, self.environ), preparing)

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, "Connection[Any, Any]"]:
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=target, args=(*arguments, sender))
        self.processes.add(process)  # before it starts: an interrupt in the middle must not leave it running
        with _no_main():
            process.start()
        sender.close()  # so that the pipe ends when the worker does
        return process, receiver


@dataclass
class Running:
    """A process at work, for a job or for the data of its task; `answer` is the last thing it said."""

    job: Job
    slot: Slot
    process: BaseProcess
    answers: "Connection[Any, Any]"
    preparing: bool
    answer: Any = None

    def listen(self, watcher: Watcher) -> bool:
        """Take one message; whether it was the last."""
        try:
            self.answer = self.answers.recv()
        except (EOFError, OSError):
            self.answer = None  # it died
        if not isinstance(self.answer, Progress):
            return True
        watcher.progress(self.job.spec, self.answer)
        return False

    def records(self, queue: "Queue") -> list[Record]:
        """What has come of it: the record of a run; for data that is not to be had, one for each run that needs it."""
        self.process.join()
        self.answers.close()
        if not self.preparing:
            return [self.answer or not_done(self.job, "failed", self._cause())]
        outcome: worker.Outcome = self.answer or ("failed", f"preparing data: {self._cause()}")
        status, reason = outcome
        lost = queue.prepared(self.job, status)
        return [not_done(job, "infeasible" if status == "infeasible" else "failed", reason) for job in lost]

    def _cause(self) -> str:
        code = self.process.exitcode or 0
        if code >= 0:
            return f"the worker ended with exit code {code} and no result"
        name = signal.Signals(-code).name
        hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
        return f"killed by signal {-code} ({name}){hint}"


class Queue:
    """Jobs in order; the first of each task is preceded by the preparation of its data."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = list(jobs)
        self.data: dict[str, str] = {}

    def take(self) -> tuple[Job, bool] | None:
        """The next thing to do, and whether it is to prepare the job's data; None while all that is left must wait."""
        for job in self.jobs:
            state = self.data.get(job.spec.task.fingerprint)
            if state is None:
                self.data[job.spec.task.fingerprint] = "preparing"
                return job, True
            if state == "ready":
                self.jobs.remove(job)
                return job, False
        return None

    def prepared(self, job: Job, status: str) -> list[Job]:
        """Note the state of a job's data; the jobs that can now never run, which leave the queue."""
        task = job.spec.task.fingerprint
        self.data[task] = status
        lost = [other for other in self.jobs if other.spec.task.fingerprint == task] if status != "ready" else []
        self.jobs = [other for other in self.jobs if other not in lost]
        return lost


def _ended(running: list[Running], watcher: Watcher) -> list[Running]:
    """Wait for messages and pass on progress; those that have given their last."""
    ready = wait([one.answers for one in running])
    return [one for one in running if one.answers in ready and one.listen(watcher)]


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
