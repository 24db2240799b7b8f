"""Charts of the page as Vega and Vega-Lite, without their data: the page lays that in when it draws one."""

import json
from importlib.metadata import version
from typing import Any

from rnnbench.leaderboard.html.assets import kept
from rnnbench.utils.fingerprint import digest, source_digest

DATA = "rows"
FULL = "container"
PICKED = "datum.picked"


def chart_specs() -> dict[str, dict[str, Any]]:
    """Each chart by name; its data is the set `rows`. Kept, as to make them takes as long as the page itself."""
    made = digest([version("altair"), source_digest(__name__)])
    specs: dict[str, dict[str, Any]] = json.loads(kept(f"charts-{made}", lambda: json.dumps(drawn())))
    return specs


def drawn() -> dict[str, dict[str, Any]]:
    """The same, made by Altair; the chart of costs is Vega, whose labels avoid each other."""
    import altair as alt

    made = {
        "seeds": _seeds(alt),
        "score": _curve(alt, "score", "validation score"),
        "loss": _curve(alt, "loss", "training loss"),
        "lengths": _lines(alt, "length", "length of the sequence", shaded=True),
        "curves": _lines(alt, "step", "optimiser step", shaded=False),
        "lengths_by_seed": _lengths_by_seed(alt),
        "trials": _trials(alt),
    }
    return {name: _bare(chart) for name, chart in made.items()} | {"cost": _cost()}


def _bare(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    return {name: value for name, value in spec.items() if name not in {"$schema", "config"}}


def _seeds(alt: Any) -> Any:
    """Each seed a dot, on an axis that the page sets from chance to the ceiling."""
    base = alt.Chart(alt.NamedData(DATA), width=FULL, height=70, description="test score of each seed, a dot each")
    points = (
        base.transform_filter("isValid(datum.seed)")
        .mark_point(filled=True, size=90, opacity=0.75)
        .encode(
            x=alt.X("score:Q").scale(zero=False, nice=False).title("test score"),
            tooltip=[alt.Tooltip("seed:N"), alt.Tooltip("score:Q")],
        )
    )
    marks = base.transform_filter("isValid(datum.mark)")
    rules = marks.mark_rule(strokeDash=[4, 3]).encode(x="score:Q")
    side = alt.ExprRef("datum.side == 'left' ? 'left' : 'right'")
    names = marks.mark_text(baseline="top", dx=0, fontSize=11, align=side).encode(
        x="score:Q", y=alt.value(0), text="mark:N"
    )
    return rules + names + points


def _curve(alt: Any, name: str, title: str) -> Any:
    """Validation score or training loss over steps, a line for each seed."""
    chart = alt.Chart(
        alt.NamedData(DATA), width=FULL, height=170, description=f"{title} over steps, a line for each seed"
    )
    return chart.mark_line(point={"size": 18}, strokeWidth=1.5).encode(
        x=alt.X("step:Q").scale(nice=False).axis(tickMinStep=1, labelOverlap=True).title("optimiser step"),
        y=alt.Y(f"{name}:Q").scale(zero=False).title(title),
        color=alt.Color("seed:N").title("seed").legend(orient="top"),
        tooltip=[alt.Tooltip("seed:N"), alt.Tooltip("step:Q"), alt.Tooltip(f"{name}:Q")],
    )


def _lines(alt: Any, along: str, title: str, shaded: bool) -> Any:
    """Means over seeds, a line for each architecture: those that are picked with colour, dashes, a band from the lowest
    to the highest seed and their name; the others thin and grey. The page sets the colours, and
    leaves out a layer that would be empty.
    """
    description = f"score by {title}, a line for each architecture"
    base = alt.Chart(alt.NamedData(DATA), width=FULL, height=380, description=description)
    x = alt.X(f"{along}:Q").scale(zero=shaded, nice=False).axis(tickMinStep=1, labelOverlap=True).title(title)
    y = alt.Y("score:Q").scale(zero=False).title("score")
    color = (
        alt.Color("label:N")
        .title(None)
        .legend(orient="top", columns=8, symbolType="stroke", symbolSize=500, symbolOpacity=1, symbolStrokeWidth=2.5)
    )
    dash = alt.StrokeDash("label:N").title(None)
    tips = [alt.Tooltip("label:N"), alt.Tooltip(f"{along}:Q"), alt.Tooltip("score:Q"), alt.Tooltip("n:Q")]
    others = (
        base.transform_filter(f"!{PICKED}")
        .mark_line(strokeWidth=1, opacity=0.35, color="#8a94a3")
        .encode(x=x, y=y, detail="label:N", tooltip=tips)
        .properties(name="others")
    )
    picked = base.transform_filter(PICKED)
    band = picked.mark_area(opacity=0.13, strokeWidth=0).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=color)
    lines = picked.mark_line(strokeWidth=2.2, point={"size": 24}).encode(
        x=x, y=y, color=color, strokeDash=dash, tooltip=tips
    )
    return alt.layer(*([_trained(alt, base, title)] if shaded else []), others, band, lines)


def _trained(alt: Any, base: Any, title: str) -> Any:
    """The lengths of training as a shade."""
    return (
        base.transform_aggregate(trained_to="max(trained_to)")
        .transform_calculate(start="0")
        .mark_rect(opacity=0.12)
        .encode(x=alt.X("start:Q").title(title), x2="trained_to:Q")
    )


