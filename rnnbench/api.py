"""The Python API, for scripts and notebooks: `import rnnbench as rb`.

    result = rb.run("quickstart", seeds=3)     # a grid's name, path or dict; only what is missing runs
    result                                     # in a notebook: the board
    result.to_pandas()                         # a row for each run
    trained = rb.load_run("adding/gru")        # the model with the best validation score
    rb.compare("lstm", "gru")

Records and working state lie in the same folders as those of the command line, and every error is a `RnnbenchError`.
Importing this module loads no torch.
"""

import io
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleRenderable

from rnnbench.config.grid import GridSpec, read_grid
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.harness.display import Display, make_display
from rnnbench.harness.driver import fold_ended
from rnnbench.harness.grid import RETRY, plan, run_grid
from rnnbench.harness.outcome import failures, unprepared
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import make_board, table_of
from rnnbench.leaderboard.compare import Versus, comparison_table, versus
from rnnbench.leaderboard.export import frame_of, rows_of
from rnnbench.leaderboard.grid_layout import Text
from rnnbench.leaderboard.render import Terminal, html_board, html_table
from rnnbench.leaderboard.table import Table, make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.selection import runs_of
from rnnbench.records.status import STATES, Cell, cells_of, cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.tracks import tracks_of
from rnnbench.utils.extras import check_extra
from rnnbench.utils.files import user_path

if TYPE_CHECKING:
    import pandas as pd

    from rnnbench.harness.load_run import TrainedRun

AnyPath = str | os.PathLike[str]
TEXT_WIDTH = 160
"""Columns of a table's text where nobody sets `COLUMNS`."""


class Board:
    """A table of the board: an HTML table in a notebook, text elsewhere.

    Args:
        table: architectures down, tasks across.
        problems: sentences that are shown above it.
    """

    def __init__(self, table: Table, problems: Sequence[str] = ()) -> None:
        self.table, self.problems = table, problems

    def __repr__(self) -> str:
        return "\n".join([*self.problems, _text(Terminal(self.table))])

    def _repr_html_(self) -> str:
        return html_board(self.table, self.problems)


