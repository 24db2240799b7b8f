"""A reference of the command line, from its parser."""

import re
from typing import Any

from docs.generate.docstrings import table
from rnnbench.cli import VERBS, make_parser


def make() -> str:
    """The page of all verbs and their options."""
    parser = make_parser()
    (verbs,) = [vars(action)["choices"] for action in parser._actions if action.dest == "verb"]
    parts = ["# Commands", "Every verb of `rnnbench`, as `rnnbench VERB --help` prints it. `rnnbench-lightning` is "
             "Lightning's own command line, see [in a Lightning project](../guides/lightning.md)."]  # fmt: skip
    parts.append(table(["verb", "what"], [[f"[{verb}](#{verb})", text] for verb, text in VERBS.items()]))
    for verb, text in VERBS.items():
        parts += [f"## {verb}", f"{text[0].upper()}{text[1:]}.", _options(verbs[verb])]
    return "\n\n".join(filter(None, parts)) + "\n"


def _options(parser: Any) -> str:
    rows = []
    for action in parser._actions:
        if action.dest in ("help", "config", "print_config", "==SUPPRESS==") or "print_" in action.dest:
            continue
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
        value = action.metavar if action.option_strings and action.nargs != 0 and action.metavar else ""
        choices = ", ".join(f"`{choice}`" for choice in action.choices or ())
        default = "" if action.default in (None, [], False, "==SUPPRESS==") else f"`{action.default}`"
        meaning = re.sub(r"%\(default\)s", str(action.default), action.help or "")
        rows.append([f"{names} {value}".strip(), meaning + (f" ({choices})" if choices else ""), default])
    return table(["option", "meaning", "default"], rows)
