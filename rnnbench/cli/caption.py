"""`rnnbench caption`."""

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_precision, add_run
from rnnbench.cli.translate import add_decoding_options, decode


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_precision(parser)
    parser.add_argument("inputs", nargs="*", type=str, help="files of pictures")
    add_decoding_options(parser, beam=4)


def run(options: Namespace) -> None:
    """Print captions of pictures; see `rnnbench.cli.translate.decode`."""
    decode(options, "caption")
