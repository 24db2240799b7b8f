"""What a worker process does: one job, or the preparation of one task's data."""

import errno
import faulthandler
import os
import signal
import socket
import sys
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread

from rnnbench.config.grid import RunSpec
from rnnbench.errors import Infeasible, Preempted, RnnbenchError
from rnnbench.harness import hardware as devices
from rnnbench.harness.hardware import Slot
from rnnbench.harness.job import OUT_OF_MEMORY, Job, Progress
from rnnbench.utils.allocator import keep_freed_memory

PREEMPTED = 128 + signal.SIGTERM
"""Exit code of a run that has stopped by itself when it was told to."""
Outcome = tuple[str, str]
"""Status (`ready`, `infeasible` or `failed`) and reason."""


def work(job: Job, slot: Slot, environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Do a job, or one process's part of it; the first sends its progress, then its record."""
    rank = environ.get("LOCAL_RANK", "0")
    _settle(
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
            _say(answer, progress)

    try:
        record = run(job, report)
    except Preempted:
        sys.exit(PREEMPTED)
    if record is None:
        return
    if rank != "0":
        print(f"process {rank} has failed: {record.reason}", file=sys.stderr)
        sys.exit(errno.ENOMEM if record.reason.startswith(OUT_OF_MEMORY) else 1)
    _say(answer, record)


def ranks(count: int) -> list[dict[str, str]]:
    """Variables by which so many processes of one run find each other; none for one alone."""
    if count == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "NODE_RANK": "0"}
    return [{**common, "LOCAL_RANK": str(rank), "RANK": str(rank)} for rank in range(count)]


def prepare(job: Job, environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Prepare the data of a job's task; sends the outcome."""
    _settle(job.folder.parent / f"prepare-{job.spec.task.name}.log", environ)
    from rnnbench.harness.instantiate import make_data, prepare

    outcome: Outcome = ("ready", "")
    try:
        prepare(make_data(job.spec))
    except Infeasible as error:
        outcome = ("infeasible", str(error))
    except RnnbenchError as error:
        outcome = ("failed", str(error))
    _say(answer, outcome)


def find_devices(environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Send what torch finds."""
    _become(environ)
    _say(answer, devices.find_devices())


def probe(job: Job, slot: Slot, environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Take the probe of a job again; sends what `rnnbench.harness.take_probe.probe_again` gives."""
    _settle(job.log, {**environ, **slot.environment})
    keep_freed_memory()
    import torch

    torch.set_num_threads(slot.threads)
    from rnnbench.harness.take_probe import probe_again

    _say(answer, probe_again(job))


def check(specs: list[RunSpec], environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Check runs; send what is wrong, or nothing."""
    _become(environ)
    from rnnbench.harness.preflight import check

    try:
        check(specs)
    except RnnbenchError as error:
        _say(answer, str(error))
    else:
        _say(answer, "")


def survey(specs: list[RunSpec], environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Send what is known of runs before they are run, or the sentence of what is wrong."""
    _become(environ)
    from rnnbench.harness.preflight import survey

    try:
        _say(answer, survey(specs))
    except RnnbenchError as error:
        _say(answer, str(error))


def _say(answer: "Connection[object, object]", what: object) -> None:
    try:
        answer.send(what)
    except BrokenPipeError:
        os._exit(1)  # nobody is left to hear it


def _settle(log: Path, environ: dict[str, str], goes_on: bool = False) -> None:
    """Take over an environment, print into a log; after what an earlier attempt has printed, if the run goes on."""
    _become(environ)
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if goes_on else os.O_TRUNC), 0o644)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        os.dup2(file, number)
        # a log is UTF-8 whatever the terminal is: what a network prints must not end its run
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    os.close(file)
    faulthandler.enable()


def _become(environ: dict[str, str]) -> None:
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
