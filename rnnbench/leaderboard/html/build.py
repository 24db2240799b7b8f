"""The page itself: one HTML file from the tracks of the board."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.leaderboard.costs import QUANTITIES
from rnnbench.leaderboard.html.assets import datatables, own, vega
from rnnbench.leaderboard.html.cards import Claim, architecture_sections, read_claims, references
from rnnbench.leaderboard.html.charts import chart_specs
from rnnbench.leaderboard.html.content import MEAN, quantity_titles, track_content, track_data
from rnnbench.leaderboard.html.overview import MEANINGS, SIGNS
from rnnbench.leaderboard.html.runs import Artefacts, no_artefacts, runs_data
from rnnbench.leaderboard.html.tracks import SLOW, keys_of, titled
from rnnbench.leaderboard.render import DEFINITIONS
from rnnbench.leaderboard.table import SORTED_LAST, UNCERTIFIED, Table
from rnnbench.records.artefacts import ArtefactStore
from rnnbench.records.status import STATES
from rnnbench.utils.extras import check_extra, lacking
from rnnbench.utils.files import write_whole
from rnnbench.utils.text import amount, clean, number

SCRIPTS = ("dom.js", "address.js", "charts.js", "tables.js", "sections.js", "field.js", "page.js")
"""Ours, in this order one script."""
FILES = (
    ("Repository", "../README.md"),
    ("Cite", "../CITATION.cff"),
    ("results.parquet", "results.parquet"),
    ("results.csv", "results.csv"),
    ("Findings", "FINDINGS.md"),
    ("How to submit", "../docs/submitting.md"),
)
"""Titles and paths of the files that the page links to, where they are beside it."""


def can_build() -> bool:
    """Whether the packages of the extra `board` are installed."""
    return not lacking("board")


def write_html(leaderboard: Path, tables: Sequence[Table], problems: list[str]) -> Path:
    """Write `index.html`; fields open what their runs have made, if the leaderboard has artefacts.

    Raises:
        RnnbenchError: it cannot be written; packages are missing.
    """
    check_extra("board", "the page")
    path = leaderboard / "index.html"
    claims = read_claims(leaderboard)
    links = [(title, target) for title, target in FILES if (leaderboard / target).is_file()]
    problems = [*problems, *claims.problems]
    write_whole(path, html(tables, problems, claims.entries, ArtefactStore(leaderboard).of, links))
    return path


def html(
    tables: Sequence[Table],
    problems: list[str],
    claims: Sequence[Claim] = (),
    artefacts: Artefacts = no_artefacts,
    links: Sequence[tuple[str, str]] = (),
) -> str:
    """The page, which shows one table at a time, the first to begin with. The same tables give the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"clean": clean, "number": number, "amount": amount}
    content = _content([titled(table) for table in tables], problems, claims, artefacts) | {"links": links}
    return environment.get_template("page.html.j2").render(content)


def _content(
    tables: Sequence[Table], problems: list[str], claims: Sequence[Claim], artefacts: Artefacts
) -> dict[str, Any]:
    table_script, table_style = datatables()
    scripts = [_inline(script) for script in (table_script, vega(), "\n".join(map(own, SCRIPTS)))]
    keys = keys_of(table.name for table in tables)
    contents = [track_content(table, key) for table, key in zip(tables, keys, strict=True)]
    data = {
        "tracks": [track_data(content) for content in contents],
        "charts": chart_specs(),
        "quantities": quantity_titles(),
    }
    return {
        "contents": contents,
        "last": SORTED_LAST,
        "mean": MEAN,
        "quantities": QUANTITIES,
        "architectures": architecture_sections(tables),
        "references": references(tables),
        "claims": claims,
        "problems": problems,
        "definitions": DEFINITIONS,
        "states": STATES,
        "signs": SIGNS,
        "meanings": MEANINGS,
        "slow": SLOW,
        "uncertified": UNCERTIFIED,
        "styles": [table_style, own("page.css")],
        "scripts": scripts,
        "hashes": " ".join(map(_hash, scripts)),
        "data": _embedded(data),
        "runs": _embedded([runs_data(table, artefacts) for table in tables]),
    }


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
