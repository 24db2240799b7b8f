"""`rnnbench vectors`: word vectors from the training part of a task, and what trained ones say of words."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from jsonargparse import Namespace

from rnnbench.cli.console import print_json, save_chart
from rnnbench.cli.data import module_of
from rnnbench.cli.parser import Parser, add_json, add_several
from rnnbench.config.registry import YAML, catalogue
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.extras import check_extra
from rnnbench.utils.files import expand_home
from rnnbench.utils.text import clean
from rnnbench.utils.word_vectors import ARCHIVES, Method, WordVectors, read_vectors, train_vectors, write_vectors

if TYPE_CHECKING:
    from rnnbench.analysis.word_map import Neighbour

TRAINING = {"method": "skip-gram", "size": 50, "epochs": 5, "window": 5, "seed": 0}
"""Defaults of the options of training."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        type=str,
        help="a task whose inputs are tokens, whose training part is read; or vectors that are trained already: "
        f"{', '.join(ARCHIVES)}, or a file of word2vec's or GloVe's layout",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write them: text, or binary if it ends in .bin")
    add_several(parser, "--nearest", "a word whose nearest words are printed")
    parser.add_argument("--count", type=int, default=10, help="nearest words of each")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a map of words (.html, .png, .svg or .json): those "
                        "of --nearest with their neighbours, or the commonest")  # fmt: skip
    parser.add_argument("--words", type=int, default=100, help="words of a map of the commonest")
    parser.add_argument("--method", type=str, default=TRAINING["method"], help=" or ".join(get_args(Method)))
    parser.add_argument("--size", type=int, default=TRAINING["size"], help="numbers of a vector")
    parser.add_argument("--epochs", type=int, default=TRAINING["epochs"], help="passes over the text")
    parser.add_argument("--window", type=int, default=TRAINING["window"], help="tokens before and after that count")
    parser.add_argument("--seed", type=int, default=TRAINING["seed"], help="of all that is drawn")
    add_json(parser)


def run(options: Namespace) -> None:
    """Train vectors of the tokens of a task's training part, or read trained ones; write them, print the nearest words
    of some, and draw a map.

    Raises:
        RnnbenchError: a number out of its range, a method or a word that is not known, inputs that are not tokens with
            names, data that cannot be prepared, or a file that cannot be read or written.
    """
    trained_already = _is_vectors(options.source)
    asked = list(dict.fromkeys(options.nearest))
    _check(options, trained_already)
    vectors = _read(options, asked) if trained_already else _train(options, asked)
    found = _nearest(vectors, asked, options.count)
    if options.plot is not None:
        _draw(vectors, found, options)
    if options.json:
        print_json({word: [one._asdict() for one in near] for word, near in found.items()})
        return
    for word, near in found.items():
        print(clean(word))
        for one in near:
            print(f"  {one.cosine:6.3f}  {clean(one.word)}")


def _is_vectors(source: str) -> bool:
    """Whether the argument names trained vectors, and not a task.

    Raises:
        RnnbenchError: it is neither.
    """
    path = Path(expand_home(source))
    if source in ARCHIVES or source in catalogue("task"):
        return source in ARCHIVES
    if path.suffix in YAML or path.is_dir() or (not {os.sep, os.altsep}.isdisjoint(source) and not path.exists()):
        return False  # a card of the user's own, or the folder of one
    if not path.suffix and not path.exists():
        raise unknown("task or word vectors", source, {*catalogue("task"), *ARCHIVES, "the path of a file"})
    return True


def _check(options: Namespace, trained_already: bool) -> None:
    for name in ("size", "epochs", "window", "count"):
        if options[name] < 1:
            raise RnnbenchError(f"--{name} must be at least 1, got {options[name]}")
    if options.words < 3:
        raise RnnbenchError(f"--words must be at least 3, got {options.words}")
    if options.seed < 0:
        raise RnnbenchError(f"--seed must be at least 0, got {options.seed}")
    if options.method not in get_args(Method):
        raise unknown("method", options.method, get_args(Method), "--method")
    if options.out is not None and (not options.out.name or options.out.is_dir()):
        raise RnnbenchError(f"--out must be a file, got {options.out}")
    if not (options.out or options.nearest or options.plot):
        raise RnnbenchError("say what to do with the vectors: --out FILE, --nearest WORD or --plot FILE")
    if trained_already:
        given = [name for name in ("out", *TRAINING) if options[name] != TRAINING.get(name)]
        if given:
            raise RnnbenchError(f"{options.source} is trained already: leave out --{', --'.join(given)}")
    else:
        check_extra("vectors", "training word vectors")
    if options.plot is not None:
        from rnnbench.analysis.charts import check_plot

        check_plot(options.plot)


def _read(options: Namespace, asked: list[str]) -> WordVectors:
    from rnnbench.analysis.word_map import check_words

    vectors = read_vectors(options.source)
    check_words(asked, list(vectors.rows), options.source)
    return vectors


def _train(options: Namespace, asked: list[str]) -> WordVectors:
    from rnnbench.analysis.word_map import check_words

    texts = _texts(module_of(options.source), options.source)
    check_words(asked, sorted({word for text in texts for word in text}), options.source)
    trained = train_vectors(texts, options.method, options.size, options.epochs, options.window, options.seed)
    if options.out is not None:
        write_vectors(trained, options.out)
        count = sum(map(len, texts))
        said = (
            f"{options.out}: {len(trained)} vectors of {options.size} numbers, from {count} tokens of {options.source}"
        )
        print(said, file=sys.stderr if options.json else sys.stdout)
    return WordVectors(dict(trained.key_to_index), trained.vectors)


def _nearest(vectors: WordVectors, asked: list[str], count: int) -> "dict[str, list[Neighbour]]":
    from rnnbench.analysis.word_map import nearest

    return {word: nearest(vectors, word, count) for word in asked}


def _draw(vectors: WordVectors, found: "dict[str, list[Neighbour]]", options: Namespace) -> None:
    from rnnbench.analysis.charts import word_map_chart
    from rnnbench.analysis.word_map import MapWord, commonest, map_words, project

    words = map_words(found) or [MapWord(word) for word in commonest(list(vectors.rows), options.words)]
    if len(words) < 3:
        raise RnnbenchError(f"a map needs at least 3 words, {options.source} gives {len(words)}")
    points, shares = project(vectors.matrix[[vectors.rows[one.word] for one in words]])
    kind = f"{', '.join(found)} and the nearest words of each" if found else f"the {len(words)} commonest words"
    chart = word_map_chart(words, points.tolist(), shares, f"Word vectors: {Path(options.source).name}", kind)
    save_chart(chart, options.plot, f"Word vectors: {Path(options.source).name}")


def _texts(module: Any, task: str) -> list[list[str]]:
    """The tokens of the training part by name, without special ones."""
    from rnnbench.data.tokens import is_special

    if not hasattr(module, "tokenizer"):
        raise RnnbenchError(f"task {task!r} has no tokens with names: its inputs are {module.input_kind}")
    names = {number: token for token, number in module.tokenizer.get_vocab().items()}
    table = module.table("train").with_format("numpy", columns=["inputs"])
    return [[names[number] for number in row.tolist() if not is_special(number)] for row in table["inputs"]]
