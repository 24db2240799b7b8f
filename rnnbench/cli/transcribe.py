"""`rnnbench transcribe`."""

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from jsonargparse import Namespace
from rich import box
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import make_console, print_json
from rnnbench.cli.inference import description_of, open_run, read_inputs
from rnnbench.cli.parser import RUN, Parser, add_precision, add_run
from rnnbench.cli.translate import add_decoding_options, print_answers
from rnnbench.errors import RnnbenchError
from rnnbench.utils.text import clean

if TYPE_CHECKING:
    from rnnbench.analysis.external_lm import ExternalLanguageModel

BEAM = 16
"""Of a search with a language model, unless another is asked for."""
WEIGHT = 0.5
METRIC = "cer"
"""By which weights are chosen where the task is ranked by something else than an error rate."""


class NamedLanguageModel(NamedTuple):
    """A language model, and what its run is called."""

    name: str
    model: "ExternalLanguageModel"


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_precision(parser)
    parser.add_argument("inputs", nargs="*", type=str, help="WAV files; texts, if the run reads texts")
    add_decoding_options(parser, beam=None, length_penalty=False, default=f" (default: 1; with --lm or --score {BEAM})")
    parser.add_argument("--lm", type=str, metavar="RUN", help=f"a language model that helps to choose: {RUN}")
    parser.add_argument("--lm-weight", type=float, metavar="W", help=f"of ln p of the language model ({WEIGHT})")
    parser.add_argument(
        "--insertion-bonus", type=float, metavar="B", help="for each of the language model's tokens in a text (0)"
    )
    parser.add_argument(
        "--lm-mode",
        choices=["fusion", "rescoring"],
        help="add its scores during the search (models of characters; their default), or rank the n best texts anew",
    )
    parser.add_argument(
        "--tune-lm", action="store_true", help="choose --lm-weight and --insertion-bonus on the validation part"
    )
    parser.add_argument(
        "--score", action="store_true", help="error rates over the whole test part: greedy, by search, and with --lm"
    )


def run(options: Namespace) -> None:
    """Print what is said in sounds, or with `--score` the error rates over the test part.

    Raises:
        RnnbenchError: no such run, a run of another objective, options that exclude each other, a value out of its
            range, or a language model that cannot read the transcriber's alphabet.
    """
    from rnnbench.analysis.beam import check_beam

    _check_options(options)
    beam = options.beam if options.beam is not None else BEAM if options.lm or options.score else 1
    check_beam(beam, options.n_best, 0.0)
    if options.lm and beam == 1:
        raise RnnbenchError("--lm needs a search: --beam must be at least 2, got 1")
    trained = open_run(options, "transcribe")
    lm = _open_language_model(trained, options) if options.lm else None
    examples = None if options.score else read_inputs(trained, options, "transcribe")
    if lm and options.tune_lm:
        lm = _tuned(trained, lm, beam)
    if examples is None:
        _score(trained, lm, beam, options.json)
        return
    settings = {"beam": beam, "n_best": options.n_best}
    sounds = [inputs.unsqueeze(0) for inputs in examples.inputs]
    decoded = [trained.model.transcribe(sound, **settings, language_model=lm and lm.model)[0] for sound in sounds]
    compared = lm and examples.references
    plain = [trained.model.transcribe(sound, beam=beam)[0][0].text for sound in sounds] if compared else []
    print_answers(options, trained.model, examples, decoded, plain)


def _check_options(options: Namespace) -> None:
    given = [name for name in ("lm_weight", "insertion_bonus", "lm_mode") if options[name] is not None]
    names = [f"--{name.replace('_', '-')}" for name in given] + ["--tune-lm"] * options.tune_lm
    if names and not options.lm:
        raise RnnbenchError(f"{names[0]} is for a language model: name one with --lm")
    if options.tune_lm and (options.lm_weight is not None or options.insertion_bonus is not None):
        raise RnnbenchError("--tune-lm chooses --lm-weight and --insertion-bonus: leave these out")
    if options.lm_weight is not None and options.lm_weight < 0:
        raise RnnbenchError(f"--lm-weight must be at least 0, got {options.lm_weight}")
    if options.score and (options.inputs or options.test or options.reference or options.n_best != 1):
        raise RnnbenchError("--score asks the whole test part: leave out inputs, --test, --reference and --n-best")


def _open_language_model(trained: Any, options: Namespace) -> NamedLanguageModel:
    from rnnbench.analysis.external_lm import ExternalLanguageModel
    from rnnbench.harness.load_run import load_run

    lm = load_run(options.lm, options.leaderboard, options.runs)
    if not hasattr(lm.model, "inference") or "score" not in lm.model.inference.verbs:
        raise RnnbenchError(
            f"--lm must be a language model of text, such as a run of shakespeare-char; "
            f"{lm.name} is {description_of(lm.model)}"
        )
    weight = WEIGHT if options.lm_weight is None else options.lm_weight
    alphabet = trained.model.objective.alphabet
    model = ExternalLanguageModel(lm.model, alphabet, weight, options.insertion_bonus or 0.0, options.lm_mode)
    for note in model.notes():
        print(f"rnnbench: {lm.name}: {note}", file=sys.stderr)
    return NamedLanguageModel(lm.name, model)


def _tuned(trained: Any, lm: NamedLanguageModel, beam: int) -> NamedLanguageModel:
    """The language model with the weights that are best on the validation part."""
    from rnnbench.harness.recognition import RecognitionPart, try_weights

    metric = trained.spec.task.metric if trained.spec else METRIC
    part = RecognitionPart(trained.model, trained.data, "validation")
    tried = try_weights(part, lm.model, beam)
    metric = metric if metric in tried[0].scores else METRIC
    best = min(tried, key=lambda weights: weights.scores[metric])
    print(
        f"rnnbench: of {len(tried)} settings the best on the {len(part)} recordings of the validation part: "
        f"--lm-weight {best.weight:g} --insertion-bonus {best.insertion_bonus:g} "
        f"({metric} {best.scores[metric]:.3f}, without language model {tried[0].scores[metric]:.3f})",
        file=sys.stderr,
    )
    return lm._replace(model=lm.model.weighted(best.weight, best.insertion_bonus))


def _score(trained: Any, lm: NamedLanguageModel | None, beam: int, as_json: bool) -> None:
    """Print the error rates over the whole test part."""
    from rnnbench.harness.recognition import RecognitionPart

    part = RecognitionPart(trained.model, trained.data, "test")
    rows: list[dict[str, Any]] = [{"decoding": "greedy", "scores": part.scores(1)[0]}]
    if beam > 1:
        rows.append({"decoding": f"beam {beam}", "scores": part.scores(beam)[0]})
    if lm:
        mode, weight, bonus = lm.model.mode, lm.model.weight, lm.model.insertion_bonus
        told = f"beam {beam}, {mode} with {lm.name}, weight {weight:g}, bonus {bonus:g}"
        settings = {"lm": lm.name, "lm_mode": mode, "lm_weight": weight, "insertion_bonus": bonus}
        rows.append({"decoding": told, **settings, "scores": part.scores(beam, [lm.model])[0]})
    if as_json:
        print_json({"run": trained.name, "part": "test", "recordings": len(part), "beam": beam, "decodings": rows})
        return
    table = Table(box=box.SIMPLE, pad_edge=False, title=Text(clean(trained.name)), title_justify="left")
    table.add_column(f"test part, {len(part)} recordings", overflow="fold")
    names = list(rows[0]["scores"])
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(Text(clean(row["decoding"])), *(f"{row['scores'][name]:.3f}" for name in names))
    make_console().print(table)
