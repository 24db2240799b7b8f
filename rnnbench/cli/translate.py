"""`rnnbench translate`, and what it shares with `caption` and `transcribe`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli.console import print_json
from rnnbench.cli.inference import open_run, read_inputs
from rnnbench.cli.parser import Parser, add_json, add_precision, add_run, add_several
from rnnbench.utils.text import clean

if TYPE_CHECKING:
    from rnnbench.harness.samples import Examples


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_precision(parser)
    parser.add_argument("inputs", nargs="*", type=str, help="sentences")
    parser.add_argument("--file", type=Path, help="one sentence a line; - reads from the standard input")
    add_decoding_options(parser, beam=4)


def add_decoding_options(parser: Parser, beam: int | None, length_penalty: bool = True, default: str = "") -> None:
    """Declare how texts are decoded and what they are compared with; `default` says what a beam of None stands for."""
    parser.add_argument(
        "--beam", type=int, default=beam, help=f"beginnings that the search keeps; 1 is greedy{default}"
    )
    parser.add_argument("--n-best", type=int, default=1, help="answers to show, at most as many as the beam")
    if length_penalty:
        parser.add_argument(
            "--length-penalty", type=float, default=1.0, help="rank by log p / length^this; 0 favours the short"
        )
    add_several(parser, "--reference", "the true answer to an input, in their order, to score those given")
    parser.add_argument(
        "--test", type=int, default=0, metavar="N", help="the first N of the test part, with references"
    )
    add_json(parser)


def run(options: Namespace) -> None:
    """Print translations of sentences; see `decode`."""
    decode(options, "translate")


def decode(options: Namespace, verb: str) -> None:
    """Print the texts that an encoder–decoder makes of its inputs, n-best with their scores, and the metrics if there
    are references.

    Raises:
        RnnbenchError: no such run, a run of another objective, or a value out of its range.
    """
    trained = open_run(options, verb)
    examples = read_inputs(trained, options, verb)
    settings = {"beam": options.beam, "n_best": options.n_best, "length_penalty": options.length_penalty}
    decoded = [trained.model.inference.decode(inputs.unsqueeze(0), **settings)[0] for inputs in examples.inputs]
    print_answers(options, trained.model, examples, decoded)


def print_answers(
    options: Namespace,
    model: Any,
    examples: "Examples",
    decoded: list[list[Any]],
    plain: Sequence[str] = (),
) -> None:
    """Print the answers to each input, and the metrics if there are references; also those of `plain`, the answers
    without language model, if there are any."""
    best = [texts[0].text for texts in decoded]
    every = {"scores": best, **({"scores_without_lm": list(plain)} if plain else {})}
    scores = {
        name: model.objective.corpus_scores(texts, examples.references) if examples.references else {}
        for name, texts in every.items()
    }
    if options.json:
        print_json(_content(examples, decoded, scores))
    else:
        _print(examples, decoded, scores, options.n_best)


def _content(examples: "Examples", decoded: list[list[Any]], scores: dict[str, dict[str, float]]) -> dict[str, Any]:
    answers = []
    for number, (shown, texts) in enumerate(zip(examples.shown, decoded, strict=True)):
        reference = {"reference": examples.references[number]} if examples.references else {}
        answers.append({"input": shown, **reference, "answers": [text._asdict() for text in texts]})
    return {"answers": answers, **{name: values for name, values in scores.items() if values}}


def _print(examples: "Examples", decoded: list[list[Any]], scores: dict[str, dict[str, float]], n_best: int) -> None:
    from rnnbench.analysis.text_codec import readable

    console = Console(highlight=False)
    for number, (shown, texts) in enumerate(zip(examples.shown, decoded, strict=True)):
        console.print(Text(clean(shown), style="bold"), soft_wrap=True)
        for text in texts:
            score = f"{text.score:8.3f}  " if n_best > 1 else "  "
            words = clean(readable(text.text)) or "(nothing)"
            console.print(Text(score, style="dim"), Text(words), sep="", soft_wrap=True)
        if examples.references:
            reference = Text(clean(examples.references[number]), style="green")
            console.print(Text("= ", style="dim"), reference, sep="", soft_wrap=True)
    count = f"{len(decoded)} inputs" if len(decoded) > 1 else "1 input"
    for name, values in scores.items():
        if values:
            numbers = " · ".join(f"{metric} {value:.3f}" for metric, value in values.items())
            console.print(f"{numbers} over {count}{', without language model' * (name != 'scores')}")
