"""Hooks of mkdocs: adds the pages that are made from code, cards, essays, notebooks and committed records."""

import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.generate import api, cells, commands, fields, notebooks, tasks

ROOT = Path(__file__).parents[2]
COPIES = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "board/findings.md": "leaderboard/FINDINGS.md",
    "board/conformance.md": "leaderboard/conformance.md",
}
"""Pages that are files of the repository, by their path on the site."""
BOARD = "leaderboard/index.html"
REPOSITORY = re.compile(r"\]\((?:\.\./)*(README|CONTRIBUTING|CHANGELOG)\.md(#[\w-]*)?\)")
"""Links to files beside the folder of pages."""
PAGES = {"README": "index.md", "CONTRIBUTING": "contributing.md", "CHANGELOG": "changelog.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of cells and tasks to the navigation."""
    assert config.nav is not None
    for section in config.nav:
        if "Cells" in section:
            section["Cells"] += [{name: cells.page_of(name)} for name in cells.layers()]
        if "Tasks" in section:
            section["Tasks"] += [
                {group[0].upper() + group[1:]: [{name: tasks.page_of(name)} for name in members]}
                for group, members in tasks.groups().items()
            ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated."""
    pages: dict[str, Any] = {"cells/index.md": cells.index(), "tasks/index.md": tasks.index()}
    pages |= {cells.page_of(name): cells.make(name) for name in cells.layers()}
    pages |= {tasks.page_of(name): tasks.make(name) for name in tasks.names()}
    pages |= {page: fields.make(page) for page in fields.PAGES} | {page: api.make(page) for page in api.PAGES}
    pages["reference/commands.md"] = commands.make()
    pages |= {page: (ROOT / path).read_text() for page, path in COPIES.items()}
    for page in ("board/findings.md", "board/conformance.md"):  # long tables, which any word would find
        pages[page] = f"---\nsearch: {{exclude: true}}\n---\n\n{pages[page]}"
    for name in notebooks.names():
        notebook = notebooks.make(name)
        pages[f"notebooks/{name}.md"] = notebook.markdown
        pages |= {f"notebooks/{picture}": content for picture, content in notebook.pictures.items()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    if (ROOT / BOARD).exists():
        files.append(File.generated(config, BOARD, abs_src_path=str(ROOT / BOARD)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links of files that are read in the repository, too, to their pages of the site."""
    up = "../" * page.file.src_uri.count("/")
    markdown = REPOSITORY.sub(lambda match: f"]({up}{PAGES[match[1]]}{match[2] or ''})", markdown)
    if page.file.src_uri == "contributing.md":
        markdown = markdown.replace("](docs/", "](")
    return re.sub(r"\]\((?:\.\./)*tasks/([\w.-]+)/README\.md\)", rf"]({up}tasks/\1.md)", markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Copy what the page of the board links to, at the same places as in the repository."""
    site = Path(config.site_dir)
    for pattern in ("README.md", "CITATION.cff", "docs/submitting.md", "leaderboard/*.md", "leaderboard/results.*"):
        for path in ROOT.glob(pattern):
            target = site / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
