"""Charts of what goes on inside, by Altair, and their files: pages that need nothing else, and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.files import write_whole

if TYPE_CHECKING:
    import altair as alt

FORMATS = (".html", ".json", ".png", ".svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B5E3C", "#7F7F7F", "#6A3D9A")
"""Told apart by people with any colour vision (Okabe & Ito 2008, and three more)."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
SMALLEST, LARGEST = 1e-8, 1e6
"""A logarithmic axis shows no more than this."""
Row = dict[str, Any]


# --- files


def check_plot(path: Path) -> None:
    """Check that a chart can be written to a file, before any work is done for it.

    Raises:
        RnnbenchError: an unknown format, no such folder, or the charts' packages are not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise unknown("format of a picture", path.suffix or path.name, FORMATS, str(path))
    if not path.parent.is_dir():
        raise RnnbenchError(f"there is no folder {path.parent} for {path.name}")
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise RnnbenchError("pictures need altair and vl-convert-python: pip install 'rnnbench[plots]'") from error


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
        picture: bytes = vl_convert.vegalite_to_png(spec, scale=2)
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


# --- gradients through time


@dataclass(frozen=True)
class Curves:
    """Gradients of one architecture, `when`: before or after training, by distance.

    Args:
        architecture: its name.
        when: `before training` or `after training`.
        jacobian: largest singular value of ∂s_T/∂s_{T−d}; empty if not taken.
        median: the median of its singular values.
        loss: ‖∂L_T/∂s_{T−d}‖ of the top layer.
    """

    architecture: str
    when: str
    jacobian: Sequence[float]
    median: Sequence[float]
    loss: Sequence[float]


def gradient_chart(curves: Sequence[Curves], title: str, subtitle: str = "") -> alt.TopLevelMixin:
    """‖∂s_T/∂s_{T−d}‖, and ‖∂L_T/∂s_{T−d}‖ as a share of that at d = 0, by architecture, before and after training."""
    import altair as alt

    names = list(dict.fromkeys(one.architecture for one in curves))
    whens = list(dict.fromkeys(one.when for one in curves))
    jacobian = [row for one in curves for row in _rows(one, one.jacobian)]
    loss = [
        row for one in curves for row in _rows(one, [value / one.loss[0] if one.loss[0] else 0.0 for value in one.loss])
    ]
    panels = []
    if jacobian:
        panels.append(_panels(jacobian, "largest singular value of ∂s(T)/∂s(T−d)", names, whens, rule=None))
    panels.append(_panels(loss, "‖∂L(T)/∂s(T−d)‖, share of d = 0", names, whens, rule=0.01))
    return look(alt.vconcat(*panels, spacing=28), title, subtitle)  # type: ignore[no-any-return]


def _rows(one: Curves, values: Sequence[float]) -> Iterable[Row]:
    """What of a curve a logarithmic axis can show."""
    for distance, value in enumerate(values):
        if 0 < value < float("inf"):
            yield {"architecture": one.architecture, "when": one.when, "distance": distance, "value": value}


def _panels(rows: list[Row], what: str, names: list[str], whens: list[str], rule: float | None) -> Any:
    """One panel for each of `whens`, side by side, with one pair of axes."""
    import altair as alt

    shown = [row["value"] for row in rows] + ([rule] if rule else [])
    bounds = [max(SMALLEST, min(shown) / 2), min(LARGEST, max(shown) * 2)]
    colour = alt.Color(
        "architecture:N", sort=names, title=None, scale=alt.Scale(domain=names, range=_cycled(COLOURS, len(names)))
    )
    dash = alt.StrokeDash(
        "architecture:N", sort=names, title=None, scale=alt.Scale(domain=names, range=_cycled(DASHES, len(names)))
    )
    lines = (
        alt.Chart()
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("distance:Q", title="distance d, steps", axis=alt.Axis(tickCount=6)),
            y=alt.Y(
                "value:Q", title=what, scale=alt.Scale(type="log", domain=bounds, nice=False),
                axis=alt.Axis(format=".0e", tickCount=7),
            ),
            color=colour,
            strokeDash=dash,
            tooltip=["architecture:N", "distance:Q", alt.Tooltip("value:Q", format=".3e")],
        )
    )  # fmt: skip
    layers = [lines]
    if rule is not None:
        layers.append(alt.Chart().mark_rule(color="#888888", strokeDash=[4, 4]).encode(y=alt.datum(rule)))
    return (
        alt.layer(*layers, data=_data(rows))
        .properties(width=360, height=230)
        .facet(column=alt.Column("when:N", title=None, sort=whens))
    )


def _data(rows: Sequence[Row]) -> Any:
    import altair as alt

    make: Any = alt.Data  # has no types
    return make(values=list(rows))


def _cycled(values: Sequence[Any], count: int) -> list[Any]:
    return [values[k % len(values)] for k in range(count)]


# --- training


def training_chart(rows: Sequence[Row], title: str, subtitle: str = "") -> alt.TopLevelMixin:
    """How far back gradients reached, and how often clipping acted, during training.

    `rows` have `architecture`, `step`, `measure` (a panel's title) and `value`.
    """
    import altair as alt

    names = list(dict.fromkeys(row["architecture"] for row in rows))
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    chart = (
        alt.Chart(_data(rows))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=30))
        .encode(
            x=alt.X("step:Q", title="optimiser step"),
            y=alt.Y("value:Q", title=None),
            color=alt.Color("architecture:N", sort=names, title=None,
                            scale=alt.Scale(domain=names, range=_cycled(COLOURS, len(names)))),
            tooltip=["architecture:N", "step:Q", "value:Q"],
        )
        .properties(width=360, height=180)
        .facet(alt.Facet("measure:N", title=None, sort=measures), columns=2)
        .resolve_scale(y="independent")
    )  # fmt: skip
    return look(chart, title, subtitle)  # type: ignore[no-any-return]


# --- gates


@dataclass(frozen=True)
class Panel:
    """Values of one gate or state over a sequence.

    Args:
        name: what it is, with its function.
        values: `[T][units]`.
        units: numbers of the units.
    """

    name: str
    values: Sequence[Sequence[float]]
    units: Sequence[int]


def gates_chart(panels: Sequence[Panel], tokens: Sequence[str], title: str, subtitle: str = "") -> alt.TopLevelMixin:
    """A heat map for each gate and state, tokens along the axis; from 0 to 1, or from −m to m around 0."""
    import altair as alt

    return look(  # type: ignore[no-any-return]
        alt.vconcat(*(_heat(panel, tokens) for panel in panels), spacing=18).resolve_scale(color="independent"),
        title,
        subtitle,
    )


def _heat(panel: Panel, tokens: Sequence[str]) -> Any:
    import altair as alt

    every = [value for row in panel.values for value in row]
    share = all(0 <= value <= 1 for value in every)
    most = max((abs(value) for value in every), default=0.0) or 1.0
    scale = alt.Scale(scheme="viridis", domain=[0, 1]) if share else alt.Scale(
        scheme="blueorange", domain=[-most, most], domainMid=0
    )  # fmt: skip
    rows = [
        {"t": t, "unit": unit, "value": round(value, 5)}
        for t, values in enumerate(panel.values)
        for unit, value in zip(panel.units, values, strict=True)
    ]
    words = max(map(len, tokens), default=1) > 1
    labels = f"{json.dumps(list(tokens), ensure_ascii=False)}[datum.value]"
    axis = alt.Axis(labelExpr=labels, labelAngle=-90 if words else 0, labelOverlap=False, labelLimit=90, ticks=False)
    return (
        alt.Chart(_data(rows))
        .mark_rect()
        .encode(
            x=alt.X("t:O", title=None, axis=axis),
            y=alt.Y("unit:O", title="unit", axis=alt.Axis(labelOverlap=True, ticks=False)),
            color=alt.Color("value:Q", scale=scale, title=None, legend=alt.Legend(gradientLength=100)),
            tooltip=["t:Q", "unit:O", alt.Tooltip("value:Q", format=".3f")],
        )
        .properties(
            width=max(300, min(1100, (16 if words else 13) * len(tokens))),
            height=max(60, min(220, 6 * len(panel.units))),
            title=alt.Title(panel.name, anchor="start", fontSize=13),
        )
    )
