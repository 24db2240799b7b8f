"""Where the runs of a grid run: one scheduling loop (`loop`) and an executor for each place, with the same records."""

from rnnbench.config.executors import ExecutorSettings
from rnnbench.config.grid import GridSpec
from rnnbench.harness.executors.inline import InlineExecutor
from rnnbench.harness.executors.local import LocalExecutor
from rnnbench.harness.executors.loop import Executor
from rnnbench.utils.extras import check_extra


def make_executor(grid: GridSpec) -> Executor:
    """The executor of a grid."""
    settings = grid.executor
    if isinstance(settings, str):
        settings = ExecutorSettings.read({settings: {}}, "executor")
    if settings.ray is not None:
        check_extra("ray", "executor ray")
        from rnnbench.harness.executors.ray import RayExecutor

        return RayExecutor(settings.ray)
    if settings.slurm is not None:
        check_extra("slurm", "executor slurm")
        from rnnbench.harness.executors.slurm import SlurmExecutor

        return SlurmExecutor(settings.slurm)
    return InlineExecutor() if settings.local is None else LocalExecutor(settings.local)
