"""`rnnbench completion`."""

from argparse import Action
from collections.abc import Iterator
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli import make_parser
from rnnbench.cli.parser import Parser

SHELLS = ("bash", "zsh", "fish")
LEADERBOARD = "leaderboard"
"""Where runs are looked for that are offered: the default of `--leaderboard`."""
NAMES = {kind: f"rnnbench list {kind} --names" for kind in ("architectures", "tasks", "tracks")}
COMMANDS = {
    "grid": "rnnbench list grids --names; ls | grep -F .yaml",
    **dict.fromkeys(
        ("run", "record"), f"find {LEADERBOARD}/records -mindepth 2 -maxdepth 2 -type d 2>/dev/null | cut -d/ -f3-4"
    ),
    **dict.fromkeys(("task", "tasks"), NAMES["tasks"]),
    **dict.fromkeys(("a", "b", "architectures"), NAMES["architectures"]),
    "track": NAMES["tracks"],
}
"""By the name of an argument, the command of a shell that prints what it may be; without quotation marks, as it is put
into them by some shells."""
FOLDERS = ("leaderboard", "runs", "to", "folder")

HELP = (
    'add `eval "$(rnnbench completion bash)"` to ~/.bashrc; for zsh the same with zsh to ~/.zshrc, after compinit; for '
    "fish write it to ~/.config/fish/completions/rnnbench.fish"
)


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=SHELLS, help=HELP)


def run(options: Namespace) -> None:
    """Print a script for a shell, which completes verbs, options, and names of grids, runs, tasks and architectures."""
    print(completion_script(options.shell))


def completion_script(shell: str) -> str:
    """The script for a shell: verbs and options are in it; names are asked for when they are completed."""
    import shtab

    parser = make_parser()
    for action in _arguments(parser):
        if command := COMMANDS.get(action.dest):
            action.complete = _asked_for(action.dest, command)  # type: ignore[attr-defined]
        elif action.dest in FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif repr(action.type) == "path":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _asked_for(name: str, command: str) -> dict[str, Any]:
    """How shells complete an argument by what a command prints.

    zsh calls a function: a command in the list of arguments would be run for each of them whenever a shell starts.
    """
    import shtab

    given: dict[str, Any] = dict(shtab.cmd(command))
    function = f"_rnnbench_{name}"
    given["preamble"] = {**given["preamble"], "zsh": f"{function}() {{ compadd -- $({command}) }}"}
    return {**given, "zsh": function}


def _arguments(parser: Parser) -> Iterator[Action]:
    """The arguments of a parser and of all its verbs that take a value and have no list of choices."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for verb in action.choices.values():
                yield from _arguments(verb)
        elif action.choices is None and action.nargs != 0:
            yield action
