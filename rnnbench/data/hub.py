"""Data sets of the Hugging Face hub, or folders of the same layout: loaded, and their rows checked."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import datasets
import pandas
import pyarrow.json
import pyarrow.parquet

from rnnbench.data.module import SPLITS, NoProgressBars, SequenceDataModule, Split
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.utils.files import BOM, MAX_BYTES, content_digest, decode_text, files_in, read_bytes, reading

READERS: dict[str, Callable[[Any], Any]] = {
    ".csv": pandas.read_csv,
    ".tsv": partial(pandas.read_csv, sep="\t"),
    ".json": pyarrow.json.read_json,
    ".jsonl": pyarrow.json.read_json,
    ".txt": lambda file: None,
    ".parquet": pyarrow.parquet.read_metadata,
}
"""What reads the files of a folder one by one, to find the one that cannot be read."""
SPLIT_PARTS = ("train", "valid", "dev", "test", "eval")
"""One of these is in the path of each file of a split."""
UNREADABLE = (datasets.exceptions.DatasetGenerationError, StopIteration, OSError, ValueError, RuntimeError)
"""What `datasets` raises for a file that it cannot read, no network, no such set or configuration."""


class HubDataModule(SequenceDataModule):
    """Data of a hub, or of a folder of the same layout: `path`."""

    user_path_arg = "path"
    path: str

    @cached_property
    def content(self) -> str:
        """The name of a data set on the hub, or a digest of a folder's content, wherever it lies."""
        return hub_content(self.path)

    def unavailable(self) -> str:
        """See `SequenceDataModule.unavailable`; also names a folder that does not exist."""
        is_folder = Path(self.path).is_absolute() or self.path.startswith(".")
        if is_folder and not Path(self.path).is_dir():
            return f"there is no folder {self.path}"
        return super().unavailable()

    def identity(self) -> dict[str, Any]:
        """The arguments, with the content of a folder for where it lies."""
        return {**super().identity(), "path": self.content}


def hub_content(path: str) -> str:
    """What identifies a data set: its name on the hub, or a digest of all files of a folder, wherever the folder is."""
    folder = Path(path)
    with reading(path):
        is_folder = folder.is_dir()
    return content_digest(folder) if is_folder else path


def read_hub(
    path: str,
    columns: Mapping[str, type],
    name: str | None = None,
    revision: str | None = None,
    undecoded: Mapping[str, type] = MappingProxyType({}),
    blank: bool = False,
) -> dict[Split, datasets.Dataset]:
    """The splits `train`, `validation` and `test` of a data set, with `columns` of the stated types in every row.

    Args:
        path: of a data set on the hub, or of a folder with one: files (`train.csv`, `test-00000-of-00001.parquet`, …)
            as `datasets.load_dataset` reads them, or what `save_to_disk` wrote.
        columns: name and type of each.
        name: of a configuration of the data set, if it has several.
        revision: of a data set on the hub.
        undecoded: columns to be returned as they are stored, for `stored_file`, with their types: `datasets.Audio` or
            `datasets.Image`.
        blank: whether a text may be empty.

    Raises:
        DataUnavailable: there is no such folder, and the hub cannot be reached or has no such data set.
        RnnbenchError: a file cannot be read, a split or a column is missing, or a row has another type or no text.
    """
    loaded = load_hub(path, name, revision)
    parts: dict[Split, datasets.Dataset] = {}
    for split in SPLITS:
        if split not in loaded:
            raise RnnbenchError(f"{path} has no split {split!r}; it has {', '.join(map(repr, loaded)) or 'none'}")
        parts[split] = loaded[split]
        for column, kind in undecoded.items():
            if column in parts[split].column_names:
                parts[split] = _cast(path, split, parts[split], column, kind(decode=False))
        for column, kind in columns.items():
            _check(path, split, parts[split], column, kind, blank)
            if kind is str:
                parts[split] = _without_marks(parts[split], column)
    return parts


def stored_file(cell: Mapping[str, Any], path: str, split: Split, row: int) -> tuple[bytes, str]:
    """The content of the sound or picture file that a row holds or names, and its name for error messages.

    Raises:
        RnnbenchError: the cell is empty, or its file cannot be read.
    """
    content, file = cell["bytes"], cell["path"]
    name = f"{path}, split {split!r}, row {row}" + (f", {Path(file).name}" if file else "")
    if content is None and file is None:
        raise RnnbenchError(f"{name} is empty")
    return (read_bytes(Path(file)) if content is None else content), name


