"""What a worker process does: one job, the preparation of one task's data, one probe, or one call."""

import errno
import faulthandler
import os
import signal
import socket
import sys
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pkgutil import resolve_name
from threading import Thread
from typing import Any, TypeAlias

from rnnbench.errors import Preempted, RnnbenchError
from rnnbench.harness.hardware import Slot
from rnnbench.harness.job import OUT_OF_MEMORY, Ended, Job, Progress
from rnnbench.utils.allocator import keep_freed_memory
from rnnbench.utils.files import BINARY

PREEMPTED = 128 + signal.SIGTERM
"""Exit code of a run that has written a checkpoint and stopped after SIGTERM."""
Sender: TypeAlias = "Connection[object, object]"
"""The end of a pipe that a worker writes to."""


def work(job: Job, slot: Slot, environ: dict[str, str], sender: Sender) -> None:
    """Do a job, or one process's part of it; the first sends its progress, then its record."""
    rank = environ.get("LOCAL_RANK", "0")
    redirect_output(
        job.log if rank == "0" else job.log.with_stem(f"log-{rank}"),
        {**environ, **slot.environment},
        bool(job.attempts),
    )
    keep_freed_memory()
    import torch

    torch.set_num_threads(slot.threads)
    from rnnbench.harness.execute import run

    def report(progress: Progress) -> None:
        if rank == "0":
            send(sender, progress)

    try:
        record = run(job, report)
    except Preempted:
        sys.exit(PREEMPTED)
    if record is None:
        return
    if rank != "0":
        print(f"process {rank} has failed: {record.reason}", file=sys.stderr)
        sys.exit(errno.ENOMEM if record.reason.startswith(OUT_OF_MEMORY) else 1)
    send(sender, Ended(record))


def ranks(count: int) -> list[dict[str, str]]:
    """Variables by which so many processes of one run find each other; none for one alone."""
    if count == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "NODE_RANK": "0"}
    return [{**common, "LOCAL_RANK": str(rank), "RANK": str(rank)} for rank in range(count)]


def prepare(job: Job, environ: dict[str, str], sender: Sender) -> None:
    """Prepare the data of a job's task, and send an `Ended`."""
    redirect_output(job.preparation_log, environ)
    from rnnbench.harness.execute import prepare_data

    send(sender, Ended(prepare_data(job)))


def probe(job: Job, slot: Slot, environ: dict[str, str], sender: Sender) -> None:
    """Take the probe of a job again; sends what `rnnbench.harness.take_probe.probe_again` gives."""
    redirect_output(job.log, {**environ, **slot.environment})
    keep_freed_memory()
    import torch

    torch.set_num_threads(slot.threads)
    from rnnbench.harness.take_probe import probe_again

    send(sender, probe_again(job))


def measured(job: Job, slot: Slot, environ: dict[str, str], sender: Sender) -> None:
    """Measure a few steps of a job's run; sends what `rnnbench.harness.measure.measure` gives."""
    redirect_output(job.log, {**environ, **slot.environment})
    keep_freed_memory()
    import torch

    torch.set_num_threads(slot.threads)
    from rnnbench.harness.measure import measure

    send(sender, measure(job.spec))


def call(function: str, *arguments: Any) -> None:
    """Call a function by its path (`package.module:name`); send what it returns, or the `RnnbenchError` it raises."""
    *own, environ, sender = arguments
    reset_process(environ)
    try:
        answer = resolve_name(function)(*own)
    except RnnbenchError as error:
        answer = RnnbenchError(str(error))
    send(sender, answer)


def send(sender: Sender, message: object) -> None:
    """Send a message to the grid; end this process if the grid is gone."""
    try:
        sender.send(message)
    except BrokenPipeError:
        os._exit(1)


def redirect_output(log: Path, environ: dict[str, str], goes_on: bool = False) -> None:
    """Take over an environment, print into a log; after what an earlier attempt has printed, if the run goes on."""
    reset_process(environ)
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | BINARY | (os.O_APPEND if goes_on else os.O_TRUNC), 0o644)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        os.dup2(file, number)
        # a log is UTF-8 whatever the terminal is: what a network prints must not end its run
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    os.close(file)
    faulthandler.enable()


def reset_process(environ: dict[str, str]) -> None:
    """Take over an environment (the server's is that of the first grid it was started for), and die with the grid."""
    os.environ.clear()
    os.environ.update(environ)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the grid decides
    Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
