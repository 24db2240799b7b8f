"""`rnnbench export`: the board for other programs."""

import sys
from collections.abc import Callable
from pathlib import Path

from jsonargparse import Namespace

from rnnbench.cli.console import can_print, warn_set_aside
from rnnbench.cli.parser import Parser, add_folders
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.export import check_target, rows_of, to_csv, to_json, to_latex, to_parquet
from rnnbench.leaderboard.table import make_table
from rnnbench.records.certificates import Certificates
from rnnbench.records.selection import runs_of
from rnnbench.records.status import Cell, cells_of, cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.tracks import tracks_of
from rnnbench.utils.files import write_whole

Tracks = dict[str, list[str]]
"""The names of the tracks of each run, by its id."""
TEXTS: dict[str, Callable[[list[Cell], GridSpec | None, Tracks], str]] = {
    "csv": lambda cells, grid, tracks: to_csv(rows_of(cells, tracks)),
    "json": lambda cells, grid, tracks: to_json(rows_of(cells, tracks)),
    "latex": lambda cells, grid, tracks: to_latex(make_table(cells, grid)),
}


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "grid", nargs="?", type=str, help="only this grid, with what is missing of it (default: all records)"
    )
    parser.add_argument(
        "--format", choices=["csv", "json", "latex", "parquet"], required=True, help="of what is written"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to (default: printed)")
    add_folders(parser)


def run(options: Namespace) -> None:
    """Write all records, or the cells of a grid.

    Raises:
        RnnbenchError: there is nothing to export, or it cannot be written.
    """
    check_target(options.format, options.out)
    cells, grid, tracks = _cells(options)
    if options.format == "parquet":
        to_parquet(rows_of(cells, tracks), options.out)
    elif options.out is None:
        text = TEXTS[options.format](cells, grid, tracks)
        if not can_print(text):
            raise RnnbenchError(
                f"the standard output is {sys.stdout.encoding} and lacks letters of this: use --out FILE"
            )
        sys.stdout.write(text)
        return
    else:
        write_whole(options.out, TEXTS[options.format](cells, grid, tracks))
    print(f"{options.out}: {len(cells)} runs", file=sys.stderr)


def _cells(options: Namespace) -> tuple[list[Cell], GridSpec | None, Tracks]:
    folders = Folders(options.leaderboard, options.runs)
    records, problems = RecordStore(folders.leaderboard).read()
    warn_set_aside(problems)
    certificates = Certificates(folders.leaderboard)
    tracks = tracks_of(records)
    if options.grid:
        grid = folders.grid(options.grid)
        return cells_of(runs_of(grid, records), records, certificates=certificates), grid, tracks
    if not records:
        raise RnnbenchError(folders.no_records)
    return cells_on_record(records, certificates), None, tracks
