"""The command line. Nothing heavy is imported before a verb needs it: `--help` and `list` never see torch."""

import difflib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from rnnbench import __version__
from rnnbench.errors import RnnbenchError

INTERRUPTED = 130
RETRY = ("failed", "infeasible", "done")


class Parser(ArgumentParser):
    """Errors in one sentence, with the nearest verb or option; no abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong and exit with code 2."""
        known = [option for action in self._actions for option in action.option_strings]
        verbs = [str(name) for action in self._actions for name in (action.choices or ())]
        for word in re.findall(r"--[\w.-]+|'[\w.-]+'", message):
            near = difflib.get_close_matches(word.strip("'"), known if word.startswith("--") else verbs, n=1)
            if near and near[0] != word.strip("'"):
                message = f"{message.strip()}; did you mean {near[0]!r}?"
                break
        message = re.sub(r"<class '(\w+)'>", r"\1", " ".join(message.split()))
        self.exit(2, f"rnnbench: error: {message} ({self.prog.replace('[options] ', '')} --help says more)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when all went well, 1 when runs failed, 2 for what the user can mend, 130 when interrupted."""
    options = make_parser().parse_args(arguments)
    verb = VERBS[options.verb]
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # a class_path may name a module of the user's folder, as under `python -m`
    try:
        return verb(options[options.verb])
    except RnnbenchError as error:
        print(f"rnnbench: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rnnbench: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def make_parser() -> Parser:
    """The parser with all verbs."""
    parser = Parser(
        prog="rnnbench", description="Benchmark recurrent networks: grids of runs that end in a leaderboard."
    )
    parser.add_argument("--version", action="version", version=f"rnnbench {__version__}")
    verbs = parser.add_subcommands(dest="verb", metavar="VERB", required=True)

    one = _verb(verbs, "list", "architectures, tasks and grids, each with one line")
    one.add_argument("kind", nargs="?", choices=["architectures", "tasks", "grids"], help="only these")

    one = _verb(verbs, "run", "run what is missing of a grid, then print the board")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    one.add_argument("--executor", choices=["local", "inline"], help="instead of the grid's own")
    one.add_argument("--workers", type=int, help="runs at a time (default: one a GPU, or without GPUs one a core)")
    one.add_argument("--retry", nargs="+", choices=RETRY, default=[], help="run cells in these states again")
    one.add_argument("--print_config", nargs="?", type=str, help="print the grid with all defaults and stop")
    _folders(one)

    one = _verb(verbs, "status", "what of a grid is done, running, missing, and what failed why")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    _folders(one)

    one = _verb(verbs, "board", "print the board and write it to leaderboard/README.md")
    one.add_argument("grid", nargs="?", type=str, help="only this grid (printed, not written)")
    _folders(one)

    one = _verb(verbs, "show", "everything a record says about one run")
    one.add_argument("run", type=str, help="the start of a run's id")
    _folders(one)

    one = _verb(verbs, "check", "check every card, architecture, grid and record")
    _folders(one)

    one = _verb(verbs, "smoke", "train and test every architecture on a twin of every task for a moment, offline")
    one.add_argument("--architectures", nargs="+", default=[], help="names (default: all)")
    one.add_argument("--tasks", nargs="+", default=[], help="names (default: all)")
    one.add_argument("--workers", type=int, default=2, help="processes")

    one = _verb(verbs, "vectors", "train word vectors on a task, for `embedding: FILE` of an architecture")
    one.add_argument("task", type=str, help="a task whose inputs are tokens; its training part is read")
    one.add_argument("--out", type=Path, required=True, metavar="FILE", help="text, or binary if it ends in .bin")
    one.add_argument("--size", type=int, default=50, help="numbers of a vector")
    one.add_argument("--epochs", type=int, default=5, help="passes over the text")
    one.add_argument("--window", type=int, default=5, help="tokens before and after that are predicted")
    one.add_argument("--seed", type=int, default=0, help="of all that is drawn")

    data = _verb(verbs, "data", "the data of tasks").add_subcommands(dest="action", metavar="ACTION", required=True)
    one = _verb(data, "list", "where the data of each task comes from, and whether it is here")
    one = _verb(data, "fetch", "fetch and prepare the data of tasks")
    one.add_argument("tasks", nargs="*", help="names (default: all)")
    return parser


def _verb(verbs: Any, name: str, help_text: str) -> Parser:
    one = Parser(description=help_text[0].upper() + help_text[1:] + ".")
    verbs.add_subcommand(name, one, help=help_text)
    return one


def _folders(parser: Parser) -> None:
    parser.add_argument(
        "--leaderboard", type=Path, default=Path("leaderboard"), metavar="DIR", help="records and boards"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="checkpoints, logs, working state"
    )


def _list(options: Namespace) -> int:
    from rnnbench.verbs.show import list_all

    list_all(options.kind)
    return 0


def _run(options: Namespace) -> int:
    from rnnbench.verbs.run import print_config, run

    if options.print_config is not None:
        print_config(options)
        return 0
    return run(options)


def _status(options: Namespace) -> int:
    from rnnbench.verbs.show import status

    status(options)
    return 0


def _board(options: Namespace) -> int:
    from rnnbench.verbs.show import board

    board(options)
    return 0


def _show(options: Namespace) -> int:
    from rnnbench.verbs.show import show

    show(options)
    return 0


def _check(options: Namespace) -> int:
    from rnnbench.verbs.check import check_all

    return check_all(options)


def _smoke(options: Namespace) -> int:
    from rnnbench.verbs.smoke import smoke

    return smoke(options.architectures, options.tasks, options.workers)


def _vectors(options: Namespace) -> int:
    from rnnbench.verbs.vectors import vectors

    vectors(options)
    return 0


def _data(options: Namespace) -> int:
    from rnnbench.verbs.data import data_fetch, data_list

    if options.action == "list":
        data_list()
        return 0
    return data_fetch(options["fetch"].tasks)


VERBS: dict[str, Callable[[Namespace], int]] = {
    "list": _list,
    "run": _run,
    "status": _status,
    "board": _board,
    "show": _show,
    "check": _check,
    "smoke": _smoke,
    "vectors": _vectors,
    "data": _data,
}

if __name__ == "__main__":
    sys.exit(main())
