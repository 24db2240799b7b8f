"""What a person calls a run, the same for every verb: its id, its label, or the path of a file of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.records.folded import is_trials_file
from rnnbench.records.record import MAX_RECORD_BYTES, Record
from rnnbench.utils.files import expand_home, read_plain

CHECKPOINT = ".ckpt"


def find_run(name: str, records: Mapping[str, Record]) -> Record:
    """The record of the run that a person means, whatever became of it.

    Args:
        name: the start of an id; `task/architecture` or `task/architecture/seed`, of whose runs the one with the best
            validation score is taken; the path of a record (`.json`), which need not be among `records`; or the path
            of a checkpoint, in a folder that is called as its run.
        records: those that there are, by id.

    Raises:
        RnnbenchError: there is none, or the start is that of several; a file cannot be read.
    """
    name = expand_home(name)
    if name.endswith(".json"):
        if is_trials_file(Path(name)):
            raise RnnbenchError(f"{name} has several trials: name one by its id, as `rnnbench export` shows it")
        return Record.parse(read_plain(Path(name), MAX_RECORD_BYTES), name)
    if is_checkpoint(name):
        if record := of_checkpoint(Path(name), records):
            return record
        raise RnnbenchError(f"no record here is of the run of the checkpoint {name}")
    if "/" in name:
        return best_of(name, records)
    matching = [record for run, record in sorted(records.items()) if name and run.startswith(name)]
    if not matching:
        if len(records) < 20:
            raise unknown("run", name, records)
        raise RnnbenchError(f"no run starts with {name!r}; the best of a task and an architecture is TASK/ARCHITECTURE")
    if len(matching) > 1:
        some = ", ".join(f"{record.id} ({record.spec.label})" for record in matching[:8])
        more = f" and {len(matching) - 8} more" if len(matching) > 8 else ""
        raise RnnbenchError(f"{name!r} is the start of {len(matching)} runs: {some}{more}")
    return matching[0]


def is_checkpoint(name: str) -> bool:
    """Whether a name is the path of a checkpoint: of a file of whatever name, or of one that is not there."""
    path = Path(expand_home(name))
    return path.suffix == CHECKPOINT or (path.is_file() and path.suffix != ".json")


def is_file_of_run(name: str) -> bool:
    """Whether a name is the path of a record or of a checkpoint."""
    return name.endswith(".json") or is_checkpoint(name)


def of_checkpoint(path: Path, records: Mapping[str, Record]) -> Record | None:
    """The record of a checkpoint's run, by the folder that it lies in, if there is one."""
    return next((records[part] for part in reversed(path.parts) if part in records), None)


def best_of(label: str, records: Mapping[str, Record]) -> Record:
    """Of the runs of `task/architecture` or `task/architecture/seed` the one with the best validation score.

    Trials of a search are none of them: they are named by their ids. If none of the runs is done, the last that began.

    Raises:
        RnnbenchError: there is no such run.
    """
    every = [record for record in records.values() if record.spec.trial is None]
    matching = [one for one in every if one.spec.label == label or one.spec.label.startswith(f"{label}/")]
    if not matching:
        raise unknown("task/architecture", label, _labels(every))
    done = [one for one in matching if one.status == "done"]
    if not done:
        return max(matching, key=lambda one: (one.started, one.id))
    sign = 1 if done[0].spec.task.direction == "minimise" else -1
    return min(done, key=lambda one: (sign * one.validation.get(one.spec.task.metric, sign * float("inf")), one.id))


def _labels(records: Iterable[Record]) -> set[str]:
    labels = {record.spec.label for record in records}
    return labels | {label.rpartition("/")[0] for label in labels}
