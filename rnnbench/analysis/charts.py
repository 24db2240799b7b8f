"""Charts by Altair: scores, gates, gradients, piano rolls, forecasts, words; saved as whole pages or pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rnnbench.analysis.word_map import MapWord, place_labels
from rnnbench.data.abc_notation import OCTAVE, Note, pitch_name
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.extras import check_extra
from rnnbench.utils.files import write_whole

if TYPE_CHECKING:
    import altair as alt

FORMATS = (".html", ".json", ".png", ".svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B5E3C", "#7F7F7F", "#6A3D9A")
"""Distinguishable with any colour vision (Okabe & Ito 2008, and three more)."""
Row = dict[str, Any]


def check_plot(path: Path) -> None:
    """Check that a chart can be written to a file, before it is computed.

    Raises:
        RnnbenchError: an unknown format, no such folder, or the charts' packages are not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise unknown("format of a picture", path.suffix or path.name, FORMATS, str(path))
    if not path.parent.is_dir():
        raise RnnbenchError(f"there is no folder {path.parent} for {path.name}")
    check_extra("plots", f"the picture {path.name}")


def save(chart: alt.TopLevelMixin, path: Path, title: str) -> None:
    """Write a chart in the format of the file's ending: a page with all its scripts, a picture, or Vega-Lite's JSON.

    Raises:
        RnnbenchError: the file cannot be written.
    """
    import vl_convert

    spec, kind = chart.to_dict(), path.suffix.lower()
    if kind == ".html":
        write_whole(path, html_page(spec, title))
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


