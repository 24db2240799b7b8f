"""Charts of the page as Vega-Lite, without their data: the page lays that in when a chart is looked at."""

import json
from importlib.metadata import version
from typing import Any

from rnnbench.leaderboard.html.assets import kept
from rnnbench.utils.fingerprint import digest, source_digest

DATA = "rows"
FULL = "container"


def chart_specs() -> dict[str, dict[str, Any]]:
    """Each chart by name; its data is the named set `rows`. Kept, as to make them takes as long as the page itself."""
    made = digest([version("altair"), source_digest(__name__)])
    specs: dict[str, dict[str, Any]] = json.loads(kept(f"charts-{made}", lambda: json.dumps(drawn())))
    return specs


def drawn() -> dict[str, dict[str, Any]]:
    """The same, made by Altair."""
    import altair as alt

    made = {
        "seeds": _seeds(alt),
        "score": _curve(alt, "score", "validation score"),
        "loss": _curve(alt, "loss", "training loss"),
        "lengths": _lengths(alt, "label", "architecture"),
        "lengths_by_seed": _lengths(alt, "seed", "seed"),
        "trials": _trials(alt),
        "pareto": _pareto(alt),
    }
    return {name: _bare(chart) for name, chart in made.items()}


def _bare(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    return {name: value for name, value in spec.items() if name not in {"$schema", "config"}}


def _seeds(alt: Any) -> Any:
    """Each seed a dot."""
    points = alt.Chart(alt.NamedData(DATA), width=FULL, height=70, description="test score of each seed, a dot each")
    return points.mark_point(filled=True, size=90, opacity=0.75).encode(
        x=alt.X("score:Q").scale(zero=False).title("test score"),
        tooltip=[alt.Tooltip("seed:N"), alt.Tooltip("score:Q")],
    )


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


def _lengths(alt: Any, by: str, title: str) -> Any:
    """Test score over the length of sequences, a line each; lengths of training are shaded, seeds are a band."""
    description = f"test score by length, a line for each {title}"
    base = alt.Chart(alt.NamedData(DATA), width=FULL, height=280, description=description)
    x = alt.X("length:Q").scale(zero=True, nice=False).title("length of the sequence")
    color = alt.Color(f"{by}:N").title(title).legend(orient="top")
    trained = (
        base.transform_aggregate(trained_to="max(trained_to)")
        .transform_calculate(start="0")
        .mark_rect(opacity=0.12)
        .encode(x=alt.X("start:Q").title("length of the sequence"), x2="trained_to:Q")
    )
    band = base.mark_errorband(extent="stdev").encode(x=x, y=alt.Y("score:Q").title("test score"), color=color)
    tips = [alt.Tooltip(f"{by}:N"), alt.Tooltip("length:Q"), alt.Tooltip("mean(score):Q").title("score")]
    line = base.mark_line(point={"size": 22}).encode(
        x=x, y=alt.Y("mean(score):Q").scale(zero=False).title("test score"), color=color, tooltip=tips
    )
    return trained + band + line


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


def _pareto(alt: Any) -> Any:
    """Score against cost; the front is joined by a line."""
    base = alt.Chart(
        alt.NamedData(DATA), width=FULL, height=340, description="score against cost, front joined"
    ).encode(
        x=alt.X("cost:Q").scale(type="log", nice=False, padding=30).title("cost"),
        y=alt.Y("score:Q").scale(zero=False, padding=16).title("score"),
    )
    front = base.transform_filter("datum.front").mark_line(strokeDash=[4, 3], opacity=0.7)
    tips = [alt.Tooltip(name) for name in ("label:N", "family:N", "backend:N", "score:Q", "cost:Q", "front:N")]
    points = base.mark_point(filled=True, size=110).encode(
        shape=alt.Shape("front:N").scale(domain=[True, False], range=["diamond", "circle"]).legend(None),
        color=alt.Color("family:N").legend(None),
        tooltip=tips,
    )
    names = base.mark_text(dy=-12, fontSize=11).encode(text="name:N")
    return front + points + names
