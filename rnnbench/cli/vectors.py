"""`rnnbench vectors`: word vectors from the training part of a task."""

from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.data import module_of
from rnnbench.errors import RnnbenchError
from rnnbench.utils.extras import check_extra
from rnnbench.utils.word_vectors import train_skip_gram, write_vectors

SPECIALS = 4
"""Ids below are of special tokens, which get no vectors."""


def vectors(options: Namespace) -> None:
    """Train skip-gram vectors of the tokens of a task's training part and write them.

    Raises:
        RnnbenchError: a number out of range, inputs that are no tokens with names, or what the data or the file says.
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
    found = train_skip_gram(texts, options.size, options.epochs, options.window, options.seed)
    write_vectors(found, options.out)
    count = sum(map(len, texts))
    print(f"{options.out}: {len(found)} vectors of {options.size} numbers, from {count} tokens of {options.task}")


def _texts(module: Any, task: str) -> list[list[str]]:
    """The tokens of the training part by name, without special ones."""
    if not hasattr(module, "tokenizer"):
        raise RnnbenchError(f"task {task!r} has no tokens with names: its inputs are {module.input_kind}")
    names = {number: token for token, number in module.tokenizer.get_vocab().items()}
    table = module.table("train").with_format("numpy", columns=["inputs"])
    return [[names[number] for number in row.tolist() if number >= SPECIALS] for row in table["inputs"]]
