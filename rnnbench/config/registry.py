"""Finding cards and configs by name: in this package, beside it in a checkout, and in plug-ins."""

import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from rnnbench.errors import RnnbenchError, UnknownName, unknown
from rnnbench.utils.files import expand_home
from rnnbench.utils.fingerprint import source_file

PLUGINS = "rnnbench.plugins"
"""Entry-point group; the value is a package that holds its own `tasks` and `configs` folders."""

YAML = {".yaml", ".yml"}
TRACKS = "configs/tracks/*.yaml"
KINDS = {
    "task": ("tasks/*/task.yaml",),
    "architecture": ("configs/architectures/*.yaml",),
    "grid": ("configs/grids/*.yaml", TRACKS),
    "track": (TRACKS,),
    "space": ("configs/spaces/*.yaml",),
}
"""Patterns of the files of each kind; a track is a grid, too."""


@cache
def roots() -> tuple[Path, ...]:
    """Folders that hold `tasks` and `configs`: ours, then one for each plug-in."""
    folders = [package_home("rnnbench")]
    for plugin in entry_points(group=PLUGINS):
        folders.append(package_home(plugin.module))
    return tuple(folders)


def packages() -> set[str]:
    """Ours, and those of plug-ins: packages whose code the user has chosen to run."""
    return {"rnnbench", *(plugin.module.partition(".")[0] for plugin in entry_points(group=PLUGINS))}


def package_home(package: str) -> Path:
    """The package's folder if it carries `tasks` or `configs` (a wheel), else the folder around it (a checkout)."""
    init = source_file(package)
    if init is None:
        raise RnnbenchError(f"plug-in {package!r} is registered, but the package cannot be found")
    carries = any((init.parent / folder).is_dir() for folder in ("tasks", "configs"))
    return init.parent if carries else init.parent.parent


def catalogue(kind: str) -> dict[str, Path]:
    """All files of a kind (`task`, `architecture`, `grid`, `track`, `space`) by name, sorted.

    Raises:
        RnnbenchError: two packages use the same name.
    """
    files: dict[str, Path] = {}
    for root in roots():
        for path in (path for pattern in KINDS[kind] for path in sorted(root.glob(pattern))):
            name = path.parent.name if kind == "task" else path.stem
            if name in files:
                raise RnnbenchError(f"{kind} {name!r} stands twice: {files[name]} and {path}")
            files[name] = path
    return dict(sorted(files.items()))


def find(kind: str, name: str, where: str = "") -> Path:
    """The file of that name; an argument that is an existing path is a path.

    Raises:
        RnnbenchError: there is none; with the nearest name.
    """
    path = Path(expand_home(name))
    if kind == "task" and path.suffix not in YAML:
        path /= "task.yaml"
    if path.suffix in YAML and _is_file(path):
        return path
    known = catalogue(kind)
    if name not in known and (Path(name).suffix in YAML or not {os.sep, os.altsep}.isdisjoint(name)):
        article = "an" if kind == "architecture" else "a"
        raise UnknownName(f"{where + ': ' if where else ''}there is no file {str(path)!r} for {article} {kind}")
    if name not in known:
        raise unknown(kind, name, known, where)
    return known[name]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the file system
        return False


def first_line(path: Path, read: Callable[[Path], str]) -> str:
    """What `read` says of a file in one line, or what is wrong with it."""
    try:
        return " ".join(read(path).split())
    except RnnbenchError as error:
        return f"broken: {error}"
