"""What a change of the records does to the board, against a commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.board import OTHER_RUNS, make_board
from rnnbench.leaderboard.table import Column, Table
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.altered import records_at
from rnnbench.records.submissions.git import Repository


@dataclass(frozen=True)
class Difference:
    """One entry of the board before and after; nothing where it is in only one of them.

    `track` is the name of the table that has it, see `rnnbench.leaderboard.table.Table`.
    """

    track: str
    row: str
    column: Column
    before: str
    after: str
    was_best: bool
    is_best: bool


@dataclass(frozen=True)
class Preview:
    """Records that came, went and changed since a commit, and the entries of the board that differ for it."""

    base: str
    added: list[Record]
    removed: list[Record]
    changed: list[Record]
    differences: list[Difference]


def preview(leaderboard: Path, base: str | None = None) -> Preview:
    """The records as they are now, against a revision, by default where HEAD left main.

    Raises:
        RnnbenchError: there is no repository or no such revision.
    """
    store = RecordStore(leaderboard)
    repository = Repository.around(store.folder)
    if repository is None:
        raise RnnbenchError(f"{leaderboard} is in no git repository with a commit: there is nothing to compare with")
    commit = repository.base(base)
    certificates = Certificates(leaderboard)
    before, after = records_at(repository, commit), store.read()[0]
    return Preview(
        commit,
        [record for run, record in after.items() if run not in before],
        [record for run, record in before.items() if run not in after],
        [record for run, record in after.items() if run in before and before[run] != record],
        differences(make_board(before, certificates), make_board(after, certificates)),
    )


def differences(before: Sequence[Table], after: Sequence[Table]) -> list[Difference]:
    """Entries that read otherwise, by track, column and row."""
    old, new = _entries(before), _entries(after)
    order = {table.name or OTHER_RUNS: place for place, table in enumerate([*after, *before])}
    places = sorted({**old, **new}, key=lambda place: (order[place[0]], place[2].order, place[1]))
    nothing = ("", False)
    both = [(place, old.get(place, nothing), new.get(place, nothing)) for place in places]
    return [Difference(*place, then[0], now[0], then[1], now[1]) for place, then, now in both if then != now]


def _entries(tables: Sequence[Table]) -> dict[tuple[str, str, Column], tuple[str, bool]]:
    return {
        (table.name or OTHER_RUNS, row.label, column): (table.text(row, column), entry.standing == "best")
        for table in tables
        for row in table.rows
        for column, entry in row.entries.items()
    }
