"""Where things lie on disk: reading files of the user, and writing whole or not at all."""

import codecs
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from platformdirs import user_cache_dir

from rnnbench.errors import RnnbenchError
from rnnbench.utils.fingerprint import file_digest

CACHE_VARIABLE = "RNNBENCH_CACHE"
SUMS = "sums.json"
"""Of a folder: the digest of each file in it."""
CACHE = f"the cache (set {CACHE_VARIABLE} to move it)"
MAX_BYTES = 2**30
"""Of one file of the user: more than any text, picture or sound that a task is made of."""
CHUNK = 2**20
INSIST = 1.0
"""Seconds for which a file is tried to be changed that another process has open, on Windows."""
KINDS = {
    b"\x1f\x8b": "compressed (gzip): unpack it first",
    b"BZh": "compressed (bzip2): unpack it first",
    b"\xfd7zXZ": "compressed (xz): unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed (zstd): unpack it first",
    b"PK\x03\x04": "compressed (zip): unpack it first",
    codecs.BOM_UTF32_LE: "text in UTF-32: save it in UTF-8",
    codecs.BOM_UTF32_BE: "text in UTF-32: save it in UTF-8",
    codecs.BOM_UTF16_LE: "text in UTF-16: save it in UTF-8",
    codecs.BOM_UTF16_BE: "text in UTF-16: save it in UTF-8",
}
"""First bytes of files that are not text in UTF-8, and what to do with them; a longer start stands before a shorter."""
BOM = "\ufeff"
BINARY: int = getattr(os, "O_BINARY", 0)
"""Windows changes line ends in what `os.open` reads and writes without it."""


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


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns whatever the system says against reading `path` into a sentence for a person.

    Raises:
        RnnbenchError: no such file, no permission, a directory, …
    """
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise RnnbenchError(f"cannot read {path}: {why}") from error


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a file of the user, or of a pipe.

    Raises:
        RnnbenchError: it cannot be read, or has more than `limit` bytes.
    """
    with reading(path), path.open("rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > limit:  # before anything is read
            raise RnnbenchError(f"cannot read {path}: it has {size:,} bytes, at most {limit:,} are read")
        return _read_limited(file, str(path), limit)


def read_text(path: Path) -> str:
    """The text of a file of the user, see `decode_text`.

    Raises:
        RnnbenchError: it cannot be read, or is not text in UTF-8.
    """
    return decode_text(read_bytes(path), str(path))


def read_standard_input() -> str:
    """The text that is piped into this program, see `decode_text`.

    Raises:
        RnnbenchError: there is no standard input, or it is not text in UTF-8.
    """
    name = "the standard input"
    if sys.stdin is None:
        raise RnnbenchError(f"{name} is closed")
    with reading(name):
        content = _read_limited(sys.stdin.buffer, name, MAX_BYTES)
    return decode_text(content, name)


def decode_text(content: bytes, name: str) -> str:
    """Text in UTF-8, with or without a byte order mark, every end of a line as `\\n`, see `unify_lines`.

    Args:
        content: of the file.
        name: of the file, for the error.

    Raises:
        RnnbenchError: it is compressed, in another encoding, or not text, with the line.
    """
    try:
        text = content.decode("utf-8")
        if "\0" not in text:
            return unify_lines(text)
        byte, wrong = content.index(0), "a null byte: this is not a text file"
    except UnicodeDecodeError as error:
        byte, wrong = error.start, f"not UTF-8 (0x{content[error.start]:02x}): save the file as text in UTF-8"
    if kind := kind_of(content):
        raise RnnbenchError(f"{name} is {kind}")
    raise RnnbenchError(f"{name}, {_place(content, byte)}: {wrong}")


def unify_lines(text: str) -> str:
    """A text with `\\n` for every end of a line, and without the byte order marks that lines begin with."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removeprefix(BOM).replace(f"\n{BOM}", "\n")


def kind_of(content: bytes) -> str:
    """What a file is by its first bytes, if it is compressed or text that is not in UTF-8; else empty."""
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), "")


def check_unpacked(content: bytes, name: str) -> None:
    """Refuse a file that can be of no kind that is read: an empty one, or one that is compressed.

    Raises:
        RnnbenchError: which of both it is.
    """
    if not content:
        raise RnnbenchError(f"{name} is empty")
    if kind := kind_of(content):
        raise RnnbenchError(f"{name} is {kind}")


def _read_limited(file: BinaryIO, name: str, limit: int) -> bytes:
    content = bytearray()
    while chunk := file.read(CHUNK):
        content += chunk
        if len(content) > limit:
            raise RnnbenchError(f"cannot read {name}: it has more than {limit:,} bytes")
    return bytes(content)


def _place(content: bytes, byte: int) -> str:
    """Line and byte of the line, from 1, of a byte."""
    *before, line = content[:byte].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return f"line {len(before) + 1}, byte {len(line) + 1}"


def read_plain(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most `limit` bytes; a link is not followed, a pipe not waited for.

    Raises:
        RnnbenchError: it is something else, too large, or cannot be read.
    """
    try:
        number = os.open(path, os.O_RDONLY | BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
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
        with temporary.open("w", encoding="utf-8", newline="\n") as file:  # the same bytes on every system
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        move_over(temporary, path)
    except OSError as error:
        discard(temporary)
        raise RnnbenchError(f"cannot write {path}: {error.strerror or error}") from error


def move_over(source: Path, target: Path) -> None:
    """Rename a file, in the place of one that may be there.

    Windows refuses that for the moment in which somebody reads either of them; then it is tried again.

    Raises:
        OSError: no permission, another disk, …
    """
    _insist(lambda: source.replace(target))


def discard(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    with suppress(OSError):
        _insist(path.unlink)


def _insist(change: Callable[[], object]) -> None:
    """Change a file; on Windows again and again, for a moment, while it says that another process has it open."""
    end = time.monotonic() + INSIST
    while True:
        try:
            change()
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > end:
                raise
            time.sleep(0.01)


def write_checksums(folder: Path) -> None:
    """Write the digest of each file of a folder, which `verify_checksums` compares."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    (folder / SUMS).write_text(json.dumps(sums), "utf-8")


def verify_checksums(folder: Path) -> bool:
    """Whether every file of a folder with checksums is there, to the bit; a file that was not written is read once."""
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


def files_in(folder: Path) -> list[Path]:
    """All files below a folder in order of their names, without hidden ones."""
    found = (
        path for path in folder.rglob("*") if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return sorted(path for path in found if path.is_file())


def content_digest(path: Path) -> str:
    """Digest of a file's content, or of the names and contents of all files in a folder, wherever it lies.

    Raises:
        RnnbenchError: it cannot be read.
    """
    with reading(path):
        if not path.is_dir():
            return _sum(path)
        content = hashlib.sha256()
        for file in files_in(path):
            with reading(file):
                content.update(f"{file.relative_to(path).as_posix()}\0{_sum(file)}\0".encode())
        return content.hexdigest()[:16]


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove temporary folders that a killed process left; call it while holding the lock under which they are made."""
    for left in folder.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
