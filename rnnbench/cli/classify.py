"""`rnnbench classify`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli.console import print_json
from rnnbench.cli.inference import open_run, read_inputs
from rnnbench.cli.parser import Parser, add_json, add_precision, add_run
from rnnbench.utils.text import clean

MAX_CLASSES = 5
"""Classes that are shown for a sequence."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_precision(parser)
    files = "sounds (WAV) or series (CSV with the columns of training; the label may be missing)"
    parser.add_argument("inputs", nargs="*", type=str, help=f"texts; or files, if the run reads {files}")
    parser.add_argument("--file", type=Path, help="one text a line; - reads from the standard input")
    help_text = "the first N of the test part, with their classes"
    parser.add_argument("--test", type=int, default=0, metavar="N", help=help_text)
    add_json(parser)


def run(options: Namespace) -> None:
    """Print the classes of texts, sounds or series with their probabilities, or the tag of each word.

    Raises:
        RnnbenchError: no such run, a run of another objective, or an input that cannot be read.
    """
    from rnnbench.harness.samples import class_names

    trained = open_run(options, "classify")
    examples = read_inputs(trained, options, "classify")
    names = class_names(trained.model, trained.data if trained.record else None)
    results: list[dict[str, Any]] = [
        {"input": shown, "classes": _classes(trained.model, shown, inputs, names)}
        for shown, inputs in zip(examples.shown, examples.inputs, strict=True)
    ]
    for result, reference in zip(results, examples.references, strict=False):
        result["reference"] = reference
    if options.json:
        print_json(results)
        return
    console = Console(highlight=False)
    for result in results:
        truly = f"  (truly {clean(str(result['reference']))})" if "reference" in result else ""
        console.print(Text(clean(result["input"]), style="bold"), Text(truly), soft_wrap=True)
        classes = result["classes"]
        for entry in classes if classes and "token" in classes[0] else classes[:MAX_CLASSES]:
            bar = "▇" * round(20 * entry["probability"])
            token = f"{clean(entry['token'])}  " if "token" in entry else ""
            console.print(Text(f"  {entry['probability']:6.1%}  {token}{entry['class']}  "), Text(bar, style="cyan"))


def _classes(model: Any, shown: str, inputs: Any, names: list[str]) -> list[dict[str, Any]]:
    """All classes of a sequence, the likeliest first; of a tagger the likeliest class of each token."""
    probabilities = model.classify(inputs.unsqueeze(0))[0]
    if probabilities.ndim == 1:
        order = probabilities.argsort(descending=True).tolist()
        return [{"class": names[k], "probability": float(probabilities[k])} for k in order]
    tokens = [shown[start:end] for start, end in model.inference.require_tokenizer().encode(shown).offsets]
    best = zip(tokens, probabilities.max(-1).values.tolist(), probabilities.argmax(-1).tolist(), strict=True)
    return [{"token": token, "class": names[tag], "probability": probability} for token, probability, tag in best]
