"""`rnnbench check`."""

import sys
from collections.abc import Callable
from typing import Any

from jsonargparse import Namespace

from rnnbench.card import ArchitectureCard, TaskCard
from rnnbench.errors import RnnbenchError
from rnnbench.record import RecordStore
from rnnbench.resources import catalogue
from rnnbench.spec import GridSpec


def check_all(options: Namespace) -> int:
    """Check all that has a name, and all records; 2 if anything is wrong."""
    from rnnbench.harness.classes import check

    problems: list[str] = []
    counts: dict[str, int] = {}
    loaders: dict[str, Callable[[str], Any]] = {
        "task": TaskCard.load,
        "architecture": ArchitectureCard.load,
        "grid": lambda name: check(GridSpec.load(name).expand()),
    }
    for kind, load in loaders.items():
        for name in catalogue(kind):
            counts[kind] = counts.get(kind, 0) + 1
            try:
                load(name)
            except RnnbenchError as error:
                problems.append(str(error))
    if not problems:
        names = {"architectures": list(catalogue("architecture")), "tasks": list(catalogue("task"))}
        try:
            check(GridSpec.read({"name": "check", **names}, "check").expand())
        except RnnbenchError as error:
            problems.append(str(error))
    records, broken = RecordStore(options.leaderboard).read()
    counts["record"] = len(records) + len(broken)
    for problem in [*problems, *broken]:
        print(f"rnnbench: error: {problem}", file=sys.stderr)
    told = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    found = len(problems) + len(broken)
    print(f"checked {told}: {found or 'no'} problem{'' if found == 1 else 's'}")
    return 2 if found else 0
