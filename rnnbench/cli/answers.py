"""`rnnbench classify`, `translate`, `caption` and `transcribe`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli.opening import asked, check_encodable, open_run, print_json, warn_unknown
from rnnbench.errors import RnnbenchError
from rnnbench.harness.samples import Examples, class_names, examples
from rnnbench.utils.files import expand_home
from rnnbench.utils.text import clean

MOST = 5
"""Classes that are shown of a sequence."""


def classify(options: Namespace) -> None:
    """Print the classes of texts or sounds with their probabilities, or the tag of each word.

    Raises:
        RnnbenchError: no such run, one of another objective, or an input that cannot be read.
    """
    run = open_run(options, "classify")
    asked_of = _questions(run, options, "classify")
    names = class_names(run.model, run.data if run.record else None)
    found: list[Any] = []
    for shown, one in zip(asked_of.shown, asked_of.inputs, strict=True):
        probabilities = run.model.classify(one.unsqueeze(0))[0]
        if probabilities.ndim == 2:  # of each step
            pieces = run.model.inference.require_tokenizer().encode(shown).offsets
            words = [shown[start:end] for start, end in pieces]
            best = zip(words, probabilities.max(-1).values.tolist(), probabilities.argmax(-1).tolist(), strict=True)
            found.append([{"token": word, "class": names[tag], "probability": p} for word, p, tag in best])
        else:
            order = probabilities.argsort(descending=True).tolist()
            found.append([{"class": names[k], "probability": float(probabilities[k])} for k in order])
    if options.json:
        print_json([{"input": shown, "classes": one} for shown, one in zip(asked_of.shown, found, strict=True)])
        return
    console = Console(highlight=False)
    for shown, one in zip(asked_of.shown, found, strict=True):
        console.print(Text(clean(shown), style="bold"), soft_wrap=True)
        for entry in one if one and "token" in one[0] else one[:MOST]:
            bar = "▇" * round(20 * entry["probability"])
            head = f"{clean(entry['token'])}  " if "token" in entry else ""
            console.print(Text(f"  {entry['probability']:6.1%}  {head}{entry['class']}  "), Text(bar, style="cyan"))


def translate(options: Namespace) -> None:
    """Print translations of sentences, n-best with their scores, beside references with the metrics.

    Raises:
        RnnbenchError: no such run, one of another objective, or a value out of its range.
    """
    _say(options, "translate")


def caption(options: Namespace) -> None:
    """Print captions of pictures; as `translate`."""
    _say(options, "caption")


def transcribe(options: Namespace) -> None:
    """Print what is said in sounds; as `translate`."""
    _say(options, "transcribe")


def _say(options: Namespace, verb: str) -> None:
    from rnnbench.analysis.decode import scored

    run = open_run(options, verb)
    questions = _questions(run, options, verb)
    settings = {"beam": options.beam, "n_best": options.n_best}
    if verb == "transcribe":
        say = run.model.transcribe
    else:
        say, settings["length_penalty"] = run.model.inference.decode, options.length_penalty
    said = [say(one.unsqueeze(0), **settings)[0] for one in questions.inputs]
    best = [one[0].text for one in said]
    scores = scored(run.model.objective, best, questions.references) if questions.references else {}
    if options.json:
        print_json(_content(questions, said, scores))
    else:
        _print(questions, said, scores, options.n_best)


def _questions(run: Any, options: Namespace, verb: str) -> Examples:
    """What is asked on the command line, in a file, or of the test part."""
    if options.get("test"):
        if options.test < 1:
            raise RnnbenchError(f"--test must be at least 1, got {options.test}")
        if options.inputs or options.get("file") or options.reference:
            raise RnnbenchError("--test asks the test part alone: leave out inputs, --file and --reference")
        return examples(run.model, run.data, options.test)
    if run.model.hparams["input_kind"] == "tokens":
        from rnnbench.analysis.text_codec import Script, told_unknown

        texts = asked(options.inputs, options.file, verb)
        script = Script(run.model.inference.require_tokenizer())
        warn_unknown(told_unknown(script.encode(text) for text in texts))
        inputs = [run.model.inference.ids([text])[0][0] for text in texts]
    else:
        texts = asked(options.inputs, None, verb)
        inputs = [_read_file(run, Path(expand_home(text)), verb) for text in texts]
    references = options.get("reference") or []
    check_encodable(references)
    if references and len(references) != len(texts):
        raise RnnbenchError(f"--reference needs one for each of {len(texts)} inputs, got {len(references)}")
    return Examples(texts, inputs, references)


def _read_file(run: Any, path: Path, verb: str) -> Any:
    import torch

    if not hasattr(run.data, "inputs_of"):
        kind = type(run.data).__name__
        hint = "" if verb == "classify" else "; --test N asks the test part"
        raise RnnbenchError(f"this run reads {kind}, of which no input can be given as a file{hint}")
    return torch.from_numpy(run.data.inputs_of(path))


def _content(questions: Examples, said: list[list[Any]], scores: dict[str, float]) -> dict[str, Any]:
    answers = []
    for number, (shown, some) in enumerate(zip(questions.shown, said, strict=True)):
        reference = {"reference": questions.references[number]} if questions.references else {}
        answers.append({"input": shown, **reference, "answers": [one._asdict() for one in some]})
    return {"answers": answers, **({"scores": scores} if scores else {})}


def _print(questions: Examples, said: list[list[Any]], scores: dict[str, float], n_best: int) -> None:
    from rnnbench.analysis.text_codec import readable

    console = Console(highlight=False)
    for number, (shown, some) in enumerate(zip(questions.shown, said, strict=True)):
        console.print(Text(clean(shown), style="bold"), soft_wrap=True)
        for one in some:
            rank = f"{one.score:8.3f}  " if n_best > 1 else "  "
            console.print(
                Text(rank, style="dim"), Text(clean(readable(one.text)) or "(nothing)"), sep="", soft_wrap=True
            )
        if questions.references:
            console.print(Text("= ", style="dim"), Text(clean(questions.references[number]), style="green"), sep="",
                          soft_wrap=True)  # fmt: skip
    if scores:
        count = f"{len(said)} inputs" if len(said) > 1 else "1 input"
        console.print(f"{' · '.join(f'{name} {value:.3f}' for name, value in scores.items())} over {count}")
