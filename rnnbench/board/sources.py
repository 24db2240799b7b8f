"""Digests of code, kept from one process to the next: to read a hundred modules takes longer than to draw a board."""

import hashlib
import sys
from pathlib import Path

from rnnbench import fingerprint
from rnnbench.errors import RnnbenchError
from rnnbench.files import cache_folder, write_whole
from rnnbench.fingerprint import code_digest, digest, source_files
from rnnbench.strict import Strict


class Known(Strict):
    """What was found, and in which files: of a module a digest of their names, sizes, times and places on disk."""

    stamps: dict[str, str] = {}
    digests: dict[str, str] = {}


class Sources:
    """`code_digest`, which reads a module again only if one of its files has changed.

    Raises:
        RnnbenchError: the cache cannot be made.
    """

    def __init__(self) -> None:
        self.path = cache_folder("index") / f"sources-{digest([sys.version, fingerprint.__file__])}.json"
        self.meaning = stamp_of([Path(fingerprint.__file__)])
        try:
            self.known = Known.model_validate_json(self.path.read_bytes())
        except (OSError, ValueError):  # not there, or not whole
            self.known = Known()
        self.changed = False
        self.stamps: dict[str, str] = {}

    def digest(self, module: str) -> str:
        """What `code_digest` says of a module."""
        if module not in self.stamps:
            self.stamps[module] = digest([self.meaning, stamp_of(source_files(module))])
        stamp = self.stamps[module]
        if self.known.stamps.get(module) != stamp:
            self.known.stamps[module], self.known.digests[module] = stamp, code_digest(module)
            self.changed = True
        return self.known.digests[module]

    def keep(self) -> None:
        """Write what was found, if it is new; where that cannot be done it is found again."""
        if self.changed:
            try:
                write_whole(self.path, self.known.model_dump_json(), durable=False)
            except RnnbenchError:
                return


def stamp_of(paths: list[Path]) -> str:
    """A digest of what tells files from later ones."""
    told = []
    for path in paths:
        stat = path.stat()
        told.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\0{stat.st_ino}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
