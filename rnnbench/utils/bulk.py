"""Many objects that are much alike: read from many files, or made of each other."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from rnnbench.errors import RnnbenchError

UNLIKE = ("spec", "cost", "provenance", "probe")
"""Parts of a record that hardly any two have alike."""
M = TypeVar("M", bound=BaseModel)


def entries(records: Path) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """All folders below one, links aside, with those of their files that may be records.

    Raises:
        RnnbenchError: a folder cannot be read: what lies in it is not missing.
    """
    todo = [str(records)]
    while todo:
        folder, found = todo.pop(), []
        try:
            with os.scandir(folder) as inside:
                for entry in inside:
                    if entry.is_dir():
                        todo += [] if entry.is_symlink() else [entry.path]
                    elif entry.name.endswith(".json"):
                        found.append(entry)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise RnnbenchError(f"cannot read {error.filename}: {error.strerror}") from None
        if found:
            yield folder, found


def walk(records: Path) -> Iterator[tuple[str, list[str]]]:
    """The same with the names of the files.

    Raises:
        RnnbenchError: a folder cannot be read.
    """
    yield from ((folder, [entry.name for entry in found]) for folder, found in entries(records))


def share(home: BaseModel, known: dict[Any, Any]) -> None:
    """Put the parts in `known` in the place of equal ones: less memory, and what follows from one is computed once."""
    for name, value in vars(home).items():
        if name in UNLIKE:
            continue
        if isinstance(value, BaseModel):
            vars(home)[name] = known.setdefault((name, value.model_dump_json()), value)


UNSET: set[str] = set()
"""Nobody asks of one object among many which of its fields were set."""


def bare(model: type[M], fields: dict[str, Any]) -> M:
    """An object of a model from fields that were checked before, without checking them again."""
    new = model.__new__(model)
    put = object.__setattr__
    put(new, "__dict__", fields)
    put(new, "__pydantic_fields_set__", UNSET)
    put(new, "__pydantic_extra__", None)
    put(new, "__pydantic_private__", None)
    return new


def changed(model: M, **fields: Any) -> M:
    """A copy with some other fields, which are not checked again, and half the size that pydantic would give it."""
    return bare(type(model), {**vars(model), **fields})


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