def _lengths_by_seed(alt: Any) -> Any:
    """Test score over the length of sequences, a line for each seed; lengths of training are shaded."""
    description = "test score by length, a line for each seed"
    base = alt.Chart(alt.NamedData(DATA), width=FULL, height=240, description=description)
    title = "length of the sequence"
    tips = [alt.Tooltip("seed:N"), alt.Tooltip("length:Q"), alt.Tooltip("score:Q")]
    lines = base.mark_line(point={"size": 22}).encode(
        x=alt.X("length:Q").scale(zero=True, nice=False).title(title),
        y=alt.Y("score:Q").scale(zero=False).title("test score"),
        color=alt.Color("seed:N").title("seed").legend(orient="top"), tooltip=tips,
    )  # fmt: skip
    return alt.layer(_trained(alt, base, title), lines)


def _trials(alt: Any) -> Any:
    """Best of k: what the best of so many trials is expected to score on the validation part."""
    base = alt.Chart(
        alt.NamedData(DATA), width=FULL, height=170, description="expected best validation score of k trials"
    )
    return base.mark_line(point=True).encode(
        x=alt.X("trials:Q").axis(tickMinStep=1).title("trials"),
        y=alt.Y("score:Q").scale(zero=False).title("expected best validation score"),
        tooltip=[alt.Tooltip("trials:Q"), alt.Tooltip("score:Q")],
    )


def _cost() -> dict[str, Any]:
    """Score against cost; the Pareto front is a line of steps through its diamonds; labels avoid points and each other,
    those of the front first. The page sets titles and colours.
    """
    x, y = {"scale": "x", "field": "cost"}, {"scale": "y", "field": "score"}
    tips = {"architecture": "label", "score": "score", "cost": "cost", "runs": "n", "backend": "backend"}
    tip = f"{{{', '.join(f'{title}: datum.{field}' for title, field in tips.items())}}}"
    short = "datum.value < 1 ? '~g' : '~s'"  # no prefixes below 1: 600 m is not 0.6 to everybody
    ink = {"signal": "ink"}
    size = {
        "init": "max(200, containerSize()[0])",
        "on": [{"events": {"source": "window", "type": "resize"}, "update": "max(200, containerSize()[0])"}],
    }
    axis = {"labelColor": ink, "titleColor": ink, "domainColor": {"signal": "rule"}, "tickColor": {"signal": "rule"},
            "gridColor": {"signal": "rule"}, "gridOpacity": 0.6, "titleFontWeight": "normal"}  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "description": "score against cost, a point for each architecture; the Pareto front is joined",
        "padding": 4,
        "autosize": {"type": "fit", "contains": "padding"},
        "signals": [
            {"name": "width", **size},
            {"name": "height", "value": 400},
            {"name": "cost_title", "value": "cost"},
            {"name": "score_title", "value": "score"},
            {"name": "ink", "value": "#1b2430"},
            {"name": "rule", "value": "#d5dbe3"},
            {"name": "front_color", "value": "#0b57a4"},
            {"name": "other_color", "value": "#8a94a3"},
        ],
        "data": [
            {"name": DATA, "values": []},
            {
                "name": "front",
                "source": DATA,
                "transform": [
                    {"type": "filter", "expr": "datum.front"},
                    {"type": "collect", "sort": {"field": ["cost", "score"]}},
                ],
            },
        ],
        "scales": [
            {"name": "x", "type": "log", "range": "width", "padding": 34,
             "domain": {"data": DATA, "field": "cost"}, "nice": False},
            {"name": "y", "type": "linear", "range": "height", "padding": 20, "zero": False,
             "domain": {"data": DATA, "field": "score"}, "nice": False},
        ],
        "axes": [
            {"scale": "x", "orient": "bottom", "title": {"signal": "cost_title"}, "tickCount": 6,
             "labelOverlap": True, "grid": True, **axis,
             "encode": {"labels": {"update": {"text": {"signal": f"format(datum.value, {short})"}}}}},
            {"scale": "y", "orient": "left", "title": {"signal": "score_title"}, "grid": True, "tickCount": 6, **axis},
        ],
        "marks": [
            {"type": "line", "name": "front_line", "aria": False, "from": {"data": "front"}, "encode": {"update": {
                "x": x, "y": y, "interpolate": {"value": "step-after"}, "stroke": {"signal": "front_color"},
                "strokeDash": {"value": [5, 3]}, "strokeWidth": {"value": 1.5}}}},
            {"type": "symbol", "name": "points", "aria": False, "from": {"data": DATA}, "encode": {
                "enter": {"tooltip": {"signal": tip}},
                "update": {
                    "x": x, "y": y, "size": {"signal": "datum.front ? 110 : 60"},
                    "shape": {"signal": "datum.front ? 'diamond' : 'circle'"},
                    "fill": {"signal": "datum.front ? front_color : other_color"},
                    "opacity": {"value": 0.9}}}},
            {"type": "text", "from": {"data": "points"}, "encode": {"update": {
                "text": {"field": "datum.label"}, "fontSize": {"value": 11}, "fill": ink,
                "fontWeight": {"signal": "datum.datum.front ? 'bold' : 'normal'"}}},
             "transform": [{
                "type": "label", "avoidMarks": ["points", "front_line"],
                "size": {"signal": "[max(width, 10), max(height, 10)]"},  # a chart that is not shown has no width
                "anchor": ["right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left"],
                "offset": [2], "padding": 0, "sort": {"field": "datum.order"}}]},
        ],
    }  # fmt: skip
