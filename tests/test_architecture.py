"""The page that draws the package says what is so: its arrows are the imports, and what its walks name is there."""

import ast
import re
from pathlib import Path

from tests.test_structure import MODULES, PACKAGE, own_imports, package_of

PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()


def test_the_arrows_drawn_are_the_imports() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", PAGE, re.M))
    imported = {
        (package_of(name), package_of(target))
        for name, path in MODULES.items()
        for target in own_imports(path)
        if name
        and package_of(name) not in {package_of(target), "inside"}
        and package_of(target) not in {"errors", "utils"}
    }
    assert drawn == imported


def test_every_package_has_a_row() -> None:
    rows = set(re.findall(r"^\| `(\w+)/` \|", PAGE, re.M))
    assert rows == {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} - {"inside"}


def test_what_the_walks_name_is_where_they_say() -> None:
    files = {name for name in re.findall(r"`((?:\w+/)+\w+\.py)`", PAGE) if not name.startswith("tests/")}
    assert len(files) > 25
    assert not [name for name in files if not (PACKAGE / name).is_file()]
    named = re.findall(r"`((?:\w+/)+\w+\.py)`\s+`(\w+)`", PAGE)
    assert len(named) > 15
    for file, name in named:
        defined = {node.name for node in ast.parse((PACKAGE / file).read_text()).body if hasattr(node, "name")}
        assert name in defined, f"{file} defines no {name}"
