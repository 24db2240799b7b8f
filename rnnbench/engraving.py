"""Tunes in ABC notation as a musician reads them: engraved by Verovio."""

import re
from typing import Any
from xml.etree import ElementTree

from rnnbench.errors import RnnbenchError
from rnnbench.extras import check_extra
from rnnbench.melody import score_of
from rnnbench.tunes import parse

SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
DRAWN = {"svg", "g", "defs", "path", "use", "rect", "ellipse", "circle", "polygon", "polyline", "line", "text", "tspan"}
"""Elements of a score; a description, a style sheet and all else is left out."""
LONGEST = 2000
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
        NoTune: it is none, see `rnnbench.tunes.parse`.
        RnnbenchError: a tune that cannot be engraved; music21 or Verovio is not installed.
    """
    check_extra("music", "a score")
    if max(one.start + one.length for one in parse(text)) > LONGEST:
        raise RnnbenchError(f"this tune cannot be engraved: it is longer than {LONGEST} quarter notes")
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
    except Exception as error:  # the exporter raises what it likes of bars that do not add up
        raise RnnbenchError(f"this tune cannot be engraved: {type(error).__name__}: {str(error)[:80]}") from error
    if not toolkit.loadData(written):
        raise RnnbenchError("this tune cannot be engraved: Verovio does not read what music21 made of it")
    return only_drawn(toolkit.renderToSVG(1))


def only_drawn(picture: str) -> str:
    """An SVG picture without anything that is no shape or word, on white."""
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
        if kind in DRAWN and "placeholder" not in child.get("class", "").split():  # hidden by the style sheet
            _prune(child)
            if kind in SHAPES:  # as the style sheet said
                child.attrib.setdefault("stroke", "currentColor")
        else:
            element.remove(child)
