"""What is released: a source archive, the wheel that is built from it, what they hold, and plug-ins beside them."""

import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from rnnbench import __version__
from rnnbench.utils.extras import EXTRAS
from tests.conftest import TASKS
from tests.fixtures.interpreters import ROOT, python

FOR_DEVELOPERS = {"bench", "dev", "docs", "peers"}
"""Extras that a user does not need."""


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a source archive lies, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("distributions")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    """rnnbench installed into an empty folder from its wheel, which is built from its source archive."""
    folder = distributions
    (path,) = folder.glob("*.whl")
    target = folder / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(path),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return target


def test_the_wheel_carries_its_tasks_and_no_top_level_names_but_its_own(wheel: Path, tmp_path: Path) -> None:
    assert {path.name for path in wheel.iterdir()} == {"rnnbench", f"rnnbench-{__version__}.dist-info", "bin"}
    said = python("from rnnbench.cli import main; main(['list'])", cwd=tmp_path, PYTHONPATH=str(wheel))
    for name in TASKS:
        assert f"\n{name} " in said
    python("from rnnbench.cli import main; raise SystemExit(main(['new', 'cell', 'leaky']))", cwd=tmp_path,
           PYTHONPATH=str(wheel))  # fmt: skip
    assert (tmp_path / "leaky" / "cell.py").is_file()  # the wheel carries the templates, too
    where = python("import rnnbench; print(rnnbench.__file__)", cwd=tmp_path, PYTHONPATH=str(wheel))
    assert where.startswith(str(wheel))


def test_distributions_hold_what_belongs_into_them(distributions: Path) -> None:
    (wheel,), (source,) = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (info,) = {name.partition("/")[0] for name in names} - {"rnnbench"}
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    committed = [path.relative_to(ROOT) for name in ("tasks", "configs") for path in (ROOT / name).rglob("*.*")]
    assert {f"rnnbench/{path.as_posix()}" for path in committed} <= names
    assert {"rnnbench/py.typed", f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= names
    assert {f"rnnbench/{path.name}" for path in (ROOT / "rnnbench").iterdir() if path.is_dir()} <= {
        "/".join(name.split("/")[:2]) for name in names
    } | {"rnnbench/__pycache__"}
    assert not [
        name for name in names if re.search(r"tests?/|/test_\w+\.py$|benchmarks/|leaderboard/records|__pycache__", name)
    ]
    assert (metadata["Version"], metadata["License-Expression"]) == (__version__, "Apache-2.0")
    with tarfile.open(source) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE",
        "README.md",
        "constraints.txt",
        "pyproject.toml",
        "tests/conftest.py",
        "rnnbench/py.typed",
    } <= files
    assert not [name for name in files if name.startswith((".venv", "runs/", "build/", "dist/", ".git/"))]


def test_a_package_index_would_take_the_distributions(distributions: Path) -> None:
    paths = [str(path) for path in distributions.glob("*.*") if path.is_file()]
    assert len(paths) == 2
    check = [sys.executable, "-m", "twine", "check", "--strict", *paths]
    said = subprocess.run(check, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("PASSED") == 2


def test_all_is_every_extra_of_a_user() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (everything,) = extras.pop("all")
    assert re.fullmatch(r"rnnbench\[(.+)\]", everything)[1].split(",") == sorted(extras.keys() - FOR_DEVELOPERS)  # type: ignore[index]
    assert extras.keys() > FOR_DEVELOPERS
    assert EXTRAS.keys() < extras.keys()


def test_a_plug_ins_cards_join_by_one_entry_point(wheel: Path, tmp_path: Path) -> None:
    package = tmp_path / "site" / "plugged"
    (package / "tasks" / "short-adding").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    card = yaml.safe_load((ROOT / "tasks" / "adding" / "task.yaml").read_text())
    card |= {
        "name": "short-adding",
        "summary": "From elsewhere.",
        "data": {"class_path": "rnnbench.data.Adding", "init_args": {"length": 5}},
    }
    (package / "tasks" / "short-adding" / "task.yaml").write_text(yaml.safe_dump(card))
    info = tmp_path / "site" / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rnnbench.plugins]\nplugged = plugged\n")
    code = "from rnnbench.cli import main; main(['list', 'tasks'])"
    said = python(code, cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(wheel), str(package.parent)]))
    assert "short-adding" in said
    assert "From elsewhere." in said
    assert "weather-nyc" in said