@dataclass(frozen=True, repr=False)
class GridResult:
    """What a grid has led to, with the results of earlier calls.

    Args:
        grid: what was run.
        cells: its runs, each with its state, the reason if it is not done, and its record.
        folders: where records, checkpoints and logs lie.
        problems: sentences about runs that have failed, or never began since their data could not be prepared.
    """

    grid: GridSpec
    cells: list[Cell]
    folders: Folders
    problems: list[str] = field(default_factory=list)

    def board(self) -> Board:
        """The table of scores."""
        return Board(make_table(self.cells, self.grid), self.problems)

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each run, with the columns of `rnnbench export`; what a run does not have is missing there."""
        return frame_of(rows_of(self.cells))

    def plot(self) -> Any:
        """An Altair chart of the test scores: a panel for each task, a dot for each seed, the mean and its interval.

        Raises:
            RnnbenchError: no run is done, or the extra `plots` is not installed.
        """
        check_extra("plots", "a chart of scores", "altair")
        from rnnbench.analysis.charts import scores_chart

        table = make_table(self.cells, self.grid)
        panels = [panel for column in table.columns if (panel := table.panel(column)).scores]
        if not panels:
            raise RnnbenchError(f"grid {self.grid.name!r}: no run is done, so there are no scores to draw")
        return scores_chart([vars(panel) for panel in panels], self.grid.name)

    def __repr__(self) -> str:
        return f"{self._summary()}\n{self.board()!r}"

    def _repr_html_(self) -> str:
        return f"<p>{self._summary()}</p>{self.board()._repr_html_()}"

    def _summary(self) -> str:
        states = [cell.state for cell in self.cells]
        counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
        return f"grid {self.grid.name}: {len(states)} runs, {counts}"


class Comparison:
    """Two rows of the board against each other: an HTML table in a notebook, text elsewhere.

    Args:
        versus: the numbers.
    """

    def __init__(self, versus: Versus) -> None:
        self.versus = versus

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each task: both means, the number of shared seeds, the difference (above 0: the first is better),
        half the width of its 95 % interval, p after Holm's adjustment, and the verdict in words.
        """
        import pandas as pd

        a, b = self.versus.a.label, self.versus.b.label
        return pd.DataFrame(
            [
                {"task": one.column.task, "metric": one.column.metric, a: one.a, b: one.b, "seeds": one.seeds,
                 "difference": one.difference, "half_width": one.half_width, "p": one.p, "verdict": one.verdict(a, b)}
                for one in self.versus.duels
            ]
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"{_text(comparison_table(self.versus))}\n{self.versus.summary()}"

    def _repr_html_(self) -> str:
        rows = [[Text(field) for field in row] for row in self.versus.rows]
        return html_table(self.versus.heads, rows, [self.versus.summary()])


def run(
    grid: GridSpec | Mapping[str, Any] | AnyPath,
    *,
    leaderboard: AnyPath = "leaderboard",
    runs: AnyPath = "runs",
    retry: Collection[str] = (),
    refresh: bool = False,
    verbose: bool = True,
    **changes: Any,
) -> GridResult:
    """Run what is missing of a grid, as `rnnbench run` does.

    The pages of the leaderboard are left to `rnnbench board`. A run that fails raises nothing: its cell has the state
    and the reason. After Ctrl-C (in a notebook: interrupt the kernel) the same call goes on where it stopped.

    Args:
        grid: a grid's name, the path of its YAML file, or its content.
        leaderboard: folder of records.
        runs: folder of checkpoints and logs.
        retry: states of cells that are run again: `failed`, `infeasible`, `done`.
        refresh: run only what is stale.
        verbose: print a line for each run that starts and ends.
        changes: keys of the grid that stand instead of its own: `seeds=3`, `budget={"steps": 100}`.

    Raises:
        RnnbenchError: something in the grid is wrong, or a folder cannot be written; nothing was started then.
    """
    folders = _folders(leaderboard, runs)
    spec = _grid(grid, folders, changes)
    again = [retry] if isinstance(retry, str) else [*retry]
    for state in again:
        if state not in RETRY:
            raise unknown("state for retry", state, RETRY)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # a class_path may name a module beside the notebook
    records, _ = RecordStore(folders.leaderboard).read(slim=True)
    certificates = Certificates(folders.leaderboard)
    cells, todo = plan(spec, records, again, refresh, certificates)
    fold_ended((cell.spec for cell in cells), records, RecordStore(folders.leaderboard))
    not_run: list[str] = []
    if todo:
        display = make_display(cells, todo, Console()) if verbose else Display(cells, todo, Console(quiet=True))
        with display:
            run_grid(spec, todo, folders, display, again)
        not_run = [*unprepared(display.unprepared, len(cells), folders.working(spec.name))]
    records, _ = RecordStore(folders.leaderboard).read()
    cells = cells_of(runs_of(spec, records), records, certificates=Certificates(folders.leaderboard))
    return GridResult(spec, cells, folders, [*failures(cells), *not_run])


def load_records(leaderboard: AnyPath = "leaderboard") -> "pd.DataFrame":
    """All records of a leaderboard: a row for each run, with the columns of `rnnbench export`.

    A file that is no record is left out, with a warning.

    Raises:
        RnnbenchError: there are no records, or the folder cannot be read.
    """
    folders = _folders(leaderboard, "runs")
    records, problems = RecordStore(folders.leaderboard).read()
    _warn(problems)
    if not records:
        raise RnnbenchError(folders.no_records)
    return frame_of(rows_of(cells_on_record(records, Certificates(folders.leaderboard)), tracks_of(records)))


def load_run(run: str, *, leaderboard: AnyPath = "leaderboard", runs: AnyPath = "runs") -> "TrainedRun":
    """A trained model, with its tokenizer and data.

    Args:
        run: `task/architecture` (the seed with the best validation score), `task/architecture/seed`, the start of a
            run's id, or the path of a record or a checkpoint.
        leaderboard: folder of records.
        runs: folder of checkpoints.

    Returns:
        `model`: the LightningModule, in evaluation mode, on the CPU; `tokenizer` (None of a model that reads no
        tokens); `data`: the LightningDataModule; `record`.

    Raises:
        RnnbenchError: there is no such run, it is not done, or its checkpoint is missing or cannot be read.
    """
    from rnnbench.harness.load_run import load_run as load

    folders = _folders(leaderboard, runs)
    return load(run, folders.leaderboard, folders.runs)


def compare(
    a: str, b: str, *, task: str | None = None, track: str | None = None, leaderboard: AnyPath = "leaderboard"
) -> Comparison:
    """Two architectures against each other, on the tasks and seeds that both have run, as `rnnbench compare` does.

    Args:
        a: an architecture, or a row of the board as it is labelled there.
        b: another.
        task: only on this one.
        track: only runs of this track.
        leaderboard: folder of records.

    Raises:
        RnnbenchError: there are no records, no such row, task or track, or the two have no task and seed in common.
    """
    folders = _folders(leaderboard, "runs")
    records, problems = RecordStore(folders.leaderboard).read()
    _warn(problems)
    if not records:
        raise RnnbenchError(folders.no_records)
    certificates = Certificates(folders.leaderboard)
    if track is None:
        return Comparison(versus(make_table(cells_on_record(records, certificates)), a, b, task))
    return Comparison(versus(table_of(make_board(records, certificates), track), a, b, task))


def _folders(leaderboard: AnyPath, runs: AnyPath) -> Folders:
    return Folders(user_path(os.fspath(leaderboard)), user_path(os.fspath(runs)))


def _grid(grid: GridSpec | Mapping[str, Any] | AnyPath, folders: Folders, changes: Mapping[str, Any]) -> GridSpec:
    """The grid with the changes, read as strictly as a file."""
    if isinstance(grid, str | os.PathLike):
        grid = folders.grid(os.fspath(grid))
    if isinstance(grid, GridSpec):
        if not changes:
            return grid
        return read_grid({**grid.model_dump(exclude_unset=True), **changes}, f"grid {grid.name!r}")
    if not isinstance(grid, Mapping):
        raise RnnbenchError(f"grid must be a name, a path or a dict, got {type(grid).__name__}")
    return read_grid({"name": "notebook", **grid, **changes}, "grid")


def _text(renderable: ConsoleRenderable) -> str:
    """What a table looks like in a terminal, without colours."""
    out = io.StringIO()
    width = None if "COLUMNS" in os.environ else TEXT_WIDTH
    Console(file=out, width=width, force_jupyter=False, color_system=None).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _warn(problems: Iterable[str]) -> None:
    for problem in problems:
        warnings.warn(f"set aside: {problem}", stacklevel=3)
