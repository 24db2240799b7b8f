"""The house: which room may import which, and what a file may hold."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rnnbench"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = (
    "nn",
    "objectives",
    "architectures",
    "data",
    "twins",
    "harness",
    "board",
    "submissions",
    "inside",
    "verbs",
    "commands",
    "cli",
    "__main__",
)
MAY_IMPORT = {
    "nn": set(),
    "objectives": {"nn"},
    "inside": {"nn", "objectives"},
    "architectures": {"nn", "objectives", "inside"},
    "data": set(),
    "twins": {"data"},
    "board": set(),
    "submissions": {"board"},
    "harness": {"board", "objectives", "inside"},
    "verbs": {"board", "submissions", "harness", "twins", "inside"},
    "commands": {"verbs"},
    "cli": {"commands"},
    "__main__": {"cli"},
}
"""Beside the ground floor (errors, card, spec, record, …), which imports no room."""
PRELOADED = {"rnnbench.architectures", "rnnbench.data"}
TORCH_FREE = {
    "board",
    "submissions",
    "verbs",
    "commands",
    "cli",
    "bulk",
    "card",
    "spec",
    "executor_settings",
    "record",
    "errors",
    "strict",
    "fingerprint",
    "files",
    "resources",
    "selection",
    "size",
    "tuning",
}
HEAVY = {"torch", "lightning", "datasets", "torchmetrics"}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def imports(path: Path, at_start_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_start_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def module(path: Path) -> str:
    return ".".join(["rnnbench", *path.relative_to(PACKAGE).with_suffix("").parts])


@pytest.mark.parametrize("path", FILES, ids=module)
def test_arrows_point_one_way(path: Path) -> None:
    own = room(module(path))
    for name in imports(path):
        target = room(name) if name.startswith("rnnbench") else ""
        if target not in ROOMS or target == own or (path.name == "preload.py" and name in PRELOADED):
            continue
        assert own in ROOMS, f"{module(path)} is on the ground floor and imports {name}"
        assert target in MAY_IMPORT[own], f"{module(path)} imports {name}"


@pytest.mark.parametrize("path", [path for path in FILES if room(module(path)) in TORCH_FREE], ids=module)
def test_what_only_looks_imports_nothing_heavy_at_its_start(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path, at_start_only=True)} & HEAVY


@pytest.mark.parametrize("path", FILES, ids=module)
def test_a_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 800
