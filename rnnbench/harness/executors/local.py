"""Every run in processes of its own on this machine, one slot a GPU, or without GPUs one slot a core."""

import errno
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import current_thread, main_thread
from types import ModuleType
from typing import Any

import psutil

from rnnbench.config.executors import LocalSettings
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError, Unprepared
from rnnbench.harness.executors import worker
from rnnbench.harness.executors.loop import Executor, Report
from rnnbench.harness.hardware import Pool, Slot, usable_cores, without_gpus
from rnnbench.harness.job import OUT_OF_MEMORY, Ended, Job, Progress, failure_record, timed
from rnnbench.harness.measure import Facts, Measured

PRELOADED = ["rnnbench.harness.executors.preload"]
ATTEMPTS = 3
"""Workers that are started one after the other, if they die, for a call before anything is run."""
KILLED = getattr(signal, "SIGKILL", signal.SIGTERM)
"""How a process ends that `kill` ends; on Windows it is what `terminate` does, too."""
MOST_SOURCES = 60
"""Most connections and processes that are waited for at once: Windows takes no more than 63."""
GRACE = 10.0
"""Seconds that processes have to write a checkpoint after SIGTERM; then they are killed."""


@dataclass(eq=False)
class Running:
    """The processes of a job, or the one that prepares the data of its task.

    Args:
        job: what is done.
        slot: where.
        processes: one a device.
        receiver: reads what the first of them sends.
        report: where its progress goes; None for a preparation.
        ended: what it sent at its end, if it did.
        killed: why it was killed from here, if it was.
        peak_memory: most bytes that one of them was seen to use.
        begun: when it was started, by `time.monotonic`.
        open: whether the first process can still send something.
    """

    job: Job
    slot: Slot
    processes: Sequence[BaseProcess]
    receiver: "Connection[Any, Any]"
    report: Report | None = None
    ended: Ended | None = None
    killed: str = ""
    peak_memory: int = 0
    begun: float = field(default_factory=time.monotonic)
    open: bool = True

    @property
    def sources(self) -> list[Any]:
        """What to wait for: messages, and the end of any process."""
        return [self.receiver, *(process.sentinel for process in self.processes if process.exitcode is None)]

    def receive(self) -> bool:
        """Read what was sent, report progress; return whether the last message was among it, or none will come."""
        while self.open and self.receiver.poll():
            try:
                message = self.receiver.recv()
            except (EOFError, OSError):  # it died
                self.open = False
                break
            if isinstance(message, Progress) and self.report:
                self.report(message)
            else:
                self.ended, self.open = message, False
        if any(process.exitcode for process in self.processes):
            self.open = False
        return not self.open

    def enforce_limits(self, memory: float, seconds: float) -> None:
        """Note what the processes use, and kill them if that is too much."""
        for process in self.processes:
            with suppress(psutil.Error):
                self.peak_memory = max(self.peak_memory, psutil.Process(process.pid).memory_info().rss)
        if self.peak_memory > memory:
            limit = f"the limit is {memory / 1e9:.2f} GB (executor.local.memory)"
            self.killed = f"{OUT_OF_MEMORY}: used {self.peak_memory / 1e9:.2f} GB, {limit}"
        elif time.monotonic() - self.begun > seconds:
            self.killed = f"timeout: took longer than {seconds / 60:g} minutes (executor.local.timeout_minutes)"
        if self.killed:
            stop_processes(self.processes, 0.0)

    def close(self) -> None:
        """Wait until the processes end; without a result kill them, as one would wait for a dead one forever."""
        if self.ended is None:
            stop_processes(self.processes, 0.0)
        self.processes[0].join()
        for process in self.processes[1:]:
            process.join(GRACE)
        stop_processes(self.processes[1:], 0.0)
        self.receiver.close()

    @property
    def cause(self) -> str:
        """Why there is no result; of several processes, what became of the first that died by itself."""
        if self.killed:
            return self.killed
        codes = [process.exitcode or 0 for process in self.processes]
        others = (code for code in codes if code)
        code = next((code for code in codes if code not in (0, -KILLED)), next(others, 0))
        if code == worker.PREEMPTED:
            return "stopped by SIGTERM"
        if code == errno.ENOMEM:
            return f"{OUT_OF_MEMORY}: in another process than the first"
        return describe_exit(code)


