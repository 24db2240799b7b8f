"""The page itself: one HTML file from the table of the board."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rnnbench.leaderboard.costs import QUANTITIES, CostRow, cost_rows
from rnnbench.leaderboard.html.assets import datatables, own, vega
from rnnbench.leaderboard.html.cards import Claim, architecture_sections, read_claims, task_sections
from rnnbench.leaderboard.html.charts import chart_specs
from rnnbench.leaderboard.html.overview import MEANINGS, SIGNS, overview
from rnnbench.leaderboard.html.rankings import pairs_data, ranking_sections
from rnnbench.leaderboard.html.runs import Artefacts, no_artefacts, runs_data, short
from rnnbench.leaderboard.render import DEFINITIONS
from rnnbench.leaderboard.table import SORTED_LAST, UNCERTIFIED, Table
from rnnbench.records.artefacts import ArtefactStore
from rnnbench.records.status import STATES
from rnnbench.utils.extras import check_extra, lacking
from rnnbench.utils.files import write_whole
from rnnbench.utils.text import amount, clean, number

Value = TypeVar("Value", bound=Hashable)


def can_build() -> bool:
    """Whether the packages of the extra `board` are installed."""
    return not lacking("board")


def write_html(leaderboard: Path, tables: Sequence[Table], problems: list[str]) -> Path:
    """Write `index.html` of the first table; fields open what their runs have made, if the leaderboard has artefacts.

    Raises:
        RnnbenchError: it cannot be written; packages are missing.
    """
    check_extra("board", "the page")
    path = leaderboard / "index.html"
    claims = read_claims(leaderboard)
    write_whole(path, html(tables[0], [*problems, *claims.problems], claims.entries, ArtefactStore(leaderboard).of))
    return path


def html(table: Table, problems: list[str], claims: Sequence[Claim] = (), artefacts: Artefacts = no_artefacts) -> str:
    """The page. The same table gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"clean": clean, "number": number, "amount": amount}
    return environment.get_template("page.html.j2").render(_content(table, problems, claims, artefacts))


def _content(table: Table, problems: list[str], claims: Sequence[Claim], artefacts: Artefacts) -> dict[str, Any]:
    table_script, table_style = datatables()
    scripts = [_inline(script) for script in (table_script, vega(), own("page.js"))]
    heads, fields = overview(table)
    costs, rankings = cost_rows(table), ranking_sections(table)
    data = {
        "pairs": [pairs_data(section) for section in rankings],
        "runs": runs_data(table, artefacts),
        "charts": chart_specs(),
        "costs": [_cost_data(table, row) for row in costs],
        "quantities": {quantity.name: quantity.title for quantity in QUANTITIES},
    }
    return {
        "table": table,
        "last": SORTED_LAST,
        "heads": heads,
        "fields": fields,
        "tuned": any(row.studies for row in table.rows),
        "rankings": rankings,
        "costs": costs,
        "lengths": _tested_by_length(table),
        "machines": most_first(row.machine for row in costs),
        "costed": most_first(row.column for row in costs),
        "quantities": QUANTITIES,
        "tasks": task_sections(table),
        "architectures": architecture_sections(table),
        "claims": claims,
        "problems": problems,
        "counts": _counts(table),
        "definitions": DEFINITIONS,
        "states": STATES,
        "signs": SIGNS,
        "meanings": MEANINGS,
        "uncertified": UNCERTIFIED,
        "styles": [table_style, own("page.css")],
        "scripts": scripts,
        "hashes": " ".join(map(_hash, scripts)),
        "data": _embedded(data),
    }


def _tested_by_length(table: Table) -> list[tuple[int, str]]:
    """Number and heading of the columns whose runs have a score by length."""
    return [
        (index, ", ".join(table.headings[column]))
        for index, column in enumerate(table.columns)
        if any(
            cell.record and cell.record.length_curve
            for row in table.rows
            if column in row.entries
            for cell in row.entries[column].cells
        )
    ]


def _counts(table: Table) -> dict[str, int]:
    """How many runs are in which state."""
    counts = Counter[str]()
    for row in table.rows:
        for entry in row.entries.values():
            counts.update(entry.states)
    return {state: counts[state] for state in STATES if counts[state]}


def most_first(values: Iterable[Value]) -> list[Value]:
    """Each value once, those that stand most often first."""
    return [value for value, _ in Counter(values).most_common()]


def _cost_data(table: Table, row: CostRow) -> dict[str, Any]:
    costs = {name: short(value) for name, value in row.costs.items()}
    return {"label": clean(row.label), "task": table.columns.index(row.column), "machine": clean(row.machine),
            "backend": clean(row.backend), "family": clean(row.family), "score": short(row.score), "costs": costs,
            "fronts": sorted(row.fronts)}  # fmt: skip


def _embedded(data: Any) -> str:
    """JSON that no HTML parser takes for markup."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _inline(script: str) -> str:
    """A script as it may stand in an element: strings in it that would end the element are written otherwise."""
    return re.sub(r"<(?=!--|/?script)", r"\\x3C", script.replace("\r\n", "\n"), flags=re.IGNORECASE)


def _hash(script: str) -> str:
    """How the policy of the page names a script that may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
