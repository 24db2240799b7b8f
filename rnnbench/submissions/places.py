"""What lies in a folder of records, without following, opening or waiting for anything."""

import os
from collections.abc import Iterator
from pathlib import Path

from rnnbench.errors import RnnbenchError
from rnnbench.record import LARGEST_FILE

DEPTH = 3
"""Of a record: `<task>/<architecture>/<run>.json`."""


def strays(folder: Path, largest: int = LARGEST_FILE) -> list[str]:
    """A sentence for whatever in the folder `records` or `artefacts` has not the kind, name, place or size of one.

    Raises:
        RnnbenchError: a folder cannot be read.
    """
    if folder.is_symlink():
        return [f"{folder}: is a link; a folder of records is a folder"]
    try:
        return sorted(_below(folder, 1, largest)) if folder.is_dir() else []
    except OSError as error:
        raise RnnbenchError(f"cannot read {error.filename}: {error.strerror}") from None


def _below(folder: Path, depth: int, largest: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_symlink():
                yield f"{entry.path}: is a link to {Path(entry).readlink()}; only plain files belong here"
            elif entry.is_dir(follow_symlinks=False):
                yield from (
                    _below(Path(entry), depth + 1, largest) if depth < DEPTH else [f"{entry.path}: a folder too deep"]
                )
            elif why := _why_no_record(entry, depth, largest):
                yield f"{entry.path}: {why}"


def _why_no_record(entry: os.DirEntry[str], depth: int, largest: int) -> str:
    if not entry.is_file(follow_symlinks=False):
        return "is no plain file"
    if depth != DEPTH or not entry.name.endswith(".json"):
        return "is no record: only <task>/<architecture>/<run>.json belong here"
    if (size := entry.stat(follow_symlinks=False).st_size) > largest:
        return f"{size} bytes are more than {largest}"
    return ""
