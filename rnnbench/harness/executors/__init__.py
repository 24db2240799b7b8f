"""Executors: `run(jobs)` yields a record for each job as it ends. The same records from each."""

from collections.abc import Generator, Sequence
from typing import Protocol

from rnnbench.config.executors import ExecutorSettings
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.harness.executors.inline import InlineExecutor
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.job import ALONE, Driver, Job, Watcher
from rnnbench.records.record import Record
from rnnbench.utils.extras import check_extra


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
        from rnnbench.harness.executors.ray import RayExecutor

        return RayExecutor(chosen.ray)
    if chosen.slurm is not None:
        check_extra("slurm", "executor slurm")
        from rnnbench.harness.executors.slurm import SlurmExecutor

        return SlurmExecutor(chosen.slurm)
    return InlineExecutor() if chosen.local is None else LocalExecutor(chosen.local)
