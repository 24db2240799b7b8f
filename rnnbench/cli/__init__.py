"""The command line. Nothing heavy is imported before a verb needs it: `--help` and `list` never see torch."""

import codecs
import io
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from rnnbench import __version__
from rnnbench.cli.parser import Parser, Verbs
from rnnbench.commands import GROUPS
from rnnbench.errors import RnnbenchError, raised_in, told

INTERRUPTED = 130
SUBSTITUTES = {
    "±": "+-", "≈": "~", "≤": "<=", "≥": ">=", "−": "-", "–": "-", "—": "-", "·": "-", "…": "...", "×": "x",
    "→": "->", "↓": "v", "↑": "^", "’": "'", "∞": "inf", "√": "sqrt",
    "∂": "d", "σ": "s", "‖": "|", "²": "^2", "⁻": "^-", "¹": "1", "⁴": "4", "⁶": "6",
    **dict(zip("▁▂▃▄▅▆▇█░▒▓▬", ".,-=+*##.:#=", strict=True)),
}  # fmt: skip
"""What is printed in the place of letters that a terminal or a file of another encoding than UTF-8 lacks; else `?`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when all went well, 1 when runs failed, 2 for what the user can mend, 130 when interrupted."""
    _print_anything()
    parser, verbs = make_parser()
    options = parser.parse_args(arguments)
    verb = verbs[options.verb]
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # a class_path may name a module of the user's folder, as under `python -m`
    try:
        code = verb(options[options.verb])
    except RnnbenchError as error:
        print(f"rnnbench: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rnnbench: interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except Exception as error:
        if not raised_in(error):
            raise
        traceback.print_exc()  # a user's own code has failed, and no log has the traceback
        print(f"rnnbench: error: {told(error)}", file=sys.stderr)
        return 2
    if code == INTERRUPTED:
        # Where the interrupt met code that runs source text, as dataclasses do, Python would end by the signal all the
        # same (unhandled_keyboard_interrupt in its pythonrun.c); text that runs well makes it forget that.
        exec("")  # noqa: S102
    return code


def _print_anything() -> None:
    """Have no output end in an error because of a letter: of a terminal in ASCII, a file in cp1252, half a pair."""
    codecs.register_error("rnnbench", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="rnnbench")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SUBSTITUTES.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def make_parser() -> tuple[Parser, Verbs]:
    """The parser with all verbs, and what each calls."""
    parser = Parser(
        prog="rnnbench", description="Benchmark recurrent networks: grids of runs that end in a leaderboard."
    )
    parser.add_argument("--version", action="version", version=f"rnnbench {__version__}")
    verbs = parser.add_subcommands(dest="verb", metavar="VERB", required=True)
    called: Verbs = {}
    for group in GROUPS:
        called |= group.add(verbs)
    return parser, called
