"""A trained run as two files for a repository of a hub, checkpoint and record; and back, after strict checks."""

import json
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch

from rnnbench.errors import RnnbenchError
from rnnbench.harness.load_run import FORMER_ARGUMENTS, foreign_code, load, read_checkpoint
from rnnbench.harness.paths import Folders
from rnnbench.records.record import MAX_RECORD_BYTES, Record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.plausible import InstalledCards, implausible
from rnnbench.records.submissions.publish import same_outcome
from rnnbench.records.trust import foreign
from rnnbench.utils.files import read_plain, write_whole, writing

CHECKPOINT, RECORD = "model.ckpt", "record.json"
LIMITS = {CHECKPOINT: 1 << 32, RECORD: MAX_RECORD_BYTES}
"""The most bytes of each file."""
PULLED = "pulled"
"""The folder in that of runs where checkpoints go that were pulled."""
TRAINING_ONLY = ("optimizer_states", "lr_schedulers", "callbacks", "running_states", "resume")
"""What a checkpoint has to go on with training; callbacks name folders of this machine."""
OF_DATA = "datamodule_hparams_name", "datamodule_hparams_type", "datamodule_hyper_parameters"
"""Arguments of the data module, which may be paths of this machine; the record has those that count."""
EMBEDDINGS = ("learned", "one-hot")
"""Of a checkpoint that has all of its weights: pre-trained vectors are kept as learned ones."""


def pack_run(checkpoint: Path, record: Record, folder: Path) -> list[str]:
    """Write a run's checkpoint, without what only training needs, and its record into a folder; their names.

    Raises:
        RnnbenchError: the run is a trial; a file cannot be read or written.
    """
    if record.spec.trial is not None:
        raise RnnbenchError(f"{record.spec.label} ({record.id}) is a trial of a search: give a run that was tested")
    content = read_checkpoint(checkpoint)
    kept = {name: value for name, value in content.items() if name not in (*TRAINING_ONLY, *OF_DATA)}
    with writing(folder / CHECKPOINT, "the checkpoint that is pushed"):
        torch.save(kept, folder / CHECKPOINT)
    write_whole(folder / RECORD, json.dumps(record.model_dump(mode="json", exclude_defaults=True)) + "\n")
    return [CHECKPOINT, RECORD]


def unpack_run(folder: Path, names: Iterable[str], where: str, trust: bool) -> Record:
    """The record of the run in a folder, after all checks; its model has been loaded from tensors and plain values.

    Args:
        folder: with its two files.
        names: of those that there are.
        where: the repository, for errors.
        trust: whether code may be imported that neither rnnbench nor a plug-in provides.

    Raises:
        RnnbenchError: something is not what it should be.
    """
    if missing := {CHECKPOINT, RECORD} - {*names}:
        raise RnnbenchError(f"{where} has no {' and no '.join(sorted(missing))}")
    record = Record.parse(read_plain(folder / RECORD, MAX_RECORD_BYTES), f"{where}: {RECORD}")
    problems = implausible(record, InstalledCards())
    if record.status != "done" or record.spec.trial is not None:
        problems.append("it is not of a run that is done and was tested")
    if problems:
        raise RnnbenchError("\n".join(f"{where}: {RECORD}: {problem}" for problem in problems))
    _check_size(folder / CHECKPOINT, where)
    content = read_checkpoint(folder / CHECKPOINT)
    if (code := [*foreign(record.spec), *foreign_code(content)]) and not trust:
        raise RnnbenchError(f"{where} would run {', '.join(dict.fromkeys(code))}, which is not code of rnnbench: read "
                            "it, then say --trust")  # fmt: skip
    arguments = content.get("hyper_parameters")
    unexpected = [name for name in FORMER_ARGUMENTS if name in content]
    unexpected += [str(name) for name in arguments or () if str(name).startswith("_")]
    if not isinstance(arguments, dict) or unexpected:
        raise RnnbenchError(f"{where}: {CHECKPOINT} has hyper-parameters that rnnbench does not write: "
                            f"{', '.join(unexpected) or type(arguments).__name__}")  # fmt: skip
    if (embedding := arguments.get("embedding", EMBEDDINGS[0])) not in EMBEDDINGS:
        raise RnnbenchError(f"{where}: {CHECKPOINT} would read word vectors from {embedding!r}; a checkpoint that was "
                            f"pushed has them as weights (allowed: {', '.join(EMBEDDINGS)})")  # fmt: skip
    model = load(folder / CHECKPOINT, record)
    parameters = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    if parameters != record.parameters:
        raise RnnbenchError(f"{where}: the network has {parameters} parameters, its record {record.parameters}")
    return record


def _check_size(path: Path, where: str) -> None:
    """Refuse an archive that is larger than the limit when it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise RnnbenchError(f"{where}: {CHECKPOINT} is cut off or no checkpoint ({error})") from None
    if size > LIMITS[CHECKPOINT]:
        raise RnnbenchError(f"{where}: {CHECKPOINT} unpacks to {size:,} bytes, at most {LIMITS[CHECKPOINT]:,} are read")


def place_run(fetched: Path, record: Record, folders: Folders) -> Path:
    """Write a run that was checked, from the folder where it lies, among those that are here; where its checkpoint is.

    Raises:
        RnnbenchError: the run is here already with another outcome or a checkpoint of its own; or it cannot be written.
    """
    store = RecordStore(folders.leaderboard)
    there = store.find([record.spec]).get(record.id)
    if there is not None and not same_outcome(there, record):
        raise RnnbenchError(f"{store.folder / record.file} is there with another outcome: name another --leaderboard")
    target = folders.runs / PULLED / record.id / "checkpoints" / "best.ckpt"
    own = [path for path in folders.runs.glob(f"*/{record.id}/checkpoints/best.ckpt") if path != target]
    if own:
        raise RnnbenchError(f"run {record.id} has a checkpoint here already, {own[0]}: name another folder by --runs")
    temporary = target.with_suffix(".tmp")
    with writing(target, "the checkpoint that was pulled"):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched / CHECKPOINT, temporary)
        temporary.replace(target)
    if there is None:
        store.write(record)
    return target
