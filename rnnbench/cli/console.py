"""What verbs share that print: the console, JSON, and files that are set aside."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from rnnbench.utils.text import clean


def make_console() -> Console:
    """A console as wide as the terminal; into a pipe or a file, as `COLUMNS` says, else wide enough for a board."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=160)


def can_print(text: str) -> bool:
    """Whether the standard output has all letters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def print_json(content: Any) -> None:
    """Print as JSON, letters as they are, or as escapes where the standard output lacks one."""
    text = json.dumps(content, ensure_ascii=False, indent=1)
    print(text if can_print(text) else json.dumps(content, indent=1))


def warn_set_aside(problems: list[str]) -> None:
    """Print which files are not records and are left out."""
    for line in (line for problem in problems for line in problem.splitlines()):
        print(f"rnnbench: set aside: {clean(line)}", file=sys.stderr)


def say_written(what: str, path: Path) -> None:
    """Say on the standard error which file or folder was written: what a verb prints may go into a file."""
    print(f"rnnbench: {what} written to {clean(str(path))}", file=sys.stderr)


def save_chart(chart: Any, path: Path, title: str) -> None:
    """Write a chart in the format of the file's ending, and say so.

    Raises:
        RnnbenchError: the file cannot be written.
    """
    from rnnbench.analysis.charts import save

    save(chart, path, title)
    say_written("picture", path)
