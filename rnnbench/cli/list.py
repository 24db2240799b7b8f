"""`rnnbench list`."""

from jsonargparse import Namespace
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import make_console
from rnnbench.cli.parser import Parser
from rnnbench.config.cards import summary_of
from rnnbench.config.registry import catalogue, first_line

KINDS = {"architecture": "architectures", "task": "tasks", "grid": "grids", "track": "tracks", "space": "spaces"}


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("kind", nargs="?", choices=[*KINDS.values()], help="only these")
    parser.add_argument("--names", action="store_true", help="print the names alone, one a line")


def run(options: Namespace) -> None:
    """Print names with one line each, or alone."""
    if options.names:
        print(
            "\n".join(
                name for kind, title in KINDS.items() if options.kind in (None, title) for name in catalogue(kind)
            )
        )
        return
    console = make_console()
    for kind, title in KINDS.items():
        if options.kind in (None, title):
            table = Table(
                title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
            )
            others = catalogue("track") if kind == "grid" else {}
            for name, path in ((name, path) for name, path in catalogue(kind).items() if name not in others):
                table.add_row(Text(name), Text(first_line(path, summary_of), style="dim"))
            console.print(table, "")
