"""Data sets of a hub, or folders of the same layout, with what is in them checked."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets

from rnnbench.data.module import SPLITS, NoProgressBars, SequenceDataModule, Split
from rnnbench.errors import DataUnavailable, RnnbenchError


class OnHub(SequenceDataModule):
    """Data of a hub, or of a folder of the same layout: `path`."""

    given = "path"
    path: str

    @cached_property
    def content(self) -> str:
        """What is at `path`, see `content_of`."""
        return content_of(self.path)

    def identity(self) -> dict[str, Any]:
        """The arguments, with the content of a folder for where it lies."""
        return {**super().identity(), "path": self.content}


def read_hub(
    path: str,
    columns: Mapping[str, type],
    name: str | None = None,
    revision: str | None = None,
    undecoded: Sequence[str] = (),
    blank: bool = False,
) -> dict[Split, datasets.Dataset]:
    """The splits `train`, `validation` and `test` of a data set, with `columns` of the given types in every row.

    Args:
        path: of a data set on the hub, or of a folder with one: files (`train.csv`, `test-00000-of-00001.parquet`, …)
            as `datasets.load_dataset` reads them, or what `save_to_disk` wrote.
        columns: name and type of each.
        name: of a configuration of the data set, if it has several.
        revision: of a data set on the hub.
        undecoded: columns of sounds to be given as they are stored: `bytes`, and the `path` they came from.
        blank: whether a text may be empty.

    Raises:
        DataUnavailable: there is no such folder, and the hub cannot be reached or has no such data set.
        RnnbenchError: a file cannot be read, a split or a column is missing, or a row has another type or no text.
    """
    found = _load(path, name, revision)
    parts: dict[Split, datasets.Dataset] = {}
    for split in SPLITS:
        if split not in found:
            raise RnnbenchError(f"{path} has no split {split!r}; it has {', '.join(map(repr, found)) or 'none'}")
        parts[split] = found[split]
        for column in undecoded:
            if column in parts[split].column_names:
                parts[split] = parts[split].cast_column(column, datasets.Audio(decode=False))
        for column, kind in columns.items():
            _check(path, split, parts[split], column, kind, blank)
    return parts


def _load(path: str, name: str | None, revision: str | None) -> datasets.DatasetDict:
    folder = Path(path).absolute()  # so that no first part of it is taken for a home folder or a protocol
    saved = (folder / "dataset_dict.json").is_file()
    if local := folder.is_dir():
        check_name(folder, saved)
    try:
        if saved:
            return datasets.DatasetDict.load_from_disk(str(folder))
        with NoProgressBars():
            if local:
                return datasets.load_dataset(str(folder))
            return datasets.load_dataset(path, name, revision=revision)
    except (datasets.exceptions.DatasetGenerationError, StopIteration) as error:
        why = "a file has no rows" if isinstance(error, StopIteration) else str(error.__cause__ or error)
        raise RnnbenchError(f"{path} cannot be read as a data set: {why.splitlines()[0]}") from error
    except (OSError, ValueError, RuntimeError) as error:  # no network, no such set or configuration, no file in it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataUnavailable(f"{path} is no folder of a data set, and the hub does not give it: {reason}") from error


def check_name(folder: Path, saved: bool) -> None:
    """Check that `datasets` will take the name of a folder for a name; of one that was not saved by it, for no pattern.

    Raises:
        RnnbenchError: it would read another folder, or several at once.
    """
    for special in ["::"] if saved else ["::", "*", "?", "["]:
        if special in str(folder):
            raise RnnbenchError(f"{folder}: the path of a data set may not have {special!r} in it: rename the folder")


def content_of(path: str) -> str:
    """What tells a data set from others: its name on the hub, or what all files of a folder hold, wherever it lies."""
    folder = Path(path)
    if not folder.is_dir():
        return path
    content = hashlib.sha256()
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        content.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        content.update(file.read_bytes())
    return content.hexdigest()


def _check(path: str, split: Split, table: datasets.Dataset, column: str, kind: type, blank: bool) -> None:
    where = f"{path}, split {split!r}"
    if column not in table.column_names:
        raise RnnbenchError(f"{where} has no column {column!r}; it has {', '.join(map(repr, table.column_names))}")
    if not len(table):
        raise RnnbenchError(f"{where} has no rows")
    for row, value in enumerate(table[column]):
        empty = isinstance(value, str) and not value.strip() and not blank
        if not isinstance(value, kind) or empty:
            wanted = f"{kind.__name__} with something in it" if empty else kind.__name__
            raise RnnbenchError(f"{where}, row {row}: {column} is {value!r}, not {wanted}")
