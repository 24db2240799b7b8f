"""`HubDataset`: any data set of the Hugging Face hub, or folder of the same layout, by the names of its columns."""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import datasets

from rnnbench.data.audio_folder import Clip, classified_clips
from rnnbench.data.hub import hub_content, load_hub, stored_file
from rnnbench.data.language import LanguageStream, cut_text
from rnnbench.data.module import SPLITS, SequenceDataModule, Split, Splits
from rnnbench.data.series_csv import Missing, SeriesTables
from rnnbench.data.spectra import Spectra
from rnnbench.data.splits import CUTS, SplitRows, complete_splits, connected_groups, stratified_group_splits
from rnnbench.data.tables import Table, class_order
from rnnbench.data.text_classification import LabelledTables
from rnnbench.data.tokens import Tokens
from rnnbench.data.translation import SentencePair, Translation, similar_pairs
from rnnbench.data.user_files import NamedClasses
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.files import expand_home


class HubDataset(SequenceDataModule):
    """A data set of the hub, or a folder of the same layout. The columns that are named say what it is:

    - `text`: a language model of the column's texts, a line a row, as `TextFile`.
    - `text` and `label`: texts with a class each, as `TextCSV`.
    - `source` and `target`: sentences and their translations, as `ParallelText`.
    - `audio` and `label`: recordings with a class each, as `AudioFolder`.
    - `inputs` and one of `label`, `target` and `horizon`: series, a row for each step, as `SeriesCSV`.

    The parts are the set's own `train`, `validation` and `test`; what it lacks of the last two is taken from its
    training part, 15 % each, drawn from `data_seed` so that nothing is in two parts.

    Args:
        name: of the data set on the hub, or the path of a folder (`./clips`): files (`train.csv`,
            `test-00000-of-00001.parquet`, …) as `datasets.load_dataset` reads them, or what `save_to_disk` wrote.
        config: name of a configuration of the data set, if it has several.
        revision: of a data set on the hub.
        text: column of texts.
        label: column of classes.
        source: column of sentences.
        target: column of translations; or, with `inputs`, of values.
        audio: column of recordings in WAV files.
        inputs: columns of numbers that are read.
        id: this and all others see the classes above; only those of the kind of data may be given.

    Raises:
        RnnbenchError: columns that make none of these, or an argument that has nothing to do with them; when prepared,
            a column is missing, or a row is wrong, by its number.
        DataUnavailable: when prepared, there is no such folder, and the hub cannot be reached or has no such data set.
    """

    file_args = ("name",)

    def __new__(cls, *args: Any, **kwargs: Any) -> "HubDataset":
        """An object of the class for the kind of data that the named columns make."""
        if cls is not HubDataset or not (args or kwargs):
            return super().__new__(cls)
        given = inspect.signature(HubDataset.__init__).bind(None, *args, **kwargs).arguments
        columns = {
            name for name in ("text", "label", "source", "target", "audio", "inputs", "horizon") if given.get(name)
        }
        kind = next((kind for kind in KINDS if kind.columns[0] <= columns <= kind.columns[1]), None)
        if kind is None:
            raise RnnbenchError(
                f"HubDataset: {', '.join(sorted(columns)) or 'no columns'} named: name text; text and label; source "
                "and target; audio and label; or inputs and one of label, target and horizon"
            )
        allowed = {*inspect.signature(kind.__init__).parameters} - {"self"}
        for name in given.keys() - {"self"}:
            if name not in allowed and given[name] is not None:
                raise unknown(f"argument of HubDataset with {' and '.join(sorted(columns))}", name, allowed)
        return super().__new__(kind)

    columns: ClassVar[tuple[set[str], set[str]]]
    """The columns that must be named, and those that may be."""

    def __init__(
        self,
        name: str,
        config: str | None = None,
        revision: str | None = None,
        text: str | None = None,
        label: str | None = None,
        source: str | None = None,
        target: str | list[str] | None = None,
        audio: str | None = None,
        inputs: list[str] | None = None,
        id: str | None = None,
        time: str | None = None,
        horizon: int | None = None,
        known: list[str] | None = None,
        group: str | None = None,
        split: str | None = None,
        window: int | None = None,
        stride: int | None = None,
        missing: Missing = "refuse",
        teacher_forcing: float = 1.0,
        time_format: str | None = None,
        ordered: bool = False,
        tokens: Tokens = "words",
        vocabulary_size: int = 10_000,
        max_length: int = 1000,
        bptt: int = 100,
        ngram: int = 3,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        raise NotImplementedError  # the class of each kind has its own

    def build_splits(self, folder: Path) -> Splits:
        """Those of the kind of data."""
        return super().build_splits(folder)  # type: ignore[safe-super]

    def _set_name(self, name: str, config: str | None, revision: str | None) -> None:
        self.dataset, self.config, self.revision = expand_home(name), config, revision
        if "/" not in name and Path(name).is_dir():
            raise RnnbenchError(f"{name!r} is a folder here: write './{name}' to read it, or rename it to read the hub")

    def identity(self) -> dict[str, Any]:
        """The arguments, with the content of a folder for where it lies."""
        return {**super().identity(), "name": hub_content(self.dataset)}

    def unavailable(self) -> str:
        """See `SequenceDataModule.unavailable`; also names a folder that does not exist."""
        is_folder = Path(self.dataset).is_absolute() or self.dataset.startswith(".")
        return f"there is no folder {self.dataset}" if is_folder and not Path(self.dataset).is_dir() else ""

    def _load(self) -> dict[Split, datasets.Dataset]:
        """The parts that the data set has.

        Raises:
            RnnbenchError: it has no training part, or a part has no rows.
        """
        loaded = load_hub(self.dataset, self.config, self.revision)
        parts: dict[Split, datasets.Dataset] = {split: loaded[split] for split in SPLITS if split in loaded}
        if "train" not in parts:
            raise RnnbenchError(f"{self.dataset} has no split 'train'; it has {', '.join(map(repr, loaded)) or 'none'}")
        for split, rows in parts.items():
            if not len(rows):
                raise RnnbenchError(f"{self.dataset}, split {split!r} has no rows")
        return parts

    def tables(self) -> Mapping[Split, Table]:
        """The tables of the parts that the data set has."""
        return {split: self._rows_of(rows, split) for split, rows in self._load().items()}

    def _rows_of(self, rows: datasets.Dataset, split: Split) -> Table:
        names = {
            name: feature.names for name, feature in rows.features.items() if isinstance(feature, datasets.ClassLabel)
        }
        wanted = [
            name for name in rows.column_names if not isinstance(rows.features[name], datasets.Audio | datasets.Image)
        ]
        columns = {name: rows[name][:] for name in wanted}
        return Table(f"{self.dataset}, split {split!r}", columns, class_names=names)


class HubText(HubDataset, LanguageStream):
    """A `HubDataset` that is a language model of texts."""

    columns = ({"text"}, {"text"})

    def __init__(
        self,
        name: str,
        text: str,
        config: str | None = None,
        revision: str | None = None,
        tokens: Tokens = "words",
        vocabulary_size: int = 10_000,
        bptt: int = 100,
        ngram: int = 3,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        LanguageStream.__init__(self, tokens, vocabulary_size, bptt, batch_size, data_seed, shuffle_seed, ngram)
        self._set_name(name, config, revision)
        self.text = text

    def documents(self) -> dict[Split, list[str]]:  # noqa: D102
        tables = self.tables()
        texts = {split: "".join(f"{line}\n" for line in table.words(self.text)) for split, table in tables.items()}
        lacking = [split for split in SPLITS if split not in texts]
        if lacking:
            cuts = CUTS if len(lacking) == 2 else (CUTS[1], 1.0)
            pieces = cut_text(texts["train"], cuts)
            texts |= {"train": pieces["train"], lacking[0]: pieces["validation"]}
            texts |= {lacking[1]: pieces["test"]} if len(lacking) == 2 else {}
        return {split: [text] for split, text in texts.items()}

    def place(self, split: Split) -> str:  # noqa: D102
        return f"{self.dataset}, split {split!r}"


class HubTexts(HubDataset, LabelledTables):  # type: ignore[override]
    """A `HubDataset` of texts with a class each."""

    columns = ({"text", "label"}, {"text", "label"})

    def __init__(
        self,
        name: str,
        text: str,
        label: str,
        config: str | None = None,
        revision: str | None = None,
        ordered: bool = False,
        group: str | None = None,
        tokens: Tokens = "words",
        vocabulary_size: int = 10_000,
        max_length: int = 1000,
        ngram: int = 3,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        LabelledTables.__init__(
            self, text, label, ordered, group, None, tokens, vocabulary_size, max_length, ngram, batch_size, data_seed,
            shuffle_seed,
        )  # fmt: skip
        self._set_name(name, config, revision)


class HubPairs(HubDataset, Translation):
    """A `HubDataset` of sentences and their translations."""

    columns = ({"source", "target"}, {"source", "target"})

    def __init__(
        self,
        name: str,
        source: str,
        target: str,
        config: str | None = None,
        revision: str | None = None,
        vocabulary_size: int = 10_000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        Translation.__init__(self, vocabulary_size, batch_size, data_seed, shuffle_seed)
        self._set_name(name, config, revision)
        self.source, self.target = source, target

    def pairs(self) -> dict[Split, list[SentencePair]]:  # noqa: D102
        parts = {split: self._pairs(table) for split, table in self.tables().items()}
        return complete_splits(parts, partial(similar_pairs, seed=self.data_seed))

    def _pairs(self, table: Table) -> list[SentencePair]:
        sides = [[text.lower() for text in table.texts(name)] for name in (self.source, self.target)]
        return list(map(SentencePair, *sides))


class HubClips(HubDataset, NamedClasses, Spectra):
    """A `HubDataset` of recordings with a class each."""

    objective = "classification"
    columns = ({"audio", "label"}, {"audio", "label"})

    def __init__(
        self,
        name: str,
        audio: str,
        label: str,
        config: str | None = None,
        revision: str | None = None,
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        Spectra.__init__(self, batch_size, data_seed, shuffle_seed)
        self._set_name(name, config, revision)
        self.audio, self.label = audio, label

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = self._load()
        tables = {split: self._rows_of(rows, split) for split, rows in parts.items()}
        clips: dict[Split, list[_Clip]] = {}
        for split, rows in parts.items():
            if self.audio not in rows.column_names:
                raise unknown("column", self.audio, rows.column_names, f"{self.dataset}, split {split!r}")
            stored = rows.cast_column(self.audio, datasets.Audio(decode=False))
            clips[split] = [
                _Clip(stored, split, row, label) for row, label in enumerate(tables[split].texts(self.label))
            ]
        named = tables["train"].class_names.get(self.label)
        names = list(named or class_order([clip.label for some in clips.values() for clip in some]))
        read = {split: map(self._read, some) for split, some in complete_splits(clips, self._divide).items()}
        return classified_clips(read, names, folder)

    def _read(self, clip: "_Clip") -> Clip:
        content, name = stored_file(clip.rows[clip.row][self.audio], self.dataset, clip.split, clip.row)
        return Clip(content, name, clip.label)

    def _divide(self, clips: Sequence["_Clip"], cuts: tuple[float, float]) -> SplitRows:
        """Two recordings of the same content in one part; each class cut by itself."""
        groups = connected_groups([(hashlib.sha256(self._read(clip).content).hexdigest(),) for clip in clips])
        return stratified_group_splits(groups, [clip.label for clip in clips], self.data_seed, cuts)


class _Clip(NamedTuple):
    """A recording that has not been read."""

    rows: datasets.Dataset
    split: Split
    row: int
    label: str


class HubSeries(HubDataset, SeriesTables):
    """A `HubDataset` of series."""

    columns = ({"inputs"}, {"inputs", "label", "target", "horizon"})

    def __init__(
        self,
        name: str,
        inputs: list[str],
        config: str | None = None,
        revision: str | None = None,
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
        batch_size: int = 32,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        SeriesTables.__init__(
            self, inputs, id, time, label, target, horizon, known or [], group, split, window, stride, missing,
            teacher_forcing, time_format, batch_size, data_seed, shuffle_seed,
        )  # fmt: skip
        self._set_name(name, config, revision)


KINDS = (HubText, HubTexts, HubPairs, HubClips, HubSeries)
