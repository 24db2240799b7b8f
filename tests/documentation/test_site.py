"""The site: links lead somewhere, and what is made from code says what the code says. `make docs` builds all of it."""

import ast
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.layer_timing import Record as Timing
from docs.generate import api, cells, commands, diagrams, equations, fields, hooks, notebooks, scores, tasks
from rnnbench.cli import VERBS
from rnnbench.config.cards import TaskCard
from rnnbench.config.registry import catalogue
from rnnbench.nn import GRU, MLSTM

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ARROWS = {"minimise": "↓", "maximise": "↑"}


def generated() -> set[str]:
    """Paths of all pages that are made while the site is built."""
    made = {cells.page_of(name) for name in cells.layers()} | {tasks.page_of(name) for name in tasks.names()}
    made |= {f"notebooks/{name}.md" for name in notebooks.names()} | {"cells/index.md", "tasks/index.md"}
    return made | {*fields.PAGES, *api.PAGES, *hooks.COPIES, hooks.BOARD, "reference/commands.md"}


def targets(markdown: str) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", markdown, flags=re.S | re.M)
    return [target for target in re.findall(r"\]\(([^)#\s]+)", prose) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_of_a_page_leads_to_a_file_or_to_what_is_generated(page: Path) -> None:
    for target in targets(page.read_text()):
        path = (page.parent / target).resolve()
        assert path.exists() or str(path.relative_to(DOCS)) in generated(), target


def test_links_of_generated_pages_lead_somewhere() -> None:
    pages = {name: cells.make(name) for name in ("LSTM", "MinGRU")} | {"index": cells.index()}
    for markdown in pages.values():
        for target in targets(re.sub(r"<svg.*?</svg>", "", markdown, flags=re.S)):
            path = (DOCS / "cells" / target).resolve()
            assert path.exists() or str(path.relative_to(DOCS)) in generated(), target


def test_the_navigation_has_every_page() -> None:
    text = (ROOT / "mkdocs.yml").read_text().replace("!!python/name:", "")
    nav = yaml.safe_load(text)["nav"]

    def paths(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [path for value in (entry.values() if isinstance(entry, dict) else entry) for path in paths(value)]

    listed = paths(nav)
    assert len(listed) == len(set(listed))
    by_hooks = {path for path in generated() if path.startswith(("cells/", "tasks/"))} - {
        "cells/index.md",
        "tasks/index.md",
    }
    assert set(listed) == {str(page.relative_to(DOCS)) for page in PAGES} | generated() - by_hooks - {hooks.BOARD}


# --- equations and diagrams


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("h_t = o ⊙ tanh(c_t)", r"h_{t} = o \odot  \tanh (c_{t})"),
        ("√(1 − |λ|²)", r"\sqrt{1 - |\lambda |^{2}}"),
        ("(W_k x_t) / √d + b_k", r"(W_{k}\,x_{t}) / \sqrt{d} + b_{k}"),
        ("a = σ(Λ)^(8 r)", r"a = \sigma (\Lambda )^{8\,r}"),
        ("10⁻⁶", r"10^{-6}"),
        ("U h_{t-1} + c [+ peephole]", r"U\,h_{t-1} + c [+ \ \mathrm{peephole}]"),
        ("n_tᵀ q", r"n_{t}^{\top}\,q"),
    ],
)
def test_an_equation_in_latex(text: str, latex: str) -> None:
    assert equations.to_latex(text) == latex
    assert 'aria-label="' in equations.math(text)


def test_names_and_values_of_python_are_no_mathematics() -> None:
    code = ("forget_bias", "reset", '"previous"', 'output_peek="new"', "proj_size", "relu", "weight_ih_l0")
    assert not [text for text in code if equations.is_math(text)]
    assert all(equations.is_math(text) for text in ("p ⊙ c", "W_c c", "1 − z", "c_{t-1}", "x_t", "f = 1 − i", "i'"))


