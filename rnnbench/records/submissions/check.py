"""Everything that can be checked about a folder of records without running anything."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from statistics import median_low

from rnnbench.config.schema import parse_json
from rnnbench.errors import RnnbenchError
from rnnbench.records.artefacts import LARGEST, ArtefactStore, read_artefacts
from rnnbench.records.certificates import NONE, Certificates
from rnnbench.records.record import LARGEST_FILE, Record, RecordStore
from rnnbench.records.selection import best, study_of
from rnnbench.records.status import CurrentVersions, data_of
from rnnbench.records.submissions.git import Repository
from rnnbench.records.submissions.history import altered
from rnnbench.records.submissions.plausible import ROUNDING, Known, implausible
from rnnbench.records.trials import studies
from rnnbench.utils.files import read_plain
from rnnbench.utils.fingerprint import digest
from rnnbench.utils.text import clean

SAME = 1e-4
"""Relative difference that a score computed on another machine may have."""


@dataclass
class Audit:
    """What was found: a sentence a problem; notes are no problems."""

    records: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def audit(leaderboard: Path, base: str | None = None) -> Audit:
    """Check all records of a leaderboard; `base` is the revision that a change is held against, by default main.

    Raises:
        RnnbenchError: the folder cannot be read; git does not know `base`.
    """
    store, known = RecordStore(leaderboard), Known()
    if not leaderboard.is_dir():
        raise RnnbenchError(f"there is no folder {str(leaderboard)!r}")
    stray = strays(store.folder)
    records, broken = store.read()
    found = Audit(len(records), list(dict.fromkeys([*stray, *broken])))
    for record in records.values():
        path = store.folder / record.file
        found.problems += [f"{path}: {why}" for why in [*_twice_said(path), *implausible(record, known)]]
    found.problems += copies(records.values())
    certificates = Certificates(leaderboard)
    found.problems += false_chances(records.values(), certificates)
    found.problems += _certificates(certificates, records.values())
    found.problems += rivals(records.values())
    found.problems += _artefacts(ArtefactStore(leaderboard).folder, records.values())
    found.notes += [
        *doubtful(records.values()),
        *other_data(records.values()),
        *other_scorings(records.values(), known),
    ]
    _history(store.folder, base, known, found)
    return found


def _history(folder: Path, base: str | None, known: Known, found: Audit) -> None:
    repository = Repository.around(folder)
    if repository is None:
        if base is not None:
            raise RnnbenchError(f"{folder} is in no git repository: there is no revision {base!r}")
        found.notes.append("no git repository: records altered after the fact cannot be told")
        return
    problems, notes = altered(repository, repository.commit(base) if base else repository.base(), known)
    found.problems += problems
    found.notes += notes
    if repository.shallow():
        found.notes.append("git has only the latest commits: older changes of records are not seen")


def _artefacts(folder: Path, records: Iterable[Record]) -> list[str]:
    """What lies beside the records: links, files of no run, texts that are none."""
    told = strays(folder, LARGEST)
    of = {folder / record.file: record.spec for record in records}
    for path in sorted(folder.glob("*/*/*.json")) if not told else []:
        if path not in of:
            told.append(f"{path}: artefacts of no record")
            continue
        try:
            read_artefacts(path, of[path])
        except RnnbenchError as error:
            told.append(str(error))
    return told


def _twice_said(path: Path) -> list[str]:
    """A key that stands twice: readers differ in which they take."""
    try:
        parse_json(read_plain(path, LARGEST_FILE), "")
    except RnnbenchError as error:
        return [str(error).lstrip(" :")]
    return []


def doubtful(records: Iterable[Record]) -> list[str]:
    """Tuned runs whose configuration is, by the trials that are on record, not the best of those it says it is of."""
    given = [*records]
    found = studies(given)
    told, alone = [], 0
    for record in given:
        selected, study = record.spec.selected, found.get(study_of(record.spec))
        if selected is None:
            continue
        if study is None:
            alone += 1
            continue
        scores = {index: score for index, score in study.scores.items() if index < selected.trials}
        index = best(scores, record.spec.task.direction)
        if index not in (None, selected.index):
            told.append(f"{record.file}: trial {selected.index} is said to be the best of {selected.trials}, but by "
                        f"the trials on record trial {index} is")  # fmt: skip
    return told + [f"tuned runs whose trials are not on record: {alone}"] * bool(alone)


def rivals(records: Iterable[Record]) -> list[str]:
    """Two configurations that are both said to be the best of the same trials: the board would average them."""
    first: dict[tuple[str, int], Record] = {}
    told = []
    for record in records:
        if record.status == "done" and (selected := record.spec.selected):
            other = first.setdefault((study_of(record.spec), selected.trials), record)
            if other.spec.selected and other.spec.selected.index != selected.index:
                told.append(f"{record.file}: trial {selected.index} is said to be the best of {selected.trials}, and "
                            f"by {other.file} trial {other.spec.selected.index} is")  # fmt: skip
    return told


def copies(records: Iterable[Record]) -> list[str]:
    """Records of different runs with the same curve, scores, time and memory: one was copied from the other."""
    first: dict[str, Record] = {}
    told = []
    for record in records:
        if record.cost is None or not record.cost.train_seconds:
            continue
        content = [record.scores, record.validation, record.curve]
        other = first.setdefault(digest([*content, record.cost.model_dump()]), record)
        if other is not record:
            told.append(f"{record.file}: scores, learning curve, time and memory are those of {other.file}")
    return told


def _certificates(certificates: Certificates, records: Iterable[Record]) -> Iterator[str]:
    """Certificates that cannot be read, or are about no record. Whether one is true only a probe can tell."""
    if certificates.problem:
        yield certificates.problem
    known = {(record.spec.configuration, record.code_version, record.id) for record in records}
    for one in certificates.all.values():
        if (one.configuration, one.made_by, one.run) not in known:
            yield f"{certificates.path}: a certificate of run {one.run}, of which there is no such record"
        if clean(text := f"{one.why}{one.machine}{one.date}") != text:
            yield f"{certificates.path}: has characters that are not text: {clean(text)[:80]!r}"


def false_chances(records: Collection[Record], certificates: Certificates = NONE) -> list[str]:
    """Records that count whose simple reference scores otherwise than in most of those with the same data: the board
    would measure everybody by it.
    """
    versions = CurrentVersions.of(records, certificates)
    by_data: dict[tuple[str, str], list[tuple[Record, float]]] = defaultdict(list)
    for record in records:
        chance = record.baseline_scores.get(record.spec.task.metric)
        if chance is not None and versions.cell(record).state == "done":
            by_data[record.spec.task.fingerprint, record.data_fingerprint].append((record, chance))
    told = []
    for some in by_data.values():
        usual = median_low(chance for _, chance in some)
        told += [f"{record.file}: its simple reference scores {chance}, that of others with the same data {usual}"
                 for record, chance in some if not isclose(chance, usual, rel_tol=SAME, abs_tol=ROUNDING)]  # fmt: skip
    return told


def other_scorings(records: Iterable[Record], known: Known) -> list[str]:
    """Tasks without a card here whose records differ in chance, margin, ceiling, group or kind."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        task = record.spec.task
        if task.scoring is not None and known.task(task.name) is None:
            found[task.name][task.fingerprint].add(task.scoring.model_dump_json())
    return [f"records of task {name!r} differ in its chance, margin, ceiling, group or kind: those of the latest count"
            for name, by_content in found.items() for some in by_content.values() if len(some) > 1]  # fmt: skip


