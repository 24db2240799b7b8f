"""`rnnbench check`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_folders
from rnnbench.config.cards import ArchitectureCard, TaskCard
from rnnbench.config.grid import GridSpec, Track
from rnnbench.config.registry import catalogue
from rnnbench.config.search_space import Space
from rnnbench.errors import RnnbenchError
from rnnbench.records.submissions.check import Audit, audit
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("folder", nargs="?", type=Path, help="only the records of this leaderboard")
    parser.add_argument("--base", type=str, metavar="REV", help="what a change is held against (default: main)")
    add_folders(parser)


def run(options: Namespace) -> int:
    """Check everything that has a name, and all records; with a folder, only its records. 2 if there is a problem."""
    folder: Path = options.folder or options.leaderboard
    problems, counts = ([], {}) if options.folder else _check_names()
    records = audit(folder, options.base) if options.folder or folder.is_dir() else Audit()
    problems += records.problems
    counts["record"] = records.records
    for kind, sentences in (("note", records.notes), ("error", problems)):
        for line in [line for sentence in sentences for line in sentence.splitlines()]:
            print(f"rnnbench: {kind}: {clean(line)}", file=sys.stderr)
    summary = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    print(f"checked {summary}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}")
    return 2 if problems else 0


def _check_names() -> tuple[list[str], dict[str, int]]:
    """Problems of cards, architectures and grids, and how many there are of each."""
    from rnnbench.harness.preflight import check

    problems: list[str] = []
    counts: dict[str, int] = {}
    loaders: dict[str, Callable[[str], Any]] = {
        "task": TaskCard.load,
        "architecture": ArchitectureCard.load,
        "space": lambda name: Space.load(name, "", []),
        "grid": lambda name: check(GridSpec.load(name).expand()),
        "track": lambda name: check(_track(name).expand()),
    }
    for kind, load in loaders.items():
        others = catalogue("track") if kind == "grid" else {}
        for name in (name for name in catalogue(kind) if name not in others):
            counts[kind] = counts.get(kind, 0) + 1
            problems += _error_of(load, name)
    if not problems:
        names = {"architectures": list(catalogue("architecture")), "tasks": list(catalogue("task"))}
        problems = _error_of(lambda _: check(GridSpec.read({"name": "check", **names}, "check").expand()), "")
    return problems, counts


def _track(name: str) -> Track:
    """The track of that name.

    Raises:
        RnnbenchError: something in it is wrong, or it is a grid without title and version.
    """
    grid = GridSpec.load(name)
    if not isinstance(grid, Track):
        raise RnnbenchError(f"{catalogue('track')[name]}: a track has a title, a summary and a version")
    return grid


def _error_of(load: Callable[[str], Any], name: str) -> list[str]:
    try:
        load(name)
    except RnnbenchError as error:
        return [str(error)]
    return []
