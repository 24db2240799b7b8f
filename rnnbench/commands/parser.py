"""A parser whose errors are one sentence, and what many verbs share."""

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

RUN = (
    "a run's id or its start, task/architecture (its best seed), task/architecture/seed, or the path of a record or "
    "checkpoint"
)
"""What a verb says of an argument that is a run; `rnnbench.runs.find_run` finds it."""
Verbs = dict[str, Callable[[Namespace], int]]
"""What each verb calls, with its options; it gives the exit code."""


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


def add_verb(verbs: Any, name: str, help_text: str) -> Parser:
    """A verb of its own, and its parser."""
    one = Parser(description=help_text[0].upper() + help_text[1:] + ".")
    verbs.add_subcommand(name, one, help=help_text)
    return one


def add_several(parser: Parser, option: str, help_text: str) -> None:
    """An option that may be given several times, with one value each: it never takes an argument beside it."""
    parser.add_argument(option, action="append", type=str, default=[], help=f"{help_text}; may be given several times")


def add_names(parser: Parser, option: str, help_text: str) -> None:
    """An option for names, several with commas between them, or given several times; read it by `names_of`."""
    parser.add_argument(option, action="append", type=str, default=[], metavar="NAME[,NAME…]", help=help_text)


def names_of(values: Sequence[str]) -> list[str]:
    """The names given to an option of `add_names`, each once."""
    return list(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def add_folders(parser: Parser) -> None:
    """Where records and working state lie."""
    parser.add_argument(
        "--leaderboard", type=Path, default=Path("leaderboard"), metavar="DIR", help="records and boards"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="checkpoints, logs, working state"
    )
