"""What the verbs that use a trained model share: loading it, reading its inputs, warning of unknown words."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import expand_home, read_standard_input, read_text

if TYPE_CHECKING:
    from rnnbench.analysis.text_codec import TextCodec
    from rnnbench.harness.samples import Examples


def open_run(options: Namespace, verb: str) -> Any:
    """The trained run that `options` name.

    Raises:
        RnnbenchError: there is no such run, or its objective does not support `verb`.
    """
    from rnnbench.harness.callbacks import snapshots
    from rnnbench.harness.load_run import load_run

    trained = load_run(options.run, options.leaderboard, options.runs)
    check_verb(trained.model, verb, *["replay"] * bool(snapshots(trained.checkpoint.parent)))
    precision = options.get("precision", "fp32")
    if precision != "fp32":
        trained = replace(trained, model=trained.model.inference.in_precision(precision))
    return trained


def check_verb(model: Any, verb: str, *others: str) -> None:
    """Check that a model supports a verb: those of its objective, and `others`.

    Raises:
        RnnbenchError: it does not.
    """
    verbs = (*(model.inference.verbs if hasattr(model, "inference") else ()), *others)
    if verb not in verbs:
        can = ", ".join(verbs) or "be shown (rnnbench show)"
        raise RnnbenchError(f"this run is {description_of(model)}; it can: {can}")


def description_of(model: Any) -> str:
    """What a trained model is, with an article: "a classifier"."""
    objective = getattr(model, "objective", None)
    kind = f"a {type(model).__name__} of objective {type(objective).__name__}"
    return getattr(objective, "description", "") or kind


def read_texts(texts: list[str], file: Path | None, verb: str) -> list[str]:
    """Texts of the command line, then the lines of a file or of the standard input.

    Raises:
        RnnbenchError: no texts, a text that is empty or not UTF-8, or a file that cannot be read.
    """
    check_encodable(texts)
    placed = [(f"text {number} of {len(texts)}", text) for number, text in enumerate(texts, 1)]
    if file is not None:
        name = "the standard input" if str(file) == "-" else str(file)
        content = read_standard_input() if str(file) == "-" else read_text(file)
        if not content.strip():
            raise RnnbenchError(f"{name} is empty: there is nothing to {verb}")
        lines = content.removesuffix("\n").split("\n")  # splitlines would cut at form feeds and the like, too
        placed += [(f"{name}, line {number}", line) for number, line in enumerate(lines, 1)]
    if not placed:
        raise RnnbenchError(f"nothing to {verb}: give texts, or --file FILE (- is the standard input)")
    for place, text in placed:
        if not text.strip():
            raise RnnbenchError(f"{place} is empty: there is nothing to {verb}")
    return [text for _, text in placed]


def check_encodable(texts: list[str]) -> None:
    """Check that arguments of the command line are UTF-8: a tokenizer can read nothing else.

    Raises:
        RnnbenchError: an argument is not.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            readable = text.encode(errors="surrogateescape").decode(errors="replace")
            raise RnnbenchError(f"the argument {readable!r} is not text in UTF-8") from None


def warn_unknown(codec: "TextCodec", texts: Iterable[str]) -> None:
    """Print on the standard error which words of the texts are not in the vocabulary, if any."""
    from rnnbench.analysis.text_codec import unknown_tokens

    if message := unknown_tokens(codec.encode(text) for text in texts):
        print(f"rnnbench: {message}", file=sys.stderr)


def read_inputs(run: Any, options: Namespace, verb: str) -> "Examples":
    """Inputs of the command line, of `--file`, or of the test part, with their references.

    Raises:
        RnnbenchError: options that exclude each other, or an input that cannot be read.
    """
    from rnnbench.harness.samples import Examples, examples

    if options.get("test"):
        if options.test < 1:
            raise RnnbenchError(f"--test must be at least 1, got {options.test}")
        if options.inputs or options.get("file") or options.get("reference"):
            raise RnnbenchError("--test asks the test part alone: leave out inputs, --file and --reference")
        return examples(run.model, run.data, options.test)
    if run.model.hparams["input_kind"] == "tokens":
        from rnnbench.analysis.text_codec import TextCodec

        texts = read_texts(options.inputs, options.get("file"), verb)
        warn_unknown(TextCodec(run.model.inference.require_tokenizer()), texts)
        inputs = [run.model.inference.ids([text])[0][0] for text in texts]
    else:
        if options.get("file") or not options.inputs:
            raise RnnbenchError(f"nothing to {verb}: this run reads no texts, give its inputs as files, or --test N")
        paths = [Path(expand_home(text)) for text in read_texts(options.inputs, None, verb)]
        found = [one for path in paths for one in _read_file(run, path, verb)]
        texts, inputs = [name for name, _ in found], [one for _, one in found]
    references = options.get("reference") or []
    check_encodable(references)
    if references and len(references) != len(texts):
        raise RnnbenchError(f"--reference needs one for each of {len(texts)} inputs, got {len(references)}")
    return Examples(texts, inputs, references)


def _read_file(run: Any, path: Path, verb: str) -> list[tuple[str, Any]]:
    """What a file holds, each with a name: the file's, and that of a series where there are several."""
    import torch

    if not hasattr(run.data, "inputs_of"):
        kind = type(run.data).__name__
        hint = "" if verb == "classify" else "; --test N asks the test part"
        raise RnnbenchError(f"this run reads {kind}, of which no input can be given as a file{hint}")
    if hasattr(run.data, "all_inputs_of"):
        found = run.data.all_inputs_of(path)
        return [(f"{path}: {name}" if name else str(path), torch.from_numpy(one)) for name, one in found.items()]
    return [(str(path), torch.from_numpy(run.data.inputs_of(path)))]
