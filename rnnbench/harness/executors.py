"""Executors: `run(jobs)` yields a record for each job as it ends. The same records from each."""

from collections.abc import Generator, Sequence
from typing import Protocol

from rnnbench.executor_settings import ExecutorSettings
from rnnbench.extras import check_extra
from rnnbench.harness.inline import InlineExecutor
from rnnbench.harness.job import ALONE, Driver, Job, Watcher
from rnnbench.harness.local import LocalExecutor
from rnnbench.record import Record
from rnnbench.spec import GridSpec, RunSpec


class Executor(Protocol):
    """Runs jobs somewhere."""

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started.

        Raises:
            RnnbenchError: something is wrong with one.
        """
        ...

    def survey(self, specs: Sequence[RunSpec]) -> dict[str, tuple[bool, str]]:
        """Of each run, whether its data is in the cache, and if it is, why the run is infeasible, or nothing."""
        ...

    def places(self) -> int:
        """How many run at a time."""
        ...

    def run(self, jobs: Sequence[Job], watcher: Watcher, driver: Driver = ALONE) -> Generator[Record, None, None]:
        """Run all jobs that `driver` lets go; a record for each as it ends, whatever its end."""
        ...


def make_executor(settings: GridSpec) -> Executor:
    """The executor a grid asks for."""
    chosen = settings.executor
    if isinstance(chosen, str):
        chosen = ExecutorSettings.read({chosen: {}}, "executor")
    if chosen.ray is not None:
        check_extra("ray", "executor ray")
        from rnnbench.harness.ray_cluster import RayExecutor

        return RayExecutor(chosen.ray)
    if chosen.slurm is not None:
        check_extra("slurm", "executor slurm")
        from rnnbench.harness.slurm import SlurmExecutor

        return SlurmExecutor(chosen.slurm)
    return InlineExecutor() if chosen.local is None else LocalExecutor(chosen.local)
