"""`rnnbench importance`: which hyper-parameters matter, by the trials of a grid."""

from collections.abc import Mapping, Sequence
from shlex import quote
from statistics import fmean
from typing import Any

from jsonargparse import Namespace
from rich import box
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import make_console, warn_set_aside
from rnnbench.cli.parser import Parser, add_folders, add_grid
from rnnbench.config.search_space import Dimension, Space
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.importance import INTERACTIONS, importances
from rnnbench.records.store import RecordStore
from rnnbench.records.trials import Study, studies
from rnnbench.utils.extras import check_extra

MIN_TRIALS = 8
"""Trials a hyper-parameter below which shares are mostly noise (Greff et al. 2015 had fifty)."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_grid(parser)
    parser.add_argument("--task", type=str, help="only this task")
    add_folders(parser)


def run(options: Namespace) -> None:
    """Print, of each architecture, the share of variance that each hyper-parameter explains on each task.

    Raises:
        RnnbenchError: the grid has no such task, no trials or too few that have ended; or a package is missing.
    """
    check_extra("tune", "importance")
    folders = Folders(options.leaderboard, options.runs)
    grid = folders.grid(options.grid)
    if grid.tune is None:
        raise RnnbenchError(f"grid {grid.name!r} has no trials: it does not say `tune`")
    runs = [spec for spec in grid.expand() if spec.trial]
    tasks = list(dict.fromkeys(spec.task.name for spec in runs))
    if options.task is not None and options.task not in tasks:
        raise unknown("task", options.task, tasks, f"grid {grid.name!r}")
    records, problems = RecordStore(folders.leaderboard).read()
    ended = [records[spec.id] for spec in runs if spec.id in records and options.task in (None, spec.task.name)]
    if not ended:
        again = f"rnnbench run {quote(options.grid)}{folders.options}"
        raise RnnbenchError(f"no trial of grid {grid.name!r} has ended; run it with: {again}")
    names = list(dict.fromkeys(spec.architecture.name for spec in runs))
    space, console = Space.load(grid.tune.space, f"grid {grid.name!r}", names), make_console()
    tables, notes, why_not = list[Table](), list[str](), list[str]()
    for name in names:
        own = [one for one in studies(ended).values() if one.spec.architecture.name == name]
        points = {run.trial.index: run.trial.arguments for run in runs if run.trial and run.architecture.name == name}
        shares, warnings, failures = _shares(own, points, space.dimensions(name))
        tables += [_table(name, own, shares, space.dimensions(name))] if shares else []
        notes += [f"{name} on {note}" for note in [*warnings, *failures]]
        why_not += [f"{name} on {why}" for why in failures]
    warn_set_aside(problems)
    if not tables:
        raise RnnbenchError(f"nothing can be said of importance: {'; '.join(why_not)}")
    console.print(*tables)
    for note in notes:
        console.print(Text(note, style="dim"))


Points = Mapping[int, Mapping[str, Any]]


def _shares(
    own: Sequence[Study], points: Points, dimensions: Mapping[str, Dimension]
) -> tuple[dict[str, dict[str, float]], list[str], list[str]]:
    """Of each task the shares of the hyper-parameters; notes; and of tasks without shares why."""
    found: dict[str, dict[str, float]] = {}
    notes, why_not = [], []
    for study in own:
        task, wanted = study.spec.task.name, MIN_TRIALS * len(dimensions)
        notes += [f"{task}: {study.lost}; they are left out"] if study.lost else []
        if len(study.scores) < wanted:
            notes.append(f"{task}: {len(study.scores)} scores say little of {len(dimensions)} hyper-parameters; "
                         f"{wanted} are a start")  # fmt: skip
        try:
            found[task] = importances(dimensions, [points[index] for index in study.scores], [*study.scores.values()])
        except RnnbenchError as error:
            why_not.append(f"{task}: {error}")
    return found, notes, why_not


def _table(
    architecture: str, own: Sequence[Study], found: dict[str, dict[str, float]], dimensions: Mapping[str, Dimension]
) -> Table:
    heads = [f"{one.spec.task.name}\n{one.trials} trials" for one in own if one.spec.task.name in found]
    title = {"title": architecture, "title_justify": "left", "title_style": "bold"}
    table = Table("", *heads, box=box.SIMPLE, pad_edge=False, **title)  # type: ignore[arg-type]
    for column in table.columns[1:]:
        column.justify = "right"
    order = sorted(dimensions, key=lambda name: -fmean(one[name] for one in found.values()))
    for name in [*order, INTERACTIONS]:
        table.add_row(Text(name), *(f"{100 * shares[name]:.1f} %" for shares in found.values()))
    return table
