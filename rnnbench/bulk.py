"""Reading many files into many objects that are much alike."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rnnbench.errors import RnnbenchError

UNLIKE = ("spec", "cost", "provenance")
"""Parts of a record that hardly any two have alike."""


def walk(records: Path) -> Iterator[tuple[str, list[str]]]:
    """All folders below one, and the names of the files in each that may be records.

    Raises:
        RnnbenchError: a folder cannot be read: what lies in it is not missing.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise RnnbenchError(f"cannot read {error.filename}: {error.strerror}")

    for folder, _, names in os.walk(records, onerror=refuse):
        if found := [name for name in names if name.endswith(".json")]:
            yield folder, found


def share(home: BaseModel, known: dict[Any, Any]) -> None:
    """Put the parts in `known` in the place of equal ones: less memory, and what follows from one is computed once."""
    for name, value in vars(home).items():
        if name in UNLIKE:
            continue
        if isinstance(value, BaseModel):
            vars(home)[name] = known.setdefault((name, value.model_dump_json()), value)
        elif name == "code":
            vars(home)[name] = known.setdefault(tuple(value.items()), value)


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection while many records are made: none refers to itself, and each look costs half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
