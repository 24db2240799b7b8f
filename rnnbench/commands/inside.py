"""Verbs that ask a trained model: `generate`, `score`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.commands.parser import Parser, Verbs, add_folders, add_verb

RUN = "a run's id or its start, task/architecture (its best seed), or the path of a checkpoint"


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = _add(verbs, "generate", "let a language model go on with a text")
    one.add_argument("--prompt", nargs="+", type=str, default=[""], help="texts to go on with (default: begin one)")
    one.add_argument("--count", type=int, default=1, help="texts for each prompt")
    one.add_argument("--length", type=int, default=200, help="most tokens to add")
    one.add_argument("--temperature", type=float, default=1.0, help="below 1 bolder, above 1 wilder")
    one.add_argument("--top-k", type=int, help="draw from the k likeliest tokens alone")
    one.add_argument("--top-p", type=float, help="draw from the fewest tokens of this probability together")
    one.add_argument("--greedy", action="store_true", help="the likeliest token at each step")
    one.add_argument("--beam", type=int, default=1, help="look for the likeliest text with so many beginnings")
    one.add_argument("--seed", type=int, default=0, help="of what is drawn")
    _add_json(one)

    one = _add(verbs, "score", "how likely a language model finds texts")
    one.add_argument("texts", nargs="*", type=str, help="texts to compare")
    one.add_argument("--file", type=Path, help="one text a line; - reads from the standard input")
    one.add_argument("--context", type=str, default="", help="what stands before each text, and is not scored")
    one.add_argument("--end", action="store_true", help="score too that the text ends there")
    one.add_argument("--tokens", action="store_true", help="show the surprise of every token")
    _add_json(one)
    return {"generate": _generate, "score": _score}


def _add(verbs: Any, name: str, help_text: str) -> Parser:
    one = add_verb(verbs, name, help_text)
    one.add_argument("run", type=str, help=RUN)
    add_folders(one)
    return one


def _add_json(one: Parser) -> None:
    one.add_argument("--json", action="store_true", help="print JSON")


def _generate(options: Namespace) -> int:
    from rnnbench.verbs.language import generate

    generate(options)
    return 0


def _score(options: Namespace) -> int:
    from rnnbench.verbs.language import score

    score(options)
    return 0
