"""`rnnbench check`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_folders
from rnnbench.config.cards import ArchitectureCard, TaskCard
from rnnbench.config.grid import GridSpec, Track
from rnnbench.config.registry import YAML, catalogue
from rnnbench.config.schema import read_yaml
from rnnbench.config.search_space import Space
from rnnbench.errors import RnnbenchError
from rnnbench.records.submissions.check import Audit, audit
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "paths", nargs="*", type=Path, help="only the records of a leaderboard, or a card, a grid or a folder of these"
    )
    parser.add_argument("--base", type=str, metavar="REV", help="what a change is held against (default: main)")
    add_folders(parser)


def run(options: Namespace) -> int:
    """Check everything that has a name, and all records; with paths, only what is there. 2 if there is a problem."""
    paths: list[Path] = options.paths
    cards = [card for path in paths for card in _cards_at(path)]
    boards = [path for path in paths if not _cards_at(path)] if paths else [options.leaderboard]
    problems, counts = _check_cards(cards) if paths else _check_names()
    notes: list[str] = []
    for board in boards:
        records = audit(board, options.base) if paths or board.is_dir() else Audit()
        problems += records.problems
        notes += records.notes
        counts["record"] = counts.get("record", 0) + records.records
    for kind, sentences in (("note", notes), ("error", problems)):
        for line in [line for sentence in sentences for line in sentence.splitlines()]:
            print(f"rnnbench: {kind}: {clean(line)}", file=sys.stderr)
    summary = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    print(f"checked {summary}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}")
    return 2 if problems else 0


def _cards_at(path: Path) -> list[Path]:
    """The cards, architectures and grids at a path; none for a leaderboard."""
    return [path] if path.suffix in YAML else sorted(one for one in path.glob("*") if one.suffix in YAML)


def _check_cards(paths: list[Path]) -> tuple[list[str], dict[str, int]]:
    """Problems of cards, architectures and grids by their files, and how many there are of each."""
    from rnnbench.harness.preflight import check

    problems: list[str] = []
    counts: dict[str, int] = {}
    for path in paths:
        try:
            content = read_yaml(path)
            keys = set(content) if isinstance(content, dict) else set()
            kind = "task" if path.name == "task.yaml" else "architecture" if "class_path" in keys else "grid"
            counts[kind] = counts.get(kind, 0) + 1
            whole = {"name": "check", "tasks": ["adding"], "architectures": ["gru"]}
            parts = {"task": {"tasks": [str(path)]}, "architecture": {"architectures": [str(path)]}}
            grid = GridSpec.load(str(path)) if kind == "grid" else GridSpec.read({**whole, **parts[kind]}, str(path))
            check(grid.expand())
        except RnnbenchError as error:
            problems.append(str(error))
    return problems, counts


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
