"""Piano rolls in files of the user, in two layouts of the sets of Boulanger-Lewandowski et al. 2012."""

import io
import math
import pickle
import pickletools
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from reprlib import repr as repr_short
from typing import Any, NoReturn

import numpy as np

from rnnbench.data.module import SPLITS, Split
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import check_unpacked

LOWEST, KEYS = 21, 88
"""MIDI number of a piano's lowest key, and how many it has."""
MATLAB = {"train": "traindata", "validation": "validdata", "test": "testdata"}
PICKLE = {"train": "train", "validation": "valid", "test": "test"}
"""What a file calls its parts."""

Roll = np.ndarray[Any, np.dtype[np.float32]]
"""`[T, 88]`, 1 where a key sounds."""


def read_rolls(content: bytes, path: str) -> dict[Split, list[Roll]]:
    """The sequences of each part of a file's content; the end of its name says its layout.

    Raises:
        RnnbenchError: wrong layout, a part without sequences, a sequence without a next frame, a note out of range.
    """
    check_unpacked(content, path)
    load, names, read = _layout(path)
    loaded = load(content, path)
    rolls: dict[Split, list[Roll]] = {}
    for split in SPLITS:
        rows = _rows(loaded, names[split], path)
        rolls[split] = [read(row, f"{path}: {names[split]}, sequence {number}") for number, row in enumerate(rows, 1)]
    return rolls


def key_of(midi: object, where: str) -> int:
    """The key of a MIDI number, 0 to 87.

    Raises:
        RnnbenchError: it is not a whole number from 21 to 108.
    """
    if isinstance(midi, int | float) and type(midi) is not bool and midi in range(LOWEST, LOWEST + KEYS):
        return int(midi) - LOWEST
    raise RnnbenchError(
        f"{where}: a note must be a MIDI number from {LOWEST} to {LOWEST + KEYS - 1}, got {_short_repr(midi)}"
    )


def _layout(path: str) -> tuple[Callable[[bytes, str], Any], dict[str, str], Callable[[Any, str], Roll]]:
    return (_load_mat, MATLAB, _from_matrix) if Path(path).suffix == ".mat" else (_load_pickle, PICKLE, _from_lists)


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers and numbers alone: a pickle that names a class or function could run any code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, but only lists, tuples, dicts and numbers are read")


def _load_pickle(content: bytes, path: str) -> Any:
    try:
        for operation, argument, place in pickletools.genops(content):
            if isinstance(argument, int) and operation.name.endswith("PUT") and argument > len(content):
                # a table of so many objects would be made
                raise pickle.UnpicklingError(f"byte {(place or 0) + 1}: object {argument} of {len(content)} bytes")
        return _PlainUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle may raise anything
        why = " ".join(str(error).split())
        raise RnnbenchError(f"{path} cannot be read as a pickle: {why}") from error


def _load_mat(content: bytes, path: str) -> Any:
    try:
        return read_mat(content)
    except (ValueError, struct.error) as error:
        raise RnnbenchError(f"{path} cannot be read as a MATLAB file: {error}") from error


def _rows(loaded: Any, name: str, path: str) -> list[Any]:
    """The sequences of a part, as they are."""
    if not isinstance(loaded, dict) or name not in loaded:
        names = f"[{', '.join(sorted(map(_short_repr, loaded)))}]" if isinstance(loaded, dict) else _describe(loaded)
        raise RnnbenchError(f"{path} has no {name!r} (found: {names})")
    rows = loaded[name]
    if not isinstance(rows, list | tuple) or not rows:
        raise RnnbenchError(f"{path}: {name} must be sequences, at least one, got {_describe(rows)}")
    return list(rows)


def _from_lists(frames: Any, where: str) -> Roll:
    if not isinstance(frames, list | tuple):
        raise RnnbenchError(f"{where} must be a list of frames, got {_describe(frames)}")
    roll = np.zeros((_check_length(len(frames), where), KEYS), np.float32)
    for step, notes in enumerate(frames):
        if not isinstance(notes, list | tuple):
            raise RnnbenchError(f"{where}, frame {step + 1} must be a list of MIDI numbers, got {_describe(notes)}")
        for note in notes:
            roll[step, key_of(note, f"{where}, frame {step + 1}")] = 1
    return roll


def _from_matrix(frames: Any, where: str) -> Roll:
    if not isinstance(frames, np.ndarray) or frames.dtype.kind not in "buif" or frames.shape[1:] != (KEYS,):
        raise RnnbenchError(f"{where} must be a matrix [T, {KEYS}] of numbers, got {_describe(frames)}")
    _check_length(len(frames), where)
    if not np.isin(frames, (0, 1)).all():
        raise RnnbenchError(f"{where} must be 0 or 1 everywhere, got {frames[~np.isin(frames, (0, 1))][0]}")
    return frames.astype(np.float32)


