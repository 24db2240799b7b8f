"""Where a grid's results and its working state lie, and what was changed in it since it was last run here."""

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from rnnbench.config.grid import GridSpec
from rnnbench.config.schema import read_json
from rnnbench.config.search_space import Dimension, Space
from rnnbench.errors import RnnbenchError, UnknownName
from rnnbench.utils.files import writable_folder, write_whole

_NEW = "cells that are new are run, those that are gone stay on record"
_OTHER = "all cells are other runs now; what is on record stays"
_SAME = "cells stay the same runs"
EFFECTS = {
    "name": _SAME,
    "summary": _SAME,
    "architectures": _NEW,
    "tasks": _NEW,
    "seeds": _NEW,
    "params": _OTHER,
    "data_seed": _OTHER,
    "flops": _OTHER,
    "tune": "trials that are new are run, and tested is what is best of all of them; what is gone stays on record",
    "budget": _OTHER,
    "model": _OTHER,
    "batch_size": _OTHER,
    "devices": _OTHER,
    "executor": _SAME,
    "loggers": _SAME,
    "watch": _SAME,
    "artefacts": "runs that come are asked; those that are done are not run again",
    "replay": "runs that come keep weights; those that are done are not run again",
}
"""What a change of each field of a grid does to its cells."""


@dataclass(frozen=True)
class Folders:
    """Where a grid's results (`leaderboard`) and its working state (`runs`) go."""

    leaderboard: Path
    runs: Path

    @property
    def options(self) -> str:
        """The options that name them on a command line, for a hint; nothing for those that are the default."""
        named = {"leaderboard": self.leaderboard, "runs": self.runs}
        return "".join(f" --{name} {quote(str(path))}" for name, path in named.items() if str(path) != name)

    @property
    def leases(self) -> Path:
        """Which process runs which cell."""
        return self.leaderboard / ".leases"

    def stop(self, grid: str) -> Path:
        """A file by which all that run a grid are asked to stop, wherever their working state is."""
        return self.leases / f"{grid}.stop"

    def working(self, grid: str) -> Path:
        """Working state of a grid: `grid.json`, and a folder a run."""
        return self.runs / grid

    def grid(self, name: str) -> GridSpec:
        """The grid of that name or file; or, if there is none, the one of that name that was last run here.

        Raises:
            RnnbenchError: there is none, or something in it is wrong.
        """
        try:
            return GridSpec.load(name)
        except UnknownName:
            noted = self.working(name) / "grid.json"
            if not noted.is_file():
                raise
            return GridSpec.read(read_json(noted), str(noted))

    def note(self, grid: GridSpec) -> None:
        """Keep what was run under a name, and the content of the space that it was tuned in."""
        for name, content in (("grid.json", grid), ("space.json", grid.space())):
            if content is not None:
                write_whole(
                    self.working(grid.name) / name, json.dumps(content.model_dump(mode="json", exclude_unset=True))
                )

    def changes(self, grid: GridSpec) -> list[str]:
        """What is asked of a grid otherwise than when it was last run here, a sentence each."""
        noted = self.working(grid.name) / "grid.json"
        try:
            before = GridSpec.read(read_json(noted), str(noted)).model_dump(mode="json", exclude_none=True)
        except RnnbenchError:  # never run, or by a version that knew other fields
            return []
        now = grid.model_dump(mode="json", exclude_none=True)
        fields = [
            _sentence(what, then, value, EFFECTS[name])
            for name in GridSpec.model_fields
            for what, then, value in _differing(name, before.get(name), now.get(name))
        ]
        return fields + self._space_changes(grid)

    def check(self) -> None:
        """Make both.

        Raises:
            RnnbenchError: one cannot be written to.
        """
        writable_folder(self.leaderboard / "records", "the leaderboard (--leaderboard)")
        writable_folder(self.runs, "working state (--runs)")

    def _space_changes(self, grid: GridSpec) -> list[str]:
        noted = self.working(grid.name) / "space.json"
        try:
            before, now = Space.read(read_json(noted), str(noted)), grid.space()
        except RnnbenchError:  # not tuned before
            return []
        if grid.tune is None or now is None:
            return []
        where = f"space {grid.tune.space}"
        parts = [(where, before.shared, now.shared, "all trials")]
        for name in sorted({*before.architectures, *now.architectures}):
            old, new = (one.architectures.get(name, {}) for one in (before, now))
            parts.append((f"{where}: {name}", old, new, f"trials of {name}"))
        return [
            _sentence(what, then, value, f"{trials} are other runs now; what is on record stays")
            for name, old, new, trials in parts
            for what, then, value in _differing(name, _plain(old), _plain(new))
        ]


def _sentence(what: str, before: Any, now: Any, effect: str) -> str:
    return f"changed since the last run: {what}: {_shown(before)} -> {_shown(now)} ({effect})"


def _plain(dimensions: dict[str, Dimension]) -> dict[str, Any]:
    return {name: one.model_dump(exclude_none=True) for name, one in dimensions.items()}


def _differing(name: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """What is other in a field, or in its own fields, before and now."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return [(f"{name}.{key}", before.get(key), now.get(key)) for key in keys]
    return [] if before == now else [(name, before, now)]


def _shown(value: Any) -> str:
    text = "none" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
