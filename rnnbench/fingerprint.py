"""Hashes that say whether something is still the same: canonical JSON, and source code without its comments."""

import ast
import hashlib
import io
import json
import sys
import tokenize
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


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
def code_digest(module: str) -> str:
    """Digest of a module's source without comments, docstrings and blank lines; `absent` if there is no such file.

    `package.*` stands for all of a package: its modules, and its C text as it is.
    The module is found without importing it or its parents, so that a board can be drawn without torch.
    """
    paths = source_files(module)
    if not paths:
        return "absent"
    try:
        texts = [one.read_text("utf-8") for one in paths]
        parts = [_essence(text) if one.suffix == ".py" else text for one, text in zip(paths, texts, strict=True)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    except (OSError, ValueError, SyntaxError, tokenize.TokenError):
        return "unreadable"


def source_files(module: str) -> list[Path]:
    """The files that hold `module`, or all of `package.*`; none if it cannot be found."""
    path = source_file(module.removesuffix(".*"))
    if path is None or not module.endswith(".*"):
        return [path] if path else []
    return sorted(one for end in ("*.py", "*.h") for one in path.parent.rglob(end))


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


def _essence(source: str) -> str:
    """The lines of `source` that run. Line numbers of docstrings and comments are the same in every Python version."""
    lines: list[str] = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[number - 1] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())