def test_long_equations_have_lines_of_their_own_but_not_in_a_list() -> None:
    made = equations.typeset(
        "With\n`h_t = f ⊙ h_{t-1} + i ⊙ n`, where `f = 1 − i`:\n\n1. `n = tanh(W x_t + U h_{t-1})`\n2. x"
    )
    drawn = re.sub(r'<svg role="img" aria-label="([^"]*)".*?</svg>', r"\1", made)
    assert drawn == (
        'With\n\n<div class="equation"><span class="math">h_t = f ⊙ h_{t-1} + i ⊙ n</span>,</div>\n\nwhere '
        '<span class="math">f = 1 − i</span>:\n\n1. <span class="math">n = tanh(W x_t + U h_{t-1})</span>\n2. x'
    )


def test_text_of_a_docstring_is_no_markup() -> None:
    assert "<b>" not in equations.typeset("a <b> c") + diagrams.draw(
        {1: diagrams.Box("<b>")} | {2: diagrams.Box("x")}, [(1, 2)], "<b>"
    )


@pytest.mark.parametrize("name", cells.layers())
def test_boxes_of_a_cells_diagram_do_not_overlap(name: str) -> None:
    cell = cells.layers()[name](8, 8).cell
    svg = diagrams.cell_diagram(cell, name)
    if svg is None:
        assert name == "MLSTM"  # a matrix for each head: more than operations on units
        return
    numbers = re.findall(r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', svg)
    rectangles = [tuple(map(float, rectangle)) for rectangle in numbers]
    for (x, y, width, height), (u, v, wide, high) in combinations(rectangles, 2):
        assert x + width <= u or u + wide <= x or y + height <= v or v + high <= y
    for state in cell.states:
        assert re.search(rf'class="output"><rect [^>]*/><text [^>]*>{state}<tspan class="sub" dy="3">t</tspan>', svg)


def test_the_diagram_of_a_gru_has_its_operations() -> None:
    svg = diagrams.cell_diagram(GRU(3, 4).cell, "GRU")
    assert svg is not None
    texts = [re.sub(r"<[^>]+>|\u200b", "", text) for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)]
    assert sorted(texts) == sorted(
        ["xt", "ht−1", "Wr x + Ur h", "Wz x + Uz h", "Wn x", "Un h", "σ", "σ", "tanh", "×", "×", "+", "+", "−", "ht"]
    )
    assert diagrams.cell_diagram(MLSTM(3, 4).cell, "MLSTM") is None


def test_a_flow_chart_has_every_name_and_arrow() -> None:
    page = (DOCS / "architecture.md").read_text()
    svg = diagrams.flow_chart(page)
    assert svg.count('class="tip"') == page.count(" --> ") > 20
    assert all(f">{name}<" in svg for name in ("cli", "harness", "nn", "objectives"))


# --- pages of cells and tasks


def test_a_page_of_a_cell_has_all_its_parts() -> None:
    page = cells.make("LSTM")
    for part in ("Equation", "Diagram", "Parameters", "Options", "Use", "Speed", "Scores", "Source"):
        assert f"\n## {part}\n" in page
    for text in (
        "| `weight_ih_l0` | 4H×I |",
        "99,328 numbers",
        "c: H",
        "`forget_bias`",
        "`bilstm`",
        "class LSTMCell(Cell):",
    ):
        assert text in page
    assert 'aria-label="c_t = f ⊙ c_{t-1} + i ⊙ g"' in page
    assert "times those of an LSTM" in cells.make("GRU")


def test_every_architecture_with_a_cell_of_ours_is_on_the_page_of_its_layer() -> None:
    named = [point for points in cells.named_points().values() for point in points]
    assert len(named) == len(set(named))
    assert set(catalogue("architecture")) - set(named) == {"cnn", "tcn", "window-mlp", "window-mlp-16"}
    assert all(cells.named_points().values())


def test_measured_speed_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_measured", dict)
    assert "| 0." not in cells._speed("CFN")
    monkeypatch.undo()
    shape = (50, 32, 64, 64)
    timings = [
        Timing("gates", shape, "glibc", 1, name, seconds, seconds, seconds, 7)
        for name, seconds in (("LSTM", 1), ("nn.LSTM", 2))
    ]
    path = tmp_path / "speed.json"
    path.write_text(json.dumps([timing.content() for timing in timings]))
    monkeypatch.setattr(cells, "SPEED", path)
    cells._measured.cache_clear()
    try:
        assert "| LSTM | nn.LSTM | 50×32×64×64 | 1 | 0.50 |" in cells._speed("LSTM")
    finally:
        cells._measured.cache_clear()


