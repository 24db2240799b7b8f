"""What sounds in a tune in ABC notation."""

import warnings
from typing import Any

from rnnbench.files import unify_lines
from rnnbench.tunes import Note, parse

LAST = 10_000.0
"""Quarter notes from the start of a tune after which nothing is played."""


def sounding(text: str) -> list[Note]:
    """The notes of a tune as one hears them, by their start; repeats are not played.

    Tied notes are one. Grace notes and names of chords take no time of their own, and are none.

    Raises:
        NoTune: it is none, see `rnnbench.tunes.parse`.
        RnnbenchError: music21 is not installed.
    """
    parse(text)
    found = [
        Note(start, min(float(one.quarterLength), LAST - start), int(pitch.midi))
        for one in score_of(text).stripTies().flatten().notes
        if one.quarterLength > 0 and (start := float(one.offset)) < LAST
        for pitch in one.pitches
    ]
    return sorted(found)


def score_of(text: str) -> Any:
    """The music21 score of a text that is a tune."""
    import music21

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser warns of what it mends
        return music21.converter.parseData(f"X:1\n{unify_lines(text)}", format="abc")
