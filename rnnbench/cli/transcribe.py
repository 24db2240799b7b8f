"""`rnnbench transcribe`."""

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_run
from rnnbench.cli.translate import add_decoding_options, decode


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument("inputs", nargs="*", type=str, help="WAV files")
    add_decoding_options(parser, beam=1, length_penalty=False)


def run(options: Namespace) -> None:
    """Print what is said in sounds; see `rnnbench.cli.translate.decode`."""
    decode(options, "transcribe")
