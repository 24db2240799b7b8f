"""Whether a run that was run again gave what its record says."""

from dataclasses import dataclass

from rnnbench.records.record import Record
from rnnbench.utils.text import number

SMALLEST = 1e-6
"""Scores are computed in single precision."""


@dataclass(frozen=True)
class Verdict:
    """The outcome in words, whether it speaks for the record, and what differs besides."""

    reproduced: bool
    words: str
    notes: tuple[str, ...] = ()


def compare(record: Record, again: Record, tolerance: float) -> Verdict:
    """Hold a new record of a run against an old one.

    Args:
        record: what was claimed.
        again: what came out.
        tolerance: most that the score may differ, as a share of the score that was claimed.
    """
    if record.status != again.status:
        why = f": {again.reason}" if again.reason else ""
        return Verdict(False, f"not reproduced: recorded as {record.status}, now {again.status}{why}")
    claimed, found = record.headline_score, again.headline_score
    if claimed is None or found is None:
        same = record.reason == again.reason
        words = f"reproduced: {record.status} again" if same else f"{record.status} again, but because: {again.reason}"
        return Verdict(same, words)
    notes = _notes(record, again)
    if record.data_fingerprint != again.data_fingerprint:
        return Verdict(False, "not comparable: the data is not that of the record", notes)
    if record.parameters != again.parameters:
        return Verdict(False, f"not reproduced: {record.parameters} parameters recorded, now {again.parameters}", notes)
    chance, now = (one.baseline_scores.get(record.spec.task.metric) for one in (record, again))
    if chance is not None and now is not None and abs(chance - now) > max(tolerance * abs(chance), SMALLEST):
        return Verdict(False, f"not reproduced: chance {number(chance)} recorded, now {number(now)}", notes)
    difference, allowed = abs(claimed - found), max(tolerance * abs(claimed), SMALLEST)
    told = f"{record.spec.task.metric} {number(claimed)} recorded, now {number(found)}"
    if difference == 0:
        return Verdict(True, f"reproduced to the last digit: {told}", notes)
    if difference <= allowed:
        return Verdict(True, f"reproduced: {told}, which differs by {difference:.2g} (allowed {allowed:.2g})", notes)
    return Verdict(False, f"not reproduced: {told}, which differs by {difference:.2g} (allowed {allowed:.2g})", notes)


def _notes(record: Record, again: Record) -> tuple[str, ...]:
    """What was other this time."""
    notes = []
    if record.code_version != again.code_version:
        notes.append(f"code: version {record.code_version or 'unknown'} then, {again.code_version} now")
    if record.environment and again.environment:
        then, now = record.environment.model_dump(), again.environment.model_dump()
        notes += [f"{name}: {then[name]} then, {now[name]} now" for name in then if then[name] != now[name]]
    if record.backend != again.backend:
        notes.append(f"backend: {record.backend} then, {again.backend} now")
    return tuple(notes)
