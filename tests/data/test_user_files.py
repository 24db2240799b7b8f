"""Files that a user may give, however they were saved: the right value, or one sentence with the file and the place."""

import builtins
import errno
import gc
import gzip
import io
import os
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import datasets
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat, wavfile

from rnnbench.cli.inference import check_encodable, read_texts
from rnnbench.config.schema import read_json, read_yaml
from rnnbench.data import UCF101, PennTreebank, PianoRoll, SpeechCommands
from rnnbench.data.abc_notation import parse, sounding_notes
from rnnbench.data.hub import read_hub, stored_file
from rnnbench.data.musicxml import read_mxl
from rnnbench.data.pianoroll_files import read_rolls
from rnnbench.data.spectra import read_wav
from rnnbench.data.video import read_clip
from rnnbench.data.vision import read_picture
from rnnbench.errors import RnnbenchError
from rnnbench.utils import files
from rnnbench.utils.files import read_bytes, read_text
from rnnbench.utils.word_vectors import read_vectors

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
"""`datasets` leaves a file that it cannot read open until the error that says so is collected."""


@pytest.fixture(scope="module", autouse=True)
def _files_left_open_are_closed() -> Iterator[None]:
    """Here, and not in the middle of a test of another file that collects garbage."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


BOM = b"\xef\xbb\xbf"


class Reader(NamedTuple):
    """What reads a file: its name, a content, what reads it from a path, and whether it is text."""

    name: str
    content: bytes
    read: Callable[[Path], Any]
    is_text: bool = False


# --- contents, and what reads them


def image_bytes(picture: Image.Image, kind: str = "png", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def sound_bytes(samples: Any, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    wavfile.write(out, rate, np.asarray(samples))
    return out.getvalue()


def clip_bytes(kind: str = "avi", count: int = 30, turned: int = 0) -> bytes:
    """Noise, with an upper half that is darker."""
    random, out = np.random.default_rng(0), io.BytesIO()
    with av.open(out, "w", {"mkv": "matroska"}.get(kind, kind)) as file:
        stream: Any = file.add_stream("gif" if kind == "gif" else "mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8" if kind == "gif" else "yuv420p"
        if turned:
            stream.set_display_rotation(turned)
        for _ in range(count):
            picture = random.integers(100, 256, (48, 64, 3)).astype(np.uint8)
            picture[:24] //= 4
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=stream.pix_fmt)))
        file.mux(stream.encode())
    return out.getvalue()


def rolls(kind: str) -> bytes:
    if kind == "pickle":
        return pickle.dumps({part: [[[60], [62, 64]]] for part in ("train", "valid", "test")})
    cells, out = np.empty((1, 1), object), io.BytesIO()
    cells[0, 0] = np.eye(2, 88)
    savemat(out, dict.fromkeys(("traindata", "validdata", "testdata"), cells))  # type: ignore[arg-type]
    return out.getvalue()


def score_bytes(
    notes: str = "<note><duration>1</duration><pitch><step>C</step><octave>4</octave></pitch></note>",
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", '<c><rootfiles><rootfile full-path="a.xml"/></rootfiles></c>')
        archive.writestr("a.xml", f"<score-partwise><part><measure>{notes}</measure></part></score-partwise>")
    return out.getvalue()


def vectors(path: Path) -> dict[str, list[float]]:
    found = read_vectors(str(path))
    return {word: found.matrix[row].tolist() for word, row in found.rows.items()}


def treebank(path: Path) -> Any:
    for part in ("train", "test"):
        (path.parent / f"ptb.{part}.txt").write_text("the end\n")
    return PennTreebank(str(path.parent)).documents()["validation"]


def table(path: Path) -> Any:
    for part in ("train", "test"):
        other = path.with_name(f"{part}{path.suffix}")
        other.write_bytes(next(one.content for one in READERS if one.name.endswith(path.suffix)))
    return read_hub(str(path.parent), {"text": str})["validation"]["text"][:]


def picture(path: Path) -> Any:
    return read_picture(read_bytes(path), str(path), 4).tolist()


def sound(path: Path) -> Any:
    samples, rate = read_wav(read_bytes(path), str(path))
    return samples.tolist(), rate


def clip(path: Path) -> Any:
    return read_clip(path, 2, 32).tolist()


def parquet_bytes() -> bytes:
    out = io.BytesIO()
    datasets.Dataset.from_dict({"text": ["a café", "the end"]}).to_parquet(out)
    return out.getvalue()


LINES = "a café\nthe end\n".encode()
GLOVE = "café 1 2 3\nend 3 2 1\n".encode()
BINARY = b"2 3\n" + b"".join(
    f"{word} ".encode() + struct.pack("<3f", *row) + b"\n" for word, row in (("café", (1, 2, 3)), ("end", (3, 2, 1)))
)
PICTURE = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
SOUND = sound_bytes((8000 * np.sin(np.arange(200) / 5)).astype(np.int16))
READERS = [
    Reader("lines.txt", LINES, lambda path: read_texts([], path, "score"), True),
    Reader("ptb.valid.txt", LINES, treebank, True),
    Reader("validation.csv", b"text\n" + LINES, table, True),
    Reader("validation.jsonl", '{"text": "a café"}\n{"text": "the end"}\n'.encode(), table, True),
    Reader("valid/validation.txt", LINES, table, True),
    Reader("validation.parquet", parquet_bytes(), table),
    Reader("card.yaml", "a: café\nb: end\n".encode(), read_yaml, True),
    Reader("record.json", '{"a": "café",\n "b": 1}\n'.encode(), read_json, True),
    Reader("tune.abc", "T:Café\nL:1/4\nK:C\nCDE F\n".encode(), lambda path: parse(read_text(path)), True),
    Reader("glove.txt", GLOVE, vectors, True),
    Reader("word2vec.txt", b"2 3\n" + GLOVE, vectors, True),
    Reader("word2vec.bin", BINARY, vectors),
    Reader("picture.png", image_bytes(PICTURE), picture),
    Reader("photo.jpg", image_bytes(PICTURE, "jpeg"), picture),
    Reader("sound.wav", SOUND, sound),
    Reader("clip.avi", clip_bytes(), clip),
    Reader("rolls.pickle", rolls("pickle"), lambda path: str(read_rolls(read_bytes(path), str(path)))),
    Reader("rolls.mat", rolls("mat"), lambda path: str(read_rolls(read_bytes(path), str(path)))),
    Reader("score.mxl", score_bytes(), lambda path: read_mxl(read_bytes(path), str(path))),
]  # fmt: skip
VALUE = "the right value"
STATES: dict[str, Callable[[bytes], bytes]] = {
    "BOM": lambda content: BOM + content,
    "CRLF": lambda content: content.replace(b"\n", b"\r\n"),
    "CR": lambda content: content.replace(b"\n", b"\r"),
    "Latin-1": lambda content: content.decode("utf-8").encode("latin-1"),
    "UTF-16": lambda content: content.decode("utf-8").encode("utf-16"),
    "cut short": lambda content: content[: content.index("é".encode()) + 1],  # within a letter
    "empty": lambda content: b"",
    "compressed": gzip.compress,
    "picture": lambda content: image_bytes(PICTURE),
    "null bytes": lambda content: content[:3] + bytes(3) + content[3:],
}
"""What may have been done to a text."""
OF_BINARY: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[: len(content) * 2 // 3],
    "cut to a few bytes": lambda content: content[:5],
    "empty": lambda content: b"",
    "compressed": gzip.compress,
    "text": lambda content: b"this is no such file\n" * 40,
    "null bytes": lambda content: bytes(4096),
}
"""What may have been done to another file."""
TOLD = {
    **dict.fromkeys(("BOM", "CRLF", "CR"), VALUE),
    **dict.fromkeys(("Latin-1", "cut short", "picture"), r"line \d+.*not UTF-8"),
    "UTF-16": "text in UTF-16: save it in UTF-8",
    "empty": "is empty",
    "compressed": r"is compressed \(gzip\): unpack it first",
    "null bytes": "line 1, byte 4: a null byte",
}
"""What is expected of a reader of texts: the right value, or a sentence with this beside the name of the file."""
SAME = ("empty", "compressed")
"""States in which all files are refused with the same words."""
OTHERWISE = {
    ("card.yaml", "empty"): VALUE,  # None, which every model of a card refuses
    ("record.json", "empty"): "is not valid JSON: Expecting value: line 1",
    ("tune.abc", "empty"): "it names no key",
    **dict.fromkeys([(name, "compressed") for name in ("validation.csv", "validation.jsonl", "valid/validation.txt",
                                                       "glove.txt", "word2vec.txt", "word2vec.bin")], VALUE),
    ("valid/validation.txt", "null bytes"): "split 'validation', row 0: text has a null byte",
    **dict.fromkeys([(name, "CR") for name in ("glove.txt", "word2vec.txt")], "is not a word; lines must end"),
    ("glove.txt", "Latin-1"): "line 1: not UTF-8",
    ("word2vec.txt", "Latin-1"): "line 2: not UTF-8",
    ("glove.txt", "cut short"): "line 1: neither .* nor a word and its vector",
    ("word2vec.txt", "cut short"): "line 2: not a word and 3 numbers",
    **dict.fromkeys([(name, "picture") for name in ("glove.txt", "word2vec.txt")], "line 1: neither word2vec's two"),
    ("glove.txt", "null bytes"): "line 1: .* is not a word",
    ("word2vec.txt", "null bytes"): "line 1: neither word2vec's two numbers",
    **dict.fromkeys([("word2vec.bin", state) for state in ("text", "null bytes")], "line 1: word2vec's binary layout"),
    ("word2vec.bin", "cut short"): "damaged: its first line promises 2 words of 3 numbers, which breaks off at word 2",
    ("word2vec.bin", "cut to a few bytes"): "which breaks off at word 1",
    ("sound.wav", "cut short"): "is cut short: its header promises 400 bytes of sound, 252 are there",
    ("clip.avi", "cut short"): "is cut short: only 2 of its frames are there",
    **dict.fromkeys([("validation.parquet", state) for state in OF_BINARY], r"cannot read .*: Parquet "),
    ("score.mxl", "compressed"): "not a compressed MusicXML file",
}  # fmt: skip
"""Where something else is expected. Of any other damage to a file that is not text: a sentence with its name."""
CELLS = [(one, state) for one in READERS for state in (STATES if one.is_text else OF_BINARY)]


def one_sentence(reader: Reader, path: Path) -> str:
    """What a file is refused with: one line, and the name of the file unless the reader is only given the text."""
    with pytest.raises(RnnbenchError) as caught:
        reader.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pandas leaves a bad file open
@pytest.mark.parametrize(("reader", "state"), CELLS, ids=[f"{one.name}-{state}" for one, state in CELLS])
def test_a_file_is_read_however_it_was_saved_or_refused_with_its_place(
    reader: Reader, state: str, tmp_path: Path
) -> None:
    path = tmp_path / reader.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((STATES if reader.is_text else OF_BINARY)[state](reader.content))
    told = OTHERWISE.get((reader.name, state), TOLD.get(state, "") if reader.is_text or state in SAME else "")
    if told == VALUE:
        found = reader.read(path)
        path.write_bytes(b"" if state == "empty" else reader.content)
        assert found == reader.read(path)
    else:
        said = one_sentence(reader, path)
        assert re.search(told, said)
        assert path.parent.name in said if "split" in said else path.name in said or reader.name == "tune.abc"


def cannot_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who is not root: `path` may not be read."""
    real = io.open

    def refuse(file: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(file, str | os.PathLike) and Path(file) == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(file, *rest, **options)

    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr(builtins, "open", refuse)


OPENINGS = [
    (one, state)
    for one in READERS
    for state in ("missing", "a folder", "no permission", "huge")
    if state != "huge" or one.read is not table  # a table may be larger than memory: it is mapped
]


@pytest.mark.parametrize(("reader", "state"), OPENINGS, ids=[f"{one.name}-{state}" for one, state in OPENINGS])
def test_what_cannot_be_opened_is_named(
    reader: Reader, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / reader.name
    path.parent.mkdir(exist_ok=True)
    told = {"missing": "No such file", "a folder": "Is a directory", "no permission": "Permission denied"}
    if state == "a folder":
        path.mkdir()
    elif state == "no permission":
        path.write_bytes(reader.content)
        cannot_open(path, monkeypatch)
    elif state == "huge":
        with path.open("wb") as file:
            file.truncate(files.MAX_BYTES + 1)  # takes no room on the disk
    said = one_sentence(reader, path)
    if reader.read is table and state in ("missing", "a folder"):
        assert f"{path.parent} has no split 'validation'" in said
    elif reader.read is vectors and state == "huge":
        assert re.search(f"{path.name}, line 1: longer than", said)
    elif reader.read is clip and state == "huge":
        assert f"{path} cannot be decoded" in said
    else:
        assert re.fullmatch(f"cannot read {path}: .*{told.get(state, 'it has 1,073,741,825 bytes, at most')}.*", said)


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_hub(str(path), {"text": str}),
        lambda path: SpeechCommands(str(path)).identity(),
        lambda path: UCF101(str(path)).identity(),
        lambda path: PennTreebank(str(path)).identity(),
        lambda path: PianoRoll(str(path / "a.mat")).identity(),
        lambda path: read_vectors(str(path / "a.txt")),
    ],
)
def test_a_folder_that_may_not_be_entered_is_named(
    read: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, real in (("stat", os.stat), ("scandir", os.scandir)):

        def refuse(path: Any = ".", *rest: Any, real: Any = real, **options: Any) -> Any:
            if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(tmp_path):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *rest, **options)

        monkeypatch.setattr(os, name, refuse)
    for name in ("a.mat", "a.txt", *(f"ptb.{part}.txt" for part in ("train", "valid", "test"))):
        cannot_open(tmp_path / name, monkeypatch)
    with pytest.raises(RnnbenchError, match=f"cannot read {tmp_path}.*: Permission denied"):
        read(tmp_path)


