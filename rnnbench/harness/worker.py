"""What a worker process does: one job, or the preparation of one task's data."""

import faulthandler
import os
import signal
import sys
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread

from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.harness.devices import Slot
from rnnbench.harness.job import Job, Progress
from rnnbench.memory import keep_freed_memory
from rnnbench.spec import RunSpec

Outcome = tuple[str, str]
"""Status (`ready`, `infeasible` or `failed`) and reason."""


def work(job: Job, slot: Slot, environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Do a job; sends its progress, then its record."""
    _settle(job.log, {**environ, **slot.environment})
    keep_freed_memory()
    import torch

    torch.set_num_threads(slot.threads)
    from rnnbench.harness.cell import run

    def report(progress: Progress) -> None:
        _say(answer, progress)

    _say(answer, run(job, report))


def prepare(job: Job, environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Prepare the data of a job's task; sends the outcome."""
    _settle(job.folder.parent / f"prepare-{job.spec.task.name}.log", environ)
    from rnnbench.harness.classes import make_data

    outcome: Outcome = ("ready", "")
    try:
        make_data(job.spec).prepare_data()
    except Infeasible as error:
        outcome = ("infeasible", str(error))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the reason of all runs on this task
        outcome = ("failed", f"preparing data: {type(error).__name__}: {error}")
    _say(answer, outcome)


def count_devices(environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Send the kind and number of accelerators that torch sees."""
    _become(environ)
    import torch

    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    _say(answer, ("cpu", 0) if kind is None else (kind.type, torch.accelerator.device_count()))


def check(specs: list[RunSpec], environ: dict[str, str], answer: "Connection[object, object]") -> None:
    """Check runs; send what is wrong, or nothing."""
    _become(environ)
    from rnnbench.harness.classes import check

    try:
        check(specs)
    except RnnbenchError as error:
        _say(answer, str(error))
    else:
        _say(answer, "")


def _say(answer: "Connection[object, object]", what: object) -> None:
    try:
        answer.send(what)
    except BrokenPipeError:
        os._exit(1)  # nobody is left to hear it


def _settle(log: Path, environ: dict[str, str]) -> None:
    """Take over an environment, print into a log."""
    _become(environ)
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        os.dup2(file, number)
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.close(file)
    faulthandler.enable()


def _become(environ: dict[str, str]) -> None:
    """Take over an environment (the server's is that of the first grid it was started for), and die with the grid."""
    os.environ.clear()
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the grid decides
    Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
