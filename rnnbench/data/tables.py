"""Tables of the user, of CSV and Parquet files: every value is checked, what is wrong is named by file and line."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet

from rnnbench.data.module import Split
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.files import MAX_BYTES, check_unpacked, decode_text, read_bytes, reading, unify_lines

DELIMITERS = ",;\t|"
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
"""Words, in small letters, that stand for a value that is not known."""
SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test",
}  # fmt: skip
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Table:
    """A table of the user.

    Args:
        name: of the file, for error messages.
        columns: the values of each column, by its name.
        lines: the line of the file where each row begins; without, rows are counted from 0.
        decimal: the decimal mark of its numbers.
        class_names: of columns that hold the numbers of classes, the names of these in their order.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int] | None = None
    decimal: str = "."
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def where(self, row: int) -> str:
        """The place of a row, for error messages."""
        return f"{self.name}, row {row}" if self.lines is None else f"{self.name}, line {self.lines[row]}"

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column as they are stored.

        Raises:
            RnnbenchError: there is no such column.
        """
        if name not in self.columns:
            raise unknown("column", name, self.columns, self.name)
        return self.columns[name]

    def words(self, name: str) -> list[str]:
        """The values of a column as text without spaces around it, empty where there is none.

        Raises:
            RnnbenchError: there is no such column, or it holds something that is no single value.
        """
        names = self.class_names.get(name)
        values = self.column(name)
        return [self._word(name, row, value, names) for row, value in enumerate(values)]

    def _word(self, name: str, row: int, value: Any, names: Sequence[str] | None) -> str:
        if names is not None and isinstance(value, int):
            if not 0 <= value < len(names):
                raise RnnbenchError(f"{self.where(row)}: {name} is class {value}, out of 0 to {len(names) - 1}")
            return names[value]
        if value is None or (isinstance(value, float) and np.isnan(value)):
            return ""
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, list | dict | bytes):
            raise RnnbenchError(f"{self.where(row)}: {name} is a {type(value).__name__}, not a text or a number")
        return str(value).strip()

    def texts(self, name: str) -> list[str]:
        """The texts of a column.

        Raises:
            RnnbenchError: there is no such column, or a row has no text in it.
        """
        words = self.words(name)
        for row, word in enumerate(words):
            if not word:
                raise RnnbenchError(f"{self.where(row)}: column {name!r} is empty")
        return words

    def numbers(self, name: str) -> Numbers:
        """The numbers of a column, NaN where there is none (an empty field, or one of `MISSING`).

        Raises:
            RnnbenchError: there is no such column, or a value is not a finite number.
        """
        values = [None if _is_missing(value) else value for value in self.column(name)]
        if self.decimal != ".":
            values = [value.replace(self.decimal, ".") if isinstance(value, str) else value for value in values]
        numbers: Numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(np.float64)
        known = np.array([value is not None for value in values])
        wrong = np.flatnonzero(np.isinf(numbers) | (np.isnan(numbers) & known))
        if len(wrong):
            row = int(wrong[0])
            raise RnnbenchError(
                f"{self.where(row)}: column {name!r} is {self.column(name)[row]!r}, not a finite number"
            )
        return numbers

    def times(self, name: str, layout: str | None = None) -> Numbers:
        """The times of a column as numbers that grow: numbers as they are, dates in seconds.

        Args:
            name: of the column.
            layout: of dates, as `datetime.strptime` reads it; by default ISO 8601 (`2024-01-31 12:00`).

        Raises:
            RnnbenchError: there is no such column, or a value is neither a number nor a date.
        """
        words = self.words(name)
        if layout is None:
            try:
                numbers = self.numbers(name)
            except RnnbenchError:
                numbers = np.full(len(words), np.nan)
            if not np.isnan(numbers).any():
                return numbers
        dates = pd.to_datetime(pd.Series(words), format=layout or "ISO8601", errors="coerce", utc=True)
        wrong = np.flatnonzero(dates.isna())
        if len(wrong):
            row = int(wrong[0])
            allowed = "a number or a date such as 2024-01-31 12:00; for other dates set time_format"
            allowed = allowed if layout is None else f"a date of the format {layout!r}"
            raise RnnbenchError(f"{self.where(row)}: column {name!r} is {words[row]!r}, not {allowed}")
        seconds: Any = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        return np.asarray(seconds, np.float64)

    def parts(self, name: str) -> list[Split]:
        """The part of each row, `train`, `validation` or `test`, by a column that says so.

        Raises:
            RnnbenchError: there is no such column, or a row says something else.
        """
        words = self.words(name)
        for row, word in enumerate(words):
            if word.lower() not in SPLIT_NAMES:
                raise RnnbenchError(
                    f"{self.where(row)}: column {name!r} is {word!r}, allowed are train, validation and test"
                )
        return [SPLIT_NAMES[word.lower()] for word in words]


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or (isinstance(value, float) and bool(np.isnan(value)))


def class_order(words: Sequence[str]) -> list[str]:
    """The different words among some labels, by their number if all are numbers, else in the order of the alphabet."""
    names = sorted(set(words))
    try:
        return sorted(names, key=float)
    except ValueError:
        return names


def check_reading(encoding: str, delimiter: str | None = None, quote: str = '"', decimal: str = ".") -> None:
    """Check how a file is to be read.

    Raises:
        RnnbenchError: an unknown encoding; a mark that is not a single character.
    """
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise RnnbenchError(f"encoding {encoding!r} is not known; write one of Python's, such as latin-1") from None
    for name, mark in (("delimiter", delimiter), ("quote", quote), ("decimal", decimal)):
        if mark is not None and len(mark) != 1:
            raise RnnbenchError(f"{name} must be a single character, got {mark!r}")


def read_table(
    path: Path, encoding: str = "utf-8", delimiter: str | None = None, quote: str = '"', decimal: str = "."
) -> Table:
    """The table in a file: Parquet if its name ends with `.parquet`, else CSV with a header, maybe packed with gzip.

    Args:
        path: of the file.
        encoding: of its text.
        delimiter: between fields; by default that of `,` `;` tab and `|` that is most frequent in the header.
        quote: around fields that have delimiters or ends of lines in them.
        decimal: the decimal mark of its numbers.

    Raises:
        RnnbenchError: the file cannot be read, has no rows, two columns of one name, or a line with more or fewer
            fields than the header.
    """
    check_reading(encoding, delimiter, quote, decimal)
    if path.suffix == ".parquet":
        with reading(path):
            stored = pyarrow.parquet.read_table(path)
        table = Table(str(path), {name: stored.column(name).to_pylist() for name in stored.column_names})
    else:
        table = _read_csv(read_user_text(path, encoding), str(path), delimiter, quote, decimal)
    if not len(table):
        raise RnnbenchError(f"{path} has no rows")
    return table


def read_user_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file, maybe packed with gzip, with `\\n` for every end of a line.

    Raises:
        RnnbenchError: it cannot be read, is empty, or is not text in that encoding, with the line.
    """
    content = read_bytes(path)
    if content.startswith(b"\x1f\x8b"):
        content = _unpacked(content, str(path))
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        check_unpacked(content, str(path))
        try:
            return decode_text(content, str(path))
        except RnnbenchError as error:
            raise RnnbenchError(f"{error}, or set encoding") from None
    if not content:
        raise RnnbenchError(f"{path} is empty")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, "ignore").count("\n") + 1
        raise RnnbenchError(f"{path}, line {line}: not text in the encoding {encoding}: {error.reason}") from None
    if "\0" in text:
        raise RnnbenchError(f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: a null byte")
    return unify_lines(text)


def _unpacked(content: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RnnbenchError(f"{name} is damaged: {error}") from None
    if len(unpacked) > MAX_BYTES:
        raise RnnbenchError(f"{name} has more than {MAX_BYTES:,} bytes unpacked, at most so many are read")
    return unpacked


def _read_csv(text: str, name: str, delimiter: str | None, quote: str, decimal: str) -> Table:
    head = text.lstrip("\n").partition("\n")[0]
    mark = delimiter or max(DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, quotechar=quote, strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    begin = 1
    try:
        for row in reader:
            if row and not header:
                header = _header(row, f"{name}, line {begin}")
            elif row:
                if len(row) != len(header):
                    raise RnnbenchError(
                        f"{name}, line {begin} has {len(row)} fields, but the header has {len(header)} "
                        f"(delimiter {mark!r})"
                    )
                rows.append(row)
                lines.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise RnnbenchError(f"{name}, line {begin}: {error}") from None
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]
    return Table(name, dict(zip(header, columns, strict=True)), lines, decimal)


def _header(row: list[str], where: str) -> list[str]:
    header = [name.strip() for name in row]
    for place, name in enumerate(header):
        if name in header[:place]:
            raise RnnbenchError(f"{where}: two columns are named {name!r}")
    return header