# --- texts


def test_the_standard_input_is_read_as_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for content, encoding in ((BOM + LINES.replace(b"\n", b"\r\n"), "utf-8"), (LINES, "ascii")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding))
        assert read_texts(["before"], Path("-"), "score") == ["before", "a café", "the end"]
    for content, told in (
        (b"the end\ncaf\xe9\n", "the standard input, line 2, byte 4: not UTF-8 .0xe9."),
        (b"\n", "the standard input is empty: there is nothing to score"),
        (b"a\n\nb\n", "the standard input, line 2 is empty"),
        (gzip.compress(LINES), "the standard input is compressed"),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        with pytest.raises(RnnbenchError, match=told):
            read_texts([], Path("-"), "score")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(RnnbenchError, match="the standard input is closed"):
        read_texts([], Path("-"), "score")


def test_a_line_ends_at_a_line_feed_alone_and_joined_files_have_their_marks_taken_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BOM + "one\u2028two\x0c\x85\n".encode() + BOM + b"three")
    assert read_texts([], tmp_path / "a", "score") == ["one\u2028two\x0c\x85", "three"]


def test_an_argument_in_another_encoding_is_refused() -> None:
    with pytest.raises(RnnbenchError, match="the argument 'caf\ufffd' is not text in UTF-8"):
        read_texts([os.fsdecode(b"caf\xe9")], None, "score")
    check_encodable(["café"])


