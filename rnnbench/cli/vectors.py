"""`rnnbench vectors`: word vectors from the training part of a task."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.data import module_of
from rnnbench.cli.parser import Parser
from rnnbench.errors import RnnbenchError
from rnnbench.utils.extras import check_extra
from rnnbench.utils.word_vectors import train_skip_gram, write_vectors


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("task", type=str, help="a task whose inputs are tokens; its training part is read")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="text, or binary if it ends in .bin")
    parser.add_argument("--size", type=int, default=50, help="numbers of a vector")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the text")
    parser.add_argument("--window", type=int, default=5, help="tokens before and after that are predicted")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")


def run(options: Namespace) -> None:
    """Train skip-gram vectors of the tokens of a task's training part and write them.

    Raises:
        RnnbenchError: a number out of its range, inputs that are not tokens with names, data that cannot be prepared,
            or a file that cannot be written.
    """
    for name in ("size", "epochs", "window"):
        if options[name] < 1:
            raise RnnbenchError(f"--{name} must be at least 1, got {options[name]}")
    if options.seed < 0:
        raise RnnbenchError(f"--seed must be at least 0, got {options.seed}")
    if not options.out.name or options.out.is_dir():
        raise RnnbenchError(f"--out must be a file, got {options.out}")
    check_extra("vectors", "training word vectors")
    texts = _texts(module_of(options.task), options.task)
    trained = train_skip_gram(texts, options.size, options.epochs, options.window, options.seed)
    write_vectors(trained, options.out)
    count = sum(map(len, texts))
    print(f"{options.out}: {len(trained)} vectors of {options.size} numbers, from {count} tokens of {options.task}")


def _texts(module: Any, task: str) -> list[list[str]]:
    """The tokens of the training part by name, without special ones."""
    from rnnbench.data.tokens import is_special

    if not hasattr(module, "tokenizer"):
        raise RnnbenchError(f"task {task!r} has no tokens with names: its inputs are {module.input_kind}")
    names = {number: token for token, number in module.tokenizer.get_vocab().items()}
    table = module.table("train").with_format("numpy", columns=["inputs"])
    return [[names[number] for number in row.tolist() if not is_special(number)] for row in table["inputs"]]
