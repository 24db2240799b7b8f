"""What the verbs that ask a trained model share: opening it, reading what is asked, warning of what it cannot read."""

import json
import sys
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import read_standard_input, read_text


def open_run(options: Namespace, verb: str) -> Any:
    """The trained run that `options` name, if it can answer `verb`.

    Raises:
        RnnbenchError: there is none, or it is of another objective.
    """
    from rnnbench.analysis.capabilities import check_able
    from rnnbench.harness.callbacks import snapshots
    from rnnbench.harness.load_run import load_run

    opened = load_run(options.run, options.leaderboard, options.runs)
    check_able(opened.model, verb, *(["replay"] if snapshots(opened.checkpoint.parent) else []))
    return opened


def asked(texts: list[str], file: Path | None, what: str) -> list[str]:
    """Texts of the command line, then one a line of a file or of the standard input.

    Raises:
        RnnbenchError: there is none, one is empty or not UTF-8, or the file cannot be read.
    """
    check_encodable(texts)
    placed = [(f"text {number} of {len(texts)}", text) for number, text in enumerate(texts, 1)]
    if file is not None:
        name = "the standard input" if str(file) == "-" else str(file)
        content = read_standard_input() if str(file) == "-" else read_text(file)
        if not content.strip():
            raise RnnbenchError(f"{name} is empty: there is nothing to {what}")
        lines = content.removesuffix("\n").split("\n")  # splitlines would cut at form feeds and the like, too
        placed += [(f"{name}, line {number}", line) for number, line in enumerate(lines, 1)]
    if not placed:
        raise RnnbenchError(f"nothing to {what}: give texts, or --file FILE (- is the standard input)")
    for place, text in placed:
        if not text.strip():
            raise RnnbenchError(f"{place} is empty: there is nothing to {what}")
    return [text for _, text in placed]


def check_encodable(texts: list[str]) -> None:
    """Refuse arguments of the command line with bytes that are not UTF-8, which no tokenizer can read.

    Raises:
        RnnbenchError: the first such argument.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            shown = text.encode(errors="surrogateescape").decode(errors="replace")
            raise RnnbenchError(f"the argument {shown!r} is not text in UTF-8") from None


def warn_unknown(said: str) -> None:
    """Tell on the standard error what a model cannot read, if anything."""
    if said:
        print(f"rnnbench: {said}", file=sys.stderr)


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
