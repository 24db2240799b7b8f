"""Records altered after the fact.

A committed record may be replaced by that of a new run if the old one has no score, or its code or data have changed
since. One of a tuned configuration may be removed if other code has made its trials again, and another is selected now.
Everything else is refused, the removal of a score that still counts included.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from rnnbench.config.schema import short_repr
from rnnbench.errors import RnnbenchError
from rnnbench.records.folded import FoldedTrial, is_trials_file, parse_trials
from rnnbench.records.probe import code_version
from rnnbench.records.record import Record
from rnnbench.records.selection import study_of
from rnnbench.records.submissions.git import Repository
from rnnbench.records.submissions.plausible import InstalledCards

MAX_NAMED_FIELDS = 3


def records_at(repository: Repository, commit: str) -> dict[str, Record]:
    """All records of a commit by their ids; what is not a record, or not in its place, is left out."""
    records: dict[str, Record] = {}
    folded: dict[str, Record] = {}
    for path, content in repository.read(commit).items():
        try:
            if is_trials_file(Path(path)):
                folded |= parse_trials(content, path)
                continue
            record = Record.parse(content, path)
        except RnnbenchError:
            continue
        if record.file.as_posix() == path:
            records[record.id] = record
    return folded | records


def altered(before: Mapping[str, Record], after: Mapping[str, Record], cards: InstalledCards) -> list[str]:
    """A sentence for each record that does not follow on what it was before."""
    chosen = {_tuning(record): record for record in after.values() if record.spec.selected}
    reasons = [
        (old, why_altered(old, after.get(run), cards))
        for run, old in before.items()
        if run in after or not _was_tuned_again(old, chosen)
    ]
    return sorted(f"{old.file}: {_which(old)}{why}" for old, why in reasons if why)


def _tuning(record: Record) -> tuple[str, int, int]:
    """What at most one configuration can be the best of: trials, their number; and the seed of its run."""
    return study_of(record.spec), record.spec.selected.trials if record.spec.selected else 0, record.spec.seed


def _was_tuned_again(old: Record, chosen: Mapping[tuple[str, int, int], Record]) -> bool:
    """Whether other code made the trials again, and they have selected another configuration."""
    new = chosen.get(_tuning(old)) if old.spec.selected else None
    return new is not None and _is_later(old, new) and _has_moved(old, new)


def _which(record: Record) -> str:
    """Which trial of a file a record is."""
    return f"{record.spec.row}, seed {record.spec.seed}: " if isinstance(record, FoldedTrial) else ""


def why_altered(old: Record, new: Record | None, cards: InstalledCards) -> str:
    """Why a record may not be replaced by another, or be removed (None); empty if it may. A trial may be folded."""
    if new is None:
        return "a score was removed that still counts" if _counts(old, cards) else ""
    if isinstance(new, FoldedTrial) or isinstance(old, FoldedTrial):
        old, new = FoldedTrial.of(old), FoldedTrial.of(new)
    differing = _differing(old, new)
    if not differing:
        return ""
    if not _is_later(old, new):
        more = " …" if len(differing) > MAX_NAMED_FIELDS else ""
        return f"altered after the fact: {', '.join(differing[:MAX_NAMED_FIELDS])}{more}"
    if old.status != "done" or _has_moved(old, new):
        return ""
    return "a run that had a score was run again, though neither its code nor its data has changed"


def _counts(record: Record, cards: InstalledCards) -> bool:
    card = cards.task(record.spec.task.name)
    return record.status == "done" and (card is None or card.fingerprint == record.spec.task.fingerprint)


def _has_moved(old: Record, new: Record) -> bool:
    """Whether data or code have: what the new record says of its code does not make the code of the old one old."""
    without_probe = old.code_version is None  # of the first version: stale whatever the code is
    other_code = old.code_version not in (new.code_version, code_version(old.spec))
    return without_probe or other_code or old.data_fingerprint != new.data_fingerprint


def _is_later(old: Record, new: Record) -> bool:
    try:
        return not old.started or datetime.fromisoformat(new.started) > datetime.fromisoformat(old.started)
    except (ValueError, TypeError):
        return False


def _differing(old: Record, new: Record) -> list[str]:
    """`field: before -> after` for each field that differs; a provenance may be added later, but not changed."""
    names = [name for name, field in Record.model_fields.items() if name != "provenance" and not field.exclude]
    fields = [(name, getattr(old, name), getattr(new, name)) for name in names]
    differing = [f"{name} {short_repr(then)} -> {short_repr(now)}" for name, then, now in fields if then != now]
    return differing + ["provenance"] * (old.provenance is not None and old.provenance != new.provenance)
