"""Publishing: records are checked, marked with where they come from, and copied into a leaderboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from rnnbench import __version__
from rnnbench.errors import RnnbenchError
from rnnbench.records.find import find_run, is_file_of_run
from rnnbench.records.folded import FoldedTrial
from rnnbench.records.record import Provenance, Record
from rnnbench.records.selection import study_of
from rnnbench.records.status import CurrentVersions
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.altered import why_altered
from rnnbench.records.submissions.check import copied_results, unexpected_files
from rnnbench.records.submissions.git import Repository
from rnnbench.records.submissions.plausible import InstalledCards, implausible
from rnnbench.utils.text import folder_options

PACKAGE = Path(__file__).parents[2]
SOURCE_FOLDERS = ("rnnbench", "tasks", "configs")
"""Folders of the source that a result depends on."""


@dataclass
class PublishedFiles:
    """The files that were written, and those that were there already."""

    written: list[Path] = field(default_factory=list)
    already: list[Path] = field(default_factory=list)


def select(names: Sequence[str], records: Mapping[str, Record]) -> list[Record]:
    """The records that `names` stand for: all whose `task/architecture/seed` matches one with `*` or `/`; else see
    `find_run`.

    Raises:
        RnnbenchError: a name stands for none, or the start of an id for several.
    """
    chosen: dict[str, Record] = {}
    for name in names:
        if not is_file_of_run(name) and ("*" in name or "/" in name):
            matching = [one for one in records.values() if _matches(one, name)]
            if not matching:
                raise RnnbenchError(f"no record of {len(records)} is of {name!r} (task/architecture/seed)")
        else:
            matching = [find_run(name, records)]
        chosen |= {one.id: one for one in matching}
    return sorted(chosen.values(), key=lambda one: one.file)


def _matches(record: Record, name: str) -> bool:
    depth = name.count("/") + 1
    label = "/".join(record.spec.label.split("/")[:depth])
    return fnmatchcase(label, name)


def with_trials(chosen: Sequence[Record], records: Mapping[str, Record]) -> list[Record]:
    """Some records, and the trials by which they were selected: without these nobody could tell that they were."""
    studies = {study_of(record.spec) for record in chosen if record.spec.selected}
    more = [record for record in records.values() if record.spec.trial and study_of(record.spec) in studies]
    return [*chosen, *(record for record in more if record not in chosen)]


def source_state() -> tuple[str, bool | None]:
    """Commit of the source of rnnbench, and whether it is clean; nothing where there is no repository."""
    repository = Repository.around(PACKAGE)
    if repository is None or repository.folder != PACKAGE.name:
        return "", None
    return repository.state(*SOURCE_FOLDERS)


def provenance(by: str, needs: list[str]) -> Provenance:
    """That of records published now."""
    commit, clean = source_state()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(version=__version__, commit=commit, clean=clean, published=now, by=by, needs=needs)


def reasons_to_refuse(records: Sequence[Record], versions: CurrentVersions, target: Path) -> list[str]:
    """A sentence for each reason why records cannot be published: stale, implausible, or against what is there."""
    cards, store = InstalledCards(), RecordStore(target)
    there = store.find(record.spec for record in records)
    reasons = [*unexpected_files(store.folder), *copied_results(records)]
    own = versions.certificates.path
    certify = f"run rnnbench certify{folder_options(leaderboard=own.parent) if own else ''}"
    for record in records:
        why = implausible(record, cards)
        if record.unprepared:
            why.append(f"nothing was run: {record.reason}")
        cell = versions.cell(record)
        if cell.state == "stale":
            why.append(f"it is stale: {cell.reason}; run it again")
        elif not cell.certified:
            why.append(f"it was made by other code, and is not certified for this version: {certify}")
        if (old := there.get(record.id)) and (reason := why_altered(_content(old), _content(record), cards)):
            why.append(f"{store.folder / record.file} is there already: {reason}")
        reasons += [f"{record.file} ({record.spec.label}): {one}" for one in why]
    return reasons


def publish(record: Record, source: Provenance, target: RecordStore, published: PublishedFiles) -> None:
    """Write a record that was not refused, with where it comes from; one that is there with the same content stays."""
    path = target.folder / record.file
    there = target.present(path)
    if there and there.provenance and same_outcome(there, record):
        published.already.append(path)
        return
    published.written.append(target.write(record.model_copy(update={"provenance": source})))


def publish_trials(
    trials: Sequence[Record], source: Provenance, target: RecordStore, published: PublishedFiles
) -> None:
    """Write the trials of one study that were not refused into its file, as `publish` writes records."""
    there = target.find(record.spec for record in trials)
    folded = [FoldedTrial.of(record) for record in trials]
    new = [record for record in folded if not _is_published(there.get(record.id), record)]
    path = target.folder / folded[0].file
    (published.written if new else published.already).append(path)
    if new:
        target.fold([record.model_copy(update={"provenance": source}) for record in new])


def _is_published(there: Record | None, trial: FoldedTrial) -> bool:
    return there is not None and there.provenance is not None and same_outcome(there, trial)


def same_outcome(one: Record, other: Record) -> bool:
    """Whether two records say the same, wherever they were published; a trial may be folded."""
    if isinstance(one, FoldedTrial) or isinstance(other, FoldedTrial):
        one, other = FoldedTrial.of(one), FoldedTrial.of(other)
    return _content(one) == _content(other)


def _content(record: Record) -> Record:
    """A record without its provenance, and without what is read and not written."""
    return record.model_copy(update={"provenance": None, "code": {}})