def html_page(spec: Row, title: str) -> str:
    """A page that shows a chart without a network; data in it cannot break out of its script element."""
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
    """Vega, Vega-Lite and Vega-Embed in a single script."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


def house_style(chart: Any, title: str, subtitle: str) -> Any:
    """A chart with title and the common style of all charts."""
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
    """Inline data of a chart."""
    import altair as alt

    make: Any = alt.Data  # has no types
    return make(values=list(rows))


# --- gates


@dataclass(frozen=True)
class Panel:
    """Values of one gate or state over a sequence.

    Args:
        name: of the gate or state, with its function.
        values: `[T][units]`.
        units: indices of the units.
    """

    name: str
    values: Sequence[Sequence[float]]
    units: Sequence[int]


def gates_chart(panels: Sequence[Panel], tokens: Sequence[str], title: str, subtitle: str = "") -> alt.TopLevelMixin:
    """A heat map for each gate and state, tokens along the axis; from 0 to 1, or from −m to m around 0."""
    import altair as alt

    return house_style(  # type: ignore[no-any-return]
        alt.vconcat(*(_heat_map(panel, tokens) for panel in panels), spacing=18).resolve_scale(color="independent"),
        title,
        subtitle,
    )


def _heat_map(panel: Panel, tokens: Sequence[str]) -> Any:
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
    words = sum(map(len, tokens)) > 1.5 * len(tokens)
    labels = f"{json.dumps(list(tokens), ensure_ascii=False)}[datum.value]"
    axis = alt.Axis(labelExpr=labels, labelAngle=-90 if words else 0, labelOverlap=False, labelLimit=90, ticks=False)
    return (
        alt.Chart(data(rows))
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


# --- gradients


DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
AXIS_MIN, AXIS_MAX = 1e-8, 1e6
"""Limits of a logarithmic axis."""
LARGEST, MEDIAN = "largest", "median"
VANISHED = 0.01
"""The share below which a gradient counts as vanished."""


@dataclass(frozen=True)
class GradientCurves:
    """Gradients of an architecture by distance, before or after training.

    Args:
        architecture: its name.
        when: `before training` or `after training`.
        jacobian: largest singular value of ∂s(T)/∂s(T−d); empty if not computed.
        median: the median of its singular values.
        loss: ‖∂L(T)/∂s(T−d)‖ of the top layer.
        shares: share of step T − d in ∂L(T)/∂W of the top layer, a signed projection; empty if not computed.
        norms: norm of that step's term, as a share of that of the whole gradient.
    """

    architecture: str
    when: str
    jacobian: Sequence[float]
    median: Sequence[float]
    loss: Sequence[float]
    shares: Sequence[float] = ()
    norms: Sequence[float] = ()


def gradient_chart(
    curves: Sequence[GradientCurves], title: str, subtitle: str = "", training: Sequence[Row] = ()
) -> alt.TopLevelMixin:
    """Singular values of ∂s(T)/∂s(T−d), ‖∂L(T)/∂s(T−d)‖ as a share of that at d = 0, and the shares and norms of the
    terms of ∂L(T)/∂W, before and after training.

    `training` has values that were logged while training: rows with `architecture`, `step`, `measure` (the title of a
    panel) and `value`.
    """
    import altair as alt

    names = list(dict.fromkeys(one.architecture for one in curves))
    whens = list(dict.fromkeys(one.when for one in curves))
    colour = alt.Color("architecture:N", sort=names, title=None, scale=_colour_scale(names, COLOURS))
    dash = alt.StrokeDash("architecture:N", sort=names, title=None, scale=_colour_scale(names, DASHES))
    jacobian = [
        row
        for one in curves
        for row in (*_curve_rows(one, LARGEST, one.jacobian), *_curve_rows(one, MEDIAN, one.median))
    ]
    loss = [
        row for one in curves for row in _curve_rows(one, "loss", [value / (one.loss[0] or 1.0) for value in one.loss])
    ]
    panels = []
    if jacobian:
        panels.append(
            _distance_panels(
                jacobian, "singular values of ∂s(T)/∂s(T−d)", whens, [colour, dash, _singular_value_opacity()]
            )
        )
    panels.append(_distance_panels(loss, "‖∂L(T)/∂s(T−d)‖, share of d = 0", whens, [colour, dash], rule=VANISHED))
    shares = [row for one in curves for row in _curve_rows(one, "share", one.shares, above=-math.inf)]
    norms = [row for one in curves for row in _curve_rows(one, "norm", one.norms)]
    if shares:
        panels.append(_distance_panels(shares, "share of step T−d in ∂L(T)/∂W", whens, [colour, dash], log=False))
        panels.append(_distance_panels(norms, "‖term of step T−d‖ / ‖∂L(T)/∂W‖", whens, [colour, dash]))
    if training:
        panels.append(_training_panels(training, [colour, dash]))
    return house_style(alt.vconcat(*panels, spacing=28), title, subtitle)  # type: ignore[no-any-return]


def _curve_rows(one: GradientCurves, kind: str, values: Sequence[float], above: float = 0.0) -> Iterable[Row]:
    """The points of a curve that are finite and greater than `above`; by default a logarithmic axis can show them."""
    for distance, value in enumerate(values):
        if above < value < math.inf:
            yield {
                "architecture": one.architecture, "when": one.when, "kind": kind, "distance": distance, "value": value,
            }  # fmt: skip


def _distance_panels(
    rows: list[Row], what: str, whens: list[str], channels: list[Any], rule: float | None = None, log: bool = True
) -> Any:
    """A panel for each of `whens`, side by side, with common axes; the vertical one is logarithmic, or linear."""
    import altair as alt

    shown = [row["value"] for row in rows] + ([rule] if rule else [])
    bounds = [max(AXIS_MIN, min(shown) / 2), min(AXIS_MAX, max(shown) * 2)]
    scale = alt.Scale(type="log", domain=bounds, nice=False) if log else alt.Scale()
    layers = [
        alt.Chart()
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            *channels,
            alt.X("distance:Q", title="distance d, steps", axis=alt.Axis(tickCount=6)),
            alt.Y("value:Q", title=what, scale=scale, axis=alt.Axis(format=".0e" if log else "~g", tickCount=7)),
            tooltip=["architecture:N", "kind:N", "distance:Q", alt.Tooltip("value:Q", format=".3e")],
        )
    ]
    if rule is not None:
        layers.append(alt.Chart().mark_rule(color="#888888", strokeDash=[4, 4]).encode(y=alt.datum(rule)))
    return (
        alt.layer(*layers, data=data(rows))
        .properties(width=360, height=230)
        .facet(column=alt.Column("when:N", title=None, sort=whens))
    )


def _training_panels(rows: Sequence[Row], channels: list[Any]) -> Any:
    """A panel for each measure, two side by side."""
    import altair as alt

    return (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=2)
        .encode(
            *channels,
            alt.X("step:Q", title="optimiser step", axis=alt.Axis(tickCount=6)),
            alt.Y("value:Q", title=None),
            tooltip=["architecture:N", "step:Q", "value:Q"],
        )
        .properties(width=360, height=160)
        .facet(alt.Facet("measure:N", title=None, sort=list(dict.fromkeys(row["measure"] for row in rows))), columns=2)
        .resolve_scale(y="independent")
    )


def _singular_value_opacity() -> Any:
    """Opacity of singular values: the largest is dark, the median light."""
    import altair as alt

    scale = alt.Scale(domain=[LARGEST, MEDIAN], range=[1.0, 0.3])
    return alt.Opacity("kind:N", sort=[LARGEST, MEDIAN], title="singular value", scale=scale)


def _colour_scale(names: list[str], values: Sequence[Any]) -> Any:
    import altair as alt

    return alt.Scale(domain=names, range=[values[k % len(values)] for k in range(len(names))])


# --- piano rolls and forecasts


LOWEST_C = 12
GREY = "#999999"


def rolls_chart(pieces: Mapping[str, Sequence[Note]], given: float, title: str, subtitle: str = "") -> Any:
    """Piano rolls, one below the other: keys over time in quarter notes; notes before `given` are grey."""
    import altair as alt

    return house_style(
        alt.vconcat(*(_piano_roll(name, notes, given) for name, notes in pieces.items())), title, subtitle
    )


def _piano_roll(name: str, notes: Sequence[Note], given: float) -> Any:
    import altair as alt

    rows = [
        {"start": one.start, "end": one.start + one.length, "low": one.pitch - 0.45, "high": one.pitch + 0.45,
         "key": pitch_name(one.pitch), "by": "given" if one.start < given else "the model"}
        for one in notes
    ]  # fmt: skip
    lowest, highest = min(one.pitch for one in notes) - 2, max(one.pitch for one in notes) + 2
    octaves = [pitch for pitch in range(LOWEST_C, 128, OCTAVE) if lowest <= pitch <= highest]
    axis = alt.Axis(values=octaves, labelExpr="'C' + (datum.value / 12 - 1)", title=None)
    colour = alt.Color("by:N", title=None, scale=alt.Scale(domain=["given", "the model"], range=[GREY, COLOURS[0]]),
                       legend=alt.Legend(orient="top") if given else None)  # fmt: skip
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_rect()
        .encode(
            x=alt.X("start:Q", title="quarter notes"),
            x2="end:Q",
            y=alt.Y("low:Q", axis=axis, scale=alt.Scale(domain=[lowest, highest], zero=False)),
            y2="high:Q",
            color=colour,
            tooltip=["key:N", "start:Q"],
        )
        .properties(
            width=900, height=max(80, 5 * (highest - lowest)), title=alt.Title(name, anchor="start", fontSize=13)
        )
    )


def forecast_chart(windows: Sequence[Mapping[str, Any]], title: str) -> Any:
    """A window with the forecasts of its end, a panel for each channel, above the errors of the forecasts by step."""
    import altair as alt

    horizon, alone = len(windows[0]["free"]), len(windows) == 1
    names = {
        "measured": "measured",
        "continuous": "continuous (inputs measured)",
        "free": "autoregressive (on its own)",
        "persistence": "persistence (the last value)",
    }
    errors = ("continuous", "free", "persistence")
    rows = [row for key in errors for row in _step_rows(names[key], windows[0][f"{key}_error"])]
    scale = alt.Scale(domain=list(names.values()), range=["#000000", *COLOURS[:2], GREY])
    colour = alt.Color("what:N", sort=list(names.values()), title=None, scale=scale)
    size = {"width": 760, "height": 240} if alone else {"width": 340, "height": 150}
    panels = [
        alt.layer(*_fan_bands(one), _line_chart(_window_rows(one, names), one["unit"], colour)).properties(
            **size, title=one["channel"]
        )
        if one.get("fan")
        else _line_chart(_window_rows(one, names), one["unit"], colour).properties(**size, title=one["channel"])
        for one in windows
    ]
    above = alt.concat(*panels, columns=1 if alone else 2)
    below = _line_chart(rows, "rmse, standard deviations, whole test part", colour).properties(width=760, height=240)
    bands = "; bands hold 20, 40, 60 and 80 % of the sampled futures" if windows[0].get("fan") else ""
    first = windows[0]
    where = f"{first['place']} from {first['times'][0]} UTC, " if first.get("times") else ""
    subtitle = f"{where}{horizon} steps ahead; step 0 is the last that was measured{bands}"
    return house_style(alt.vconcat(above, below), title, subtitle)


def range_chart(found: Mapping[str, Any], title: str) -> Any:
    """A window at several offsets, the range of values of training shaded, above the errors by the offset."""
    import altair as alt

    names = {
        "measured": "measured, moved",
        "free": "forecast, on its own",
        "persistence": "persistence (the last value)",
    }
    scale = alt.Scale(domain=list(names.values()), range=["#000000", COLOURS[1], GREY])
    colour = alt.Color("what:N", sort=list(names.values()), title=None, scale=scale, legend=alt.Legend(orient="top"))
    unit = f"{found['channel']}, {found['unit']}"
    band = {"low": found["low"], "high": found["high"]}
    every = [value for one in found["windows"] for key in ("past", "measured", "free") for value in one[key]]
    known = [value for value in every if value is not None]
    limits = alt.Scale(domain=[min(*known, found["low"]), max(*known, found["high"])])
    panels = []
    for one in found["windows"]:
        rows = [
            {"step": step - len(one["past"]) + 1, "value": value, "what": names["measured"]}
            for step, value in enumerate(one["past"])
        ] + [row for key in ("measured", "free") for row in _step_rows(names[key], one[key])]
        shade = (
            alt.Chart(data([band]))
            .mark_rect(color=COLOURS[0], opacity=0.12)
            .encode(y=alt.Y("low:Q", scale=limits), y2="high:Q")
        )
        lines = _line_chart(rows, unit, colour).encode(y=alt.Y("value:Q", title=unit, scale=limits))
        moved = f"moved by {one['offset']:+.3g}" if one["offset"] else "as measured"
        panels.append(alt.layer(shade, lines).properties(width=270, height=220, title=alt.Title(moved, fontSize=13)))
    width = found["high"] - found["low"]
    inside = alt.Chart(data([{"from": -width, "to": width}])).mark_rect(color=COLOURS[0], opacity=0.12)
    errors = [
        {"offset": offset, "value": value, "outside": outside, "what": names[key]}
        for key in ("free", "persistence")
        for offset, outside, value in zip(found["offsets"], found["outside"], found[f"{key}_error"], strict=True)
    ]
    below = (
        alt.Chart(data(errors))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=24))
        .encode(
            x=alt.X("offset:Q", title="offset of the windows; shaded as far as some values are still in the range"),
            y=alt.Y("value:Q", title=f"rmse, {found['unit']}", scale=alt.Scale(zero=True)),
            color=colour,
            tooltip=["what:N", "offset:Q", "value:Q", alt.Tooltip("outside:Q", format=".0%")],
        )
    )
    errors_chart = alt.layer(inside.encode(x="from:Q", x2="to:Q"), below).properties(
        width=900, height=240, title=alt.Title("errors over the whole test part", fontSize=13)
    )
    subtitle = "shaded: the range of values of training; inputs and true values are moved alike, by the same offset"
    return house_style(alt.vconcat(alt.hconcat(*panels), errors_chart, spacing=24), title, subtitle)


def _fan_bands(one: Mapping[str, Any]) -> list[Any]:
    """The central intervals between quantiles of a forecast, the widest first."""
    import altair as alt

    quantiles = list(zip(*one["fan"], strict=True))
    bands = []
    for low, high in zip(quantiles[: len(quantiles) // 2], quantiles[::-1], strict=False):
        rows = [{"step": step, "low": a, "high": b} for step, (a, b) in enumerate(zip(low, high, strict=True), 1)]
        bands.append(
            alt.Chart(alt.InlineData(values=rows))
            .mark_area(color=COLOURS[1], opacity=0.16)
            .encode(x="step:Q", y=alt.Y("low:Q", title=one["unit"], scale=alt.Scale(zero=False)), y2="high:Q")
        )
    return bands


def _window_rows(one: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of a channel: measured values, and the forecasts of its end."""
    past = one["past"]
    lines = [{"step": step - len(past) + 1, "value": value, "what": "measured"} for step, value in enumerate(past)]
    return lines + [row for key in ("measured", "continuous", "free") for row in _step_rows(names[key], one[key])]


