"""Errors with a sentence for a person: what is wrong, what was received, what is allowed, the nearest match."""

import re
import sysconfig
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import FrameType

LIBRARIES = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Folders of Python's own modules and of installed packages."""


class RnnbenchError(Exception):
    """Something the user can mend; the command line prints its sentence and exits with code 2."""


class UnknownName(RnnbenchError):
    """A name that stands for nothing."""


class Preempted(RnnbenchError):
    """A run was told to stop by SIGTERM, and goes on later where it stopped."""


class Infeasible(RnnbenchError):
    """This cell of the grid cannot be run by its nature, as a bidirectional network on a causal objective."""


class DataUnavailable(Infeasible):
    """The data of a task can be had neither from the cache nor from its package registry."""

    PREFIX = "data unavailable: "

    def __init__(self, why: str) -> None:
        super().__init__(f"{self.PREFIX}{why}")


class Unprepared(RnnbenchError):
    """The data of a run could not be prepared, for whatever reason but that it cannot be had: the run never began."""

    PREFIX = "preparing data: "

    def __init__(self, why: str) -> None:
        super().__init__(f"{self.PREFIX}{why}")


class Diverged(RnnbenchError):
    """The training loss, or a score, is no longer a finite number."""

    PREFIX = "diverged: "

    def __init__(self, what: str) -> None:
        super().__init__(f"{self.PREFIX}{what}")


def told(error: BaseException, *packages: str, most: int = 300) -> str:
    """An exception in one sentence: its type, the first line of its message, and where a user's code raised it.

    Args:
        error: an exception that was raised.
        packages: packages (or modules) that hold a user's code although they are installed.
        most: characters of the message.
    """
    lines = str(error).strip().splitlines() or [""]
    if IN_LOADER.match(lines[0]):  # torch has put the message of the worker behind its own, and its traceback between
        return f"{lines[-1][:most]} (in {place})" if (place := _place_in_text(lines)) else lines[-1][:most]
    message = lines[0][:most]  # torch adds its own stack
    place = raised_in(error, *packages)
    return type(error).__name__ + (f": {message}" if message else "") + (f" (in {place})" if place else "")


def raised_in(error: BaseException, *packages: str) -> str:
    """Where in a user's code an exception was raised: `mine/data.py, line 12, in Mine.setup`; or nothing.

    That is the innermost frame of its traceback that is neither ours, nor Python's own, nor of an installed package
    except `packages`. The file is named as its module is, so that it is the same on every machine.
    """
    tops = {name.partition(".")[0] for name in packages} - {__name__.partition(".")[0]}
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_users(frame, tops)]
    if not frames:
        return ""
    frame, line = frames[-1]
    function = frame.f_code.co_qualname
    path = Path(frame.f_code.co_filename)
    depth = str(frame.f_globals.get("__name__", "")).count(".") + 1 + (path.name == "__init__.py")
    place = f"{'/'.join(path.parts[-depth:])}, line {line}"
    return place if function == "<module>" else f"{place}, in {function}"


IN_LOADER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.$")
IN_TRACEBACK = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)')


def _place_in_text(lines: Iterable[str]) -> str:
    """As `raised_in`, of a traceback that is text."""
    found = [match for match in map(IN_TRACEBACK.fullmatch, lines) if match and not match["file"].startswith(LIBRARIES)]
    if not found:
        return ""
    return f"{Path(found[-1]['file']).name}, line {found[-1]['line']}, in {found[-1]['function']}"


def _is_users(frame: FrameType, packages: Iterable[str]) -> bool:
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if top in packages:
        return True
    file = frame.f_code.co_filename  # of a compiled module a path that is relative to where it was built
    return top != __name__.partition(".")[0] and Path(file).is_absolute() and not file.startswith(LIBRARIES)


def unknown(kind: str, received: str, allowed: Iterable[str], where: str = "") -> UnknownName:
    """The error for a name that is none of `allowed`, with the nearest match if one is near."""
    names = sorted(allowed)
    near = get_close_matches(received, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    place = f"{where}: " if where else ""
    return UnknownName(f"{place}unknown {kind} {received!r}{hint} (allowed: {', '.join(names) or 'none'})")
