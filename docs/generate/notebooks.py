"""The notebooks of `docs/notebooks`, which are kept without outputs: executed while the site is built, as Markdown."""

import base64
import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
TIMEOUT = 300
"""Seconds of a cell."""
COLUMNS = 96
"""Letters of a line of what cells print."""


class Page(NamedTuple):
    """A notebook as Markdown, and its pictures by their file names beside it."""

    markdown: str
    pictures: dict[str, bytes]


def names() -> list[str]:
    """All notebooks."""
    return [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]


def execute(path: Path) -> Any:
    """A notebook with the outputs of its cells, executed in an empty folder.

    Raises:
        CellExecutionError: a cell has raised.
    """
    notebook = nbformat.read(path, as_version=4)
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute(env={**os.environ, "PYTHONPATH": paths, "COLUMNS": str(COLUMNS)})
    return notebook


def make(name: str) -> Page:
    """A notebook's page."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in execute(FOLDER / f"{name}.ipynb").cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```")
            parts += _outputs(cell.outputs, name, pictures)
    link = f"*[{name}.ipynb]({name}.ipynb): to download and run. The outputs are those of the build of this site.*"
    return Page("\n\n".join([parts[0], link, *filter(None, parts[1:])]) + "\n", pictures)


def _outputs(outputs: list[Any], name: str, pictures: dict[str, bytes]) -> list[str]:
    """What a cell has printed, drawn and returned; text that follows text is one block."""
    parts: list[str] = []
    printed = ""
    for output in outputs:
        data = output.get("data", {})
        text = output.text if output.get("name") == "stdout" else data.get("text/plain", "")
        if "image/png" in data:
            picture = f"{name}-{len(pictures) + 1}.png"
            pictures[picture] = base64.b64decode(data["image/png"])
            parts.append(f"![What the cell above draws]({picture})")
        elif "<table" in data.get("text/html", ""):
            parts.append(f'<div class="output">{_table(data["text/html"])}</div>')
        else:
            printed += text
    printed = re.sub(r"\x1b\[[\d;]*m", "", printed)  # colours of a terminal
    if lines := "\n".join(line.rstrip() for line in printed.strip("\n").splitlines()):
        parts.append(f"```text\n{lines}\n```")
    return parts


def _table(html: str) -> str:
    """The table alone, without the styles that pandas adds."""
    return re.sub(r"<style.*?</style>", "", html, flags=re.S).replace(' border="1" class="dataframe"', "")
