"""Verbs that show what goes on inside: `gradients`, `gates`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import RUN, Parser, Verbs, add_folders, add_names, add_verb, names_of


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = add_verb(verbs, "gradients", "how gradients of a grid's networks fall off through time")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    one.add_argument("--task", type=str, help="only this (default: all of the grid)")
    add_names(one, "--architectures", "only these (default: all of the grid)")
    one.add_argument("--seed", type=int, help="whose runs (default: the grid's first)")
    one.add_argument("--sequences", type=int, default=8, help="sequences of the validation part")
    _add_output(one)

    one = add_verb(verbs, "gates", "what a network's gates and states do over a sequence")
    one.add_argument("run", type=str, help=RUN)
    one.add_argument("text", nargs="?", type=str, help="a text to read (default: a sequence of the validation part)")
    one.add_argument("--sequence", type=int, default=0, help="which of the validation part, if there is no text")
    one.add_argument("--steps", type=int, default=80, help="most steps that are shown")
    one.add_argument("--units", type=int, default=24, help="units in a picture: those that change most")
    _add_output(one)
    return {"gradients": _gradients, "gates": _gates}


def _add_output(one: Parser) -> None:
    one.add_argument("--plot", type=Path, metavar="FILE", help="a picture: .html (a page by itself), .png, .svg, .json")
    one.add_argument("--json", action="store_true", help="print JSON")
    add_folders(one)


def _gradients(options: Namespace) -> int:
    from rnnbench.cli.gradients import gradients

    options.architectures = names_of(options.architectures)
    gradients(options)
    return 0


def _gates(options: Namespace) -> int:
    from rnnbench.cli.gates import gates

    gates(options)
    return 0
