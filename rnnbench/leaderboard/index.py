"""An index of records, so that a board is redrawn without reading them all: for each folder, the facts of its runs.

It lies in the user's cache, may be thrown away at any time, and is made again from the records. A folder counts as it
was if names, sizes, times of change and inodes of its files are the same; else all its files are read again.
"""

import hashlib
import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rnnbench.config.grid import RunSpec
from rnnbench.config.schema import StrictModel
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.cell_stats import CellStats, Group
from rnnbench.leaderboard.table import Table, table_of
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Record, RecordStore
from rnnbench.records.selection import study_of
from rnnbench.records.status import Origin, Present
from rnnbench.records.trials import Attempt, gathered
from rnnbench.utils.bulk import entries
from rnnbench.utils.files import cache_folder, write_whole
from rnnbench.utils.fingerprint import digest, source_digest

JUST_NOW = 20_000_000
"""Nanoseconds in which a file may change twice and show one time of change: what is that young is not kept."""


class Batch(StrictModel):
    """Runs that differ in their seed and how they ended, or of trials also in what is tuned.

    Args:
        spec: of one of them.
        data: the fingerprint of their data.
        code: the version by which they were made, see `Origin`.
        latest: when which of those that are done began, the latest.
        facts: as long as they are not stale.
        attempts: if they are trials.
    """

    spec: RunSpec
    data: str
    code: str | None
    latest: tuple[str, str] | None
    facts: CellStats
    attempts: list[Attempt]

    @property
    def origin(self) -> Origin:
        """What makes them stale when it changes."""
        return Origin(self.spec, self.data, self.code, self.latest)


class Page(StrictModel):
    """What is known of one folder."""

    meaning: str
    stamp: str
    problems: list[str]
    batches: list[Batch]


@dataclass(frozen=True)
class Folder:
    """A folder that holds files: their names, and what tells it from the same one later."""

    path: str
    names: list[str]
    stamp: str
    changed: int

    @classmethod
    def of(cls, path: str, files: Iterable["os.DirEntry[str]"]) -> "Folder":
        """As it is now."""
        stats = sorted((file.name, file.stat(follow_symlinks=False)) for file in files)
        told = [f"{name}\0{one.st_size}\0{one.st_mtime_ns}\0{one.st_ctime_ns}\0{one.st_ino}" for name, one in stats]
        stamp = hashlib.sha256("\n".join(told).encode(errors="surrogateescape")).hexdigest()
        return cls(path, [name for name, _ in stats], stamp, max((one.st_ctime_ns for _, one in stats), default=0))


class Index:
    """The index of one leaderboard.

    Raises:
        RnnbenchError: the cache cannot be written.
    """

    def __init__(self, leaderboard: Path) -> None:
        self.store = RecordStore(leaderboard)
        self.pages = cache_folder("index", digest(str(leaderboard.resolve())))
        self.certificates = Certificates(leaderboard)
        self.meaning = source_digest("rnnbench")

    def table(self) -> tuple[Table, list[str]] | None:
        """The board, and a sentence for each file that is no record; None if there is one run under two names,
        or a name that no record has.

        Raises:
            RnnbenchError: a folder cannot be read; the cache cannot be written.
        """
        folders = sorted((Folder.of(*one) for one in entries(self.store.folder)), key=lambda folder: folder.path)
        if _is_twice(folders) or not _are_text(folders):
            return None
        pages = [self._page(folder) for folder in folders]
        table = self._table([batch for page in pages for batch in page.batches])
        problems = [problem for page in pages for problem in page.problems]
        return table, [*problems, *filter(None, [self.certificates.problem])]

    def _table(self, batches: Collection[Batch]) -> Table:
        present = Present.among([batch.origin for batch in batches], self.certificates)
        studies = gathered((batch.spec, batch.attempts) for batch in batches if batch.attempts)
        groups = [Group(batch.spec, _facts(batch, present)) for batch in batches if not batch.attempts]
        return table_of(groups, studies)

    def _page(self, folder: Folder) -> Page:
        path = self.pages / f"{digest(os.path.relpath(folder.path, self.store.folder))}.json"
        try:
            page = Page.model_validate_json(path.read_bytes())
            if (page.meaning, page.stamp) == (self.meaning, folder.stamp):
                return page
        except (OSError, ValueError):  # not there, or not whole
            pass
        settled = folder.changed < time.time_ns() - JUST_NOW
        records, problems = self.store.read_files(Path(folder.path, name) for name in folder.names)
        page = Page(meaning=self.meaning, stamp=folder.stamp, problems=problems, batches=batches_of(records.values()))
        if settled:
            write_whole(path, page.model_dump_json(), durable=False)
        return page


def _is_twice(folders: Iterable[Folder]) -> bool:
    """Whether two files may be of one run: a record's file is named by its id."""
    names = [name for folder in folders for name in folder.names]
    return len(set(names)) < len(names)


def _are_text(folders: Iterable[Folder]) -> bool:
    """Whether all names can be written down: a system may hold some in which bytes are no text."""
    return all(name.isprintable() for folder in folders for name in (folder.path, *folder.names))


def _facts(batch: Batch, present: Present) -> CellStats:
    """Those of runs as they are now."""
    why, certified = present.judge(batch.origin)
    if why:
        return CellStats(states={"stale": sum(batch.facts.states.values())}, reasons={("stale", why)})
    return batch.facts if certified else replace(batch.facts, uncertified=batch.facts.states.get("done", 0))


def batches_of(records: Iterable[Record]) -> list[Batch]:
    """Records that stand together."""
    found: dict[str, Batch] = {}
    for record in records:
        key = digest([_design(record.spec), record.data_fingerprint, record.code_version])
        if key not in found:
            found[key] = Batch(spec=record.spec, data=record.data_fingerprint, code=record.code_version, latest=None,
                               facts=CellStats(), attempts=[])  # fmt: skip
        found[key] = _with(found[key], record)
    return list(found.values())


def _design(spec: RunSpec) -> object:
    """What is the same for all runs of a batch."""
    return study_of(spec) if spec.trial else spec.model_dump(mode="json", exclude={"seed"})


def _with(batch: Batch, record: Record) -> Batch:
    """A batch and one more run."""
    if record.spec.trial and not record.unprepared:
        batch.attempts.append(Attempt.of(record))
    batch.facts.count("missing" if record.unprepared else record.status, record.reason)
    if record.status != "done":
        return batch
    batch.facts.take(record)
    latest = max(batch.latest or ("", ""), (record.started, record.id))
    return batch.model_copy(update={"latest": latest})


def table_by_index(leaderboard: Path) -> tuple[Table, list[str]] | None:
    """The board by the index; None where that cannot be: no cache, or one run under two names.

    Raises:
        RnnbenchError: a folder of records cannot be read.
    """
    try:
        return Index(leaderboard).table()
    except RnnbenchError:
        return None
