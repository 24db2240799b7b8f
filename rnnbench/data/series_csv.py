"""`SeriesCSV`: series of the user in a table, of any lengths, to be classified, valued or forecast."""

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import datasets
import numpy as np

from rnnbench.data.forecasts import Lengths, Values, errors, filled_forward, forecast_splits
from rnnbench.data.module import SPLITS, Split, Splits
from rnnbench.data.splits import (
    CUTS,
    Frames,
    SplitRows,
    complete_splits,
    connected_groups,
    majority_scores,
    mean_and_std,
    read_moments,
    standard,
    standardise_splits,
    stratified_group_splits,
)
from rnnbench.data.tables import Table, check_reading, class_order, read_table
from rnnbench.data.user_files import NamedClasses, UserFiles, write_classes
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import expand_home

Missing = Literal["refuse", "forward"]
Answer = TypeVar("Answer", bound=Hashable)


class Series(NamedTuple):
    """One series of a table: the rows that it consists of, in order, its frames `[T, C]` and what is asked of it."""

    table: Table
    rows: np.ndarray[Any, np.dtype[np.int64]]
    frames: Values
    answer: Any = None


class SeriesTables(NamedClasses):
    """Series in tables that `tables` reads, see `SeriesCSV` for all arguments."""

    unknown = float("nan")

    def __init__(
        self,
        inputs: list[str],
        id: str | None,
        time: str | None,
        label: str | None,
        target: str | list[str] | None,
        horizon: int | None,
        known: list[str],
        group: str | None,
        split: str | None,
        window: int | None,
        stride: int | None,
        missing: Missing,
        teacher_forcing: float,
        time_format: str | None,
        batch_size: int,
        data_seed: int,
        shuffle_seed: int,
    ) -> None:
        asked = [name for name, value in (("label", label), ("target", target), ("horizon", horizon)) if value]
        if len(asked) != 1:
            raise RnnbenchError(
                "give one of label (a class of each series), target (values of each series) and horizon (steps to "
                f"forecast), got {' and '.join(asked) or 'none of them'}"
            )
        if not inputs:
            raise RnnbenchError("inputs must name at least one column")
        if id is None and horizon is None:
            raise RnnbenchError(f"{asked[0]} needs id, the column that says which series a row belongs to")
        if known and horizon is None:
            raise RnnbenchError(
                "known are columns that are known ahead in a forecast: give horizon, or name them as inputs"
            )
        if missing not in ("refuse", "forward"):
            raise RnnbenchError(f"missing must be 'refuse' or 'forward', got {missing!r}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.inputs, self.id, self.time, self.label, self.horizon = list(inputs), id, time, label, horizon
        self.target = [target] if isinstance(target, str) else list(target or ())
        self.known, self.group, self.missing, self.time_format = list(known), group, missing, time_format
        self.split = split or ("group" if horizon is None else "time")
        self.teacher_forcing = teacher_forcing
        columns = [*self.inputs, *self.known, *self.target, *([label] if label else [])]
        if twice := {name for name in columns if columns.count(name) > 1}:
            raise RnnbenchError(f"column {min(twice)!r} is named twice: an answer may not be an input")
        if self.split == "time" and time is None and horizon is None:
            raise RnnbenchError("split 'time' needs time, the column by which rows are in order")
        if horizon is not None:
            self.lengths = self._checked_lengths(horizon, window, stride)

    @staticmethod
    def _checked_lengths(horizon: int, window: int | None, stride: int | None) -> Lengths:
        window = 3 * horizon if window is None else window
        stride = horizon if stride is None else stride
        if not 1 <= horizon < window:
            raise RnnbenchError(f"horizon must be at least 1 and less than window={window}, got {horizon}")
        if stride < 1:
            raise RnnbenchError(f"stride must be at least 1, got {stride}")
        return Lengths(window, horizon, stride)

    @property
    def objective(self) -> str:  # type: ignore[override]
        """`classification`, `regression` or `horizon_forecast`, as label, target or horizon is given."""
        return "classification" if self.label else "regression" if self.target else "horizon_forecast"

    @property
    def per_step(self) -> bool:  # type: ignore[override]
        """Whether there is a target for each step: in a forecast."""
        return self.horizon is not None

    @abstractmethod
    def tables(self) -> Mapping[Split, Table]:
        """The tables of the parts; of a part that is missing, series are taken from the training part."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        tables = self.tables()
        read = {split: self._read(table) for split, table in tables.items()}
        if self.horizon is not None:
            return self._forecast(read, folder)
        parts = self._parts(read)
        for split in SPLITS:
            if not parts[split]:
                raise RnnbenchError(
                    f"{self._name(tables)}: the {split} part has no series: give more, or another split"
                )
        known = {split: [one.frames for one in some] for split, some in parts.items()}
        moments = self._moments(known["train"], self._name(tables))
        filled = {split: [filled_forward(frames, moments[0]) for frames in some] for split, some in known.items()}
        if self.label:
            return self._classes(parts, standardise_splits(filled, *moments, folder), folder, tables)
        answers = {split: np.array([one.answer for one in some], np.float64) for split, some in parts.items()}
        mean, deviation = mean_and_std(answers["train"])
        if not deviation.all():
            constant = self.target[int((deviation == 0).argmax())]
            raise RnnbenchError(f"{self._name(tables)}: {constant!r} has a single value in training: nothing to learn")
        more = {"target_mean": mean.tolist(), "target_deviation": deviation.tolist()}
        inputs = standardise_splits(filled, *moments, folder, **more)
        targets = {split: (some - mean) / deviation for split, some in answers.items()}
        made = {split: _table(parts[split], inputs[split], list(targets[split].astype(np.float32))) for split in SPLITS}
        wrong = errors(np.zeros(1), targets["test"][:, None], np.zeros(len(mean)), np.ones(len(mean)))
        scores = {name: wrong[name] for name in ("mse", "mae", "rmse")}
        return Splits(made, len(self.inputs), len(mean), "the mean of training", scores)

    def inputs_of(self, path: Path) -> Frames:
        """Inputs `[T, C]` of the series in a file with the same columns as inputs. Prepares the data.

        Raises:
            RnnbenchError: the file cannot be read, a column or a value is missing, or it holds several series.
        """
        found = self.all_inputs_of(path)
        if len(found) > 1:
            raise RnnbenchError(f"{path} holds {len(found)} series, by its column {self.id!r}; give one")
        return next(iter(found.values()))

    def all_inputs_of(self, path: Path) -> dict[str, Frames]:
        """Inputs `[T, C]` of each series in a file, by what its column `id` says; of the only one, without it, by "".

        Raises:
            RnnbenchError: the file cannot be read, or a column or a value is missing.
        """
        table = self._table_of(path)
        ids = table.words(self.id) if self.id and self.id in table.columns else [""] * len(table)
        every = self._series(table, ids, self.time if self.time in table.columns else None)
        self.prepare_data()
        moments = read_moments(self.folder)
        frames = [standard(filled_forward(one.frames, moments["mean"]), moments) for one in every]
        return dict(zip(dict.fromkeys(ids), frames, strict=True))

    def _table_of(self, path: Path) -> Table:
        return read_table(path)

    def units(self) -> tuple[list[str], list[float], list[float]]:
        """Names of the inputs, and mean and deviation by which each was standardised. Prepares the data."""
        self.prepare_data()
        moments = read_moments(self.folder)
        return self.inputs, moments["mean"].tolist(), moments["deviation"].tolist()

    def _name(self, tables: Mapping[Split, Table]) -> str:
        return tables["train"].name

    def _moments(self, train: list[Values], name: str) -> tuple[Frames, Frames]:
        values = np.concatenate(train)
        empty = np.isnan(values).all(0)
        if empty.any():
            raise RnnbenchError(f"{name}: column {self.inputs[int(empty.argmax())]!r} has no value in training")
        return mean_and_std(values)

    # --- from rows to series

    def _read(self, table: Table) -> list[Series]:
        """The series of a table, in the order in which they begin, with what is asked of each."""
        ids = table.words(self.id) if self.id else ["" for _ in range(len(table))]
        if self.id and "" in ids:
            raise RnnbenchError(f"{table.where(ids.index(''))}: column {self.id!r} is empty")
        series = self._series(table, ids, self.time)
        if self.label:
            words = table.words(self.label)
            return [one._replace(answer=self._single(one, words, self.label)) for one in series]
        if self.target:
            columns = [(name, table.numbers(name)) for name in self.target]
            return [
                one._replace(answer=tuple(self._single(one, values.tolist(), name) for name, values in columns))
                for one in series
            ]
        return series

    def _series(self, table: Table, ids: Sequence[str], time: str | None) -> list[Series]:
        names = [*self.inputs, *self.known]
        values = np.stack([table.numbers(name) for name in names], 1)
        self._check_missing(table, values, names)
        rows: dict[str, list[int]] = {}
        for row, one in enumerate(ids):
            rows.setdefault(one, []).append(row)
        times = table.times(time, self.time_format) if time else None
        every = []
        for some in rows.values():
            order = np.array(some)
            if times is not None:
                order = order[np.argsort(times[order], kind="stable")]
                if len(again := np.flatnonzero(np.diff(times[order]) == 0)):
                    first, second = (table.where(int(order[again[0] + step])) for step in (0, 1))
                    raise RnnbenchError(f"{second}: the same time in {time!r} as {first}: is id missing or wrong?")
            every.append(Series(table, order, values[order]))
        return every

    def _check_missing(self, table: Table, values: Values, names: list[str]) -> None:
        holes = np.argwhere(np.isnan(values))
        if len(holes) and self.missing == "refuse":
            row, place = holes[0].tolist()
            raise RnnbenchError(
                f"{table.where(row)}: column {names[place]!r} has no value ({len(holes)} missing in all); with "
                "missing: forward the last one before it in its series is read"
            )

    def _single(self, one: Series, values: Sequence[Any], name: str) -> Any:
        """The value that a column has in all rows of a series where it has one."""
        stated = [(int(row), values[row]) for row in one.rows if values[row] != "" and values[row] == values[row]]
        if not stated:
            raise RnnbenchError(f"{one.table.where(int(one.rows.min()))}: the series that begins here has no {name!r}")
        first, value = stated[0]
        for row, other in stated:
            if other != value:
                raise RnnbenchError(
                    f"{one.table.where(row)}: {name!r} is {other!r}, but {value!r} in {one.table.where(first)} of the "
                    "same series: it must be one for the whole series (for the next values of a column give horizon)"
                )
        return value

    # --- from series to parts

    def _parts(self, read: Mapping[Split, list[Series]]) -> dict[Split, list[Series]]:
        """The series of the three parts, by the tables' own parts, a column, groups or time."""
        every = read["train"]
        if set(read) == {"train"} and self.split not in ("group", "time"):
            words = every[0].table.parts(self.split)
            parts: dict[Split, list[Series]] = {}
            for one in every:
                parts.setdefault(self._single(one, words, self.split), []).append(one)
            if "train" not in parts:
                raise RnnbenchError(f"{every[0].table.name}: column {self.split!r} names no row as train")
            return complete_splits(parts, self._divide)
        if set(read) == {"train"} and self.split == "time":
            return self._by_time(every)
        return complete_splits(read, self._divide)

    def _divide(self, some: Sequence[Series], cuts: tuple[float, float]) -> SplitRows:
        """Series whose rows are the same, or which are of one group, stay together; each class is cut by itself."""
        table = some[0].table
        words = table.words(self.group) if self.group else None
        names = [self._single(one, words, self.group or "") if words else row for row, one in enumerate(some)]
        groups = connected_groups([(name, one.frames.tobytes()) for name, one in zip(names, some, strict=True)])
        labels = [one.answer if self.label else "" for one in some]
        return stratified_group_splits(groups, labels, self.data_seed, cuts)

    def _by_time(self, every: list[Series]) -> dict[Split, list[Series]]:
        """Series that end before a moment, lie between two, or begin after; those that one divides are left out."""
        assert self.time is not None
        times = every[0].table.times(self.time, self.time_format)
        starts = np.array([times[one.rows[0]] for one in every])
        ends = np.array([times[one.rows[-1]] for one in every])
        first, second = np.sort(starts)[[min(len(starts) - 1, round(cut * len(starts))) for cut in CUTS]]
        inside: dict[Split, Any] = {
            "train": ends < first, "validation": (starts >= first) & (ends < second), "test": starts >= second,
        }  # fmt: skip
        return {split: [every[row] for row in np.flatnonzero(inside[split])] for split in SPLITS}

    # --- what is asked

    def _classes(
        self, parts: dict[Split, list[Series]], inputs: dict[Split, list[Frames]], folder: Path, tables: Any
    ) -> Splits:
        assert self.label is not None
        table = tables["train"]
        names = list(table.class_names.get(self.label, ())) or class_order([one.answer for one in parts["train"]])
        number = {name: place for place, name in enumerate(names)}
        for split in ("validation", "test"):
            for one in parts[split]:
                if one.answer not in number:
                    where = one.table.where(int(one.rows[0]))
                    raise RnnbenchError(f"{where}: {self.label} {one.answer!r} is never seen in training: give more "
                                        "series of it, or leave it out")  # fmt: skip
        labels = {split: np.array([number[one.answer] for one in some]) for split, some in parts.items()}
        write_classes(folder, names)
        made = {split: _table(parts[split], inputs[split], list(labels[split])) for split in SPLITS}
        scores = majority_scores(labels["train"], labels["test"], len(names))
        return Splits(made, len(self.inputs), len(names), "majority class", scores)

    def _forecast(self, read: Mapping[Split, list[Series]], folder: Path) -> Splits:
        every = read["train"]
        if set(read) != {"train"}:
            parts = {split: [one.frames for one in some] for split, some in complete_splits(read, self._divide).items()}
        elif self.split == "time":
            parts = self._cut_in_time(every)
        elif self.split == "group":
            parts = {split: [one.frames for one in some] for split, some in self._parts(read).items()}
        else:
            parts = self._cut_by_column(every)
        name = every[0].table.name
        for split in SPLITS:
            if not parts[split]:
                raise RnnbenchError(f"{name}: the {split} part has no series: give more, or another split")
        return forecast_splits(parts, self.inputs, self.known, self.lengths, self.teacher_forcing, folder, name)

    def _cut_in_time(self, every: list[Series]) -> dict[Split, list[Values]]:
        """Every series cut at two moments, the same for all; without a column of times at shares of its rows."""
        parts: dict[Split, list[Values]] = {split: [] for split in SPLITS}
        if self.time is None:
            places = [[round(cut * len(one.rows)) for cut in CUTS] for one in every]
        else:
            times = every[0].table.times(self.time, self.time_format)
            moments = np.sort(times)[[min(len(times) - 1, round(cut * len(times))) for cut in CUTS]]
            places = [np.searchsorted(times[one.rows], moments).tolist() for one in every]
        for one, cuts in zip(every, places, strict=True):
            for split, piece in zip(SPLITS, np.split(one.frames, cuts), strict=True):
                if len(piece):
                    parts[split].append(piece)
        return parts

    def _cut_by_column(self, every: list[Series]) -> dict[Split, list[Values]]:
        """Every series cut where the column of parts changes: a part of it must be consecutive rows."""
        words = every[0].table.parts(self.split)
        parts: dict[Split, list[Values]] = {split: [] for split in SPLITS}
        for one in every:
            own = [words[row] for row in one.rows]
            changes = [step for step in range(1, len(own)) if own[step] != own[step - 1]]
            for begin, piece in zip([0, *changes], np.split(one.frames, changes), strict=True):
                if own[begin] in own[:begin]:
                    raise RnnbenchError(
                        f"{one.table.where(int(one.rows[begin]))}: {self.split!r} is {own[begin]} again: the rows of a "
                        "part must follow each other in a series"
                    )
                parts[own[begin]].append(piece)
        return parts


def _table(some: list[Series], inputs: list[Frames], targets: list[Any]) -> datasets.Dataset:
    """Also the line or row where each series begins, so that a prediction can be found in the file."""
    where = [one.table.where(int(one.rows[0])) for one in some]
    return datasets.Dataset.from_dict({"where": where, "inputs": inputs, "targets": targets})


class SeriesCSV(UserFiles, SeriesTables):
    """Series of the user, of any lengths, a row of a table for each step.

    The file is CSV with a header (maybe packed with gzip) or Parquet. What is asked is one of three:

    - `label`: the class of each series. Inputs `[B, T, C]`, targets `[B]`; objective `classification`.
    - `target`: one or several values of each series. Targets `[B, O]`, standardised; objective `regression`.
    - `horizon`: the next so many steps of the inputs. Windows as in `SeriesForecast`; objective `horizon_forecast`.

    Inputs are standardised by mean and standard deviation of the training part. Labels and targets stand in every row
    of a series, or in some, and must be the same in all. 70 : 15 : 15, so that no series, no group and no two series
    with the same values are in two parts:

    - `split: group` (default, unless there is a horizon): groups drawn from `data_seed`, each class by itself.
    - `split: time` (default with a horizon): with a horizon every series is cut at two moments, the same for all series
      if there is a column of times, else at 70 and 85 % of its rows. Otherwise the series that end before the first
      moment train, those that begin after the second test; those that a moment divides are left out.
    - `split: NAME`: a column that says `train`, `validation` or `test` in every row. What it lacks is drawn.

    Args:
        path: of the file.
        inputs: columns that are read, and with `horizon` forecast: numbers.
        id: column that says which series a row belongs to; with `horizon` it may be left out: one series.
        time: column of numbers or dates that puts the rows of a series in order; by default they are in order.
        label: column of classes.
        target: column, or columns, of numbers.
        horizon: steps of a forecast.
        known: columns of numbers that are read, too, and whose future is known in a forecast, as a calendar is.
        group: column of what must not be divided among the parts: a person, a machine; by default each series.
        split: `group`, `time`, or the name of a column.
        window: steps of a sequence with `horizon`; by default three horizons.
        stride: steps between the starts of two training windows; by default one horizon.
        missing: `refuse` names the first row without a value; `forward` reads the last value before it in its series,
            at the start of a series the mean of training.
        teacher_forcing: see `SeriesForecast`.
        time_format: of dates, as `datetime.strptime` reads it (`%d.%m.%Y %H:%M`); by default ISO 8601.
        encoding: of the text.
        delimiter: between fields; by default that of `,` `;` tab and `|` that is most frequent in the header.
        quote: around fields that have a delimiter in them.
        decimal: the decimal mark.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        RnnbenchError: arguments that do not fit together; when prepared, what is wrong in the file, by its line.
    """

    def __init__(
        self,
        path: str,
        inputs: list[str],
        id: str | None = None,
        time: str | None = None,
        label: str | None = None,
        target: str | list[str] | None = None,
        horizon: int | None = None,
        known: list[str] | None = None,
        group: str | None = None,
        split: str | None = None,
        window: int | None = None,
        stride: int | None = None,
        missing: Missing = "refuse",
        teacher_forcing: float = 1.0,
        time_format: str | None = None,
        encoding: str = "utf-8",
        delimiter: str | None = None,
        quote: str = '"',
        decimal: str = ".",
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        check_reading(encoding, delimiter, quote, decimal)
        super().__init__(
            inputs, id, time, label, target, horizon, known or [], group, split, window, stride, missing,
            teacher_forcing, time_format, batch_size, data_seed, shuffle_seed,
        )  # fmt: skip
        self.path, self.encoding, self.delimiter, self.quote = expand_home(path), encoding, delimiter, quote
        self.decimal = decimal

    def tables(self) -> Mapping[Split, Table]:  # noqa: D102
        return {"train": self._table_of(Path(self.path))}

    def _table_of(self, path: Path) -> Table:
        return read_table(path, self.encoding, self.delimiter, self.quote, self.decimal)