def test_tunes_of_other_systems_sound_alike() -> None:
    tune = "L:1/4\nK:C\nCDE F|\n"
    for text in (f"\ufeff{tune}", tune.replace("\n", "\r\n"), tune.replace("\n", "\r")):
        assert parse(text) == parse(tune)
        assert sounding_notes(text) == sounding_notes(tune)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"train.csv": b"text\na\n", "test.csv": b'text\n"a\n', "validation.csv": b"text\na\n"}, "test.csv: .*row 1"),
        (
            {"train.jsonl": b'{"text": "a"}\n{"text": "b', "test.jsonl": b'{"text": "a"}'},
            "train.jsonl: JSON parse error",
        ),
        ({}, "cannot be read as a data set: The directory at"),
        ({"train.csv": b"text\na\n", "LICENSE.txt": b"caf\xe9", "test.csv": b"text\n\xff"}, "test.csv, line 2, byte 1"),
    ],
)
def test_the_file_of_a_folder_that_is_damaged_is_named(files: dict[str, bytes], told: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RnnbenchError, match=told):
        read_hub(str(tmp_path), {"text": str})


def test_a_file_that_a_row_names_is_read_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(SOUND)
    cell = {"bytes": None, "path": str(tmp_path / "a.wav")}
    assert stored_file(cell, "set", "test", 3) == (SOUND, "set, split 'test', row 3, a.wav")
    with pytest.raises(RnnbenchError, match=r"cannot read .*b\.wav: No such file"):
        stored_file({"bytes": None, "path": str(tmp_path / "b.wav")}, "set", "test", 3)
    with pytest.raises(RnnbenchError, match="set, split 'test', row 3 is empty"):
        stored_file({"bytes": None, "path": None}, "set", "test", 3)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text\na\n")
    with pytest.raises(RnnbenchError, match=r"train\.csv is a file; allowed is a folder with one for each split"):
        read_hub(str(tmp_path / "train.csv"), {"text": str})