def load_hub(path: str, name: str | None, revision: str | None) -> datasets.DatasetDict:
    """All splits of a data set on the hub, or of a folder with one.

    Raises:
        DataUnavailable: there is no such folder, and the hub cannot be reached or has no such data set.
        RnnbenchError: a file cannot be read.
    """
    folder = Path(path).absolute()  # so that its first part is not read as a home folder or a protocol
    with reading(path):
        local, is_file = folder.is_dir(), folder.is_file()
    if is_file:
        raise RnnbenchError(f"{path} is a file; allowed is a folder with one for each split, as train.csv")
    saved = local and (folder / "dataset_dict.json").is_file()
    if local:
        check_folder_name(folder, saved)
    try:
        if saved:
            return datasets.DatasetDict.load_from_disk(str(folder))
        with NoProgressBars():
            if local:
                return datasets.load_dataset(str(folder))
            return datasets.load_dataset(path, name, revision=revision)
    except UNREADABLE as error:
        cause = error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) else error
        why = (str(cause or error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, StopIteration):
            why = "a file has no rows"
        if local:
            _check_files(folder)
        elif not isinstance(error, datasets.exceptions.DatasetGenerationError | StopIteration):
            raise DataUnavailable(
                f"{path} is not a folder of a data set, and the hub does not have it: {why}"
            ) from error
        raise RnnbenchError(f"{path} cannot be read as a data set: {why}") from error


def _check_files(folder: Path) -> None:
    """Find the file for which a folder cannot be read.

    Raises:
        RnnbenchError: the first file of a split that cannot be read, with its line or row where that is known.
    """
    for file in files_in(folder):
        if file.suffix not in READERS or not any(part in str(file.relative_to(folder)).lower() for part in SPLIT_PARTS):
            continue
        if file.suffix != ".parquet" and file.stat().st_size <= MAX_BYTES:
            content = read_bytes(file)
            if not content:
                raise RnnbenchError(f"{file} is empty")
            decode_text(content, str(file))
        with reading(file), file.open("rb") as opened:
            READERS[file.suffix](opened)


def _cast(path: str, split: Split, table: datasets.Dataset, column: str, feature: Any) -> datasets.Dataset:
    try:
        with NoProgressBars():
            return table.cast_column(column, feature)
    except (TypeError, ValueError) as error:
        stored = table.features[column]
        raise RnnbenchError(f"{path}, split {split!r}: {column} is {stored}, not {type(feature).__name__}") from error


def _without_marks(table: datasets.Dataset, column: str) -> datasets.Dataset:
    """Texts without the byte order mark that their file began with."""
    if not any(text.startswith(BOM) for text in table[column]):
        return table
    with NoProgressBars():
        return table.map(lambda row: {column: row[column].removeprefix(BOM)}, load_from_cache_file=False)


def check_folder_name(folder: Path, saved: bool) -> None:
    """Check that `datasets` reads a folder's path literally, not as a URL chain or (unless `saved` by it) as a pattern.

    Raises:
        RnnbenchError: it would read another folder, or several at once.
    """
    for special in ["::"] if saved else ["::", "*", "?", "["]:
        if special in str(folder):
            raise RnnbenchError(f"{folder}: the path of a data set may not have {special!r} in it: rename the folder")


def _check(path: str, split: Split, table: datasets.Dataset, column: str, kind: type, blank: bool) -> None:
    where = f"{path}, split {split!r}"
    if column not in table.column_names:
        raise RnnbenchError(f"{where} has no column {column!r}; it has {', '.join(map(repr, table.column_names))}")
    if not len(table):
        raise RnnbenchError(f"{where} has no rows")
    row = -1
    try:
        for row, value in enumerate(table[column]):
            empty = isinstance(value, str) and not value.strip() and not blank
            if not isinstance(value, kind) or empty:
                wanted = f"{kind.__name__} with something in it" if empty else kind.__name__
                raise RnnbenchError(f"{where}, row {row}: {column} is {value!r}, not {wanted}")
            if isinstance(value, str) and "\0" in value:
                raise RnnbenchError(f"{where}, row {row}: {column} has a null byte: this is not text")
    except UnicodeDecodeError as error:  # JSON and Parquet are not checked when they are loaded
        if Path(path).is_dir():
            _check_files(Path(path))
        raise RnnbenchError(f"{where}, row {row + 1}: {column} is not UTF-8") from error
