"""Runs as jobs of a Slurm cluster, through submitit; or of its stand-in on this machine."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rnnbench.config.executors import SlurmSettings
from rnnbench.errors import RnnbenchError
from rnnbench.harness.executors.remote import POLL, RemoteExecutor, do, surroundings, take_over
from rnnbench.harness.job import Job
from rnnbench.records.record import Record


class SlurmExecutor(RemoteExecutor):
    """Hands jobs to Slurm. The folders of runs and of the cache have to be ones that all machines share.

    A job that Slurm stops for another, or at the end of its time, is put in the queue again and goes on from its last
    checkpoint.
    """

    settings: SlurmSettings

    def start(self) -> None:
        """See that there is a Slurm, and that it knows the options."""
        submitit = _submitit()
        self.executor: Any = None
        if self.settings.cluster == "slurm" and submitit.AutoExecutor.which() != "slurm":
            raise RnnbenchError("executor slurm: there is no Slurm on this machine (srun is not found)")
        try:
            with TemporaryDirectory() as folder:
                self._make(Path(folder), 1)
        except (AssertionError, NameError) as error:
            raise RnnbenchError(f"executor slurm: options: {str(error).partition(chr(10))[0]}") from None

    def places(self) -> int:
        """As many as are handed in: Slurm does not say how many it will run."""
        return self.most()

    def submit(self, job: Job) -> Any:
        """Hand in a job."""
        if self.executor is None:
            self.executor = self._make(job.folder.parent / "slurm", job.spec.devices)
        try:
            return self.executor.submit(Work(job, self.settings))
        except _submitit().core.utils.FailedJobError as error:
            raise RnnbenchError(f"executor slurm: a job was refused: {' '.join(str(error).split())[-300:]}") from None

    def _make(self, folder: Path, devices: int) -> Any:
        settings = self.settings
        executor = _submitit().AutoExecutor(folder=folder, cluster=settings.cluster)
        executor.update_parameters(
            name="rnnbench",
            timeout_min=settings.minutes,
            cpus_per_task=int(settings.cpus * devices),
            **({"gpus_per_node": int(settings.gpus * devices)} if settings.gpus else {}),
            **({"mem_gb": settings.memory / 1e9} if settings.memory else {}),
            **({f"slurm_{name}": value for name, value in settings.options.items()}),
        )
        return executor

    def ended(self, flying: Sequence[Any]) -> list[Any]:
        """Those that have ended."""
        time.sleep(POLL)
        return [one for one in flying if one.done()]

    def result(self, one: Any) -> Record | str:
        """The record of a job, or how it was lost."""
        submitit = _submitit()
        try:
            return one.result()  # type: ignore[no-any-return]
        except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
            return f"lost by Slurm: {' '.join(str(error).split())[:200]}"

    def close(self, flying: Sequence[Any]) -> None:
        """Cancel what still flies."""
        for one in flying:
            one.cancel()


class Work:
    """What Slurm does for a job; when it is preempted, it is handed in again and goes on from its checkpoint."""

    def __init__(self, job: Job, settings: SlurmSettings) -> None:
        self.job, self.settings = job, settings
        self.environ = surroundings()

    def __call__(self) -> Record:
        """Do it."""
        take_over(self.environ)
        return do(self.job, self.settings, lambda message: None, "slurm")

    def checkpoint(self) -> Any:
        """What submitit hands in again."""
        return _submitit().helpers.DelayedSubmission(Work(self.job, self.settings))


def _submitit() -> Any:
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # else it closes the log handlers of all others
    import submitit

    return submitit
