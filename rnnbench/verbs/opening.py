"""What the verbs that ask a trained model share: opening it, reading what is asked, warning of what it cannot read."""

import json
import sys
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.errors import RnnbenchError
from rnnbench.strict import read_text


def open_run(options: Namespace, verb: str) -> Any:
    """The trained run that `options` name, if it can answer `verb`.

    Raises:
        RnnbenchError: there is none, or it is of another objective.
    """
    from rnnbench.harness.reopen import reopen
    from rnnbench.harness.snapshots import snapshots
    from rnnbench.inside.ability import check_able

    opened = reopen(options.run, options.leaderboard, options.runs)
    check_able(opened.model, verb, *(["replay"] if snapshots(opened.checkpoint.parent) else []))
    return opened


def asked(texts: list[str], file: Path | None, what: str) -> list[str]:
    """Texts of the command line, then one a line of a file or of the standard input.

    Raises:
        RnnbenchError: there is none, or the file cannot be read.
    """
    lines = list(texts)
    if file is not None:
        content = _standard_input() if str(file) == "-" else read_text(file)
        lines += content.splitlines()
    if not lines:
        raise RnnbenchError(f"nothing to {what}: give texts, or --file FILE (- is the standard input)")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise RnnbenchError(f"text {number} of {len(lines)} is empty: there is nothing to {what}")
    return lines


def _standard_input() -> str:
    """The standard input, in UTF-8 as files are, whatever the terminal writes."""
    raw = getattr(sys.stdin, "buffer", None)
    if raw is None or sys.stdin.isatty():
        return sys.stdin.read()
    try:
        return str(raw.read().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise RnnbenchError("the standard input is not text in UTF-8") from None


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
