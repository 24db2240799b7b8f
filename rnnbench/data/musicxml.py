"""Notes of a score in compressed MusicXML: a short reader for archives whose content is not to be trusted."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import zip_longest
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from rnnbench.errors import RnnbenchError

MAX_MEMBER_BYTES = 16 * 2**20
"""Bytes; a chorale has at most half a million."""
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class ScoreNote(NamedTuple):
    """A MIDI number, and when it sounds, in quarter notes."""

    start: Fraction
    end: Fraction
    midi: int


class Score(NamedTuple):
    """Number of parts, notes of all of them, and length in quarter notes."""

    parts: int
    notes: list[ScoreNote]
    length: Fraction


def read_mxl(content: bytes, where: str) -> Score:
    """The score in a compressed MusicXML file, named by its container.

    Raises:
        RnnbenchError: it is not such a file; a member is absent or too large, is not XML, or defines entities; a value
            of the score is not a number.
    """
    if not content:
        raise RnnbenchError(f"{where} is empty")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            container = parse_xml(_member(archive, "META-INF/container.xml", where), where)
            root = container.find("rootfiles/rootfile")
            if root is None:
                raise RnnbenchError(f"{where}: its container names no score")
            return read_score(parse_xml(_member(archive, root.get("full-path", ""), where), where))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise RnnbenchError(f"{where} is not a compressed MusicXML file that can be read: {error}") from error
    except (ValueError, ArithmeticError, LookupError) as error:  # a duration that is not a number, a step H
        raise RnnbenchError(f"{where}: a value of its score cannot be read: {error}") from error


def read_score(score: Element) -> Score:
    """Notes of a `score-partwise` as they sound, transpositions done. Repeats are not played."""
    parts = [list(_measures(part)) for part in score.iterfind("part")]
    notes, begin = [], Fraction(0)
    # Measure by measure: a part with a measure that is written too short keeps step with the others.
    for measures in zip_longest(*parts, fillvalue=(Fraction(0), [])):
        notes += [ScoreNote(begin + start, begin + end, midi) for _, some in measures for start, end, midi in some]
        begin += max(length for length, _ in measures)
    return Score(len(parts), notes, begin)


def _measures(part: Element) -> Iterator[tuple[Fraction, list[ScoreNote]]]:
    """Length of each measure of a part, and its notes from its start. A tied note is two that touch."""
    divisions, transposition = 1, 0
    for measure in part.iterfind("measure"):
        start = now = length = Fraction(0)
        notes: list[ScoreNote] = []
        for item in measure:
            duration = Fraction(item.findtext("duration") or 0) / divisions  # a grace note has none
            if item.tag == "attributes":
                divisions = int(item.findtext("divisions") or divisions)
                transposition = _transposition(item, transposition)
            elif item.tag in ("backup", "forward"):
                now += duration if item.tag == "forward" else -duration
            elif item.tag == "note":
                if item.find("chord") is None:
                    start, now = now, now + duration
                if (pitch := item.find("pitch")) is not None and item.find("cue") is None:
                    notes.append(ScoreNote(start, start + duration, _midi(pitch) + transposition))
            length = max(length, now)
        yield length, notes


def _transposition(attributes: Element, present: int) -> int:
    """Semitones from what is written to what sounds."""
    shift = attributes.find("transpose")
    if shift is None:
        return present
    return int(shift.findtext("chromatic") or 0) + 12 * int(shift.findtext("octave-change") or 0)


def _midi(pitch: Element) -> int:
    step, octave = STEPS[pitch.findtext("step") or ""], int(pitch.findtext("octave") or 0)
    return 12 * (octave + 1) + step + int(pitch.findtext("alter") or 0)


def parse_xml(content: bytes, where: str) -> Element:
    """The root of a document that defines nothing itself: a few entities could expand to gigabytes.

    Raises:
        RnnbenchError: it is not well-formed, or its document type has an internal subset.
    """
    builder = TreeBuilder()

    def doctype(_name: str, _system: str | None, _public: str | None, internal: bool) -> None:
        if internal:
            raise RnnbenchError(f"{where}: a document type with definitions of its own is refused")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise RnnbenchError(f"{where} is not well-formed XML: {error}") from error
    return builder.close()


def _member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    """A member no larger than a score can be: a few kilobytes of zip can hold gigabytes."""
    if name not in archive.namelist():
        raise RnnbenchError(f"{where} has no member {name!r}")
    if (size := archive.getinfo(name).file_size) > MAX_MEMBER_BYTES:
        raise RnnbenchError(f"{where}: {name} has {size} bytes, at most {MAX_MEMBER_BYTES} are read")
    return archive.read(name)