# --- word vectors


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("film\t1\t2\ngood\t3\t4\n", {"film": [1, 2], "good": [3, 4]}),
        ("new york\t1 2\ngood\t3 4\n", {"new york": [1, 2], "good": [3, 4]}),
        ("film 1 2\n. . . 3 4\nat name@domain.com 5 6\n",
         {"film": [1, 2], ". . .": [3, 4], "at name@domain.com": [5, 6]}),
        (". . . 3 4\nfilm 1 2\ngood 1 2\n", {". . .": [3, 4], "film": [1, 2], "good": [1, 2]}),
        ("2 2\nsan jose 1 2\ngood 3 4 \n", {"san jose": [1, 2], "good": [3, 4]}),
        ("film  1   2\n\ngood 3 4\n\n", {"film": [1, 2], "good": [3, 4]}),
        ("film 1 2\ngood 3 4\nfilm 5 6\n", {"film": [1, 2], "good": [3, 4]}),
        ("1\u00a0000 1 2\n\u3000 3 4\n\x85 5 6\n", {"1\u00a0000": [1, 2], "\u3000": [3, 4], "\x85": [5, 6]}),
        ("1 9 8\n2 7 6\n", {"1": [9, 8], "2": [7, 6]}),
    ],
)  # fmt: skip
def test_words_of_a_file_of_vectors_are_what_stands_before_the_numbers(
    content: str, expected: dict[str, list[float]], tmp_path: Path
) -> None:
    (tmp_path / "v.txt").write_bytes(content.encode())
    assert vectors(tmp_path / "v.txt") == expected


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("film 1 2\ngood 3 4\nbad 1 2 3\n", "line 3: not a word and 2 numbers, but 'bad 1 2 3'"),
        ("film 1 2\ngood 3 4\nbad 1\n", "line 3: not a word and 2 numbers, but 'bad 1'"),
        ("2 0\nfilm\n", "line 1: vectors of 0 dimensions"),
    ],
)
def test_a_line_with_another_count_of_numbers_is_refused(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text(content)
    with pytest.raises(RnnbenchError, match=f"v.txt, {told}"):
        read_vectors(str(tmp_path / "v.txt"))


def test_a_gzipped_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.txt.gz").write_bytes(gzip.compress(GLOVE * 50)[:-12])
    with pytest.raises(RnnbenchError, match=r"v\.txt\.gz cannot be unpacked: "):
        read_vectors(str(tmp_path / "v.txt.gz"))


# --- pictures


def seen(picture: Image.Image, side: int = 4, kind: str = "png", **options: Any) -> np.ndarray[Any, Any]:
    return read_picture(image_bytes(picture, kind, **options), "a picture", side).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_a_picture_is_turned_as_its_exif_data_says(orientation: int, kind: str) -> None:
    upright = Image.new("RGB", (64, 32), "black")
    upright.paste("red", (0, 0, 32, 16))
    turned = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
              5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
              8: Image.Transpose.ROTATE_270}  # fmt: skip
    stored = upright.transpose(turned[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.abs(seen(stored, kind=kind, exif=exif) - seen(upright)).max() < 6  # JPEG is not exact


@pytest.mark.parametrize(
    ("picture", "options", "expected"),
    [
        (Image.fromarray(np.full((4, 4), 0x8000, np.uint16)), {}, [128] * 3),
        (Image.fromarray(np.full((4, 4), 0x8000, np.uint16)), {"kind": "tiff"}, [128] * 3),
        (Image.fromarray(np.full((4, 4), 0xFFFF, np.uint16)), {"kind": "ppm"}, [255] * 3),
        (Image.fromarray(np.full((4, 4), 0x4000, np.int32)), {"kind": "tiff"}, [64] * 3),
        (Image.new("L", (4, 4), 70), {}, [70] * 3),
        (Image.new("LA", (4, 4), (0, 0)), {}, [255] * 3),
        (Image.new("1", (4, 4), 1), {}, [255] * 3),
        (Image.new("1", (4, 4), 0), {"kind": "tiff"}, [0] * 3),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 0)), {}, [255] * 3),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 128)), {}, [255, 127, 127]),
        (Image.new("RGB", (4, 4), (9, 8, 7)).quantize(4), {}, [9, 8, 7]),
        (Image.new("P", (4, 4), 0), {"transparency": 0}, [255] * 3),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), {"kind": "tiff"}, [255, 0, 0]),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), {"kind": "jpeg"}, [255, 0, 0]),
        (Image.new("YCbCr", (4, 4), (76, 85, 255)), {"kind": "jpeg"}, [255, 0, 0]),
        (Image.new("RGB", (4, 4), "red"),
         {"kind": "gif", "save_all": True, "append_images": [Image.new("RGB", (4, 4), "blue")]}, [255, 0, 0]),
        (Image.new("RGB", (4, 4), "red"),
         {"kind": "png", "save_all": True, "append_images": [Image.new("RGB", (4, 4), "blue")]}, [255, 0, 0]),
    ],
)  # fmt: skip
def test_colours_are_those_that_a_person_sees(
    picture: Image.Image, options: dict[str, Any], expected: list[int]
) -> None:
    assert np.abs(seen(picture, 1, **options)[0, 0] - expected).max() <= 1


