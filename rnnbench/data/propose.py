"""What a file of the user may be: a data module and its arguments, proposed by the columns of a table."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnbench.data.audio_folder import AudioFolder
from rnnbench.data.language import TextFile
from rnnbench.data.module import SequenceDataModule
from rnnbench.data.series_csv import SeriesCSV
from rnnbench.data.tables import MISSING, Table, class_order, read_table, read_user_text
from rnnbench.data.text_classification import TextCSV
from rnnbench.errors import RnnbenchError

TEXTS = {".txt", ".text", ".md", ".log"}
SERIES_NAMES = {"id", "series", "sequence", "sample", "run", "session", "episode", "trace", "recording", "unit"}
GROUP_NAMES = {
    "group", "subject", "patient", "person", "author", "speaker", "user", "machine", "device", "site", "station",
}  # fmt: skip
TIME_NAMES = {
    "time", "t", "step", "date", "datetime", "timestamp", "second", "seconds", "minute", "minutes", "hour", "hours",
    "day", "week", "month", "year", "frame", "index", "tick", "ds", "when",
}  # fmt: skip
LABEL_NAMES = {"label", "class", "target", "category", "kind", "y", "sentiment", "rating", "stars", "activity", "state"}
MOST_CLASSES = 50
LONGEST_HORIZON = 24


@dataclass(frozen=True)
class Proposal:
    """A data module of the class `cls` with `arguments`, and a sentence for each choice that a person should check."""

    cls: type[SequenceDataModule]
    arguments: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class Column(NamedTuple):
    """A column: its values as words, and as numbers if they are (else None), and the number of different words."""

    name: str
    words: list[str]
    numbers: Any
    different: int

    @property
    def is_text(self) -> bool:
        """Whether most values are several words, and few stand twice."""
        words = [len(word.split()) for word in self.words if word]
        return self.numbers is None and bool(words) and sum(words) / len(words) >= 2 and 2 * self.different > len(words)

    @property
    def is_class(self) -> bool:
        """Whether values may be classes: few different ones, words or whole numbers."""
        if not 2 <= self.different <= min(MOST_CLASSES, len(self.words) // 2):
            return False
        return self.numbers is None or self.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are whole."""
        known = np.asarray(self.numbers)[~np.isnan(self.numbers)]
        return bool((known == np.round(known)).all())

    def named(self, names: set[str]) -> bool:
        """Whether its name, or a word of it, is one of these."""
        words = self.name.lower().replace("-", "_").replace(" ", "_").split("_")
        return self.name.lower() in names or bool({words[0], words[-1]} & names)


def propose(path: Path, written: str) -> Proposal:
    """The data module for a file or a folder of the user; its path in the arguments is as it was `written`.

    Raises:
        RnnbenchError: the file cannot be read, or nothing in it says what it is.
    """
    if path.is_dir():
        return Proposal(AudioFolder, {"path": written}, ["the class of a recording is its folder"])
    if not path.exists():
        raise RnnbenchError(f"there is no file {path}")
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & TEXTS:
        options, notes = _encoding(path)
        return Proposal(TextFile, {"path": written, **options}, ["a language model of characters", *notes])
    table, options, notes = _read(path)
    columns = [_column(table, name) for name in table.columns]
    arguments = {"path": written, **options}
    texts = [column for column in columns if column.is_text]
    if texts:
        return _texts(texts, columns, arguments, notes, str(path))
    return _series(table, columns, arguments, notes)