def other_data(records: Collection[Record]) -> list[str]:
    """Runs whose data is not that of earlier ones of their task: these do not count any more."""
    latest: dict[tuple[str, int | None], Record] = {}
    done = [record for record in records if record.status == "done"]
    for record in sorted(done, key=lambda one: (one.started, one.id)):
        latest[data_of(record.spec)] = record
    lost = Counter(data_of(one.spec) for one in done
                   if one.data_fingerprint != latest[data_of(one.spec)].data_fingerprint)  # fmt: skip
    return [f"{latest[data].file}: the latest run of its task has other data than {count} before it, which makes them "
            "stale" for data, count in lost.items()]  # fmt: skip


DEPTH = 3
"""Of a record: `<task>/<architecture>/<run>.json`."""


def strays(folder: Path, largest: int = LARGEST_FILE) -> list[str]:
    """A sentence for whatever in the folder `records` or `artefacts` has not the kind, name, place or size of one.

    Raises:
        RnnbenchError: a folder cannot be read.
    """
    if folder.is_symlink():
        return [f"{folder}: is a link; a folder of records is a folder"]
    try:
        return sorted(_below(folder, 1, largest)) if folder.is_dir() else []
    except OSError as error:
        raise RnnbenchError(f"cannot read {error.filename}: {error.strerror}") from None


def _below(folder: Path, depth: int, largest: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_symlink():
                yield f"{entry.path}: is a link to {Path(entry).readlink()}; only plain files belong here"
            elif entry.is_dir(follow_symlinks=False):
                yield from (
                    _below(Path(entry), depth + 1, largest) if depth < DEPTH else [f"{entry.path}: a folder too deep"]
                )
            elif why := _why_no_record(entry, depth, largest):
                yield f"{entry.path}: {why}"


def _why_no_record(entry: os.DirEntry[str], depth: int, largest: int) -> str:
    if not entry.is_file(follow_symlinks=False):
        return "is no plain file"
    if depth != DEPTH or not entry.name.endswith(".json"):
        return "is no record: only <task>/<architecture>/<run>.json belong here"
    if (size := entry.stat(follow_symlinks=False).st_size) > largest:
        return f"{size} bytes are more than {largest}"
    return ""
