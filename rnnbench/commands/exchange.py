"""Verbs about records of and for others: `publish`, `verify`, `export`, `compare`, `upload`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.commands.parser import Verbs, add_folders, add_verb


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = add_verb(verbs, "publish", "check records and copy them into a leaderboard, with where they come from")
    one.add_argument("records", nargs="+", help="starts of ids, or task/architecture/seed, where * stands for anything")
    one.add_argument("--to", type=Path, required=True, metavar="DIR", help="the leaderboard that receives them")
    one.add_argument("--by", type=str, default="", metavar="NAME", help="who answers for them")
    add_folders(one)

    one = add_verb(verbs, "verify", "run a record's spec again and compare")
    one.add_argument("record", type=str, help="the start of a run's id, or the path of a record's file")
    one.add_argument("--tolerance", type=float, default=0.01, help="most that the score may differ, as a share of it")
    one.add_argument("--trust", action="store_true", help="run code that neither rnnbench nor a plug-in provides")
    add_folders(one)
    return {"publish": _publish, "verify": _verify}


def _publish(options: Namespace) -> int:
    from rnnbench.verbs.publish import publish

    return publish(options)


def _verify(options: Namespace) -> int:
    from rnnbench.verbs.publish import verify

    return verify(options)
