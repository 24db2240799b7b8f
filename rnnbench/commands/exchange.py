"""Verbs about records that are there: `certify`, `publish`, `verify`, `export`, `compare`, `upload`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import RUN, Verbs, add_folders, add_verb


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = add_verb(verbs, "certify", "check by short probes that the code still gives what older records say")
    one.add_argument("--workers", type=int, help="probes at a time (default: one a GPU, or without GPUs one a core)")
    one.add_argument("--trust", action="store_true", help="run code that neither rnnbench nor a plug-in provides")
    add_folders(one)

    one = add_verb(verbs, "publish", "check records and copy them into a leaderboard, with where they come from")
    one.add_argument(
        "records",
        nargs="+",
        help="starts of ids; task/architecture/seed or a part, where * stands for anything; or paths",
    )
    one.add_argument("--to", type=Path, required=True, metavar="DIR", help="the leaderboard that receives them")
    one.add_argument("--by", type=str, default="", metavar="NAME", help="who answers for them")
    add_folders(one)

    one = add_verb(verbs, "verify", "run a record's spec again and compare")
    one.add_argument("record", type=str, help=RUN)
    one.add_argument("--tolerance", type=float, default=0.01, help="most that the score may differ, as a share of it")
    one.add_argument("--trust", action="store_true", help="run code that neither rnnbench nor a plug-in provides")
    add_folders(one)

    one = add_verb(verbs, "export", "records as rows (csv, json, parquet), or the board as a table (latex)")
    one.add_argument(
        "grid", nargs="?", type=str, help="only this grid, with what is missing of it (default: all records)"
    )
    one.add_argument("--format", choices=["csv", "json", "latex", "parquet"], required=True, help="of what is written")
    one.add_argument("--out", type=Path, metavar="FILE", help="where to (default: printed)")
    add_folders(one)

    one = add_verb(verbs, "compare", "two architectures against each other, on the tasks and seeds that both have run")
    one.add_argument("a", type=str, help="an architecture, or a row of the board as it is labelled there")
    one.add_argument("b", type=str, help="another")
    one.add_argument("--task", type=str, help="only on this one")
    add_folders(one)

    one = add_verb(verbs, "upload", "the board and its records to Weights & Biases; offline with WANDB_MODE=offline")
    one.add_argument("--project", type=str, default="rnnbench", help="of W&B")
    one.add_argument("--entity", type=str, help="of W&B: a user or a team")
    add_folders(one)
    return {
        "certify": _certify,
        "publish": _publish,
        "verify": _verify,
        "export": _export,
        "compare": _compare,
        "upload": _upload,
    }


def _certify(options: Namespace) -> int:
    from rnnbench.cli.certify import certify_all

    return certify_all(options)


def _publish(options: Namespace) -> int:
    from rnnbench.cli.publish import publish

    return publish(options)


def _verify(options: Namespace) -> int:
    from rnnbench.cli.publish import verify

    return verify(options)


def _export(options: Namespace) -> int:
    from rnnbench.cli.export import export

    export(options)
    return 0


def _compare(options: Namespace) -> int:
    from rnnbench.cli.export import compare

    compare(options)
    return 0


def _upload(options: Namespace) -> int:
    from rnnbench.cli.upload import upload

    upload(options)
    return 0
