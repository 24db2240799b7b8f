"""What charts share: their look, and their files, pages that need nothing else and pictures; by Altair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.extras import check_extra
from rnnbench.files import write_whole

if TYPE_CHECKING:
    import altair as alt

FORMATS = (".html", ".json", ".png", ".svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B5E3C", "#7F7F7F", "#6A3D9A")
"""Told apart by people with any colour vision (Okabe & Ito 2008, and three more)."""
Row = dict[str, Any]


def check_plot(path: Path) -> None:
    """Check that a chart can be written to a file, before any work is done for it.

    Raises:
        RnnbenchError: an unknown format, no such folder, or the charts' packages are not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise unknown("format of a picture", path.suffix or path.name, FORMATS, str(path))
    if not path.parent.is_dir():
        raise RnnbenchError(f"there is no folder {path.parent} for {path.name}")
    check_extra("plots", f"the picture {path.name}")


def save(chart: alt.TopLevelMixin, path: Path, title: str) -> None:
    """Write a chart as its ending says: a page with all its scripts in it, a picture, or Vega-Lite's JSON.

    Raises:
        RnnbenchError: the file cannot be written.
    """
    import vl_convert

    spec, kind = chart.to_dict(), path.suffix.lower()
    if kind == ".html":
        write_whole(path, page(spec, title))
    elif kind == ".json":
        write_whole(path, json.dumps(spec, ensure_ascii=False))
    elif kind == ".svg":
        write_whole(path, vl_convert.vegalite_to_svg(spec))
    else:
        _write_picture(path, vl_convert.vegalite_to_png(spec, scale=2))


def write_png(path: Path, svg: str) -> None:
    """Write an SVG picture as PNG.

    Raises:
        RnnbenchError: the file cannot be written.
    """
    import vl_convert

    _write_picture(path, vl_convert.svg_to_png(svg, scale=2))


def _write_picture(path: Path, picture: bytes) -> None:
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise RnnbenchError(f"cannot write {path}: {error.strerror}") from error


def page(spec: Row, title: str) -> str:
    """A page that shows a chart without any network; nothing in the chart's data can leave its script."""
    data = json.dumps(spec, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        "<style>body { margin: 24px; font-family: sans-serif; background: white }</style></head>\n"
        f'<body>\n<div id="chart"></div>\n<script type="module">\n{scripts()}\n'
        f'window.vegaEmbed("#chart", {data}, {{actions: {{export: true, source: false, editor: false}}}});\n'
        "</script>\n</body>\n</html>\n"
    )


@cache
def scripts() -> str:
    """Vega, Vega-Lite and Vega-Embed, in one."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


def look(chart: Any, title: str, subtitle: str) -> Any:
    """A whole chart in the house's look: light, readable, no frame."""
    import altair as alt

    return (
        chart.properties(title=alt.Title(title, subtitle=subtitle, anchor="start", offset=16))
        .configure(background="white", padding=16, font="sans-serif")
        .configure_view(stroke="#dddddd")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#eeeeee")
        .configure_title(fontSize=16, subtitleFontSize=12, subtitleColor="#555555")
        .configure_header(labelFontSize=13, titleFontSize=12)
        .configure_legend(labelFontSize=12, titleFontSize=12, labelLimit=300, symbolStrokeWidth=3, symbolSize=200)
    )


def data(rows: Sequence[Row]) -> Any:
    """Rows of data as they are."""
    import altair as alt

    make: Any = alt.Data  # has no types
    return make(values=list(rows))
