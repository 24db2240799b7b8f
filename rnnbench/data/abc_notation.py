"""Tunes in ABC notation, read by music21: their notes, piano rolls of them, MIDI files and engraved scores."""

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from rnnbench.errors import RnnbenchError
from rnnbench.utils.extras import check_extra, lacking
from rnnbench.utils.files import unify_lines

LOWEST = 21
"""MIDI number of the first of the 88 keys of a piano roll."""
OCTAVE = 12


class NotATune(RnnbenchError):
    """A text that is not a tune."""


class Note(NamedTuple):
    """A key that sounds, `pitch` its MIDI number; `start` and `length` in quarter notes."""

    start: float
    length: float
    pitch: int


def parse(text: str) -> list[Note]:
    """The notes of a tune in ABC notation, by their start; repeats are not played.

    A byte order mark and ends of lines of other systems are read as those of a text file.

    Raises:
        NotATune: music21 cannot parse it, or finds no key or no note in it.
        RnnbenchError: music21 is not installed.
    """
    music21 = _music21()
    text = unify_lines(text)
    if not any(line.startswith("K:") for line in text.splitlines()):
        raise NotATune("it names no key (K:)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of mistakes that it corrects
        try:
            score = music21.converter.parseData(f"X:1\n{text}", format="abc")
        except Exception as error:  # the parser raises errors of any type for a text that is not a tune
            message = (str(error).splitlines() or [""])[0]
            raise NotATune(f"{type(error).__name__}: {message[:80]}") from error
        notes = [
            Note(float(one.offset), float(one.quarterLength), int(pitch.midi))
            for one in score.flatten().notes
            for pitch in one.pitches
        ]
    if not notes:
        raise NotATune("it has no note")
    return notes


def parse_rate(texts: Iterable[str]) -> float:
    """Share of texts that are tunes, in [0, 1]."""
    every = list(texts)
    return sum(map(is_tune, every)) / len(every)


def is_tune(text: str) -> bool:
    """Whether `parse` finds notes in it."""
    try:
        parse(text)
    except NotATune:
        return False
    return True


def notes_of(roll: Sequence[Sequence[float]], frame: float = 1.0) -> list[Note]:
    """The notes of a piano roll `[T, 88]`, keys above one half sounding, each as long as its key sounds on.

    Args:
        roll: 88 keys in each frame.
        frame: quarter notes of a frame.
    """
    notes: list[Note] = []
    begun: dict[int, int] = {}
    for time, keys in enumerate([*roll, []]):
        sounding = {key for key, value in enumerate(keys) if value > 0.5}
        for key in [key for key in begun if key not in sounding]:
            start = begun.pop(key)
            notes.append(Note(start * frame, (time - start) * frame, LOWEST + key))
        for key in sounding:
            begun.setdefault(key, time)
    return sorted(notes)


def pitch_name(pitch: int) -> str:
    """The name of a MIDI number, as C4 for 60."""
    names = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
    return f"{names[pitch % OCTAVE]}{pitch // OCTAVE - 1}"


def draw_roll(notes: Sequence[Note], frames: int, given: int) -> list[str]:
    """A piano roll in letters, the highest key first: a column a frame, a bar where the model begins."""
    lines = []
    for pitch in range(max(one.pitch for one in notes), min(one.pitch for one in notes) - 1, -1):
        row = [" "] * frames
        for one in notes:
            if one.pitch == pitch:
                start, end = int(one.start), int(one.start + one.length)
                row[start:end] = ["█", *["▬"] * (end - start - 1)]
        lines.append(f"{pitch_name(pitch):>4} {''.join(row[:given])}│{''.join(row[given:])}".rstrip())
    return lines


def write_midi(notes: Sequence[Note], path: Path, tempo: int = 100) -> None:
    """Write notes as a MIDI file, `tempo` quarter notes a minute.

    Raises:
        RnnbenchError: it cannot be written.
        RnnbenchError: music21 is not installed.
    """
    music21 = _music21()
    stream = music21.stream.Stream([music21.tempo.MetronomeMark(number=tempo)])
    for one in notes:
        made = music21.note.Note(one.pitch, quarterLength=one.length)
        stream.insert(one.start, made)
    try:
        stream.write("midi", fp=path)
    except OSError as error:
        raise RnnbenchError(f"cannot write {path}: {error.strerror or error}") from error


def has_parser() -> bool:
    """Whether music21 is installed."""
    return not lacking("music", "music21")


def _music21() -> Any:
    check_extra("music", "a tune", "music21")
    import music21

    return music21


MAX_START = 10_000.0
"""Quarter notes from the start of a tune after which nothing is played."""


def sounding_notes(text: str) -> list[Note]:
    """The notes of a tune as they are heard, by their start; repeats are not played.

    Tied notes are joined. Grace notes and names of chords have no duration and are left out.

    Raises:
        NotATune: see `rnnbench.data.abc_notation.parse`.
        RnnbenchError: music21 is not installed.
    """
    parse(text)
    notes = [
        Note(start, min(float(one.quarterLength), MAX_START - start), int(pitch.midi))
        for one in score_of(text).stripTies().flatten().notes
        if one.quarterLength > 0 and (start := float(one.offset)) < MAX_START
        for pitch in one.pitches
    ]
    return sorted(notes)


def score_of(text: str) -> Any:
    """The music21 score of a text that is a tune."""
    import music21

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of mistakes that it corrects
        return music21.converter.parseData(f"X:1\n{unify_lines(text)}", format="abc")


SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
SVG_ELEMENTS = {
    "svg",
    "g",
    "defs",
    "path",
    "use",
    "rect",
    "ellipse",
    "circle",
    "polygon",
    "polyline",
    "line",
    "text",
    "tspan",
}
"""Elements of a score; a description, a style sheet and all else is left out."""
MAX_QUARTERS = 2000
"""Quarter notes of a tune that fits on a page."""
SHAPES = {"path", "ellipse", "polygon", "polyline", "rect"}
LOADS = re.compile(r"url\(|script|expression|@import", re.IGNORECASE)
"""In values of attributes that do more than draw."""
LOOK = {"pageWidth": 2100, "pageHeight": 60_000, "adjustPageHeight": True, "scale": 40, "svgViewBox": False,
        "header": "none", "footer": "none", "xmlIdSeed": 1}  # fmt: skip


def engrave(text: str) -> str:
    """The score of a tune as an SVG picture, the same each time: staves, notes and repeats as music21 reads them.

    The picture has nothing but shapes and words: whatever a text says, nothing in it runs or loads.

    Raises:
        NotATune: see `rnnbench.data.abc_notation.parse`.
        RnnbenchError: a tune that cannot be engraved; music21 or Verovio is not installed.
    """
    check_extra("music", "a score")
    if max(one.start + one.length for one in parse(text)) > MAX_QUARTERS:
        raise RnnbenchError(f"this tune cannot be engraved: it is longer than {MAX_QUARTERS} quarter notes")
    import verovio
    from music21 import stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    score = score_of(text)
    if isinstance(score, stream.Opus):
        raise RnnbenchError("this tune cannot be engraved: it is several tunes")
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions({**LOOK, "inputFrom": "xml"})
    try:
        written = GeneralObjectExporter(score).parse().decode()
    except Exception as error:  # the exporter raises errors of any type for bars that do not add up
        raise RnnbenchError(f"this tune cannot be engraved: {type(error).__name__}: {str(error)[:80]}") from error
    if not toolkit.loadData(written):
        raise RnnbenchError("this tune cannot be engraved: Verovio does not read what music21 made of it")
    return sanitise_svg(toolkit.renderToSVG(1))


def sanitise_svg(picture: str) -> str:
    """An SVG picture on a white background, reduced to shapes and text: see `SVG_ELEMENTS`."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(picture)  # noqa: S314 - Verovio's own; it has no document type
    _prune(root)
    root.insert(0, ElementTree.Element(f"{{{SVG}}}rect", {"width": "100%", "height": "100%", "fill": "white"}))
    return ElementTree.tostring(root, encoding="unicode")


def _prune(element: Any) -> None:
    for name, value in list(element.attrib.items()):
        elsewhere = name.endswith("href") and not value.startswith("#")
        if elsewhere or name.lower().startswith("on") or LOADS.search(value):
            del element.attrib[name]
    for child in list(element):
        kind = child.tag.removeprefix(f"{{{SVG}}}")
        if kind in SVG_ELEMENTS and "placeholder" not in child.get("class", "").split():  # hidden by the style sheet
            _prune(child)
            if kind in SHAPES:  # as the style sheet said
                child.attrib.setdefault("stroke", "currentColor")
        else:
            element.remove(child)