def _step_rows(what: str, values: Sequence[float | None]) -> list[dict[str, Any]]:
    """Rows of known values; the first value is that of step 1."""
    return [{"step": step, "value": one, "what": what} for step, one in enumerate(values, 1) if one is not None]


def _line_chart(rows: list[dict[str, Any]], what: str, colour: Any) -> Any:
    import altair as alt

    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", title=what, scale=alt.Scale(zero=False)),
            color=colour,
            tooltip=["what:N", "step:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )


# --- scores


def scores_chart(panels: Sequence[Mapping[str, Any]], title: str) -> Any:
    """Test scores, a panel for each task: a dot for each seed, a tick for the mean, a line for its 95 % interval.

    Args:
        panels: each with `title`; `scores` of each seed and `intervals` (two ends, or None), by architecture; `chance`,
            which is a dashed line unless it is None.
        title: of the chart.
    """
    import altair as alt

    charts = [_score_panel(alt, one).properties(width=420, title=one["title"]) for one in panels]
    return house_style(alt.concat(*charts, columns=2 if len(charts) > 1 else 1).resolve_scale(x="independent"), title,
                       "a dot: a seed; the tick and the line: mean and 95 % interval; dashed: chance")  # fmt: skip


def _score_panel(alt: Any, one: Mapping[str, Any]) -> Any:
    means = [
        {
            "architecture": name,
            "mean": fmean(scores),
            **dict(zip(("low", "high"), one["intervals"][name] or (), strict=False)),
        }
        for name, scores in one["scores"].items()
    ]
    dots = [{"architecture": name, "score": score} for name, scores in one["scores"].items() for score in scores]
    y = alt.Y("architecture:N", sort=list(one["scores"]), title=None)
    x = alt.X("score:Q", title=None, scale=alt.Scale(zero=False))
    tips = [alt.Tooltip("architecture:N"), alt.Tooltip("mean:Q"), alt.Tooltip("low:Q"), alt.Tooltip("high:Q")]
    base = alt.Chart(data(means)).encode(y=y, tooltip=tips)
    rules = base.transform_filter("isValid(datum.low)").mark_rule(color=COLOURS[0], strokeWidth=2)
    layers = [
        rules.encode(x=alt.X("low:Q", title=None, scale=alt.Scale(zero=False)), x2="high:Q"),
        base.mark_tick(color=COLOURS[0], thickness=3, size=16).encode(x="mean:Q"),
        alt.Chart(data(dots)).mark_point(filled=True, opacity=0.7, color=COLOURS[1], size=40).encode(x=x, y=y),
    ]
    if one["chance"] is not None:
        layers.append(alt.Chart(data([{"chance": one["chance"]}])).mark_rule(strokeDash=[4, 3]).encode(x="chance:Q"))
    return alt.layer(*layers)


# --- words


MAP_WIDTH, MAP_HEIGHT, MAP_MARGIN = 960, 680, 72
"""Pixels of a map at most, and between its outermost points and its edges."""
FONT, ASKED_FONT = 12, 15
"""Sizes of letters of a label; of a word that was asked for."""


def word_map_chart(
    words: Sequence[MapWord], points: Sequence[Sequence[float]], shares: Sequence[float], title: str, subtitle: str
) -> Any:
    """Words at their `points` `[N, 2]`, both axes with the same scale; `shares` are those of the variance on each.

    Words that were asked for are bold, and their neighbours have their colour. Labels are placed beside their points in
    the order of `words`, so that none covers another; a word for whose label there is no room is a dot.
    """
    import altair as alt

    xs, ys = zip(*points, strict=True)
    wide, high = (max(values) - min(values) for values in (xs, ys))
    unit = max(wide / (MAP_WIDTH - 2 * MAP_MARGIN), high / (MAP_HEIGHT - 2 * MAP_MARGIN)) or 1.0  # of a pixel
    height = max(240.0, high / unit + 2 * MAP_MARGIN)
    left, top = (min(xs) + max(xs) - MAP_WIDTH * unit) / 2, (min(ys) + max(ys) + height * unit) / 2
    pixels = [((x - left) / unit, (top - y) / unit) for x, y in points]
    fonts = [ASKED_FONT if one.asked else FONT for one in words]
    boxes = place_labels(
        pixels, [(0.6 * font * len(one.word), 1.1 * font) for one, font in zip(words, fonts, strict=True)]
    )
    rows = [
        {"x": x, "y": y, "word": one.word, "group": one.group}
        for one, (x, y) in zip(words, points, strict=True)
    ]  # fmt: skip
    labels = [
        {
            "x": left + (box.left + box.right) / 2 * unit, "y": top - (box.top + box.bottom) / 2 * unit,
            "word": one.word, "group": one.group, "asked": one.asked,
        }
        for one, box in zip(words, boxes, strict=True) if box is not None
    ]  # fmt: skip
    groups = list(dict.fromkeys(one.group for one in words))
    colour = alt.Color("group:N", sort=groups, legend=None, scale=_colour_scale(groups, COLOURS))
    x, y = (
        alt.X("x:Q", title=f"first principal component, {shares[0]:.0%} of the variance",
              scale=alt.Scale(domain=[left, left + MAP_WIDTH * unit], nice=False), axis=alt.Axis(tickCount=6)),
        alt.Y("y:Q", title=f"second, {shares[1]:.0%}",
              scale=alt.Scale(domain=[top - height * unit, top], nice=False), axis=alt.Axis(tickCount=6)),
    )  # fmt: skip
    dots = alt.Chart(data(rows)).mark_circle(size=36, opacity=0.9).encode(x, y, colour, tooltip=["word:N"])
    styles: list[tuple[bool, int, Any]] = [(False, FONT, "normal"), (True, ASKED_FONT, "bold")]
    texts = [
        alt.Chart(data([row for row in labels if row["asked"] == asked]))
        .mark_text(align="center", baseline="middle", fontSize=font, fontWeight=weight)
        .encode(x, y, colour, text="word:N")
        for asked, font, weight in styles
    ]
    missing = sum(box is None for box in boxes)
    if missing:
        subtitle += f"; {missing} without a label, for lack of room"
    return house_style(alt.layer(dots, *texts).properties(width=MAP_WIDTH, height=height), title, subtitle)
