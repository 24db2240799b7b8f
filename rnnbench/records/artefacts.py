"""What a trained run says of fixed questions, kept beside its record: samples, translations, forecasts."""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from rnnbench.config.grid import RunSpec
from rnnbench.config.schema import StrictModel
from rnnbench.errors import RnnbenchError
from rnnbench.records.record import Record, file_of
from rnnbench.utils.files import read_plain, write_whole

MAX_ARTEFACTS, MAX_TEXT = 60, 20_000
"""Artefacts of a run, and characters of each."""
MAX_FILE_BYTES = 4 * MAX_ARTEFACTS * MAX_TEXT + (1 << 16)
"""Bytes of a file of them."""


class Artefact(StrictModel):
    """Something that a run has made: a title of one line, and a text."""

    title: str = Field(min_length=1, max_length=200)
    text: str = Field(max_length=MAX_TEXT)


class Artefacts(StrictModel):
    """The artefacts of one run, by its id."""

    schema_version: Literal[1]
    id: str
    items: list[Artefact] = Field(max_length=MAX_ARTEFACTS)


class ArtefactStore:
    """The folder `artefacts` of a leaderboard: one JSON file a run, `artefacts/<task>/<architecture>/<id>.json`.

    They are no part of a record: whoever deletes them loses no score.
    """

    def __init__(self, leaderboard: Path) -> None:
        self.folder = leaderboard / "artefacts"

    def of(self, record: Record) -> list[dict[str, str]]:
        """Title and text of each artefact of a run, in order; of a file that cannot be read what is wrong with it."""
        path = self.folder / record.file
        if not path.is_file():
            return []
        try:
            return [one.model_dump() for one in read_artefacts(path, record.spec).items]
        except RnnbenchError as error:
            return [{"title": "artefacts that cannot be read", "text": str(error)}]

    def write(self, spec: RunSpec, items: list[Artefact]) -> Path:
        """Keep the artefacts of a run, in the place of earlier ones.

        Raises:
            RnnbenchError: they cannot be written.
        """
        path = self.folder / file_of(spec)
        write_artefacts(path, spec, items)
        return path


def write_artefacts(path: Path, spec: RunSpec, items: list[Artefact]) -> None:
    """Write artefacts of a run, whole or not at all.

    Raises:
        RnnbenchError: they cannot be written.
    """
    content = Artefacts(schema_version=1, id=spec.id, items=items).model_dump(mode="json")
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_artefacts(path: Path, spec: RunSpec) -> Artefacts:
    """The artefacts of a run in a file.

    Raises:
        RnnbenchError: they cannot be read, or are of another run.
    """
    artefacts = Artefacts.parse(read_plain(path, MAX_FILE_BYTES), str(path))
    if artefacts.id != spec.id:
        raise RnnbenchError(f"{path}: artefacts of run {artefacts.id}, in the place of those of {spec.id}")
    return artefacts
