"""All records of a leaderboard as tables: one for each track that has runs, then one of all other runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rnnbench.errors import unknown
from rnnbench.leaderboard.table import Table, make_table
from rnnbench.records.certificates import NO_CERTIFICATES, Certificates
from rnnbench.records.record import Record
from rnnbench.records.selection import runs_without_score
from rnnbench.records.status import Cell, cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.tracks import runs_by_track
from rnnbench.records.trials import studies

OTHER_RUNS = "other-runs"
OTHER_TITLE = "Other runs"
OTHER_SUMMARY = "Runs of no track: no two rows need have the same size, tuning or budget."


def read_board(leaderboard: Path) -> tuple[list[Table], list[str]]:
    """The tables of all records of a leaderboard, and a sentence for each file that is not a record.

    Raises:
        RnnbenchError: a folder of records cannot be read, or a track is wrong.
    """
    records, problems = RecordStore(leaderboard).read()
    certificates = Certificates(leaderboard)
    return make_board(records, certificates), [*problems, *filter(None, [certificates.problem])]


def make_board(records: Mapping[str, Record], certificates: Certificates = NO_CERTIFICATES) -> list[Table]:
    """A table for each track with scores or other outcomes, `core` first, and one of the runs of no track.

    There is always one. A single table of other runs has no title: nothing has to be told from it.

    Raises:
        RnnbenchError: a track is wrong.
    """
    cells = dict(zip(records, cells_on_record(records, certificates), strict=True))
    all_studies = studies(records.values())
    tables, taken = [], set[str]()
    for track, runs in runs_by_track(records):
        own = [replace(cells[run], spec=spec) for run, spec in runs.items()]
        taken |= runs.keys()
        lost = runs_without_score(track, runs.values(), records)
        own += [Cell(spec, record.status, record.reason) for spec, record in lost]
        if any(spec.trial is None for spec in runs.values()):
            table = make_table(own, track, all_studies)
            tables.append(
                replace(table, name=track.name, title=track.title, summary=track.summary, version=track.version)
            )
    others = make_table([cell for run, cell in cells.items() if run not in taken], all_studies=all_studies)
    if not tables:
        return [others]
    if others.rows:
        tables.append(replace(others, name=OTHER_RUNS, title=OTHER_TITLE, summary=OTHER_SUMMARY))
    return tables


def table_of(tables: Sequence[Table], name: str | None) -> Table:
    """The table of that track; the first without a name.

    Raises:
        RnnbenchError: there is none.
    """
    if name is None:
        return tables[0]
    for table in tables:
        if name == (table.name or OTHER_RUNS):
            return table
    raise unknown("track with runs on the board", name, [table.name or OTHER_RUNS for table in tables])
