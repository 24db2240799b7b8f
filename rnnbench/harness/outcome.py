"""What went wrong in a grid, in sentences: one for each reason, with the cells that share it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rnnbench.harness.grid import is_diverged_trial
from rnnbench.records.record import Record
from rnnbench.records.status import Cell

MAX_LABELS = 3
"""Cells that are named beside a reason that they share."""


def failed_cells(cells: Iterable[Cell]) -> list[Cell]:
    """The cells that have failed; a trial that diverged is none of them."""
    return [cell for cell in cells if cell.state == "failed" and not is_diverged_trial(cell.record)]


def failures(cells: Sequence[Cell]) -> Iterator[str]:
    """A sentence for each reason why cells of a grid have failed."""
    for reason, labels in _by_reason((cell.reason, cell.spec.label) for cell in failed_cells(cells)):
        yield f"failed: {len(labels)} of {len(cells)} cells ({_first(labels)}): {reason}"


def unprepared(records: Sequence[Record], of: int, working: Path) -> Iterator[str]:
    """A sentence for each reason why data could not be prepared, with the log that has the traceback.

    Args:
        records: of the runs that never began.
        of: how many cells the grid has.
        working: where the grid's working state lies.
    """
    for reason, labels in _by_reason((record.reason, record.spec.label) for record in records):
        spec = next(record.spec for record in records if record.reason == reason)
        logs = (working / f"prepare-{spec.task.name}.log", working / spec.id / "log.txt")
        log = next((f"; log: {path}" for path in logs if path.is_file()), "")
        yield f"not run: {len(labels)} of {of} cells ({_first(labels)}): {reason}{log}; the same command tries again"


def _by_reason(reasons: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    labels: dict[str, list[str]] = defaultdict(list)
    for reason, label in reasons:
        labels[reason].append(label)
    yield from labels.items()


def _first(labels: Sequence[str]) -> str:
    more = len(labels) - MAX_LABELS
    return ", ".join(labels[:MAX_LABELS]) + (f" and {more} more" if more > 0 else "")
