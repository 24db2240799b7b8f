"""Verbs about data: `data`, `vectors`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import Verbs, add_verb


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = add_verb(verbs, "vectors", "train word vectors on a task, for `embedding: FILE` of an architecture")
    one.add_argument("task", type=str, help="a task whose inputs are tokens; its training part is read")
    one.add_argument("--out", type=Path, required=True, metavar="FILE", help="text, or binary if it ends in .bin")
    one.add_argument("--size", type=int, default=50, help="numbers of a vector")
    one.add_argument("--epochs", type=int, default=5, help="passes over the text")
    one.add_argument("--window", type=int, default=5, help="tokens before and after that are predicted")
    one.add_argument("--seed", type=int, default=0, help="of all that is drawn")

    data = add_verb(verbs, "data", "the data of tasks").add_subcommands(dest="action", metavar="ACTION", required=True)
    one = add_verb(data, "list", "where the data of each task comes from, and whether it is here")
    one = add_verb(data, "fetch", "fetch and prepare the data of tasks")
    one.add_argument("tasks", nargs="*", help="names (default: all)")
    return {"data": _data, "vectors": _vectors}


def _vectors(options: Namespace) -> int:
    from rnnbench.cli.vectors import vectors

    vectors(options)
    return 0


def _data(options: Namespace) -> int:
    from rnnbench.cli.data import data_fetch, data_list

    if options.action == "list":
        data_list()
        return 0
    return data_fetch(options["fetch"].tasks)