def test_a_picture_of_unknown_range_or_too_many_pixels_is_refused() -> None:
    for values, told in (
        (np.full((4, 4), 0.5, np.float32), "its grey is of floats, whose range is not known"),
        (np.full((4, 4), 2**16, np.int32), "its grey is from 65536 to 65536, allowed is 0 to 65535"),
        (np.full((4, 4), -1, np.int32), "its grey is from -1 to -1"),
        (np.full((4, 4), 200, np.int32), "its grey of 32 bits ends at 200"),
    ):
        with pytest.raises(RnnbenchError, match=f"a.tif is not a picture that can be read: {told}"):
            read_picture(image_bytes(Image.fromarray(values), "tiff"), "a.tif", 4)
    bomb = bytearray(image_bytes(Image.new("1", (1, 1))))
    header = b"IHDR" + struct.pack(">II", 50_000, 50_000) + bytes(bomb[24:29])
    bomb[12:33] = header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(RnnbenchError, match=r"a\.png is not a picture that can be read: Image size .2500000000 pixels"):
        read_picture(bytes(bomb), "a.png", 4)


# --- sounds


def wave_bytes(
    samples: bytes, code: int, channels: int, bits: int, extensible: bool = False, more: bytes = b""
) -> bytes:
    """A WAV file, written by hand."""
    block = channels * bits // 8
    about = struct.pack("<HHIIHH", 0xFFFE if extensible else code, channels, 8000, 8000 * block, block, bits)
    if extensible:
        guid = struct.pack("<H", code) + bytes.fromhex("000000001000800000aa00389b71")
        about += struct.pack("<HHI", 22, bits, 4) + guid
    parts = b"fmt " + struct.pack("<I", len(about)) + about + more + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts


