"""All runs in this process, one after the other: slow, but a debugger sees everything."""

import gc
import logging
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from rnnbench.config.grid import RunSpec
from rnnbench.harness.executors.loop import Executor, Report
from rnnbench.harness.job import Ended, Job, Progress, timed
from rnnbench.harness.measure import Measured, measure


class InlineExecutor(Executor):
    """Runs jobs here, with one thread, as a worker would: a job has ended when `start` returns its handle.

    Ctrl-C raises as ever and is remembered as well, and raised again after the run if it was lost: Python drops an
    exception raised in a destructor or a callback of the garbage collector, and third parties' code has bare
    `except`s; the grid would go on as if nobody had pressed a key.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._handler_before: Any = None

    def open(self) -> None:
        """Remember interrupts from now on."""
        before = signal.getsignal(signal.SIGINT)
        self.interrupted = False
        if current_thread() is not main_thread() or not callable(before):
            return

        def remember(number: int, frame: Any) -> None:
            self.interrupted = True
            before(number, frame)

        self._handler_before = before
        signal.signal(signal.SIGINT, remember)

    def close(self, running: Sequence[Ended]) -> None:
        """Handle interrupts as before."""
        if self._handler_before is not None:
            signal.signal(signal.SIGINT, self._handler_before)
            self._handler_before = None

    def measure(self, specs: Sequence[RunSpec]) -> dict[str, Measured]:
        """What a few steps tell of the cost of runs."""
        with _one_thread(), tempfile.TemporaryDirectory() as folder, _printing_to(Path(folder) / "log.txt"):
            taken = {spec.id: measure(spec) for spec in specs}
        return {run: measured for run, measured in taken.items() if measured is not None}

    def prepare(self, job: Job) -> Ended:
        """Prepare the data of a job's task."""
        from rnnbench.harness.execute import prepare_data

        with _one_thread(), _printing_to(job.preparation_log):
            ended = Ended(prepare_data(job))
        self._check_interrupt()
        return ended

    def start(self, job: Job, report: Report) -> Ended:
        """Run a job to its end."""
        from rnnbench.harness.execute import run

        def check_and_report(progress: Progress) -> None:
            self._check_interrupt()
            report(progress)

        report("inline")
        begun = time.monotonic()
        with _one_thread(), _printing_to(job.log):
            record = run(job, check_and_report)
        gc.collect()  # a Trainer and its module refer to each other, and this process goes on
        assert record is not None  # only other processes of a run have none
        self._check_interrupt()
        return Ended(timed(record, job, time.monotonic() - begun))

    def wait(self, running: Sequence[Ended], seconds: float) -> Sequence[Ended]:
        """Everything that was started has ended."""
        return running

    def result(self, handle: Ended) -> Ended:
        """How it has ended."""
        return handle

    def _check_interrupt(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt


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
def _printing_to(path: Path) -> Iterator[None]:
    """What Python code prints or logs goes to this file, Lightning's handlers included, which keep their streams."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("lightning", "lightning.pytorch", "lightning.fabric")
    handlers = [
        handler
        for name in names
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    with (
        path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1) as log,
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
