"""Errors with a sentence for a person: what is wrong, what was received, what is allowed, the nearest match."""

from collections.abc import Iterable
from difflib import get_close_matches


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


class Diverged(RnnbenchError):
    """The training loss, or a score, is no longer a finite number."""

    PREFIX = "diverged: "

    def __init__(self, what: str) -> None:
        super().__init__(f"{self.PREFIX}{what}")


def unknown(kind: str, received: str, allowed: Iterable[str], where: str = "") -> UnknownName:
    """The error for a name that is none of `allowed`, with the nearest match if one is near."""
    names = sorted(allowed)
    near = get_close_matches(received, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    place = f"{where}: " if where else ""
    return UnknownName(f"{place}unknown {kind} {received!r}{hint} (allowed: {', '.join(names) or 'none'})")
