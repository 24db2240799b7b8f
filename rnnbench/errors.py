"""Errors with a sentence for a person: what is wrong, what was received, what is allowed, the nearest match."""

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
    """An exception in one sentence: its type, the first line of what it says, and which user's code raised it.

    Args:
        error: an exception that was raised.
        packages: packages (or modules) that hold a user's code although they are installed.
        most: characters of the message.
    """
    said = (str(error).strip().splitlines() or [""])[0][:most]  # torch adds its own stack
    place = raised_in(error, *packages)
    return type(error).__name__ + (f": {said}" if said else "") + (f" (in {place})" if place else "")


def raised_in(error: BaseException, *packages: str) -> str:
    """The innermost function of a user's code in an exception's traceback, `module.Class.method, line 12`; or nothing.

    A user's code is what is neither ours, nor Python's own, nor an installed package except `packages`.
    """
    tops = {name.partition(".")[0] for name in packages} - {__name__.partition(".")[0]}
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_users(frame, tops)]
    if not frames:
        return ""
    frame, line = frames[-1]
    function = frame.f_code.co_qualname
    module = frame.f_globals.get("__name__", "?")
    return f"{module}, line {line}" if function == "<module>" else f"{module}.{function}, line {line}"


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
