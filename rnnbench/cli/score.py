"""`rnnbench score`."""

import math
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import print_json
from rnnbench.cli.inference import check_encodable, open_run, read_texts, warn_unknown
from rnnbench.cli.parser import Parser, add_json, add_precision, add_run
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_precision(parser)
    parser.add_argument("texts", nargs="*", type=str, help="texts to compare")
    parser.add_argument("--file", type=Path, help="one text a line; - reads from the standard input")
    parser.add_argument("--context", type=str, default="", help="what stands before each text, and is not scored")
    parser.add_argument("--end", action="store_true", help="score too that the text ends there")
    parser.add_argument("--tokens", action="store_true", help="show the surprise of every token")
    add_json(parser)


def run(options: Namespace) -> None:
    """Print how likely texts are, the likeliest named if there are several.

    Raises:
        RnnbenchError: no such run, a run of another objective, or a text without any token.
    """
    check_encodable([options.context])
    trained = open_run(options, "score")
    texts = read_texts(options.texts, options.file, "score")
    warn_unknown(trained.model.inference.text_codec(), (options.context, *texts))
    scored = trained.model.score(texts, options.context, options.end)
    if options.json:
        print_json([text.content() for text in scored])
        return
    console = Console(highlight=False)
    console.print(_table(scored))
    if options.tokens:
        for text in scored:
            console.print(_surprises(text))
    if len(scored) > 1:
        best, second = sorted(scored, key=lambda text: -text.total)[:2]
        console.print(f"likeliest: {clean(best.text)!r}, e^{best.total - second.total:.2f} times as likely as the next",
                      soft_wrap=True)  # fmt: skip


def _table(scored: list[Any]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("text", overflow="fold")
    for name in ("tokens", "ln p", "bits a token", "perplexity"):
        table.add_column(name, justify="right")
    best = max(text.total for text in scored)
    for text in scored:
        style = "bold" if text.total == best and len(scored) > 1 else ""
        numbers = (f"{text.total:.2f}", f"{text.bits:.3f}", f"{text.perplexity:.2f}")
        table.add_row(Text(clean(text.text)), str(len(text.pieces)), *numbers, style=style)
    return table


def _surprises(text: Any) -> Table:
    """Bits of every token of a text, with a bar."""
    table = Table("token", title=Text(clean(text.text)), title_justify="left", box=None, pad_edge=False)
    table.add_column("bits", justify="right")
    table.add_column("")
    for piece, value in zip(text.pieces, text.log_probs, strict=True):
        bits = -value / math.log(2)
        table.add_row(Text(repr(piece)[1:-1]), f"{bits:.2f}", Text("▇" * round(2 * bits), style="cyan"))
    return table