SAMPLES = {
    (1, 8): bytes([128, 192, 0, 255]),
    (1, 16): struct.pack("<4h", 0, 2**14, -(2**15), 2**15 - 1),
    (1, 24): b"".join((value & 0xFFFFFF).to_bytes(3, "little") for value in (0, 2**22, -(2**23), 2**23 - 1)),
    (1, 32): struct.pack("<4i", 0, 2**30, -(2**31), 2**31 - 1),
    (3, 32): struct.pack("<4f", 0, 0.5, -1, 1),
    (3, 64): struct.pack("<4d", 0, 0.5, -1, 1),
}
"""0, 1/2, −1 and nearly 1 in each format: its code, and bits."""


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("code", "bits"), SAMPLES)
def test_a_sound_has_its_values_whatever_the_width_of_its_samples(code: int, bits: int, extensible: bool) -> None:
    content = SAMPLES[code, bits]
    mono, rate = read_wav(wave_bytes(content, code, 1, bits, extensible), "a.wav")
    assert mono.dtype == np.float32
    assert rate == 8000
    assert np.allclose(mono, [0, 0.5, -1, 1], atol=2 / 2**bits if bits < 32 else 1e-6)
    stereo, _ = read_wav(wave_bytes(content, code, 2, bits, extensible), "a.wav")
    assert np.allclose(stereo, [mono[:2].mean(), mono[2:].mean()])


