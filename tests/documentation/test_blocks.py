"""Every block of code in README, CONTRIBUTING and the pages: Python runs, YAML is what it is said to be."""

import importlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import rnnbench
from rnnbench.config.cards import ArchitectureCard, TaskCard
from rnnbench.config.grid import GridSpec, read_grid
from rnnbench.config.schema import read_yaml
from rnnbench.harness.preflight import check

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"", "python", "yaml", "text", "mermaid"}
BASE = {"name": "base", "architectures": ["lstm", "gru"], "tasks": ["adding"]}
"""A grid for pages that show some of its fields."""


class Block(NamedTuple):
    language: str
    code: str

    @property
    def file(self) -> str:
        """The name in a comment on its first line, if there is one."""
        named = re.match(r"# ([\w./-]+\.(?:py|yaml))$", self.code.splitlines()[0])
        return named[1] if named else ""


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.S | re.M)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_block(language: str) -> list[Path]:
    return [page for page in PAGES if any(block.language == language for block in blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_language_that_is_tested(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES
    assert page.read_text().count("\n```") == 2 * len(blocks(page))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, whose modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield tmp_path


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("page", with_block("python"), ids=name_of)
def test_the_python_and_yaml_of_a_page_work(
    page: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    for number, block in enumerate(blocks(page)):
        if "rb.run(" in block.code:  # tests/test_api.py runs what it calls
            used = set(re.findall(r"\brb\.(\w+)", block.code))
            assert used <= set(rnnbench.__all__), used
            compile(block.code, name_of(page), "exec")
        elif block.language == "python":
            name = Path(block.file).stem or f"block_{page.stem.replace('-', '_')}_{number}"
            monkeypatch.delitem(sys.modules, name, raising=False)
            (folder / f"{name}.py").write_text(block.code)
            importlib.invalidate_caches()
            importlib.import_module(name)
            if "# native" in block.code:
                assert capsys.readouterr().out == "native\n"
        elif block.language == "yaml":
            read(block, folder)


@pytest.mark.parametrize("page", [page for page in with_block("yaml") if page not in with_block("python")], ids=name_of)
def test_the_yaml_of_a_page_is_what_it_is_said_to_be(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            read(block, folder)


def read(block: Block, folder: Path) -> None:
    """Check a file by what is in it, and keep it for the blocks that name it."""
    path = folder / (block.file or "shown.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.code)
    content: dict[str, Any] = read_yaml(path)
    if (
        "trainer" in content and "data" in content
    ):  # of Lightning's command line; tests/architectures/test_reuse.py runs it
        assert {part["class_path"].partition(".")[0] for name, part in content.items() if name != "trainer"} == {
            "rnnbench"
        }
    elif "metric" in content:
        TaskCard.read(content, block.file)
    elif "class_path" in content:
        ArchitectureCard.read(content, block.file)
    elif "architectures" in content:
        check(read_grid(content, block.file).expand())
    else:
        assert set(content) <= set(GridSpec.model_fields), content
        GridSpec.read({**BASE, **content}, block.file).expand()


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers of pages end after three steps, and leave nothing behind."""
    from lightning.pytorch import Trainer

    whole = Trainer.__init__

    def init(self: Trainer, **options: Any) -> None:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        whole(self, **{**options, **quiet, "max_steps": 3, "accelerator": "cpu", "enable_model_summary": False})

    monkeypatch.setattr(Trainer, "__init__", init)


def test_a_block_that_is_wrong_is_found(folder: Path) -> None:
    with pytest.raises(Exception, match="did you mean 'tasks'"):
        read(Block("yaml", "name: x\narchitectures: [gru]\ntask: [adding]\n"), folder)
    with pytest.raises(Exception, match="unknown architecture 'grv'"):
        read(Block("yaml", yaml.safe_dump({**BASE, "architectures": ["grv"]})), folder)