def _encoding(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The encoding of a text as an argument, if it is not UTF-8."""
    if path.suffix == ".parquet":
        return {}, []
    try:
        read_user_text(path)
    except RnnbenchError as error:
        if "UTF-8" not in str(error) and "UTF-16" not in str(error):
            raise
        encoding = "utf-16" if "UTF-16" in str(error) else "latin-1"
        return {"encoding": encoding}, [f"the text is not in UTF-8: read as {encoding}"]
    return {}, []


def _read(path: Path) -> tuple[Table, dict[str, Any], list[str]]:
    """A table, the arguments by which it is read, and what was assumed: the decimal mark that makes more numbers."""
    options, notes = _encoding(path)
    table = read_table(path, **options)
    if path.suffix == ".parquet":
        return table, options, notes
    german = read_table(path, **options, decimal=",")
    counts = [sum(_column(one, name).numbers is not None for name in one.columns) for one in (table, german)]
    if counts[1] > counts[0]:
        return german, {**options, "decimal": ","}, [*notes, "numbers have a decimal comma"]
    return table, options, notes


def _column(table: Table, name: str) -> Column:
    words = table.words(name)
    try:
        numbers = table.numbers(name)
    except RnnbenchError:
        numbers = None
    if numbers is not None and np.isnan(numbers).all():
        numbers = None
    return Column(name, words, numbers, len({word for word in words if word.lower() not in MISSING}))


def _texts(
    texts: list[Column], columns: list[Column], arguments: dict[str, Any], notes: list[str], name: str
) -> Proposal:
    text = max(texts, key=lambda column: sum(map(len, column.words)))
    classes = [column for column in columns if column not in texts and column.is_class]
    if not classes:
        raise RnnbenchError(
            f"{name}: column {text.name!r} holds texts, but no other column says what class a text is of: at least two "
            "rows of each of at least two classes are needed"
        )
    label = min(classes, key=lambda column: (not column.named(LABEL_NAMES), column.different))
    arguments |= {"text": text.name, "label": label.name}
    group = next((column for column in columns if column.named(GROUP_NAMES) and column not in (text, label)), None)
    if group is not None:
        arguments["group"] = group.name
        notes.append(f"texts of one {group.name!r} are in one part")
    shown = ", ".join(class_order([word for word in label.words if word])[:5])
    notes.append(f"the class of a text is its {label.name!r}: {shown}{' …' if label.different > 5 else ''}")
    return Proposal(TextCSV, arguments, notes)


def _series(table: Table, columns: list[Column], arguments: dict[str, Any], notes: list[str]) -> Proposal:
    series = _series_column(columns) or _interleaved(table, columns)
    rest = [column for column in columns if column is not series]
    time = _time_column(table, rest, series)
    rest = [column for column in rest if column is not time]
    fixed = [column for column in rest if series is not None and _is_fixed(column, series)]
    group = next((column for column in fixed if column.named(GROUP_NAMES)), None)
    answers = [column for column in fixed if column is not group and column.different > 1]
    inputs = [column for column in rest if column.numbers is not None and column not in fixed]
    if series is not None:
        arguments["id"] = series.name
        notes.append(f"{series.name!r} says which of {series.different} series a row belongs to")
    if time is not None:
        arguments["time"] = time.name
        notes.append(f"{time.name!r} orders the rows and is no input; add it to inputs if it should be one")
    if not inputs:
        raise RnnbenchError(f"{table.name}: no column of numbers that could be read as a series; "
                            f"it has {', '.join(map(repr, table.columns))}")  # fmt: skip
    arguments["inputs"] = [column.name for column in inputs]
    if group is not None:
        arguments["group"] = group.name
        notes.append(f"series of one {group.name!r} are in one part")
    if answers:
        answer = min(answers, key=lambda one: (not one.named(LABEL_NAMES), one.numbers is not None, one.different))
        numbers_of_series = answer.different > min(MOST_CLASSES, (series.different if series else 0) // 2)
        kind = "target" if answer.numbers is not None and numbers_of_series else "label"
        arguments[kind] = answer.name
        asked = f"one of {answer.different} classes" if kind == "label" else "a value"
        notes.append(f"{answer.name!r} is the same in all rows of a series: {asked}, to be told from the series")
    else:
        shortest = min(np.unique(series.words, return_counts=True)[1]) if series else len(table)
        horizon = int(max(1, min(LONGEST_HORIZON, shortest // 30)))
        arguments |= {"horizon": horizon}
        notes.append(f"no column is an answer: the last {horizon} of {3 * horizon} steps are forecast")
    holes = sum(int(np.isnan(column.numbers).sum()) for column in inputs)
    if holes:
        arguments["missing"] = "forward"
        notes.append(f"{holes} values are missing: the last one before it is read instead")
    order = ("path", "inputs", "id", "time", "label", "target", "horizon", "group", "missing", "encoding", "decimal")
    return Proposal(SeriesCSV, {name: arguments[name] for name in order if name in arguments}, notes)


def _series_column(columns: list[Column]) -> Column | None:
    """The column that says which series a row belongs to: by its name, or since its words come in runs."""
    able = [one for one in columns if 2 <= one.different <= len(one.words) // 2 and "" not in one.words]
    whole = [one for one in able if one.numbers is None or one.is_whole]
    runs = [one for one in whole if _runs(one) == one.different]
    named = [one for one in whole if one.named(SERIES_NAMES) and not one.named(TIME_NAMES)]
    if named:
        return max(named, key=lambda one: one.different)
    unnamed = [one for one in runs if not one.named(LABEL_NAMES) and not one.named(TIME_NAMES)]
    return max(unnamed, key=lambda one: one.different, default=None)


def _interleaved(table: Table, columns: list[Column]) -> Column | None:
    """The column that says which series a row belongs to where the rows of all are in one order of time."""
    for time in (column for column in columns if column.named(TIME_NAMES)):
        try:
            times = table.times(time.name).tolist()
        except RnnbenchError:
            continue
        if len(set(times)) == len(times):
            continue
        able = [one for one in columns if one.numbers is None and one is not time and not one.named(LABEL_NAMES)]
        for column in able:
            if "" not in column.words and len(set(zip(column.words, times, strict=True))) == len(times):
                return column
    return None


def _runs(column: Column) -> int:
    """How often the word changes from row to row, and once more."""
    return 1 + sum(one != other for one, other in zip(column.words, column.words[1:], strict=False))


def _time_column(table: Table, columns: list[Column], series: Column | None) -> Column | None:
    """The column by which rows are ordered: by its name, or as it holds dates, or grows by the same from row to row."""
    able = [one for one in columns if one.numbers is not None and not (series and _is_fixed(one, series))]
    for column in sorted(columns, key=lambda one: not one.named(TIME_NAMES)):
        if (
            column.numbers is not None
            and not column.named(TIME_NAMES)
            and not (len(able) > 1 and _is_clock(column, series))
        ):
            continue
        try:
            times = table.times(column.name)
        except RnnbenchError:
            continue
        keys = list(zip(series.words if series else [""] * len(times), times.tolist(), strict=True))
        if len(set(keys)) == len(keys):
            return column
    return None


def _is_clock(column: Column, series: Column | None) -> bool:
    """Whether a column of numbers grows by one and the same amount from row to row of each series."""
    steps = np.diff(np.asarray(column.numbers))
    if series is not None:
        steps = steps[[one == other for one, other in zip(series.words, series.words[1:], strict=False)]]
    return len(steps) > 0 and bool(steps[0] > 0) and bool(np.allclose(steps, steps[0], rtol=1e-6, atol=0))


def _is_fixed(column: Column, series: Column) -> bool:
    """Whether a column has one value in all rows of a series."""
    seen: dict[str, str] = {}
    return all(seen.setdefault(one, word) == word for one, word in zip(series.words, column.words, strict=True))
