"""The house: which package may import which, that no imports form a circle, and what a file may hold."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rnnbench"
FILES = sorted(PACKAGE.rglob("*.py"))
GROUND = {"errors", "utils"}
MAY_IMPORT = {
    "errors": set[str](),
    "utils": {"errors"},
    "config": GROUND,
    "records": {"config", *GROUND},
    "leaderboard": {"records", "config", *GROUND},
    "nn": GROUND,
    "objectives": {"nn", *GROUND},
    "data": {"objectives", *GROUND},
    "analysis": {"objectives", "nn", "data", *GROUND},
    "architectures": {"analysis", "objectives", "nn", *GROUND},
    "harness": {"leaderboard", "records", "config", "analysis", "objectives", "data", *GROUND},
    "cli": {"harness", "leaderboard", "records", "config", "analysis", "data", *GROUND},
    "api": {"harness", "leaderboard", "records", "config", "analysis", *GROUND},
    "__main__": {"cli"},
    "inside": {"analysis"},
}
"""`data` and `architectures` never meet below `harness`, which names their classes by import path."""
BY_CLASS = {"harness.executors.preload", "cli.lightning"}
"""Files that import all architectures and all data, so that they are loaded or known by name."""
TORCH_FREE = {"errors", "utils", "config", "records", "leaderboard", "cli", "api"}
HEAVY = {"torch", "lightning", "datasets", "torchmetrics"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imports(path: Path, at_start_only: bool = False) -> set[str]:
    """What a file imports, in full; `from package import module` is the module, not the package."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if at_start_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative path"
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {name for name in modules if name.removeprefix("rnnbench.") in MODULES}
            found |= known | ({node.module or ""} if modules - known else set())
    return found


def own_imports(path: Path) -> set[str]:
    names = {name.removeprefix("rnnbench").removeprefix(".") for name in imports(path) if name.startswith("rnnbench")}
    return {name for name in names if name} - {name_of(path)}


def package_of(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("path", [path for name, path in MODULES.items() if name], ids=name_of)
def test_arrows_point_down(path: Path) -> None:
    own = package_of(name_of(path))
    by_class = {"architectures", "data"} if name_of(path) in BY_CLASS else set()
    wrong = {name for name in own_imports(path) if package_of(name) not in MAY_IMPORT[own] | {own} | by_class}
    assert not wrong


def test_packages_form_no_circle() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError


def test_files_form_no_circle() -> None:
    try:
        TopologicalSorter({name: own_imports(path) for name, path in MODULES.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other in a circle: {' → '.join(error.args[1])}")


def test_every_package_says_what_it_holds() -> None:
    for folder in {path.parent for path in FILES}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_nothing_lies_loose_at_the_root() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "api.py", "errors.py"}


@pytest.mark.parametrize(
    "path", [path for name, path in MODULES.items() if package_of(name) in TORCH_FREE], ids=name_of
)
def test_what_only_looks_imports_nothing_heavy_at_its_start(path: Path) -> None:
    if name_of(path) not in BY_CLASS:
        assert not {name.split(".")[0] for name in imports(path, at_start_only=True)} & HEAVY


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 800
