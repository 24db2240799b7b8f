"""The command line: a verb is a module of this package, imported when it is called. `--help` imports none of them."""

import codecs
import io
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rnnbench import __version__
from rnnbench.cli.parser import Parser, add_verb
from rnnbench.errors import RnnbenchError, raised_in, told

VERBS = {
    "run": "run what is missing of a grid, then print the board",
    "watch": "follow a grid that is being run, from another terminal",
    "stop": "ask whoever runs a grid to stop: runs keep a checkpoint, and go on later",
    "smoke": "train and test architectures on stand-ins for tasks for a moment, offline",
    "list": "architectures, tasks, grids, tracks and spaces, each with one line",
    "status": "what of a grid is done, running, missing, and what failed why",
    "board": "print the board and write it to leaderboard/README.md",
    "show": "everything a record says about one run",
    "importance": "which hyper-parameters matter, by the trials of a grid that is tuned",
    "new": "write a skeleton that works: of a task, an architecture, a cell or a plug-in",
    "check": "check every card, architecture, grid and record",
    "generate": "let a language model go on with a text",
    "score": "how likely a language model finds texts",
    "classify": "what class a classifier gives texts or sounds, or a tagger each word",
    "translate": "translate sentences",
    "caption": "say what pictures show",
    "transcribe": "write down what is said in sounds",
    "forecast": "forecast the end of a window of the test part, and errors by step",
    "replay": "the same questions at each step that was kept: from noise to what was learnt",
    "gradients": "how gradients of a grid's networks fall off through time",
    "gates": "what a network's gates and states do over a sequence",
    "certify": "check by short probes that the code still gives what older records say",
    "publish": "check records and copy them into a leaderboard, with where they come from",
    "verify": "run a record's spec again and compare",
    "export": "records as rows (csv, json, parquet), or the board as a table (latex)",
    "export-model": "a trained network as a file for other programs: onnx, torch-export, safetensors",
    "compare": "two architectures against each other, on the tasks and seeds that both have run",
    "upload": "the board and its records to Weights & Biases; offline with WANDB_MODE=offline",
    "push": "a trained run, or a board, into a repository of the Hugging Face hub",
    "pull": "a trained run, or a board, from a repository of the Hugging Face hub, after strict checks",
    "vectors": "train word vectors on a task, for `embedding: FILE`; nearest words and a map of words",
    "data": "the data of tasks",
    "completion": "print a script that completes verbs, options and names in bash, zsh or fish",
}
"""The verbs and what `rnnbench --help` says of them, in that order.

The module `rnnbench.cli.<verb>`, with `_` for `-`, has `add_options(parser)`, which declares its arguments, and
`run(options)`, which does the work and returns the exit code; None stands for 0.
"""
INTERRUPTED = 130
SUBSTITUTES = {
    "±": "+-", "≈": "~", "≤": "<=", "≥": ">=", "−": "-", "–": "-", "—": "-", "·": "-", "…": "...", "×": "x",
    "→": "->", "↓": "v", "↑": "^", "’": "'", "∞": "inf", "√": "sqrt",
    "∂": "d", "σ": "s", "‖": "|", "²": "^2", "⁻": "^-", "¹": "1", "⁴": "4", "⁶": "6",
    "Σ": "sum", "⁺": "+", "⟨": "<", "⟩": ">",
    **dict(zip("▁▂▃▄▅▆▇█░▒▓▬", ".,-=+*##.:#=", strict=True)),
}  # fmt: skip
"""Replacements of characters that the encoding of a terminal or a file lacks; any other becomes `?`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 on success, 1 when runs failed, 2 for an error that the user can correct, 130 when interrupted.
    """
    _replace_unprintable_characters()
    arguments = sys.argv[1:] if arguments is None else [*arguments]  # here `list` is the module of that verb
    first = next((word for word in arguments if not word.startswith("-")), "")
    try:
        options = make_parser([first]).parse_args(arguments)
        if (folder := str(Path.cwd())) not in sys.path:
            sys.path.append(folder)  # a class_path may name a module of the user's folder, as under `python -m`
        code: int = _module(options.verb).run(options[options.verb]) or 0
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
        traceback.print_exc()  # the user's own code failed, and no log has the traceback
        print(f"rnnbench: error: {told(error)}", file=sys.stderr)
        return 2
    if code == INTERRUPTED:
        # If the interrupt arrived in code that executes source text, as dataclasses do, Python would still end by the
        # signal (unhandled_keyboard_interrupt in its pythonrun.c); executing text without an error resets that.
        exec("")  # noqa: S102
    return code


def make_parser(verbs: Sequence[str] = tuple(VERBS)) -> Parser:
    """The parser of the command line, with the options of `verbs`; of other verbs it has the names alone."""
    parser = Parser(
        prog="rnnbench", description="Benchmark recurrent networks: grids of runs that end in a leaderboard."
    )
    parser.add_argument("--version", action="version", version=f"rnnbench {__version__}")
    subcommands = parser.add_subcommands(dest="verb", metavar="VERB", required=True)
    for name, help_text in VERBS.items():
        own = add_verb(subcommands, name, help_text)
        if name in verbs:
            _module(name).add_options(own)
    return parser


def _module(verb: str) -> ModuleType:
    return import_module(f"rnnbench.cli.{verb.replace('-', '_')}")


def _replace_unprintable_characters() -> None:
    """Prevent encoding errors on output: of a terminal in ASCII, a file in cp1252, half of a surrogate pair."""
    codecs.register_error("rnnbench", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="rnnbench")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SUBSTITUTES.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
