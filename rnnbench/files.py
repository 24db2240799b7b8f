"""Where things lie on disk, and writing them whole or not at all."""

import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from platformdirs import user_cache_dir

from rnnbench.errors import RnnbenchError
from rnnbench.fingerprint import file_digest

CACHE_VARIABLE = "RNNBENCH_CACHE"
SUMS = "sums.json"
"""Of a folder: the digest of each file in it."""
CACHE = f"the cache (set {CACHE_VARIABLE} to move it)"


def expand_home(path: str) -> str:
    """A path that a user has written, with a home folder in the place of a leading `~` or `~user`, as shells read it.

    Every path goes through this once, where it comes from outside: some libraries do it too, others make a folder `~`.
    """
    return os.path.expanduser(path)  # noqa: PTH111  Path.expanduser raises where there is no such user


def user_path(text: str, what: str = "") -> Path:
    """The path that a user has written, see `expand_home`; `what` says in an error of what it is.

    Raises:
        RnnbenchError: it is an address (`s3://…`), of which a path would make a folder `s3:`.
    """
    if re.match(r"[A-Za-z][\w+.-]*://", text):
        where = f"{what}: " if what else ""
        raise RnnbenchError(f"{where}{text!r} is an address, not a path: only files of this machine can be used")
    return Path(expand_home(text))


def check_chains(folder: Path, what: str) -> None:
    """Check that all that write into a folder will take its name for one.

    Raises:
        RnnbenchError: it has `::`, by which fsspec, through which Lightning and datasets write, chains addresses.
    """
    if "::" in str(folder.absolute()):
        raise RnnbenchError(f"{folder.absolute()}, {what}: its name may not have '::' in it, choose another")


def cache_folder(*parts: str) -> Path:
    """A folder in the user's cache (`RNNBENCH_CACHE` if set, else the platform's place), made if absent.

    Raises:
        RnnbenchError: it cannot be made. (One that is there may be read-only, as long as nothing is missing from it.)
    """
    place = os.environ.get(CACHE_VARIABLE) or user_cache_dir("rnnbench", appauthor=False)
    folder = user_path(place, CACHE_VARIABLE).absolute().joinpath(*parts)
    check_chains(folder, CACHE)
    with writing(folder, CACHE):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def writing(path: Path, what: str) -> Iterator[None]:
    """Turns whatever the system says against writing `path` into a sentence for a person.

    Raises:
        RnnbenchError: no permission, disk full, …
    """
    try:
        yield
    except OSError as error:
        raise RnnbenchError(f"cannot write to {path}, {what}: {error.strerror or error}") from error


def writable_folder(folder: Path, what: str) -> Path:
    """`folder`, made if absent.

    Raises:
        RnnbenchError: it cannot be made or written to, or its name is none that all can read.
    """
    check_chains(folder, what)
    with writing(folder, what):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    return folder


def read_plain(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most `limit` bytes; a link is not followed, a pipe not waited for.

    Raises:
        RnnbenchError: it is something else, too large, or cannot be read.
    """
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise RnnbenchError(f"cannot read {path}: {why}") from None
    try:  # of the descriptor, so that nobody puts a link there in between
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise RnnbenchError(f"cannot read {path}: it is no plain file")
        if status.st_size > limit:
            raise RnnbenchError(f"cannot read {path}: {status.st_size} bytes are more than {limit}")
        return b"".join(iter(lambda: os.read(number, limit), b""))
    finally:
        os.close(number)


def write_whole(path: Path, text: str, durable: bool = True) -> None:
    """Write `path` so that a reader, or a crash at any moment, sees the old content or the new, never a part.

    Without `durable` a crash of the whole machine may leave less: for what is checked when read, and can be made again.

    Raises:
        RnnbenchError: no permission, disk full, …; the old content is untouched.
    """
    with writing(path.parent, "the folder of a file"):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        discard(temporary)
        raise RnnbenchError(f"cannot write {path}: {error.strerror or error}") from error


def discard(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    with suppress(OSError):
        path.unlink()


def seal(folder: Path) -> None:
    """Note what all files of a folder hold, so that `intact` can tell."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = {str(path.relative_to(folder)): file_digest(path) for path in files}
    (folder / SUMS).write_text(json.dumps(sums), "utf-8")


def intact(folder: Path) -> bool:
    """Whether every file of a sealed folder is there, to the bit; a process reads it again only if it was written."""
    try:
        sums = json.loads((folder / SUMS).read_text("utf-8"))
        return isinstance(sums, dict) and bool(sums) and all(_sum(folder / name) == sums[name] for name in sums)
    except (OSError, ValueError):
        return False


def _sum(path: Path) -> str:
    status = path.stat()
    return _sum_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sum_of(path: Path, _size: int, _changed: int) -> str:
    return file_digest(path)


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove temporary folders that a killed process left; call it while holding the lock under which they are made."""
    for left in folder.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
