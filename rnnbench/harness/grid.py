"""A whole grid: what is missing is run, every record is kept at once."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rnnbench.config.cards import ClassSpec
from rnnbench.config.grid import GridSpec
from rnnbench.config.model_size import NO_WIDTH
from rnnbench.errors import Diverged, RnnbenchError
from rnnbench.harness.driver import GridDriver
from rnnbench.harness.events import Noted, Watcher
from rnnbench.harness.executors import make_executor
from rnnbench.harness.executors.loop import Executor, run_jobs
from rnnbench.harness.job import ARTEFACTS
from rnnbench.harness.measure import Facts, unequal_networks
from rnnbench.harness.paths import Folders
from rnnbench.records.artefacts import ArtefactStore, read_artefacts
from rnnbench.records.certificates import NO_CERTIFICATES, Certificates
from rnnbench.records.record import Record
from rnnbench.records.selection import runs_of, study_of
from rnnbench.records.status import Cell, cells_of
from rnnbench.records.store import RecordStore
from rnnbench.utils.extras import check_extra
from rnnbench.utils.files import writable_folder

UNPREPARED = "unprepared"
RETRY = ("failed", "infeasible", "done")
"""States whose cells can be run again."""


def plan(
    grid: GridSpec,
    records: Mapping[str, Record],
    retry: Collection[str] = (),
    refresh: bool = False,
    certificates: Certificates = NO_CERTIFICATES,
) -> tuple[list[Cell], list[Cell]]:
    """All cells of a grid, and those to run: missing, stale, and whatever state `retry` names; or only the stale.

    What was selected among trials is not run before the trials that are to be run again.

    Raises:
        RnnbenchError: the grid names something unknown or broken.
    """
    cells = cells_of(runs_of(grid, records), records, certificates=certificates)
    wanted = {"stale", *retry} if refresh else {"missing", "stale", *retry}
    todo = [cell for cell in cells if cell.state in wanted]
    open_studies = {study_of(cell.spec) for cell in todo if cell.spec.trial}
    return cells, [cell for cell in todo if not (cell.spec.selected and study_of(cell.spec) in open_studies)]


def run_grid(
    grid: GridSpec, todo: Sequence[Cell], folders: Folders, watcher: Watcher, retry: Collection[str] = ()
) -> Counter[str]:
    """Run the cells `todo`, and what is selected among their trials, and keep each record as it comes.

    Another process, on this machine or one that shares the leaderboard, may run the same grid: no cell is run twice.

    Returns:
        How many ended in which state; trials that diverged, as those with large steps do, are counted as `diverged`,
            and runs that never began, since their data could not be prepared, as `UNPREPARED`: they leave no record.

    Raises:
        RnnbenchError: a folder cannot be written; a class or an argument of some cell is wrong. Nothing has been
            started then.
    """
    executor = make_executor(grid)
    executor.check([cell.spec for cell in todo])
    check_loggers(grid.loggers)
    facts = _check_feasible(grid, executor, todo)
    for warning in unequal_networks([cell.spec for cell in todo], facts):
        watcher.on_event(Noted(f"{warning}; --dry-run measures what that costs"))
    folders.check()
    store = RecordStore(folders.leaderboard)
    for parts in {(cell.spec.task.name, cell.spec.architecture.name) for cell in todo}:
        writable_folder(store.folder.joinpath(*parts), "the leaderboard (--leaderboard)")
    working = writable_folder(folders.working(grid.name), "working state (--runs)")
    folders.note(grid)
    ended = Counter[str]()
    with GridDriver(folders, grid, todo, watcher, retry) as driver:
        jobs = [driver.make_job(cell) for cell in todo]
        with closing(run_jobs(executor, jobs, driver, driver)) as records:
            for record in records:
                if record.unprepared:
                    driver.release(record)
                    ended[UNPREPARED] += 1
                    continue
                store.write(record)
                _keep_artefacts(record, working / record.id / ARTEFACTS, ArtefactStore(folders.leaderboard))
                driver.settle(record)
                ended["diverged" if is_diverged_trial(record) else record.status] += 1
    return ended


def check_loggers(names: Collection[str | ClassSpec]) -> None:
    """Check that the loggers of a grid can log.

    Raises:
        RnnbenchError: TensorBoard is not installed; W&B would ask for a login in the middle of a run; what is named by
            its class is no Logger.
    """
    for logger in names:
        if isinstance(logger, ClassSpec):
            from rnnbench.harness.trainer import check_logger

            check_logger(logger)
    if "tensorboard" in names:
        check_extra("tensorboard", "logger 'tensorboard'")
    if "wandb" in names and os.environ.get("WANDB_MODE", "online") in ("online", "shared"):
        import wandb

        if not wandb.login(prompt=False):
            raise RnnbenchError("logger 'wandb' is not logged in: use `wandb login`, or set WANDB_MODE=offline")


def is_diverged_trial(record: Record | None) -> bool:
    """Whether a run is a trial that diverged, as trials with large steps do: nothing that anybody could mend."""
    return record is not None and record.spec.trial is not None and record.reason.startswith(Diverged.PREFIX)


def _keep_artefacts(record: Record, made: Path, store: ArtefactStore) -> None:
    """Copy the artefacts of a run, if it has made any, to its leaderboard."""
    if record.status == "done" and made.is_file():
        store.write(record.spec, read_artefacts(made, record.spec).items)


def _check_feasible(grid: GridSpec, executor: Executor, todo: Sequence[Cell]) -> dict[str, Facts]:
    """Refuse a size that no network of a whole grid can have, as far as it is known before data is prepared.

    Returns:
        What is known of its runs, by their ids; nothing of a grid without a rule for the size, or of a part of a grid.
    """
    specs = [cell.spec for cell in todo]
    if (grid.params is None and grid.flops is None) or len(specs) < len(grid.expand()):
        return {}
    facts = executor.preflight(specs)
    if all(known.why_not.startswith(NO_WIDTH) for known in facts.values()):
        label, why = specs[0].label, facts[specs[0].id].why_not
        raise RnnbenchError(f"grid {grid.name!r}: no network of it can have {specs[0].size}; {label}: {why}")
    return facts