def test_chunks_beside_the_sound_are_passed_over_and_a_stream_has_no_size() -> None:
    content, note = SAMPLES[1, 16], b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
    assert len(read_wav(wave_bytes(content, 1, 1, 16, more=note), "a.wav")[0]) == 4
    streamed = wave_bytes(content, 1, 1, 16)
    streamed = streamed[:4] + b"\xff" * 4 + streamed[8:40] + b"\xff" * 4 + streamed[44:]
    assert len(read_wav(streamed, "a.wav")[0]) == 4
    with_its_own_head = wave_bytes(content, 1, 1, 16)  # many programs count the first 8 bytes of the file, too
    with_its_own_head = with_its_own_head[:4] + struct.pack("<I", len(with_its_own_head)) + with_its_own_head[8:]
    assert len(read_wav(with_its_own_head, "a.wav")[0]) == 4


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (wave_bytes(bytes(8), 7, 1, 8), "is not a WAV file that can be read: Unknown wave file format: MULAW"),
        (b"fLaC" + bytes(60), "is not a WAV file that can be read: File format b'fLaC' not understood"),
        (wave_bytes(struct.pack("<2f", 0, float("nan")), 3, 1, 32), "has a sample that is not a finite number"),
        (sound_bytes(np.zeros(9, np.int16), 500), "has 500 samples a second, at least 1000 are needed"),
        (wave_bytes(bytes(8), 1, 0, 16), "is not a WAV file that can be read"),
        (SOUND[:-1], "is cut short: its header promises 400 bytes of sound, 399 are there"),
        (SOUND[:30], "is not a WAV file that can be read: it ends too early"),
    ],
)
def test_a_sound_that_cannot_be_read_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(RnnbenchError, match=re.escape(f"a.wav {told}")):
        read_wav(content, "a.wav")


# --- clips


def test_a_clip_is_turned_as_its_file_says(tmp_path: Path) -> None:
    halves: dict[int, Any] = {0: np.s_[:16], 90: np.s_[:, :16], 180: np.s_[16:], -90: np.s_[:, 16:]}
    for turned, dark in halves.items():
        path = tmp_path / "a.mp4"
        path.write_bytes(clip_bytes("mp4", 3, turned))
        frames = read_clip(path, 2, 32)[0]
        bright = np.ones((32, 32), bool)
        bright[dark] = False
        assert frames[~bright].mean() < 60 < 100 < frames[bright].mean()


@pytest.mark.parametrize("kind", ["avi", "mp4", "mkv", "mov", "gif"])
def test_a_clip_that_is_cut_short_is_refused(kind: str, tmp_path: Path) -> None:
    path, content = tmp_path / f"a.{kind}", clip_bytes(kind)
    path.write_bytes(content)
    assert read_clip(path, 3, 16).shape == (3, 16, 16, 3)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RnnbenchError, match=rf"a\.{kind} (is cut short|cannot be decoded)"):
        read_clip(path, 3, 16)


def test_a_clip_without_pictures_or_with_too_many_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(SOUND)
    with pytest.raises(RnnbenchError, match=r"a\.avi has no pictures"):
        read_clip(path, 3, 16)
    monkeypatch.setattr("rnnbench.data.video.MAX_FRAMES", 20)
    path.write_bytes(clip_bytes())
    with pytest.raises(RnnbenchError, match=r"a\.avi has more than 20 frames"):
        read_clip(path, 3, 16)


# --- whatever else may have happened to a file


@pytest.mark.parametrize("name", ["picture.png", "photo.jpg", "sound.wav", "word2vec.bin", "score.mxl", "glove.txt",
                                  "rolls.pickle", "lines.txt", "tune.abc"])  # fmt: skip
def test_a_damaged_file_is_read_or_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    reader = next(one for one in READERS if one.name == name)
    random, path = np.random.default_rng(0), tmp_path / name
    refused = []
    for _ in range(60):
        damaged = bytearray(reader.content)
        for place in random.integers(0, len(damaged), 4):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged[: random.integers(1, 2 * len(damaged))])
        try:
            reader.read(path)
        except RnnbenchError as error:
            refused.append(str(error))
    assert len(refused) > 5
    assert not any("\n" in said for said in refused)
