"""A job at work: its processes, what they say, and the limits that are kept from outside."""

import errno
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from rnnbench.harness.executors.worker import PREEMPTED
from rnnbench.harness.hardware import Slot
from rnnbench.harness.job import OUT_OF_MEMORY, Job, Progress, Watcher

GRACE = 10.0
"""Seconds that processes have to write a checkpoint when they are told to stop; then they are killed."""


@dataclass
class Running:
    """The processes of a job, or the one that prepares the data of its task.

    Args:
        job: what is done.
        slot: where.
        processes: one a device.
        answers: what the first of them says.
        preparing: whether it is the data that is being made.
        answer: the last thing it said.
        stopped: why it was killed from here, if it was.
        used: most bytes that one of them was seen to use.
    """

    job: Job
    slot: Slot
    processes: Sequence[BaseProcess]
    answers: "Connection[Any, Any]"
    preparing: bool
    answer: Any = None
    stopped: str = ""
    used: int = 0
    begun: float = field(default_factory=time.monotonic)
    heard: bool = True
    """Whether the first process can still say something."""

    @property
    def sources(self) -> list[Any]:
        """What to wait for: words, and the end of any process."""
        return [self.answers, *(process.sentinel for process in self.processes if process.exitcode is None)]

    def listen(self, watcher: Watcher) -> bool:
        """Take what there is; whether it was the last."""
        while self.heard and self.answers.poll():
            try:
                self.answer = self.answers.recv()
            except (EOFError, OSError):  # it died
                self.answer, self.heard = None, False
                break
            if not isinstance(self.answer, Progress):
                self.heard = False
            else:
                watcher.progress(self.job.spec, self.answer)
        died = any(process.exitcode for process in self.processes)
        if died and self.heard:
            self.answer, self.heard = None, False
        return not self.heard

    def limit(self, memory: int | None, seconds: float | None) -> None:
        """Note what the processes use, and kill them if that is too much."""
        if not self.heard:
            return
        for process in self.processes:
            try:
                self.used = max(self.used, psutil.Process(process.pid).memory_info().rss)
            except psutil.Error:
                continue
        if memory is not None and self.used > memory:
            limit = f"the limit is {_giga(memory)} (executor.local.memory)"
            self._kill(f"{OUT_OF_MEMORY}: used {_giga(self.used)}, {limit}")
        elif seconds is not None and time.monotonic() - self.begun > seconds:
            self._kill(f"timeout: took longer than {seconds / 60:g} minutes (executor.local.timeout_minutes)")

    def _kill(self, why: str) -> None:
        self.stopped = why
        stop(self.processes, 0.0)

    def close(self) -> None:
        """Take leave of the processes; one whose fellow died would wait for it forever."""
        if self.answer is None:
            stop(self.processes, 0.0)
        self.processes[0].join()
        for process in self.processes[1:]:
            process.join(GRACE)
        stop(self.processes[1:], 0.0)
        self.answers.close()

    @property
    def cause(self) -> str:
        """Why there is no answer; of several processes, what became of the first that died by itself."""
        if self.stopped:
            return self.stopped
        codes = [process.exitcode or 0 for process in self.processes]
        code = next((one for one in codes if one not in (0, -signal.SIGKILL)), next((one for one in codes if one), 0))
        if code == PREEMPTED:
            return "stopped by SIGTERM"
        if code == errno.ENOMEM:
            return f"{OUT_OF_MEMORY}: in another process than the first"
        return told(code)


def told(code: int) -> str:
    """How a process has ended that gave no answer."""
    if code >= 0:
        return f"the worker ended with exit code {code} and no result"
    name = signal.Signals(-code).name
    hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
    return f"killed by signal {-code} ({name}){hint}"


def ended(running: Sequence[Running], watcher: Watcher, seconds: float) -> list[Running]:
    """Wait for words, at most so long, and pass on progress; those that have said their last."""
    wait([source for one in running for source in one.sources], seconds)
    return [one for one in running if one.listen(watcher)]


def stop(processes: Sequence[BaseProcess], grace: float) -> None:
    """End processes; those that have not ended after `grace` seconds are killed.

    A process whose start was cut off has no number yet; it ends with this one.
    """
    started = [process for process in processes if process.pid is not None]
    if grace:
        for process in started:
            process.terminate()
        end = time.monotonic() + grace
        for process in started:
            process.join(max(0.0, end - time.monotonic()))
    for process in started:
        process.kill()
    for process in started:
        process.join()


def _giga(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
