"""What an architecture is, in the words of its own code: docstrings, read without importing anything."""

import ast
import re
from functools import cache
from inspect import cleandoc
from pathlib import Path

from rnnbench.fingerprint import source_file

ROOMS = ("architectures", "nn")
REFERENCE = re.compile(r"[Ee]quation in `([\w.]+)`")
LONGEST_CHAIN = 5


def words_about(class_path: str) -> list[str]:
    """Docstrings of one of our classes, and of those that hold its equation; empty for a class of somebody else."""
    found: list[str] = []
    name = class_path.rpartition(".")[2]
    if not class_path.startswith("rnnbench."):
        return found
    room = "architectures"
    while len(found) < LONGEST_CHAIN and (text := _docstrings(room).get(name)):
        found.append(text)
        reference = REFERENCE.search(text)
        if reference is None:
            break
        room, name = "nn", reference[1].rpartition(".")[2]
    return found


@cache
def _docstrings(room: str) -> dict[str, str]:
    """Of all classes in a room, by name."""
    package = source_file(f"rnnbench.{room}")
    found: dict[str, str] = {}
    for path in sorted(Path(package).parent.rglob("*.py")) if package else []:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and (text := ast.get_docstring(node)):
                found.setdefault(node.name, cleandoc(text))
    return found
