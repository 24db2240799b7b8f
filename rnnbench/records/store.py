"""The folder of records of a leaderboard."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.records.folded import (
    MAX_TRIALS_BYTES,
    FoldedTrial,
    TrialsFile,
    is_trials_file,
    parse_trials,
    trials_file,
)
from rnnbench.records.record import MAX_RECORD_BYTES, Record, file_of
from rnnbench.utils.files import discard, move_over, read_plain, write_whole

EMPTY: dict[str, Any] = {"curve": [], "log_tail": "", "attempts": [], "scores": {}, "probe": None, "code": {}}
"""The fields that neither a plan nor a table of a grid reads."""
SHARED = ("task", "architecture", "budget", "size", "training", "trial", "selected", "environment")
"""The parts of a record and of its spec that many records have in common."""


class RecordStore:
    """The folder `records` of a leaderboard: one small JSON a run in one line, written whole or not at all; trials that
    have all ended are in one file a study, see `rnnbench.records.folded`.
    """

    def __init__(self, leaderboard: Path) -> None:
        self.folder = leaderboard / "records"

    def read(self, slim: bool = False) -> tuple[dict[str, Record], list[str]]:
        """All records by id, and a sentence for each file that is none; without their curves and logs if `slim`.

        Files of trials are read last: a record that another process folds in the meantime is in one of them.

        Raises:
            RnnbenchError: a folder cannot be read: what lies in it is not missing.
        """
        records: dict[str, Record] = {}
        problems: list[str] = []
        known: dict[tuple[str, str], BaseModel] = {}

        def keep(record: Record) -> None:
            record = record.model_copy(update=EMPTY) if slim else record
            _intern(record, known)
            _intern(record.spec, known)
            records[record.id] = record

        for path in sorted(path for path in self._files() if not is_trials_file(path)):
            try:
                record = self.read_one(path)
            except RnnbenchError as error:
                problems += [str(error)] if os.path.lexists(path) else []
                continue
            if other := records.get(record.id):
                problems.append(f"{path}: the same run as {other.file}")
            else:
                keep(record)
        for path in sorted(filter(is_trials_file, self._files())):
            try:
                trials = parse_trials(read_plain(path, MAX_TRIALS_BYTES), str(path))
            except RnnbenchError as error:
                problems.append(str(error))
                continue
            for trial in trials.values():
                if trial.id not in records:  # a record of its own is as new or newer
                    keep(trial)
        return records, problems

    def _files(self) -> Iterator[Path]:
        """All files named `*.json` in the folder; links to folders are not followed."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise RnnbenchError(f"cannot read {error.filename}: {error.strerror}") from None

        for folder, _, names in os.walk(self.folder, onerror=refuse):
            yield from (Path(folder, name) for name in names if name.endswith(".json"))

    def read_one(self, path: Path) -> Record:
        """One record.

        Raises:
            RnnbenchError: it is broken, foreign, or lies where it does not belong.
        """
        record = Record.parse(read_plain(path, MAX_RECORD_BYTES), str(path))
        spec = record.spec
        if str(path) != f"{self.folder}/{spec.task.name}/{spec.architecture.name}/{record.id}.json":
            raise RnnbenchError(f"{path}: a record of {record.file}, in the wrong place")
        return record

    def present(self, path: Path) -> Record | None:
        """The record at a path, if one is there and whole."""
        try:
            return self.read_one(path)
        except RnnbenchError:
            return None

    def find(self, specs: Iterable[RunSpec]) -> dict[str, Record]:
        """The records of some runs, by id, as far as there are whole ones; those of trials may be folded."""
        found: dict[str, Record] = {}
        folded: dict[Path, list[str]] = {}
        for spec in specs:
            if record := self.present(self.folder / file_of(spec)):
                found[record.id] = record
            elif spec.trial is not None:
                folded.setdefault(trials_file(spec), []).append(spec.id)
        for file, runs in folded.items():
            trials = self.folded(file)
            found |= {run: trials[run] for run in runs if run in trials}
        return found

    def folded(self, file: Path) -> dict[str, FoldedTrial]:
        """The trials in a file of trials, by id; none if it is not there or broken."""
        try:
            return dict(parse_trials(read_plain(self.folder / file, MAX_TRIALS_BYTES), str(self.folder / file)))
        except RnnbenchError:
            return {}

    def fold(self, trials: Sequence[Record]) -> Path:
        """Move trials of one study into its file, in the place of what that has of the same runs.

        Killed at any moment it loses nothing: their own files are removed when the file of the study is written, and
        count as long as they are there. A broken file is kept as `write` does.

        Raises:
            RnnbenchError: it cannot be written; nothing is changed then.
        """
        file = trials_file(trials[0].spec)
        own = {record.id: FoldedTrial.of(record) for record in trials}
        path = self.folder / file
        there = self.folded(file)
        if not there and path.exists():
            move_over(path, path.with_suffix(".json.broken"))
        write_whole(path, TrialsFile.of({**there, **own}.values()).text())
        for record in trials:
            single = self.folder / file_of(record.spec)
            now = self.present(single)
            if now is not None and FoldedTrial.of(now) == own[record.id]:  # else it was run again since
                discard(single)
        return path

    def write(self, record: Record) -> Path:
        """Keep a record. A broken file in its place is kept beside it, with `.broken` after its name.

        Raises:
            RnnbenchError: it cannot be written; nothing is changed then.
        """
        path = self.folder / record.file
        if path.exists() and self.present(path) is None:
            move_over(path, path.with_suffix(".json.broken"))
        content = record.model_dump(mode="json", exclude_defaults=True)
        write_whole(path, json.dumps(content, separators=(",", ":")) + "\n")
        return path


def _intern(owner: BaseModel, known: dict[tuple[str, str], BaseModel]) -> None:
    """Replace parts that equal an earlier one by it: less memory, and what follows from one is computed once."""
    for name, part in vars(owner).items():
        if name in SHARED and isinstance(part, BaseModel):
            vars(owner)[name] = known.setdefault((name, part.model_dump_json()), part)
