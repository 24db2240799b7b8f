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
from rnnbench.records.artefacts import MAX_FILE_BYTES, ArtefactStore, read_artefacts
from rnnbench.records.certificates import NO_CERTIFICATES, Certificates
from rnnbench.records.folded import MAX_TRIALS_BYTES, is_trials_file
from rnnbench.records.record import MAX_RECORD_BYTES, Record
from rnnbench.records.selection import best, study_of
from rnnbench.records.status import CurrentVersions, data_of
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.altered import altered, records_at
from rnnbench.records.submissions.git import Repository
from rnnbench.records.submissions.plausible import ROUNDING, InstalledCards, implausible
from rnnbench.records.trials import studies
from rnnbench.utils.files import read_plain
from rnnbench.utils.fingerprint import digest
from rnnbench.utils.text import clean

SAME_BASELINE = 1e-4
"""Relative difference that a score computed on another machine may have."""
DEPTH = 3
"""Of a record: `<task>/<architecture>/<run>.json`."""


@dataclass
class Audit:
    """The outcome of a check: a sentence for each problem; notes are not problems."""

    records: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def audit(leaderboard: Path, base: str | None = None) -> Audit:
    """Check all records of a leaderboard, also against those of a revision (by default where HEAD left main).

    Raises:
        RnnbenchError: the folder cannot be read; git does not know `base`.
    """
    if not leaderboard.is_dir():
        raise RnnbenchError(f"there is no folder {str(leaderboard)!r}")
    store, cards, certificates = RecordStore(leaderboard), InstalledCards(), Certificates(leaderboard)
    unexpected = unexpected_files(store.folder)
    by_id, broken = store.read()
    records = by_id.values()
    result = Audit(len(records), list(dict.fromkeys([*unexpected, *broken])))
    for path in sorted({store.folder / record.file for record in records}):
        result.problems += [f"{path}: {why}" for why in _repeated_keys(path)]
    result.problems += contradictions(records, certificates, cards, store.folder)
    result.problems += _artefacts(ArtefactStore(leaderboard).folder, records)
    result.notes += [*unconfirmed_selections(records), *changed_data(records)]
    if repository := Repository.around(store.folder):
        before = records_at(repository, repository.base(base))
        result.problems += [f"{store.folder}/{why}" for why in altered(before, by_id, cards)]
    elif base is not None:
        raise RnnbenchError(f"{store.folder} is in no git repository: there is no revision {base!r}")
    else:
        result.notes.append("no git repository: whether records were altered after the fact is not checked")
    return result


def contradictions(
    records: Collection[Record], certificates: Certificates, cards: InstalledCards, folder: Path = Path()
) -> list[str]:
    """What is wrong with records by their content alone, in themselves and beside each other; `folder` is named."""
    problems = [f"{folder / record.file}: {why}" for record in records for why in implausible(record, cards)]
    problems += copied_results(records)
    problems += false_baselines(records, certificates)
    problems += _certificates(certificates, records)
    return problems + conflicting_selections(records)


def _artefacts(folder: Path, records: Iterable[Record]) -> list[str]:
    """Files beside the records that are links, of no record, or not artefacts."""
    if problems := unexpected_files(folder, MAX_FILE_BYTES):
        return problems
    specs = {folder / record.file: record.spec for record in records}
    for path in sorted(folder.glob("*/*/*.json")):
        try:
            if path in specs:
                read_artefacts(path, specs[path])
            else:
                problems.append(f"{path}: artefacts of no record")
        except RnnbenchError as error:
            problems.append(str(error))
    return problems


def _repeated_keys(path: Path) -> list[str]:
    """A key that stands twice: readers differ in which value they take."""
    try:
        parse_json(read_plain(path, MAX_TRIALS_BYTES), "")
    except RnnbenchError as error:
        return [str(error).lstrip(" :")]
    return []


def unconfirmed_selections(records: Iterable[Record]) -> list[str]:
    """Tuned runs whose configuration is, by the trials that are on record, not the best of those it says it is of."""
    records = [*records]
    on_record = studies(records)
    notes, without_trials = [], 0
    for record in records:
        selected, study = record.spec.selected, on_record.get(study_of(record.spec))
        if selected is None:
            continue
        if study is None:
            without_trials += 1
            continue
        index = best(study.first(selected.trials).scores, record.spec.task.direction)
        if index not in (None, selected.index):
            notes.append(f"{record.file}: trial {selected.index} is said to be the best of {selected.trials}, but by "
                         f"the trials on record trial {index} is")  # fmt: skip
    return notes + [f"tuned runs whose trials are not on record: {without_trials}"] * bool(without_trials)


