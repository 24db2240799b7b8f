"""Which records belong to which track: those of its runs, and of what its own trials have selected."""

from collections.abc import Mapping, Sequence

from rnnbench.config.grid import RunSpec, Track, tracks
from rnnbench.config.model_size import Size
from rnnbench.records.record import Record
from rnnbench.records.selection import runs_of


def runs_by_track(
    records: Mapping[str, Record], among: Sequence[Track] | None = None
) -> list[tuple[Track, dict[str, RunSpec]]]:
    """Of each track the runs that are on record, by id, as the track has them; tracks without any are left out.

    Whether a tuned run is one of a track does not depend on what its record says of that: all trials of the track have
    to be on record, and its configuration has to be the best of these. It is then one selected among as many as the
    track has, whoever has run more.

    Args:
        records: all that there are, by id.
        among: tracks; by default all that have a name.

    Raises:
        RnnbenchError: a track is wrong.
    """
    sizes = {record.spec.size for record in records.values()}
    found = []
    for track in tracks() if among is None else among:
        if Size.of(track.params, track.flops) in sizes:  # else none can be one of its runs: it need not be expanded
            runs = {spec.id: spec for spec in runs_of(track, records)}
            if own := {run: spec for run, spec in runs.items() if run in records}:
                found.append((track, own))
    return found


def tracks_of(records: Mapping[str, Record]) -> dict[str, list[str]]:
    """The names of the tracks to which each record belongs, by its id; of no track it is left out.

    Raises:
        RnnbenchError: a track is wrong.
    """
    names: dict[str, list[str]] = {}
    for track, runs in runs_by_track(records):
        for run in runs:
            names.setdefault(run, []).append(track.name)
    return names
