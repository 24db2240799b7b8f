"""A parser whose errors are one sentence, and what many verbs share."""

import difflib
import math
import re
from argparse import Action, ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import user_path

RUN = (
    "a run's id or its start, task/architecture (its best seed), task/architecture/seed, or the path of a record or "
    "checkpoint"
)
"""What a verb says of an argument that is a run; `rnnbench.records.find.find_run` finds it."""
Verbs = dict[str, Callable[[Namespace], int]]
"""What each verb calls, with its options; it gives the exit code."""


class _Value:
    """How the text of an option is read. jsonargparse by itself would read numbers as YAML 1.1, where 1:30 is 90."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self.read = name, read

    def __call__(self, value: Any) -> Any:  # jsonargparse checks what was read, and defaults, once more
        try:
            return self.read(value) if isinstance(value, str) else value
        except RnnbenchError as error:
            raise ArgumentTypeError(str(error)) from None

    def __repr__(self) -> str:
        return self.name


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError
    return number


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RnnbenchError(f"{text!r} is not text in UTF-8") from None
    return text


_VALUES = {
    int: _Value("int", int),
    float: _Value("float", _finite),
    str: _Value("str", _text),
    Path: _Value("path", user_path),
}


class Parser(ArgumentParser):
    """Errors in one sentence, with the nearest verb or option; no abbreviations; `~` in a path is the home folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def add_argument(self, *names: Any, **options: Any) -> Action:
        """Declare an argument, as in `argparse`."""
        if options.get("type") in _VALUES:
            options["type"] = _VALUES[options["type"]]
        return super().add_argument(*names, **options)  # type: ignore[no-any-return]

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
