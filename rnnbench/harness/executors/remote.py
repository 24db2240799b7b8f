"""What executors share that hand jobs to a scheduler of other machines: checks on this machine, a job done on another.

A job that was lost with its machine is handed in again, as often as the settings say; it goes on from its last
checkpoint where the folder of runs is one that machines share, and else begins anew.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rnnbench.config.executors import LocalSettings, RemoteSettings
from rnnbench.config.grid import RunSpec
from rnnbench.errors import LIBRARIES
from rnnbench.harness.events import Event, Progressed, Started
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.executors.loop import run_jobs
from rnnbench.harness.job import Job, Progress
from rnnbench.harness.measure import Facts
from rnnbench.records.record import Record
from rnnbench.utils.files import CACHE_VARIABLE, user_path

Message = tuple[str, str | Progress]
"""Id of a run, and where it has started or how far it is."""


def check_here(specs: Sequence[RunSpec]) -> None:
    """Check runs in a process of this machine, which need not have the devices for them."""
    LocalExecutor(LocalSettings()).check([spec.model_copy(update={"devices": 1}) for spec in specs], here=False)


def preflight_here(specs: Sequence[RunSpec]) -> dict[str, Facts]:
    """What is known of runs, see `Executor.preflight`; data in the cache of this machine."""
    return LocalExecutor(LocalSettings()).preflight(specs)


def shared_environment() -> dict[str, str]:
    """What a run needs of this process on whatever machine it is done: the cache, the folder of relative paths, and the
    folders of the user's own modules.
    """
    own = [folder for folder in sys.path if Path(folder).is_absolute() and not folder.startswith(LIBRARIES)]
    environ = {"PWD": str(Path.cwd()), "PYTHONPATH": os.pathsep.join(own)}
    if cache := os.environ.get(CACHE_VARIABLE):
        environ[CACHE_VARIABLE] = str(user_path(cache).absolute())
    return environ | {name: os.environ[name] for name in ("WANDB_MODE",) if name in os.environ}


def adopt_environment(environ: dict[str, str]) -> None:
    """Use the `shared_environment` of another machine from now on, and its folder if it is here."""
    os.environ.update(environ)
    sys.path += [folder for folder in environ["PYTHONPATH"].split(os.pathsep) if folder not in sys.path]
    with suppress(OSError):
        os.chdir(environ["PWD"])


def run_locally(
    job: Job, settings: RemoteSettings, environ: dict[str, str], send: Callable[[Message], object], machine: str
) -> Record:
    """Do a job on this machine, in processes of its own, on the devices that the scheduler lets this one see.

    Args:
        job: what to do.
        settings: of the executor that has handed it in.
        environ: `shared_environment` of the machine that has handed it in.
        send: takes what happens.
        machine: what to call this one.
    """
    adopt_environment(environ)
    own = LocalSettings(
        workers=None if settings.gpus else job.spec.devices,
        retries=0,
        memory=settings.memory,
        timeout_minutes=settings.timeout_minutes,
    )
    (record,) = run_jobs(LocalExecutor(own), [job], ForwardingWatcher(send, machine))
    return record


class ForwardingWatcher:
    """Sends on where a run has started and how far it is; whoever has handed it in knows or decides everything else."""

    def __init__(self, send: Callable[[Message], object], machine: str) -> None:
        self.send, self.machine = send, machine

    def on_event(self, event: Event) -> None:
        """Send a start, or progress."""
        if isinstance(event, Started):
            self.send((event.spec.id, f"{self.machine} {event.slot}"))
        elif isinstance(event, Progressed):
            self.send((event.spec.id, event.progress))
