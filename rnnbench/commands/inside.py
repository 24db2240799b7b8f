"""Verbs that ask a trained model: `generate`, `score`, `classify`, `translate`, `caption`, `transcribe`, `forecast`."""

from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import RUN, Parser, Verbs, add_folders, add_several, add_verb


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = _add(verbs, "generate", "let a language model go on with a text")
    add_several(one, "--prompt", "a text to go on with (default: begin one)")
    one.add_argument("--count", type=int, default=1, help="texts for each prompt")
    one.add_argument("--length", type=int, default=200, help="most tokens to add")
    one.add_argument("--temperature", type=float, default=1.0, help="below 1 bolder, above 1 wilder")
    one.add_argument("--top-k", type=int, help="draw from the k likeliest tokens alone")
    one.add_argument("--top-p", type=float, help="draw from the fewest tokens of this probability together")
    one.add_argument("--greedy", action="store_true", help="the likeliest token at each step")
    one.add_argument("--beam", type=int, default=1, help="look for the likeliest text with so many beginnings")
    one.add_argument("--seed", type=int, default=0, help="of what is drawn")
    one.add_argument(
        "--abc", action="store_true", help="parse what is written as tunes in ABC notation, and say how many are"
    )
    one.add_argument("--piece", type=int, default=0, help="of piano rolls: which piece of the test part to go on with")
    one.add_argument("--given", type=int, default=16, help="of piano rolls: frames of it that are given")
    one.add_argument("--midi", type=Path, metavar="FOLDER", help="of music: write what sounds as MIDI files")
    one.add_argument(
        "--sheet", type=Path, metavar="FOLDER", help="of tunes: engrave them (.svg, and .png where plots are)"
    )
    one.add_argument("--plot", type=Path, metavar="FILE", help="of music: draw what sounds (.html, .png, .svg)")
    _add_json(one)

    one = _add(verbs, "score", "how likely a language model finds texts")
    one.add_argument("texts", nargs="*", type=str, help="texts to compare")
    one.add_argument("--file", type=Path, help="one text a line; - reads from the standard input")
    one.add_argument("--context", type=str, default="", help="what stands before each text, and is not scored")
    one.add_argument("--end", action="store_true", help="score too that the text ends there")
    one.add_argument("--tokens", action="store_true", help="show the surprise of every token")
    _add_json(one)

    one = _add(verbs, "classify", "what class a classifier gives texts or sounds, or a tagger each word")
    one.add_argument("inputs", nargs="*", type=str, help="texts; or WAV files, if the run reads sounds")
    one.add_argument("--file", type=Path, help="one text a line; - reads from the standard input")
    _add_json(one)

    one = _add(verbs, "translate", "translate sentences")
    one.add_argument("inputs", nargs="*", type=str, help="sentences")
    one.add_argument("--file", type=Path, help="one sentence a line; - reads from the standard input")
    _add_decoding(one, beam=4)

    one = _add(verbs, "caption", "say what pictures show")
    one.add_argument("inputs", nargs="*", type=str, help="files of pictures")
    _add_decoding(one, beam=4)

    one = _add(verbs, "transcribe", "write down what is said in sounds")
    one.add_argument("inputs", nargs="*", type=str, help="WAV files")
    _add_decoding(one, beam=1, penalty=False)

    one = _add(verbs, "forecast", "forecast the end of a window of the test part, and errors by step")
    one.add_argument("--horizon", type=int, default=24, help="steps ahead")
    one.add_argument("--window", type=int, default=0, help="which window of the test part, from 0")
    one.add_argument("--channel", type=str, help="name or number of the channel that is shown (default: the first)")
    one.add_argument("--plot", type=Path, metavar="FILE", help="a figure of both (.html, .png or .svg)")
    _add_json(one)
    one = _add(verbs, "replay", "the same questions at each step that was kept: from noise to what was learnt")
    add_several(one, "--prompt", "a text instead of those of the test part")
    one.add_argument("--length", type=int, default=80, help="most tokens to add to a text")
    one.add_argument("--temperature", type=float, default=0.8, help="below 1 bolder, above 1 wilder")
    one.add_argument("--seed", type=int, default=0, help="of what is drawn")
    one.add_argument("--examples", type=int, default=3, help="how many of the test part")
    _add_json(one)
    verbs_of = ("classify", "translate", "caption", "transcribe")
    asked = {name: partial(_answer, name) for name in verbs_of}
    return {"generate": _generate, "score": _score, "forecast": _forecast, "replay": _replay, **asked}


def _add(verbs: Any, name: str, help_text: str) -> Parser:
    one = add_verb(verbs, name, help_text)
    one.add_argument("run", type=str, help=RUN)
    add_folders(one)
    return one


def _add_json(one: Parser) -> None:
    one.add_argument("--json", action="store_true", help="print JSON")


def _add_decoding(one: Parser, beam: int, penalty: bool = True) -> None:
    one.add_argument("--beam", type=int, default=beam, help="beginnings that the search keeps; 1 is greedy")
    one.add_argument("--n-best", type=int, default=1, help="answers to show, at most as many as the beam")
    if penalty:
        one.add_argument(
            "--length-penalty", type=float, default=1.0, help="rank by log p / length^this; 0 favours the short"
        )
    add_several(one, "--reference", "the true answer to an input, in their order, to score those given")
    one.add_argument("--test", type=int, default=0, metavar="N", help="the first N of the test part, with references")
    _add_json(one)


def _answer(verb: str, options: Namespace) -> int:
    from rnnbench.cli import answers

    getattr(answers, verb)(options)
    return 0


def _forecast(options: Namespace) -> int:
    from rnnbench.cli.forecast import forecast

    forecast(options)
    return 0


def _replay(options: Namespace) -> int:
    from rnnbench.cli.replay import replay

    replay(options)
    return 0


def _generate(options: Namespace) -> int:
    from rnnbench.cli.language import generate

    generate(options)
    return 0


def _score(options: Namespace) -> int:
    from rnnbench.cli.language import score

    score(options)
    return 0
