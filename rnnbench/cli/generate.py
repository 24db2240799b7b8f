"""`rnnbench generate`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli import music
from rnnbench.cli.console import print_json
from rnnbench.cli.inference import check_encodable, open_run, warn_unknown
from rnnbench.cli.parser import Parser, add_json, add_precision, add_run, add_several
from rnnbench.errors import RnnbenchError
from rnnbench.utils.extras import check_extra
from rnnbench.utils.text import clean

SETTINGS = ("temperature", "top_k", "top_p", "greedy", "beam", "seed")


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_precision(parser)
    add_several(parser, "--prompt", "a text to go on with (default: begin one)")
    parser.add_argument("--count", type=int, default=1, help="texts for each prompt")
    parser.add_argument("--length", type=int, default=200, help="most tokens to add")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1 safer, above 1 more varied")
    parser.add_argument("--top-k", type=int, help="draw from the k likeliest tokens alone")
    parser.add_argument("--top-p", type=float, help="draw from the fewest tokens of this probability together")
    parser.add_argument("--greedy", action="store_true", help="the likeliest token at each step")
    parser.add_argument("--beam", type=int, default=1, help="look for the likeliest text with so many beginnings")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument(
        "--abc", action="store_true", help="parse what is written as tunes in ABC notation, and say how many are"
    )
    parser.add_argument(
        "--piece", type=int, default=0, help="of piano rolls: which piece of the test part to go on with"
    )
    parser.add_argument("--given", type=int, default=16, help="of piano rolls: frames of it that are given")
    parser.add_argument("--midi", type=Path, metavar="FOLDER", help="of music: write what sounds as MIDI files")
    parser.add_argument(
        "--sheet", type=Path, metavar="FOLDER", help="of tunes: engrave them (.svg, and .png where plots are)"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="of music: draw what sounds (.html, .png, .svg)")
    add_json(parser)


def run(options: Namespace) -> None:
    """Print texts that go on from prompts, or from nothing.

    Raises:
        RnnbenchError: no such run, a run of another objective, or a value out of its range.
    """
    if options.count < 1:
        raise RnnbenchError(f"--count must be at least 1, got {options.count}")
    check_encodable(options.prompt)
    music.check(options)
    trained = open_run(options, "generate")
    if trained.model.hparams["input_kind"] == "features":
        music.continue_piece(trained, options)
        return
    music.refuse_options(options, music.OF_ROLLS, "is for models of piano rolls: this run writes texts")
    if options.plot:  # which shows the notes in it
        check_extra("music", "--plot of a tune", "music21")
    prompts = [prompt for prompt in options.prompt or [""] for _ in range(options.count)]
    texts = continue_texts(trained.model, prompts, options)
    if options.abc or options.midi or options.plot:
        music.print_tunes([prompt + text for prompt, text in zip(prompts, texts, strict=True)], options, trained.name)
        return
    if options.json:
        print_json([{"prompt": prompt, "text": text} for prompt, text in zip(prompts, texts, strict=True)])
        return
    console = Console(highlight=False)
    for number, (prompt, text) in enumerate(zip(prompts, texts, strict=True), 1):
        if len(texts) > 1:
            console.rule(f"{number} of {len(texts)}", style="dim")
        between = " " if prompt and trained.model.inference.text_codec().of_words else ""
        console.print(Text(_printable(prompt), style="bold"), Text(between + _printable(text)), sep="", soft_wrap=True)


def continue_texts(model: Any, prompts: list[str], options: Namespace) -> list[str]:
    """What a model adds to prompts; warns of words in them that it does not know."""
    warn_unknown(model.inference.text_codec(), dict.fromkeys(prompts))
    return list(model.generate(prompts, options.length, **{name: options[name] for name in SETTINGS}))


def _printable(text: str) -> str:
    """A text without control characters."""
    return "\n".join(map(clean, text.split("\n")))
