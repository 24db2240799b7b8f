"""Verbs that only look: `list`, `status`, `board`, `show`, `importance`, `check`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import RUN, Verbs, add_folders, add_verb
from rnnbench.errors import RnnbenchError


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = add_verb(verbs, "list", "architectures, tasks, grids and spaces, each with one line")
    one.add_argument("kind", nargs="?", choices=["architectures", "tasks", "grids", "spaces"], help="only these")

    one = add_verb(verbs, "status", "what of a grid is done, running, missing, and what failed why")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    add_folders(one)

    one = add_verb(verbs, "board", "print the board and write it to leaderboard/README.md")
    one.add_argument("grid", nargs="?", type=str, help="only this grid (printed, not written)")
    one.add_argument("--preview", action="store_true", help="print what the records change against --base, no more")
    one.add_argument("--base", type=str, metavar="REV", help="a revision of git (default: where HEAD left main)")
    add_folders(one)

    one = add_verb(verbs, "show", "everything a record says about one run")
    one.add_argument("run", type=str, help=RUN)
    add_folders(one)

    one = add_verb(verbs, "importance", "which hyper-parameters matter, by the trials of a grid that is tuned")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    one.add_argument("--task", type=str, help="only this task")
    add_folders(one)

    one = add_verb(verbs, "check", "check every card, architecture, grid and record")
    one.add_argument("folder", nargs="?", type=Path, help="only the records of this leaderboard")
    one.add_argument("--base", type=str, metavar="REV", help="what a change is held against (default: main)")
    add_folders(one)
    return {
        "list": _list,
        "status": _status,
        "board": _board,
        "show": _show,
        "importance": _importance,
        "check": _check,
    }


def _list(options: Namespace) -> int:
    from rnnbench.cli.show import list_all

    list_all(options.kind)
    return 0


def _status(options: Namespace) -> int:
    from rnnbench.cli.show import status

    status(options)
    return 0


def _board(options: Namespace) -> int:
    if options.preview:
        from rnnbench.cli.preview import show_preview
        from rnnbench.cli.run import make_console

        if options.grid:
            raise RnnbenchError(f"--preview is of all records; leave out the grid {options.grid!r}")
        return show_preview(options.leaderboard, options.base, make_console())
    from rnnbench.cli.show import board

    board(options)
    return 0


def _show(options: Namespace) -> int:
    from rnnbench.cli.show import show

    show(options)
    return 0


def _importance(options: Namespace) -> int:
    from rnnbench.cli.importance import importance

    importance(options)
    return 0


def _check(options: Namespace) -> int:
    from rnnbench.cli.check import check_all

    return check_all(options)