class LocalExecutor(Executor):
    """Runs jobs in processes forked from a server that has torch and Lightning imported; spawned where fork is unsafe.

    The data of each task is prepared once, before its first run; other tasks go on meanwhile. A run whose process dies
    goes on from its last checkpoint, as often as the settings say.
    """

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.retries, self.measures_memory = settings.retries, settings.runs_per_device == "auto"
        self.context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self.environ = {**os.environ, **(without_gpus() if settings.gpu_ids == [] else {})}
        self.processes: set[BaseProcess] = set()

    def warm_up(self) -> None:
        """Start the server now, so that its imports run while something else is done."""
        if self.context.get_start_method() == "forkserver":
            from multiprocessing import forkserver

            self.context.set_forkserver_preload(PRELOADED)
            # One thread: read when torch is imported, and a pool of threads would not be forked. The tracker of
            # resources would complain of what killed workers leave; it cleans that up all the same.
            variables = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore:resource_tracker"}
            with _without_main(), _ignoring_interrupts(), _environment_variables(variables):
                forkserver.ensure_running()

    def check(self, specs: Sequence[RunSpec], here: bool = True) -> None:
        """Check all runs before any is started; in a worker, so that this process never imports torch.

        With `here` false they will run on another machine, whose devices are not known.
        """
        self.warm_up()
        self._call(worker.call, "rnnbench.harness.preflight:check", list(specs), here)
        most = max((spec.devices for spec in specs), default=1)
        if most > 1 or self.settings.gpu_ids:
            self._pool().check(most)

    def preflight(self, specs: Sequence[RunSpec]) -> dict[str, Facts]:
        """What is known of runs before they are started, see `Executor`."""
        return self._call(worker.call, "rnnbench.harness.preflight:preflight", list(specs))  # type: ignore[no-any-return]

    def measure(self, specs: Sequence[RunSpec]) -> dict[str, Measured]:
        """What a few steps tell of the cost of runs: each in a process of its own, as many at a time as in a grid."""
        with tempfile.TemporaryDirectory() as folder:
            jobs = [Job(spec, "measure", Path(folder, spec.id), loggers=()) for spec in specs]
            return {job.spec.id: taken for job, taken in self.call_each(worker.measured, jobs) if taken is not None}

    def capacity(self) -> int:
        """How many run at a time."""
        return sum(device.places for device in self._pool().devices)

    def open(self) -> None:
        """Find the devices."""
        self.warm_up()
        self.pool = self._pool()

    def has_room(self, running: int) -> bool:
        """Whether any place is free."""
        return self.pool.idle()

    def fits(self, job: Job) -> bool:
        """Whether there is place for this job now."""
        return self.pool.has(job.spec.devices, job.memory)

    def prepare(self, job: Job) -> Running:
        """Prepare the data of a job's task in a process of its own."""
        slot = self.pool.acquire(job.spec.devices, job.memory)
        process, receiver = self._spawn(worker.prepare, job, self.environ)
        return Running(job, slot, [process], receiver)

    def start(self, job: Job, report: Report) -> Running:
        """Start the processes of a job."""
        slot = self.pool.acquire(job.spec.devices, job.memory)
        report(slot.name)
        ranks = worker.ranks(len(slot.devices))
        first, *others = [self._spawn(worker.work, job, slot, {**self.environ, **rank}) for rank in ranks]
        for _, receiver in others:
            receiver.close()
        return Running(job, slot, [first[0], *(process for process, _ in others)], first[1], report)

    def wait(self, running: Sequence[Running], seconds: float) -> Sequence[Running]:
        """Wait at most so long for messages, and report progress; return what has ended, and kill what must end."""
        wait([source for handle in running for source in handle.sources][:MOST_SOURCES], seconds)
        ended = [handle for handle in running if handle.receive()]
        memory, minutes = self.settings.memory or math.inf, self.settings.timeout_minutes or math.inf
        for handle in running:
            if handle.open:
                handle.enforce_limits(memory, 60 * minutes)
        return ended

    def result(self, handle: Running) -> Ended:
        """How a job or a preparation has ended; its place is free again."""
        handle.close()
        self.processes.difference_update(handle.processes)
        self.pool.release(handle.slot)
        if handle.report is None:
            return handle.ended or Ended(failure_record(handle.job, "failed", f"{Unprepared.PREFIX}{handle.cause}"))
        ended = handle.ended or Ended(failure_record(handle.job, "failed", handle.cause), cut_off=not handle.killed)
        assert ended.record is not None  # only preparations have none
        return Ended(timed(ended.record, handle.job, time.monotonic() - handle.begun), ended.cut_off)

    def close(self, running: Sequence[Running] = (), grace: float | None = None) -> None:
        """End all processes; those that have not ended after some seconds are killed."""
        stop_processes(list(self.processes), GRACE if grace is None else grace)
        self.processes.clear()

    def _pool(self) -> Pool:
        devices = self._call(worker.call, "rnnbench.harness.hardware:find_devices")
        return Pool(devices, usable_cores(), self.settings, self.environ)

    def _call(self, target: Callable[..., None], *arguments: Any) -> Any:
        """What a function in a worker answers; if the worker dies the next one is started.

        Raises:
            RnnbenchError: the answer is an error, or too many workers have died.
        """
        for _ in range(ATTEMPTS):
            process, receiver = self._spawn(target, *arguments, self.environ)
            try:
                answer = receiver.recv()
            except (EOFError, OSError):  # it died, perhaps in the middle of its answer
                process.join()
                continue
            finally:
                self.close(grace=0.0)
            if isinstance(answer, RnnbenchError):
                raise answer
            return answer
        why = describe_exit(process.exitcode or 0)
        raise RnnbenchError(f"{ATTEMPTS} worker processes died before any run was started; the last: {why}")

    def call_each(self, target: Callable[..., None], jobs: Sequence[Job]) -> Generator[tuple[Job, Any], None, None]:
        """What workers answer about each job, in the order of their answers: as many at a time as there is place for,
        each in a process of its own, which gets the job and the slot. The answer is None if the process died.
        """
        self.open()
        waiting = list(reversed(jobs))
        running: dict[Any, tuple[Job, Slot, BaseProcess]] = {}
        try:
            while waiting or running:
                while waiting and self.pool.has(1, None):
                    job, slot = waiting.pop(), self.pool.acquire(1, None)
                    process, receiver = self._spawn(target, job, slot, self.environ)
                    running[receiver] = job, slot, process
                for ready in wait(list(running)[:MOST_SOURCES]):
                    job, slot, process = running.pop(ready)
                    answer = None
                    with suppress(EOFError, OSError):
                        answer = ready.recv()  # type: ignore[union-attr, call-arg]
                    process.join()
                    self.processes.discard(process)
                    self.pool.release(slot)
                    yield job, answer
        finally:
            self.close(grace=0.0)

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, "Connection[Any, Any]"]:
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=target, args=(*arguments, sender))
        self.processes.add(process)  # before it starts: an interrupt in the middle must not leave it running
        with _without_main():
            process.start()
        sender.close()  # so that the pipe ends when the worker does
        return process, receiver


def describe_exit(code: int) -> str:
    """How a process has ended that sent no result."""
    if code >= 0:
        known = f" (0x{code:08X})" if code > 0xFF else ""  # what Windows says of a crash
        return f"the worker ended with exit code {code}{known} and no result"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # one of those that have no name, as real-time signals
        return f"killed by signal {-code}"
    hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
    return f"killed by signal {-code} ({name}){hint}"


def stop_processes(processes: Sequence[BaseProcess], grace: float) -> None:
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


@contextmanager
def _without_main() -> Iterator[None]:
    """Without this, multiprocessing would run the caller's script again in every worker; none needs anything of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
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
def _environment_variables(values: dict[str, str]) -> Iterator[None]:
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