def test_the_index_has_every_task_as_its_card_says() -> None:
    rows = [line for line in tasks.index().splitlines() if line.startswith("| [")]
    expected = []
    for name in catalogue("task"):
        card = TaskCard.load(name)
        score = f"{card.metric} {ARROWS[card.direction]}"
        expected.append(f"| [{name}]({name}.md) | {card.title} | {card.kind} | `{card.objective}` | {score} |")
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("name", ["anbn", "continual-reber", "ptb"])
def test_a_page_of_a_task_has_card_and_essay(name: str) -> None:
    page, card = tasks.make(name), TaskCard.load(name)
    essay = (ROOT / "tasks" / name / "README.md").read_text()
    for part in ("What it tests", "Data and split", "Score", "Scores on the board", "References", "Run it", "Card"):
        assert f"\n## {part}\n" in page
    assert essay.splitlines()[-1] in page
    assert card.chance.of in page
    assert all(reference in page for reference in card.references)
    assert "README.md)" not in page


def test_scores_are_those_of_the_committed_records() -> None:
    committed = scores.committed()
    score = committed[0]
    page = tasks.make(score.column.task)
    assert score.entry.text() in page
    assert f"[{score.row.label}](../cells/" in page
    own = {score.row.configuration.name}
    best = [one for one in committed if one.row.configuration.name in own and one.column == score.column]
    assert min(best, key=lambda one: one.better).entry.text() in scores.of_architectures(own)


# --- references


@pytest.mark.parametrize("page", fields.PAGES)
def test_a_reference_of_fields_has_every_field_with_its_meaning(page: str) -> None:
    made = fields.make(page)
    headings = re.findall(r"^## (\w+)$", made, re.M)
    assert {model.__name__ for model in fields.PAGES[page].models} <= set(headings)
    assert set(re.findall(r"\]\(#(\w+)\)", made)) <= {heading.lower() for heading in headings}
    for model in fields.PAGES[page].models:
        for field in set(model.model_fields) & set(vars(model).get("__annotations__", {})):
            assert re.search(rf"^\| `{field}` \|", made, re.M), field
    if page == "reference/grid.md":
        assert "| `seeds` | whole number or list of whole number | `1` |" in made
        assert "| `tasks` | list of text | required |" in made


def test_the_reference_of_commands_has_every_verb_and_its_options() -> None:
    made = commands.make()
    assert re.findall(r"^## ([\w-]+)$", made, re.M) == list(VERBS)
    assert "| `--leaderboard` DIR | records and boards | `leaderboard` |" in made
    assert "--retry" in made


def test_the_references_of_python_have_every_name() -> None:
    for page, package in api.PAGES.items():
        names = __import__(f"rnnbench.{package}", fromlist=["__all__"]).__all__
        assert sorted(re.findall(rf"^::: rnnbench\.{package}\.(\w+)$", api.make(page), re.M)) == sorted(names)


# --- notebooks


@pytest.mark.parametrize("name", notebooks.names())
def test_a_notebook_is_committed_without_outputs(name: str) -> None:
    notebook = json.loads((notebooks.FOLDER / f"{name}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 3
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        ast.parse("".join(cell["source"]))


def test_what_a_notebook_prints_and_draws_is_on_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [
        "print('\\x1b[1mone\\x1b[0m')\nprint('two')",
        "1 + 1",
        "from IPython.display import Image\nImage(data=b'png', format='png')",
    ]
    cell: dict[str, Any] = {"metadata": {}, "outputs": [], "execution_count": None, "cell_type": "code"}
    all_cells = [{**cell, "id": f"c{number}", "source": source} for number, source in enumerate(sources)]
    head = {"cell_type": "markdown", "metadata": {}, "id": "head", "source": "# Made up"}
    content = {"cells": [head, *all_cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "made.ipynb").write_text(json.dumps(content))
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    page = notebooks.make("made")
    assert "```text\none\ntwo\n```\n\n```python\n1 + 1\n```\n\n```text\n2\n```" in page.markdown
    assert page.markdown.startswith("# Made up\n\n*[made.ipynb](made.ipynb)")
    assert page.pictures == {"made-1.png": b"png"}
