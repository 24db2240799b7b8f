"""`rnnbench upload`: the board to Weights & Biases."""

import os
import sys
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.console import warn_set_aside
from rnnbench.cli.parser import Parser, add_folders
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.board import make_board
from rnnbench.leaderboard.export import flat, rows_of
from rnnbench.leaderboard.grid_layout import GridLayout
from rnnbench.leaderboard.html.build import can_build, write_html
from rnnbench.leaderboard.render import write_markdown
from rnnbench.records.certificates import Certificates
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.tracks import tracks_of
from rnnbench.utils.text import clean

PAGES = ("README.md", "index.html")


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("--project", type=str, default="rnnbench", help="of W&B")
    parser.add_argument("--entity", type=str, help="of W&B: a user or a team")
    add_folders(parser)


def run(options: Namespace) -> None:
    """Log the board and all records as tables, the page to look at, and both pages as an artifact; offline, into
    `./wandb` for a later sync.

    W&B's reports are made on its server, by a package of their own and with a login; these panels fit into one by hand.

    Raises:
        RnnbenchError: no records, no login of W&B, or W&B cannot be reached.
    """
    records, problems = RecordStore(options.leaderboard).read()
    warn_set_aside(problems)
    if not records:
        raise RnnbenchError(Folders(options.leaderboard, options.runs).no_records)
    certificates = Certificates(options.leaderboard)
    cells, tables = cells_on_record(records, certificates), make_board(records, certificates)
    write_markdown(options.leaderboard, tables)
    wandb_run = _start(options.project, options.entity)
    try:
        for table in tables:
            wandb_run.log(
                {" ".join(["board", table.name]).strip(): _table(*_fields(GridLayout.of(table, n_once=False)))}
            )
        rows = rows_of(cells, tracks_of(records))
        wandb_run.log({"records": _table(*_records([flat(row) for row in rows]))})
        if can_build():
            wandb_run.log({"page": _html(write_html(options.leaderboard, tables, problems))})
        else:
            print("without the page (index.html): pip install 'rnnbench[board]'", file=sys.stderr)
        wandb_run.log_artifact(_pages(options.leaderboard))
        where = (
            wandb_run.url or f"kept offline; send it with: wandb sync {os.path.relpath(wandb_run.settings.sync_dir)}"
        )
    finally:
        wandb_run.finish()
    print(f"{len(records)} records: {where}")


def _start(project: str, entity: str | None) -> Any:
    import wandb

    if os.environ.get("WANDB_MODE", "online") in ("online", "shared") and not wandb.login(prompt=False):
        raise RnnbenchError("W&B is not logged in: use `wandb login`, or set WANDB_MODE=offline")
    try:
        return wandb.init(project=project, entity=entity, job_type="board", name="board")
    except wandb.Error as error:
        raise RnnbenchError(f"W&B says: {error}") from None


def _table(heads: list[str], rows: list[list[Any]]) -> Any:
    """A table of W&B, which shows text as it is."""
    import wandb

    table = wandb.Table(columns=list(map(clean, heads)), allow_mixed_types=True)
    for row in rows:
        table.add_data(*(clean(field) if isinstance(field, str) else field for field in row))
    return table


def _html(page: Path) -> Any:
    """The page as a panel, to the byte: its policy knows its scripts."""
    import wandb

    return wandb.Html(str(page), inject=False)


def _fields(layout: GridLayout) -> tuple[list[str], list[list[Any]]]:
    heads = [*layout.corner, *(", ".join(lines) for lines in layout.across)]
    return heads, [[*map(", ".join, layout.columns_before(head)), *(one.text for one in row)]
                   for head, row in zip(layout.down, layout.fields, strict=True)]  # fmt: skip


def _records(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    return list(rows[0]), [list(row.values()) for row in rows]


def _pages(leaderboard: Path) -> Any:
    import wandb

    artifact = wandb.Artifact("board", type="board")
    for path in (leaderboard / name for name in PAGES):
        if path.is_file():
            artifact.add_file(str(path))
    return artifact
