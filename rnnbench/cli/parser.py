"""A parser whose errors are one sentence, and the options that many verbs share."""

import difflib
import math
import re
from argparse import Action, ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import user_path

RUN = (
    "a run's id or its start, task/architecture (its best seed), task/architecture/seed, or the path of a record or "
    "checkpoint"
)
"""Help of an argument that is a run; `rnnbench.records.find.find_run` finds it."""


class _Value:
    """Converts the text of an option. jsonargparse by itself would read numbers as YAML 1.1, where 1:30 is 90."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self.read = name, read

    def __call__(self, value: Any) -> Any:  # jsonargparse checks converted values and defaults once more
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
    """Add a verb, and return its parser."""
    parser = Parser(description=help_text[0].upper() + help_text[1:] + ".")
    verbs.add_subcommand(name, parser, help=help_text)
    return parser


def add_several(parser: Parser, option: str, help_text: str) -> None:
    """An option that may be repeated, with a single value each time, so that it never swallows an argument."""
    parser.add_argument(option, action="append", type=str, default=[], help=f"{help_text}; may be given several times")


def add_names(parser: Parser, option: str, help_text: str) -> None:
    """An option for names, separated by commas or repeated; `names_of` reads it."""
    parser.add_argument(option, action="append", type=str, default=[], metavar="NAME[,NAME…]", help=help_text)


def names_of(values: Sequence[str]) -> list[str]:
    """The names in the values of an option of `add_names`, without duplicates."""
    return list(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def add_folders(parser: Parser) -> None:
    """Options for the folders of records and of working state."""
    parser.add_argument(
        "--leaderboard", type=Path, default=Path("leaderboard"), metavar="DIR", help="records and boards"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="checkpoints, logs, working state"
    )


def add_grid(parser: Parser) -> None:
    """An argument that is a grid."""
    parser.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")


def add_run(parser: Parser) -> None:
    """An argument that is a run, and where runs lie."""
    parser.add_argument("run", type=str, help=RUN)
    add_folders(parser)


def add_precision(parser: Parser) -> None:
    """An option for the numbers that a trained model computes in."""
    help_text = "numbers of the model: bf16 rounds in products, int8 keeps weights in eight bits (LSTM and GRU)"
    parser.add_argument("--precision", choices=["fp32", "bf16", "int8"], default="fp32", help=help_text)


def add_json(parser: Parser) -> None:
    """An option for output as JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_plot(parser: Parser) -> None:
    """Options for a picture and for JSON, and where runs lie."""
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="a picture: .html (a page by itself), .png, .svg, .json"
    )
    add_json(parser)
    add_folders(parser)


def add_trust(parser: Parser) -> None:
    """An option that allows code of others to be run."""
    parser.add_argument("--trust", action="store_true", help="run code that neither rnnbench nor a plug-in provides")
