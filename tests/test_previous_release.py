"""What the README of the release before this shows still works: imports, grids, files for LightningCLI, commands."""

import ast
import importlib
import re
import shlex
import warnings
from pathlib import Path

import pytest
import yaml

from rnnbench.cli import VERBS, make_parser
from rnnbench.config.grid import GridSpec

README = (Path(__file__).parent / "fixtures" / "previous_readme.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def resolve(path: str) -> object:
    """What an import path names: modules as far as there are any, then attributes."""
    thing: object = importlib.import_module("rnnbench")
    reached = "rnnbench"
    for part in path.split(".")[1:]:
        reached += f".{part}"
        thing = getattr(thing, part) if hasattr(thing, part) else importlib.import_module(reached)
    return thing


NOT_CODE = {"rnnbench.plugins"}
"""The group of an entry point."""
PATHS = sorted(set(re.findall(r"(?<![\w/-])rnnbench(?:\.\w+)+", README)) - NOT_CODE)


@pytest.mark.parametrize("path", PATHS)
def test_a_name_can_be_imported(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        resolve(path)


def test_all_that_python_imports_is_there() -> None:
    imported = [
        node for code in blocks("python") for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)
    ]
    assert len(imported) > 3
    for node in imported:
        home = importlib.import_module(node.module or "")
        assert all(hasattr(home, alias.name) for alias in node.names), node.module


def test_its_grid_is_a_grid(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("yaml") if "architectures:" in block]
    (tmp_path / "my.yaml").write_text(text)
    assert len(GridSpec.load(str(tmp_path / "my.yaml")).expand()) == 24


def test_the_classes_of_its_file_for_lightning_are_there() -> None:
    (text,) = [block for block in blocks("yaml") if "init_args" in block and "trainer" in block]
    content = yaml.safe_load(text)
    for section in ("model", "data"):
        resolve(content[section]["class_path"])


def test_its_commands_are_commands() -> None:
    parser = make_parser()
    plain = [text for language, text in re.findall(r"```(\w*)\n(.*?)```", README, re.S) if not language]
    lines = re.findall(r"^(?:\.venv/bin/)?rnnbench (\w[^#\n|>]*)", "\n".join(plain), re.M)
    words = [shlex.split(line) for line in lines]
    shown = [line for line in words if line[0] in VERBS]
    assert len(shown) > 20
    for line in shown:
        assert parser.parse_args(line).verb == line[0]


def test_the_former_name_of_the_analysis_warns() -> None:
    with pytest.warns(DeprecationWarning, match="rnnbench.inside is now rnnbench.analysis"):
        importlib.reload(importlib.import_module("rnnbench.inside"))
