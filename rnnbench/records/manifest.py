"""The list of what was pushed into a repository of a hub, `rnnbench.json`: the kind, and the hash of each file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rnnbench.config.schema import StrictModel
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import read_plain, write_whole
from rnnbench.utils.fingerprint import file_digest

MANIFEST = "rnnbench.json"
MAX_MANIFEST_BYTES = 1 << 16
Kind = Literal["board", "checkpoint"]


class Manifest(StrictModel):
    """The content of `rnnbench.json`: `files` has the sha256 of each file by its name."""

    schema_version: Literal[1]
    kind: Kind
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(max_length=20)


def write_manifest(folder: Path, kind: Kind, names: Iterable[str]) -> None:
    """Write that of some files of a folder.

    Raises:
        RnnbenchError: it cannot be written.
    """
    files = {name: file_digest(folder / name, 64) for name in names}
    content = Manifest(schema_version=1, kind=kind, files=files).model_dump(mode="json")
    write_whole(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def check_manifest(folder: Path, kind: Kind, allowed: Iterable[str], where: str) -> list[str]:
    """The names of the files that a fetched folder has, when all are as its manifest says.

    Args:
        folder: with what was fetched.
        kind: what it is to be.
        allowed: names that a repository of this kind may have.
        where: the repository, for the error.

    Raises:
        RnnbenchError: there is no manifest, one of another kind, one with other names, or a file is missing or another.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise RnnbenchError(f"{where} has no {MANIFEST}: nothing was pushed there by `rnnbench push`")
    manifest = Manifest.parse(read_plain(path, MAX_MANIFEST_BYTES), f"{where}: {MANIFEST}")
    if manifest.kind != kind:
        raise RnnbenchError(f"{where} has a {manifest.kind}, not a {kind}")
    allowed = [*allowed]
    for name, sha256 in manifest.files.items():
        if name not in allowed:
            raise RnnbenchError(f"{where}: {MANIFEST} names {name!r}; allowed: {', '.join(allowed)}")
        if not (folder / name).is_file():
            raise RnnbenchError(f"{where}: {name} is missing")
        if (received := file_digest(folder / name, 64)) != sha256:
            raise RnnbenchError(f"{where}: {name} has sha256 {received}, expected {sha256}")
    return [*manifest.files]
