"""From what a person calls a run to its trained model: a run's id, `task/architecture`, or the path of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule

from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError, raised_in, told
from rnnbench.harness.callbacks import snapshots
from rnnbench.harness.instantiate import import_class, make_data
from rnnbench.records.find import find_run, is_checkpoint, of_checkpoint
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from rnnbench.records.trust import foreign_paths, named_in
from rnnbench.utils.files import expand_home

OWN = "rnnbench.architectures."
"""Where a class must come from that only a checkpoint names: a file from anywhere shall import nothing else."""
FORMER_ARGUMENTS = ("hparams", "module_arguments")
"""Keys of a checkpoint from which Lightning takes more hyper-parameters."""


@dataclass(frozen=True, repr=False)
class TrainedRun:
    """A trained run.

    Args:
        name: what to call it.
        checkpoint: of the model.
        record: of the run; None for a checkpoint that no record here knows.
        model: in evaluation mode, on the CPU.
    """

    name: str
    checkpoint: Path
    record: Record | None
    model: Any

    @property
    def spec(self) -> RunSpec | None:
        """What was run."""
        return None if self.record is None else self.record.spec

    def __repr__(self) -> str:
        return f"TrainedRun({self.name!r}, model: {type(self.model).__name__}, checkpoint: {self.checkpoint})"

    @property
    def tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer` of the model; None of one that reads no tokens, or was trained without."""
        return getattr(self.model, "tokenizer", None)

    @cached_property
    def data(self) -> Any:
        """The run's data module; made at the first access, as a language model needs none.

        Raises:
            RnnbenchError: no record says what data it was.
        """
        if self.record is None:
            raise RnnbenchError(f"{self.name}: no record says what data it was trained on: give a run of a leaderboard")
        return make_data(self.record.spec)


def load_run(run: str, leaderboard: Path, runs: Path) -> TrainedRun:
    """The model of a run.

    Args:
        run: what a person calls it, see `find_run`; or the path of a checkpoint, of which there need be no record.
        leaderboard: where records lie.
        runs: where checkpoints lie.

    Raises:
        RnnbenchError: no such run, several, one that is not done, or a checkpoint that is missing or cannot be read.
    """
    records, _ = RecordStore(leaderboard).read()
    if is_checkpoint(run):
        path = Path(expand_home(run))
        record = of_checkpoint(path, records)
        return TrainedRun(run, path, record, load(path, record))
    record = find_run(run, records)
    if record.status != "done":
        raise RnnbenchError(f"run {record.id} is {record.status}, it left no model: {record.reason}")
    path = checkpoint_of(record, runs)
    return TrainedRun(f"{record.spec.label} ({record.id})", path, record, load(path, record))


def checkpoint_of(record: Record, runs: Path) -> Path:
    """Where the model of a run lies, the newest if several grids have it.

    Raises:
        RnnbenchError: nowhere.
    """
    paths = sorted(runs.glob(f"*/{record.id}/checkpoints/best.ckpt"), key=lambda path: path.stat().st_mtime)
    if not paths:
        raise RnnbenchError(
            f"run {record.id} ({record.spec.label}) has a record, but no checkpoint in {runs}/*/{record.id}: "
            "name the folder with --runs, or run its grid again with --retry done"
        )
    return paths[-1]


def snapshots_of(run: TrainedRun) -> list[tuple[str, Any]]:
    """Names and models of the steps of a run that were kept, in order, and of the one with the best validation.

    Raises:
        RnnbenchError: none was kept.
    """
    paths = snapshots(run.checkpoint.parent)
    if not paths:
        raise RnnbenchError(f"{run.name} has kept no steps: set `replay: true` in its grid, and run it again")
    steps = [(f"step {step}", load(path, run.record)) for step, path in paths.items()]
    best = read_checkpoint(run.checkpoint).get("global_step")
    return [*steps, (f"step {best}, the best by validation", run.model)]


def load(path: Path, record: Record | None) -> Any:
    """The model of a checkpoint, in evaluation mode; its class is what the record says, else the checkpoint itself.

    Raises:
        RnnbenchError: it is missing, no checkpoint, cut off, of another class, or of a class that nobody knows.
    """
    content = read_checkpoint(path)
    named = record.spec.architecture.class_path if record else content.get("class_path")
    if not isinstance(named, str) or (record is None and not named.startswith(OWN)):
        raise RnnbenchError(f"{path} names no architecture of rnnbench, and no record here is of its run")
    if record is None and (code := foreign_code(content)):
        raise RnnbenchError(f"{path} would run {', '.join(code)}, which is not code of rnnbench, and no record here is "
                            "of its run")  # fmt: skip
    cls: Any = import_class(named, LightningModule, str(path))
    try:
        model = cls.load_from_checkpoint(path.absolute(), map_location="cpu", weights_only=True)
    except RnnbenchError:
        raise
    except Exception as error:  # whatever a constructor makes of the arguments in a file
        why = told(error, cls.__module__) if raised_in(error, cls.__module__) else _first_line(error)
        raise RnnbenchError(f"{path} is no checkpoint of a {cls.__name__}: {why}") from error
    return model.eval()


def foreign_code(content: Mapping[str, Any]) -> list[str]:
    """Import paths in a checkpoint's hyper-parameters, of a cell or an objective, that neither rnnbench nor a plug-in
    provides.
    """
    arguments = [content.get(name) for name in ("hyper_parameters", *FORMER_ARGUMENTS)]
    return foreign_paths(path for one in arguments if isinstance(one, Mapping) for path in named_in(one))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint: tensors and plain values, never code.

    Raises:
        RnnbenchError: it is missing, cut off, or no checkpoint.
    """
    if not path.is_file():
        raise RnnbenchError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch says many things of what is no checkpoint
        raise RnnbenchError(f"{path} cannot be read: it is cut off or no checkpoint ({_first_line(error)})") from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise RnnbenchError(f"{path} is no checkpoint of Lightning: it has no weights by the name of 'state_dict'")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
