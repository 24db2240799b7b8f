"""Compiling generated C with the system's compiler, once for a source, a compiler and a processor."""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import cache_folder, expand_home

COMPILER_VARIABLE = "CC"
FLAGS_VARIABLE = "RNNBENCH_CFLAGS"
FLAGS = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-w", "-std=gnu11"]
NATIVE = ["-march=native", "-mprefer-vector-width=512"]


class NoCompiler(Exception):
    """There is no compiler, it fails, or its library cannot be loaded."""


@cache
def _compiler() -> tuple[list[str], str]:
    """The compiler's command, and a text that identifies it."""
    chosen = os.environ.get(COMPILER_VARIABLE)
    for name in [chosen] if chosen else ["cc", "gcc", "clang"]:
        words = _words(COMPILER_VARIABLE, name)
        if words and (path := shutil.which(expand_home(words[0]))):
            status = Path(path).resolve().stat()
            return [path, *words[1:]], f"{Path(path).resolve()} {status.st_size} {status.st_mtime_ns} {words[1:]}"
    raise NoCompiler(f"there is no C compiler ({chosen or 'cc, gcc or clang'})")


@cache
def _processor() -> str:
    """Which instructions there are: code for one processor may not run on another that shares the cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


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
    flags = [*FLAGS, *_words(FLAGS_VARIABLE, os.environ.get(FLAGS_VARIABLE, ""))]
    key = sha256("\0".join([source, identity, _processor(), platform.platform(), *flags]).encode()).hexdigest()[:32]
    path = folder / f"{key}.so"
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
    """A command line as its words.

    Raises:
        NoCompiler: a quotation is never closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise NoCompiler(f"{variable}={text!r} cannot be read: {error}") from None


def _is_intact(path: Path) -> bool:
    """Whether a library is as it was written: to load one that a full disk has cut short kills the process."""
    try:
        return sha256(path.read_bytes()).hexdigest() == _sum(path).read_text()
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
        text, result = Path(temporary, "cell.c"), Path(temporary, "cell.so")
        text.write_text(source, "utf-8")
        # torch has an OpenMP runtime loaded already: a second one in a process would bring threads of its own
        attempts = [
            [*NATIVE, "-fopenmp", "-shared", "-nostdlib", str(text), "-o", str(result), "-lm", "-lc"],
            [*NATIVE, "-shared", str(text), "-o", str(result), "-lm"],
            ["-shared", str(text), "-o", str(result), "-lm"],
        ]
        for attempt in attempts:
            done = subprocess.run(
                [*command, *flags, *attempt], capture_output=True, text=True, errors="replace", check=False
            )
            if done.returncode == 0 and _loads(result):
                result.chmod(0o600)
                total = Path(temporary, "cell.sha256")
                total.write_text(sha256(result.read_bytes()).hexdigest())
                total.replace(_sum(path))
                result.replace(path)
                return
        raise NoCompiler(f"{command[0]} failed: {done.stderr.strip()[:500] or 'its library cannot be loaded'}")


def _loads(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path))
    except OSError:
        return False
    return True
