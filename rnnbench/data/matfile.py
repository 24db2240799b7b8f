"""Matrices and cells of them in MATLAB files (level 5, as `save -v6` and `-v7` write): a short reader in Python alone.

scipy's reader is C that a damaged file can crash, and with it the whole process.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

MATRIX, COMPRESSED = 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Number of a type in a file, and numpy's name of it."""
CELL, NUMERIC, COMPLEX = 1, range(6, 16), 0x0800
OTHERS = {1: "cell array", 2: "struct", 3: "object", 4: "text", 5: "sparse matrix"}
LARGEST = 2**30
"""Bytes of a variable; a megabyte of a compressed file can hold a gigabyte."""


@dataclass(frozen=True)
class Other:
    """A variable, or a cell, that is not read."""

    kind: str


def read_mat(content: bytes) -> dict[str, Any]:
    """The variables of a file by name: a matrix as an array, a cell array as the list of its cells, else `Other`.

    Raises:
        ValueError: it is no such file, is damaged, or a variable is too large.
        struct.error: it is damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or struct.unpack(f"{order}H", content[124:126]) != (0x0100,):
        raise ValueError("it is none of level 5; in MATLAB, save it with '-v7'")
    found: dict[str, Any] = {}
    for kind, data in _elements(memoryview(content)[128:], order):
        inner = [(kind, data)] if kind != COMPRESSED else islice(_elements(_unpacked(data), order), 1)
        found |= dict(_variable(variable, order) for what, variable in inner if what == MATRIX)
    return found


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
        content = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError(f"it is damaged: {error}") from error
    if stream.unconsumed_tail:
        raise ValueError(f"a variable has more than {LARGEST} bytes")
    return memoryview(content)


def _variable(data: memoryview, order: str, cell: bool = False) -> tuple[str, Any]:
    """Name and value of a variable, or of a `cell`."""
    if not len(data):
        return "", np.zeros((0, 0))
    parts = _elements(data, order)
    (_, flags), (_, dimensions), (_, name) = islice(parts, 3)
    about = struct.unpack_from(f"{order}I", flags)[0]
    shape = np.frombuffer(dimensions, f"{order}i4").tolist()
    return bytes(name).decode("latin-1"), _value(parts, about, shape, order, cell)


def _value(parts: Iterator[tuple[int, memoryview]], about: int, shape: list[int], order: str, cell: bool) -> Any:
    kind, count = about & 0xFF, math.prod(shape)
    if kind == CELL and not cell:
        cells = [_variable(data, order, cell=True)[1] for what, data in parts if what == MATRIX]
        if len(cells) != count:
            raise ValueError(f"a cell array of {count} has {len(cells)}")
        return cells
    if kind not in NUMERIC or about & COMPLEX:
        return Other("complex matrix" if kind in NUMERIC else OTHERS.get(kind, "unknown thing"))
    what, data = next(parts, (0, memoryview(b"")))
    if min(shape) < 0 or what not in TYPES:
        raise ValueError("a matrix has no numbers")
    return np.frombuffer(data, f"{order}{TYPES[what]}").reshape(shape, order="F")