def conflicting_selections(records: Iterable[Record]) -> list[str]:
    """Two configurations that are both said to be the best of the same trials: the board would average them."""
    first: dict[tuple[str, int], Record] = {}
    problems = []
    for record in records:
        if record.status == "done" and (selected := record.spec.selected):
            other = first.setdefault((study_of(record.spec), selected.trials), record)
            if other.spec.selected and other.spec.selected.index != selected.index:
                problems.append(f"{record.file}: trial {selected.index} is said to be the best of {selected.trials}, "
                                f"and by {other.file} trial {other.spec.selected.index} is")  # fmt: skip
    return problems


def copied_results(records: Iterable[Record]) -> list[str]:
    """Records of different runs with the same curve, scores, time and memory: one was copied from the other."""
    first: dict[str, Record] = {}
    problems = []
    for record in records:
        if record.cost and record.cost.train_seconds:
            result = [record.scores, record.validation, record.curve, record.cost.model_dump()]
            other = first.setdefault(digest(result), record)
            if other is not record:
                problems.append(f"{record.file}: scores, learning curve, time and memory are those of {other.file}")
    return problems


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


def false_baselines(records: Collection[Record], certificates: Certificates = NO_CERTIFICATES) -> list[str]:
    """Records that count whose simple reference scores otherwise than in most of those with the same data: the board
    would measure everybody by it.
    """
    versions = CurrentVersions.of(records, certificates)
    by_data: dict[tuple[str, str], list[tuple[Record, float]]] = defaultdict(list)
    for record in records:
        score = record.baseline_scores.get(record.spec.task.metric)
        if score is not None and versions.cell(record).state == "done":
            by_data[record.spec.task.fingerprint, record.data_fingerprint].append((record, score))
    problems = []
    for scored in by_data.values():
        usual = median_low(score for _, score in scored)
        problems += [f"{record.file}: its simple reference scores {score}, that of others with the same data {usual}"
                     for record, score in scored
                     if not isclose(score, usual, rel_tol=SAME_BASELINE, abs_tol=ROUNDING)]  # fmt: skip
    return problems


def changed_data(records: Collection[Record]) -> list[str]:
    """Runs whose data is not that of earlier ones of their task, which do not count any more."""
    latest: dict[tuple[str, int | None], Record] = {}
    done = [record for record in records if record.status == "done"]
    for record in sorted(done, key=lambda one: (one.started, one.id)):
        latest[data_of(record.spec)] = record
    lost = Counter(data_of(one.spec) for one in done
                   if one.data_fingerprint != latest[data_of(one.spec)].data_fingerprint)  # fmt: skip
    return [f"{latest[data].file}: the latest run of its task has other data than {count} before it, which makes them "
            "stale" for data, count in lost.items()]  # fmt: skip


def unexpected_files(folder: Path, max_bytes: int = MAX_RECORD_BYTES) -> list[str]:
    """A sentence for each path in `records` or `artefacts` that has not the kind, name, place or size of a file of it.

    Raises:
        RnnbenchError: a folder cannot be read.
    """
    if folder.is_symlink():
        return [f"{folder}: is a link; a folder of records is a folder"]
    try:
        return sorted(_unexpected_below(folder, 1, max_bytes)) if folder.is_dir() else []
    except OSError as error:
        raise RnnbenchError(f"cannot read {error.filename}: {error.strerror}") from None


def _unexpected_below(folder: Path, depth: int, max_bytes: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield f"{entry.path}: is a link to {Path(entry).readlink()}; only plain files belong here"
            elif entry.is_dir(follow_symlinks=False):
                if depth < DEPTH:
                    yield from _unexpected_below(Path(entry), depth + 1, max_bytes)
                else:
                    yield f"{entry.path}: a folder too deep"
            elif not entry.is_file(follow_symlinks=False):
                yield f"{entry.path}: is no plain file"
            elif depth != DEPTH or not entry.name.endswith(".json"):
                yield f"{entry.path}: is no record: only <task>/<architecture>/<run or trials>.json belong here"
            elif (size := entry.stat(follow_symlinks=False).st_size) > (
                allowed := MAX_TRIALS_BYTES if is_trials_file(Path(entry)) else max_bytes
            ):
                yield f"{entry.path}: {size} bytes are more than {allowed}"