def _check_length(length: int, where: str) -> int:
    if length < 2:
        raise RnnbenchError(f"{where} must have at least 2 frames, one to read and one to predict, got {length}")
    return length


def _short_repr(thing: object) -> str:
    """A number or text as it is, unless that takes long; of anything else its kind."""
    if isinstance(thing, int) and thing.bit_length() > 64:
        return f"a number of {thing.bit_length()} bits"
    return repr_short(thing) if isinstance(thing, int | float | str | bytes) else _describe(thing)


def _describe(thing: Any) -> str:
    if isinstance(thing, UnreadVariable):
        return f"a {thing.kind}"
    shape = f" {list(thing.shape)} of {thing.dtype}" if isinstance(thing, np.ndarray) else ""
    empty = "an empty " if isinstance(thing, list | tuple) and not thing else ""
    return f"{empty}{type(thing).__name__}{shape}"


MATRIX, COMPRESSED = 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Number of a type in a file, and numpy's name of it."""
CELL, NUMERIC, COMPLEX = 1, range(6, 16), 0x0800
OTHERS = {1: "cell array", 2: "struct", 3: "object", 4: "text", 5: "sparse matrix"}
MAX_VARIABLE_BYTES = 2**30
"""Bytes of a variable; a megabyte of a compressed file can hold a gigabyte."""


@dataclass(frozen=True)
class UnreadVariable:
    """A variable, or a cell, that is not read."""

    kind: str


def read_mat(content: bytes) -> dict[str, Any]:
    """The variables of a file by name: a matrix as an array, a cell array as the list of its cells, else `Other`.

    Raises:
        ValueError: it is not such a file, is damaged, or a variable is too large.
        struct.error: it is damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or struct.unpack(f"{order}H", content[124:126]) != (0x0100,):
        raise ValueError("it is not of level 5; in MATLAB, save it with '-v7'")
    variables: dict[str, Any] = {}
    for kind, data in _elements(memoryview(content)[128:], order):
        inner = [(kind, data)] if kind != COMPRESSED else islice(_elements(_unpacked(data), order), 1)
        variables |= dict(_variable(variable, order) for what, variable in inner if what == MATRIX)
    return variables


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        place += 8
        if kind >> 16:  # a small one: its content lies in its own tag
            kind, size, place = kind & 0xFFFF, kind >> 16, place - 4
        if size > len(data) - place:
            raise ValueError("it ends too early")
        yield kind, data[place : place + size]
        place += size if kind == COMPRESSED else size + -(place + size) % 8


def _unpacked(data: memoryview) -> memoryview:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, MAX_VARIABLE_BYTES)
    except zlib.error as error:
        raise ValueError(f"it is damaged: {error}") from error
    if stream.unconsumed_tail:
        raise ValueError(f"a variable has more than {MAX_VARIABLE_BYTES} bytes")
    return memoryview(content)


def _variable(data: memoryview, order: str, cell: bool = False) -> tuple[str, Any]:
    """Name and value of a variable, or of a `cell`."""
    if not len(data):
        return "", np.zeros((0, 0))
    parts = _elements(data, order)
    (_, flags), (_, dimensions), (_, name) = islice(parts, 3)
    flag_bits = struct.unpack_from(f"{order}I", flags)[0]
    shape = np.frombuffer(dimensions, f"{order}i4").tolist()
    return bytes(name).decode("latin-1"), _value(parts, flag_bits, shape, order, cell)


def _value(parts: Iterator[tuple[int, memoryview]], flag_bits: int, shape: list[int], order: str, cell: bool) -> Any:
    kind, count = flag_bits & 0xFF, math.prod(shape)
    if kind == CELL and not cell:
        cells = [_variable(data, order, cell=True)[1] for what, data in parts if what == MATRIX]
        if len(cells) != count:
            raise ValueError(f"a cell array of {count} has {len(cells)}")
        return cells
    if kind not in NUMERIC or flag_bits & COMPLEX:
        return UnreadVariable("complex matrix" if kind in NUMERIC else OTHERS.get(kind, "unknown thing"))
    what, data = next(parts, (0, memoryview(b"")))
    if min(shape) < 0 or what not in TYPES:
        raise ValueError("a matrix has no numbers")
    return np.frombuffer(data, f"{order}{TYPES[what]}").reshape(shape, order="F")
