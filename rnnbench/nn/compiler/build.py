"""Compiling generated C with the system's compiler, once for a source, a compiler and a processor."""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from rnnbench.errors import RnnbenchError
from rnnbench.nn.compiler.compiler_options import COMMON, MSVC, attempts
from rnnbench.utils.files import cache_folder, expand_home, move_over
from rnnbench.utils.processor import instruction_sets

COMPILER_VARIABLE = "CC"
FLAGS_VARIABLE = "RNNBENCH_CFLAGS"
WINDOWS_HINT = "install clang or gcc (MinGW-w64), or `pip install ziglang` and set CC='python -m ziglang cc'"


class NoCompiler(Exception):
    """There is no compiler, it fails, or its library cannot be loaded."""


@cache
def _compiler() -> tuple[list[str], str]:
    """The compiler's command, and a text that identifies it."""
    chosen = os.environ.get(COMPILER_VARIABLE)
    # on Windows gcc needs an option more to be safe, see compiler_options.py
    usual = ["clang", "gcc", "cc"] if sys.platform == "win32" else ["cc", "gcc", "clang"]
    for name in [chosen] if chosen else usual:
        words = _words(COMPILER_VARIABLE, name)
        if words and (path := shutil.which(expand_home(words[0]))):
            if Path(path).stem.lower() in MSVC:
                raise NoCompiler(f"{chosen} takes the options of MSVC, and the kernels need GNU C: {WINDOWS_HINT}")
            status = Path(path).resolve().stat()
            return [path, *words[1:]], f"{Path(path).resolve()} {status.st_size} {status.st_mtime_ns} {words[1:]}"
    hint = f": {WINDOWS_HINT}" if sys.platform == "win32" else ""
    raise NoCompiler(f"there is no C compiler ({chosen or 'cc, gcc or clang'}){hint}")


def load(source: str) -> ctypes.CDLL:
    """The library of a source, compiled if it is not in the user's cache.

    Raises:
        NoCompiler: there is no compiler, it fails, or the cache is not this user's alone.
    """
    try:
        folder = cache_folder("kernels")
    except RnnbenchError as error:
        raise NoCompiler(str(error)) from None
    _check_private(folder)
    command, identity = _compiler()
    flags = [*COMMON, *_words(FLAGS_VARIABLE, os.environ.get(FLAGS_VARIABLE, ""))]
    key = sha256("\0".join([source, identity, instruction_sets(), platform.platform(), *flags]).encode()).hexdigest()[
        :32
    ]
    path = folder / f"{key}{_suffix()}"
    try:
        if not _is_intact(path):
            with FileLock(folder / f"{key}.lock"):
                if not _is_intact(path):
                    _compile(source, command, flags, path)
        _check_private(path)
    except OSError as error:
        raise NoCompiler(f"a kernel cannot be built in {folder}: {error}") from None
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoCompiler(f"{path} cannot be loaded: {error}") from None


def _words(variable: str, text: str) -> list[str]:
    """A command line as its words; a backslash is part of a path on Windows.

    Raises:
        NoCompiler: a quotation is never closed.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if sys.platform == "win32":
        lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise NoCompiler(f"{variable}={text!r} cannot be read: {error}") from None


def _suffix() -> str:
    """What the name of a library ends with."""
    return ".dll" if sys.platform == "win32" else ".so"


def _openmp() -> Path | None:
    """The OpenMP library that comes with torch on macOS, if it is there."""
    origin = getattr(find_spec("torch"), "origin", None)
    library = Path(origin or "", "..", "lib", "libomp.dylib").resolve()
    return library if sys.platform == "darwin" and library.is_file() else None


def _is_intact(path: Path) -> bool:
    """Whether a library is as it was written: to load one that a full disk has cut short kills the process."""
    try:
        return sha256(path.read_bytes()).hexdigest() == _sum(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _sum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _check_private(path: Path) -> None:
    """Code that another user could have put there is not run."""
    if os.name != "posix":
        return
    status = path.stat()
    if path.is_dir() and status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(0o700)
        status = path.stat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise NoCompiler(f"{path} belongs to another user, or others may write to it")


def _compile(source: str, command: list[str], flags: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        text, result = Path(temporary, "cell.c"), Path(temporary, f"cell{_suffix()}")
        text.write_text(source, "utf-8")
        for before, after in attempts(sys.platform, platform.machine(), _openmp()):
            words = [*command, *flags, *before, str(text), "-o", str(result), *after]
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode == 0 and _loads(result):
                result.chmod(0o600)
                total = Path(temporary, "cell.sha256")
                total.write_text(sha256(result.read_bytes()).hexdigest(), "utf-8")
                move_over(total, _sum(path))
                move_over(result, path)
                return
        why = done.stderr.replace(temporary, "").strip()[:500]  # the same words for every kernel: one warning
        raise NoCompiler(f"{command[0]} failed: {why or 'its library cannot be loaded'}")


def _loads(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path))
    except OSError:
        return False
    return True
