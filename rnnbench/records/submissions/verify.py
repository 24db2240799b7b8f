"""Whether a run that was repeated has the result of its record."""

from dataclasses import dataclass

from rnnbench.records.folded import FoldedTrial
from rnnbench.records.record import Record
from rnnbench.utils.text import number

MIN_TOLERANCE = 1e-6
"""Scores are computed in single precision."""


@dataclass(frozen=True)
class Reproduction:
    """Whether a record was reproduced, the outcome in words, and what differs besides."""

    reproduced: bool
    words: str
    notes: tuple[str, ...] = ()


def compare(record: Record, again: Record, tolerance: float) -> Reproduction:
    """Compare a new record of a run with an old one.

    Args:
        record: of the run as it was published.
        again: of the run as it was repeated here.
        tolerance: most that the score may differ, as a share of the recorded score.
    """
    if record.status != again.status:
        why = f": {again.reason}" if again.reason else ""
        return Reproduction(False, f"not reproduced: recorded as {record.status}, now {again.status}{why}")
    recorded, repeated = record.headline_score, again.headline_score
    if recorded is None or repeated is None:
        same = record.reason == again.reason
        words = f"reproduced: {record.status} again" if same else f"{record.status} again, but because: {again.reason}"
        return Reproduction(same, words)
    notes = _notes(record, again)
    if record.data_fingerprint != again.data_fingerprint:
        return Reproduction(False, "not comparable: the data is not that of the record", notes)
    if record.parameters != again.parameters and not isinstance(record, FoldedTrial):
        return Reproduction(
            False, f"not reproduced: {record.parameters} parameters recorded, now {again.parameters}", notes
        )
    chance, now = (one.baseline_scores.get(record.spec.task.metric) for one in (record, again))
    if chance is not None and now is not None and abs(chance - now) > max(tolerance * abs(chance), MIN_TOLERANCE):
        return Reproduction(False, f"not reproduced: chance {number(chance)} recorded, now {number(now)}", notes)
    difference, allowed = abs(recorded - repeated), max(tolerance * abs(recorded), MIN_TOLERANCE)
    scores = f"{record.spec.task.metric} {number(recorded)} recorded, now {number(repeated)}"
    if difference == 0:
        return Reproduction(True, f"reproduced to the last digit: {scores}", notes)
    if difference <= allowed:
        return Reproduction(
            True, f"reproduced: {scores}, which differs by {difference:.2g} (allowed {allowed:.2g})", notes
        )
    return Reproduction(
        False, f"not reproduced: {scores}, which differs by {difference:.2g} (allowed {allowed:.2g})", notes
    )


def _notes(record: Record, again: Record) -> tuple[str, ...]:
    """What differs in code, machine and backend."""
    notes = []
    if record.code_version != again.code_version:
        notes.append(f"code: version {record.code_version or 'unknown'} then, {again.code_version} now")
    if record.environment and again.environment:
        then, now = record.environment.model_dump(), again.environment.model_dump()
        notes += [f"{name}: {then[name]} then, {now[name]} now" for name in then if then[name] != now[name]]
    if record.backend != again.backend and not isinstance(record, FoldedTrial):
        notes.append(f"backend: {record.backend} then, {again.backend} now")
    return tuple(notes)
