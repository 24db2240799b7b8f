"""Runs as jobs of a Slurm cluster, through submitit; or of its stand-in on this machine."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rnnbench.config.executors import SlurmSettings
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.executors.loop import Executor, Report
from rnnbench.harness.executors.remote import check_here, preflight_here, run_locally, shared_environment
from rnnbench.harness.job import Ended, Job, failure_record
from rnnbench.harness.measure import Facts
from rnnbench.records.record import Record


class SlurmExecutor(Executor):
    """Hands jobs to Slurm. The folders of runs and of the cache have to be ones that all machines share.

    A job that Slurm stops for another, or at the end of its time, is put in the queue again and goes on from its last
    checkpoint.
    """

    prepares_data = False

    def __init__(self, settings: SlurmSettings) -> None:
        self.settings, self.retries = settings, settings.retries
        self.executor: Any = None
        self.jobs: dict[Any, Job] = {}

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started, and that there is a Slurm."""
        check_here(specs)
        self.open()

    def preflight(self, specs: Sequence[RunSpec]) -> dict[str, Facts]:
        """What is known of runs before they are started, see `Executor`."""
        return preflight_here(specs)

    def capacity(self) -> int:
        """How many are handed in at a time: Slurm does not say how many it will run."""
        return 1000

    def open(self) -> None:
        """See that there is a Slurm, and that it knows the options."""
        submitit = _submitit()
        self.executor = None
        if self.settings.cluster == "slurm" and submitit.AutoExecutor.which() != "slurm":
            raise RnnbenchError("executor slurm: there is no Slurm on this machine (srun is not found)")
        try:
            with TemporaryDirectory() as folder:
                self._make(Path(folder), 1)
        except (AssertionError, NameError) as error:
            raise RnnbenchError(f"executor slurm: options: {str(error).partition(chr(10))[0]}") from None

    def start(self, job: Job, report: Report) -> Any:
        """Hand in a job; Slurm sends no news of it until it has ended."""
        if self.executor is None:
            self.executor = self._make(job.folder.parent / "slurm", job.spec.devices)
        try:
            handle = self.executor.submit(SlurmJob(job, self.settings))
        except _submitit().core.utils.FailedJobError as error:
            raise RnnbenchError(f"executor slurm: a job was refused: {' '.join(str(error).split())[-300:]}") from None
        self.jobs[handle] = job
        return handle

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

    def wait(self, running: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Wait a moment; return the jobs that have ended."""
        time.sleep(seconds)
        return [handle for handle in running if handle.done()]

    def result(self, handle: Any) -> Ended:
        """The record of a job, or that it was lost with its machine."""
        errors, job = _submitit().core.utils, self.jobs.pop(handle)
        try:
            return Ended(handle.result())
        except (errors.UncompletedJobError, errors.FailedJobError) as error:
            reason = f"lost by Slurm: {' '.join(str(error).split())[:200]}"
            return Ended(failure_record(job, "failed", reason), cut_off=True)

    def close(self, running: Sequence[Any]) -> None:
        """Cancel what still runs."""
        for handle in running:
            handle.cancel()


class SlurmJob:
    """What Slurm does for a job; when it is preempted, it is handed in again and goes on from its checkpoint."""

    def __init__(self, job: Job, settings: SlurmSettings) -> None:
        self.job, self.settings = job, settings
        self.environ = shared_environment()

    def __call__(self) -> Record:
        """Run the job."""
        return run_locally(self.job, self.settings, self.environ, lambda message: None, "slurm")

    def checkpoint(self) -> Any:
        """What submitit hands in again."""
        return _submitit().helpers.DelayedSubmission(SlurmJob(self.job, self.settings))


def _submitit() -> Any:
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # else it closes the log handlers of all others
    import submitit

    return submitit
