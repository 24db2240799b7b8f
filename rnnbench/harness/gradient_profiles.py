"""Gradients through time of a run's model, as it began, as it was trained, and what was logged meanwhile."""

import csv
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import seed_everything

from rnnbench.analysis.callbacks import CLIPPING, GRADIENTS
from rnnbench.analysis.gradients import Profile, profile, unpadded
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.fit_size import fit_size
from rnnbench.harness.instantiate import make_data, make_model, prepare
from rnnbench.harness.load_run import load_run
from rnnbench.objectives import find_objective
from rnnbench.objectives.batch import Batch
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import read_text

WATCHED = (f"{GRADIENTS}/", f"{CLIPPING}/")


class Profiles(NamedTuple):
    """Profiles of one run; `after` is None if it is not trained, and `why_not` says why."""

    before: Profile
    after: Profile | None
    why_not: str


def validation_sequences(spec: RunSpec, most: int) -> tuple[list[Batch], dict[str, Any]]:
    """Sequences of a run's validation part, `most` at most, each of one length, and the `model_kwargs` of its data.

    The first; of generated data of varied lengths, which stand in the order of length, those of the last batch: short
    ones show no long lags.

    Raises:
        RnnbenchError: the data cannot be had or prepared.
    """
    data = make_data(spec)
    prepare(data)
    data.setup("validate")
    objective = find_objective(spec.task.objective)
    batches = iter(data.val_dataloader())
    batch = deque(batches, maxlen=1)[0] if getattr(data, "varied", False) else next(batches)
    return unpadded(batch, most, objective), data.model_kwargs()


def profiles(
    spec: RunSpec, batches: Sequence[Batch], model_kwargs: dict[str, Any], leaderboard: Path, runs: Path
) -> Profiles:
    """The profile of a run's model at its start, which its seed draws again, and at its best validation.

    Raises:
        RnnbenchError: the run cannot be made, or has no recurrent stack.
    """
    sized, _ = fit_size(spec, model_kwargs)
    seed_everything(spec.seed, verbose=False)
    before = profile(make_model(sized, **model_kwargs), batches)
    if not RecordStore(leaderboard).find([spec]):
        return Profiles(before, None, "not run yet: as it begins only")
    try:
        trained = load_run(spec.id, leaderboard, runs).model
    except RnnbenchError as error:
        return Profiles(before, None, str(error))
    return Profiles(before, profile(trained, batches), "")


def logged(spec: RunSpec, runs: Path) -> list[tuple[int, dict[str, float]]]:
    """What a `GradientWatch` has logged in the CSV log of a run: steps, and values by name; empty if there is no log.

    Raises:
        RnnbenchError: the file is no log.
    """
    logs = sorted(runs.glob(f"*/{spec.id}/curves/metrics.csv"), key=lambda path: path.stat().st_mtime)
    rows = []
    try:
        for row in csv.DictReader(read_text(logs[-1]).splitlines()) if logs else ():
            values = {name: float(value) for name, value in row.items() if value and name.startswith(WATCHED)}
            if values:
                rows.append((int(row["step"]), values))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RnnbenchError(f"{logs[-1]} is no log of a run: {error}") from error
    return rows
