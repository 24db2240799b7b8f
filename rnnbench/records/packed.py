"""A leaderboard as a few files, one line a record, for a repository of a hub; and back, after strict checks.

Nothing that a file says becomes a path: the place of a record follows from its content, whose names are restricted.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rnnbench.config.schema import StrictModel, parse_json
from rnnbench.errors import RnnbenchError
from rnnbench.records.artefacts import MAX_FILE_BYTES as MAX_ARTEFACTS_BYTES
from rnnbench.records.artefacts import Artefacts, ArtefactStore, read_artefacts
from rnnbench.records.certificates import MAX_FILE_BYTES as MAX_CERTIFICATES_BYTES
from rnnbench.records.certificates import Certificates
from rnnbench.records.folded import MAX_TRIALS_BYTES, FoldedTrial, TrialsFile
from rnnbench.records.record import MAX_RECORD_BYTES, Record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import contradictions
from rnnbench.records.submissions.plausible import InstalledCards
from rnnbench.records.submissions.publish import same_outcome
from rnnbench.utils.files import reading, write_whole

RECORDS, TRIALS, ARTEFACTS, CERTIFICATES = "records.jsonl", "trials.jsonl", "artefacts.jsonl", "certificates.json"
MAX_LINE_BYTES = {RECORDS: MAX_RECORD_BYTES, TRIALS: MAX_TRIALS_BYTES, ARTEFACTS: MAX_ARTEFACTS_BYTES}
LIMITS = {RECORDS: 1 << 30, TRIALS: 1 << 30, ARTEFACTS: 1 << 30, CERTIFICATES: MAX_CERTIFICATES_BYTES}
"""The most bytes of each file."""
MAX_PROBLEMS = 10
"""That are told of a board; the others are counted."""
Model = TypeVar("Model", bound=StrictModel)
Value = TypeVar("Value")


@dataclass(frozen=True)
class PackedBoard:
    """The content of a packed leaderboard.

    Args:
        records: by id; trials are among them.
        artefacts: by the id of their run.
        certificates: of the records.
    """

    records: Mapping[str, Record]
    artefacts: Mapping[str, Artefacts]
    certificates: Certificates


def pack(leaderboard: Path, records: Mapping[str, Record], folder: Path) -> list[str]:
    """Write the records of a leaderboard, their artefacts and certificates into files; their names.

    Raises:
        RnnbenchError: something cannot be read or written.
    """
    studies: dict[Path, list[FoldedTrial]] = defaultdict(list)
    lines: dict[str, list[str]] = {RECORDS: [], TRIALS: [], ARTEFACTS: []}
    for record in sorted(records.values(), key=lambda record: (record.file, record.id)):
        if isinstance(record, FoldedTrial):
            studies[record.file].append(record)
            continue
        lines[RECORDS].append(_line(record.model_dump(mode="json", exclude_defaults=True)))
        path = ArtefactStore(leaderboard).folder / record.file
        if path.is_file():
            lines[ARTEFACTS].append(_line(read_artefacts(path, record.spec).model_dump(mode="json")))
    lines[TRIALS] = [TrialsFile.of(trials).text() for trials in studies.values()]
    texts = {name: "".join(some) for name, some in lines.items() if some}
    for name, text in texts.items():
        write_whole(folder / name, text)
    certificates = [one for one in Certificates(leaderboard).all.values() if one.run in records]
    if certificates:
        Certificates(folder).add(certificates)
    return [*texts, *[CERTIFICATES] * bool(certificates)]


def _line(content: object) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


def unpack(folder: Path, names: Iterable[str], where: str) -> PackedBoard:
    """The content of a packed leaderboard, after all checks that `rnnbench check` makes of records.

    Args:
        folder: with the files.
        names: of those that there are.
        where: the repository, for errors.

    Raises:
        RnnbenchError: something is not what it should be.
    """
    names = [*names]
    records: dict[str, Record] = {}
    artefacts: dict[str, Artefacts] = {}
    for place, line in _lines(folder, RECORDS, names, where):
        record = _parse(Record, line, place)
        _add(records, record.id, record, place)
    for place, line in _lines(folder, TRIALS, names, where):
        for trial in _parse(TrialsFile, line, place).records(place).values():
            _add(records, trial.id, trial, place)
    for place, line in _lines(folder, ARTEFACTS, names, where):
        made = _parse(Artefacts, line, place)
        if made.id not in records:
            raise RnnbenchError(f"{place}: artefacts of run {made.id!r}, which has no record there")
        _add(artefacts, made.id, made, place)
    if not records:
        raise RnnbenchError(f"{where} has no records")
    certificates = Certificates(folder if CERTIFICATES in names else None)
    if problems := contradictions(records.values(), certificates, InstalledCards()):
        raise RnnbenchError(_listed(f"{where} is refused", problems))
    return PackedBoard(records, artefacts, certificates)


def _lines(folder: Path, name: str, names: Iterable[str], where: str) -> Iterator[tuple[str, bytes]]:
    """The lines of a file, and the place of each for errors."""
    if name not in names:
        return
    limit = MAX_LINE_BYTES[name]
    with reading(folder / name), (folder / name).open("rb") as file:
        number = 0
        while line := file.readline(limit + 1):
            number += 1
            if len(line) > limit:
                raise RnnbenchError(f"{where}: {name}, line {number}: it has more than {limit:,} bytes")
            yield f"{where}: {name}, line {number}", line


def _parse(model: type[Model], line: bytes, place: str) -> Model:
    parse_json(line, place)  # refuses a key that stands twice
    return model.parse(line, place)


def _add(known: dict[str, Value], run: str, value: Value, place: str) -> None:
    if run in known:
        raise RnnbenchError(f"{place}: run {run} stands twice")
    known[run] = value


def _listed(head: str, problems: list[str]) -> str:
    more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
    return "\n".join([f"{head}:", *problems[:MAX_PROBLEMS], *more])


def merge(board: PackedBoard, leaderboard: Path) -> int:
    """Write a board into a leaderboard, all of it or, if a run is there with another outcome, nothing.

    Returns:
        How many records were not there.

    Raises:
        RnnbenchError: which runs are there with another outcome; or it cannot be written.
    """
    store = RecordStore(leaderboard)
    there, _ = store.read()
    both = [(there[run], record) for run, record in board.records.items() if run in there]
    other = [f"{store.folder / one.file}: run {one.id} ({one.spec.label}) is there with another outcome"
             for one, record in both if not same_outcome(one, record)]  # fmt: skip
    if other:
        raise RnnbenchError(_listed("nothing is written (--leaderboard names another folder)", other))
    new = {run: record for run, record in board.records.items() if run not in there}
    studies: dict[Path, list[Record]] = defaultdict(list)
    for record in new.values():
        if isinstance(record, FoldedTrial):
            studies[record.file].append(record)
        else:
            store.write(record)
    for trials in studies.values():
        store.fold(trials)
    for made in (board.artefacts[run] for run in new if run in board.artefacts):
        ArtefactStore(leaderboard).write(new[made.id].spec, made.items)
    known = {(record.spec.configuration, record.code_version) for record in there.values()}
    certificates = [one for key, one in board.certificates.all.items() if key not in known]  # of own records: own ones
    if certificates:
        Certificates(leaderboard).add(certificates)
    return len(new)
