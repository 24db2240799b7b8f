"""Hashes that say whether something is still the same: of JSON, of files, of source code."""

import ast
import hashlib
import json
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RELEASE = re.compile(rb"^__version__ = .*$", re.MULTILINE)


def digest(content: Any, length: int = 16) -> str:
    """Hex digest of JSON-like content; neither the order of keys nor `1.0` for `1` changes it."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:length]


def canonical(content: Any) -> str:
    """JSON-like content as JSON that neither the order of keys nor `1.0` for `1` changes."""
    return json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(content: Any) -> Any:
    if isinstance(content, str | int):  # most often, so first
        return content
    if isinstance(content, dict):
        return {str(key): _canonical(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_canonical(value) for value in content]
    if isinstance(content, float) and content.is_integer():
        return int(content)
    return content


def file_digest(path: Path, length: int = 16) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:length]


@cache
def source_digest(package: str) -> str:
    """Digest of all source of a package or module (Python and C), or `absent` if there is none of that name.

    `__version__ = …` of the package is left out: the number of a release changes no result. Nothing is imported, so
    that a board can be drawn without torch and without running anybody's code.
    """
    home = source_file(package)
    if home is None:
        return "absent"
    files = [home]
    if home.name == "__init__.py":
        files = sorted(file for end in ("*.py", "*.h") for file in home.parent.rglob(end))
    content = hashlib.sha256()
    for file in files:
        source = RELEASE.sub(b"", file.read_bytes()) if file == home else file.read_bytes()
        name = file.relative_to(home.parent).as_posix()
        content.update(f"{name}\0{hashlib.sha256(source).hexdigest()}\n".encode())
    return content.hexdigest()[:16]


@cache
def imported_modules(module: str) -> tuple[str, ...]:
    """`module` and all modules that it imports, directly or through others, of rnnbench and of its own package.

    Read from the source; an import inside a function counts as well.
    """
    tops = {"rnnbench", module.partition(".")[0]}
    modules: set[str] = set()
    todo = [module]
    while todo:
        one = todo.pop()
        if one not in modules and source_file(one) is not None:
            modules.add(one)
            todo += [name for name in _imports(one) if name.partition(".")[0] in tops]
    return tuple(sorted(modules))


@cache
def _imports(module: str) -> tuple[str, ...]:
    """What a module imports: modules, and names in them, which may be modules."""
    path = source_file(module)
    assert path is not None
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = _absolute(node, module, path)
            names += [home, *(f"{home}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _absolute(node: ast.ImportFrom, module: str, path: Path) -> str:
    """The module that a `from … import` names, in full."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    outer = parts[: len(parts) - node.level + (path.name == "__init__.py")]
    return ".".join([*outer, *([node.module] if node.module else [])])


def source_file(module: str) -> Path | None:
    """The file that holds `module`, or None."""
    top, *rest = module.split(".")
    loaded = sys.modules.get(top)
    origin = getattr(loaded, "__file__", None) if loaded else _origin(top)
    if not origin:
        return None
    base = Path(origin).parent.joinpath(*rest) if Path(origin).name == "__init__.py" else Path(origin).with_suffix("")
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _origin(top: str) -> str | None:
    try:
        return getattr(find_spec(top), "origin", None)
    except ValueError:  # a module without a spec, or no name at all
        return None
