"""Where a grid's results and its working state lie, and what has changed in it since it was last run here."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.grid import GridSpec, read_grid
from rnnbench.config.registry import find
from rnnbench.config.schema import StrictModel, read_json
from rnnbench.config.search_space import Space
from rnnbench.errors import RnnbenchError, UnknownName
from rnnbench.utils.files import writable_folder, write_whole
from rnnbench.utils.text import folder_options


@dataclass(frozen=True)
class Folders:
    """Where a grid's results (`leaderboard`) and its working state (`runs`) go."""

    leaderboard: Path
    runs: Path

    @property
    def options(self) -> str:
        """The options that name them on a command line, for a hint; nothing for those that are the default."""
        return folder_options(leaderboard=self.leaderboard, runs=self.runs)

    @property
    def no_records(self) -> str:
        """A sentence for a leaderboard without records, with the command that fills it."""
        return f"no records in {self.leaderboard}; make some with: rnnbench run quickstart{self.options}"

    @property
    def leases(self) -> Path:
        """Which process runs which cell."""
        return self.leaderboard / ".leases"

    def stop(self, grid: str) -> Path:
        """A file whose change stops all processes that run a grid, wherever their working state is."""
        return self.leases / f"{grid}.stop"

    def working(self, grid: str) -> Path:
        """Working state of a grid: `grid.json`, and a folder a run."""
        return self.runs / grid

    def grid(self, name: str) -> GridSpec:
        """The grid of that name or file; or, if there is none, the one of that name that was last run here.

        A class path in it may name a module beside the file.

        Raises:
            RnnbenchError: there is none, or something in it is wrong.
        """
        try:
            grid = GridSpec.load(name)
            folder = str(find("grid", name).absolute().parent)
            if folder not in sys.path:
                sys.path.append(folder)
            return grid
        except UnknownName:
            path = self.working(name) / "grid.json"
            if not path.is_file():
                raise
            return read_grid(read_json(path), str(path))

    def note(self, grid: GridSpec) -> None:
        """Keep what was run under a name, and the content of the space that it was tuned in."""
        for name, content in (("grid.json", grid), ("space.json", grid.space())):
            if content is not None:
                text = json.dumps(content.model_dump(mode="json", exclude_unset=True))
                write_whole(self.working(grid.name) / name, text)

    def changes(self, grid: GridSpec) -> list[str]:
        """Which keys of a grid, and of the space that it is tuned in, are not as when it was last run here: a line."""
        folder = self.working(grid.name)
        try:
            before: dict[str, Any] = _content(read_grid(read_json(folder / "grid.json"), "grid.json"))
            now = _content(grid)
            if grid.tune is not None and (folder / "space.json").is_file():
                before["space"] = _content(Space.read(read_json(folder / "space.json"), "space.json"))
                now["space"] = _content(grid.space())
        except RnnbenchError:  # never run, or by a version that knew other keys
            return []
        keys = _changed_keys(before, now)
        return [f"changed since the last run: {', '.join(keys)}"] if keys else []

    def check(self) -> None:
        """Make both.

        Raises:
            RnnbenchError: one cannot be written to.
        """
        writable_folder(self.leaderboard / "records", "the leaderboard (--leaderboard)")
        writable_folder(self.runs, "working state (--runs)")


def _content(model: StrictModel | None) -> dict[str, Any]:
    return {} if model is None else model.model_dump(mode="json", exclude_none=True)


def _changed_keys(before: Any, now: Any, path: str = "") -> list[str]:
    """Paths such as `budget.steps` of the values that differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            key
            for name in {**before, **now}
            for key in _changed_keys(before.get(name), now.get(name), f"{path}.{name}" if path else name)
        ]
    return [] if before == now else [path]
