"""Charts of what a trained model says: music as piano rolls, forecasts beside what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.inside.charts import COLOURS, look
from rnnbench.tunes import OCTAVE, Note, spelled

LOWEST_OF_AXIS = 12
GREY = "#999999"


def rolls_chart(pieces: Mapping[str, Sequence[Note]], given: float, title: str, subtitle: str = "") -> Any:
    """Piano rolls, one below the other: keys over time in quarter notes; what was `given` is grey."""
    import altair as alt

    return look(alt.vconcat(*(_roll(name, notes, given) for name, notes in pieces.items())), title, subtitle)


def _roll(name: str, notes: Sequence[Note], given: float) -> Any:
    import altair as alt

    rows = [
        {"start": one.start, "end": one.start + one.length, "low": one.pitch - 0.45, "high": one.pitch + 0.45,
         "key": spelled(one.pitch), "by": "given" if one.start < given else "the model"}
        for one in notes
    ]  # fmt: skip
    lowest, highest = min(one.pitch for one in notes) - 2, max(one.pitch for one in notes) + 2
    octaves = [pitch for pitch in range(LOWEST_OF_AXIS, 128, OCTAVE) if lowest <= pitch <= highest]
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
    """A window and its end as foreseen with measured inputs and without, a panel for each of its channels, above the
    errors by step of both.
    """
    import altair as alt

    horizon, alone = len(windows[0]["free"]), len(windows) == 1
    names = {
        "measured": "measured",
        "continuous": "continuous (inputs measured)",
        "free": "autoregressive (on its own)",
        "persistence": "persistence (the last value)",
    }
    errors = ("continuous", "free", "persistence")
    rows = [row for key in errors for row in _steps(names[key], windows[0][f"{key}_error"])]
    scale = alt.Scale(domain=list(names.values()), range=["#000000", *COLOURS[:2], GREY])
    colour = alt.Color("what:N", sort=list(names.values()), title=None, scale=scale)
    size = {"width": 760, "height": 240} if alone else {"width": 340, "height": 150}
    panels = [
        _lines(_window(one, names), one["unit"], colour).properties(**size, title=one["channel"]) for one in windows
    ]
    above = alt.concat(*panels, columns=1 if alone else 2)
    below = _lines(rows, "rmse, standard deviations, whole test part", colour).properties(width=760, height=240)
    return look(alt.vconcat(above, below), title, f"{horizon} steps ahead; step 0 is the last that was measured")


def _window(one: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of a channel: what was measured, and its end as foreseen."""
    past = one["past"]
    lines = [{"step": step - len(past) + 1, "value": value, "what": "measured"} for step, value in enumerate(past)]
    return lines + [row for key in ("measured", "continuous", "free") for row in _steps(names[key], one[key])]


def _steps(what: str, values: Sequence[float | None]) -> list[dict[str, Any]]:
    """Rows of known values, the first of step 1."""
    return [{"step": step, "value": one, "what": what} for step, one in enumerate(values, 1) if one is not None]


def _lines(rows: list[dict[str, Any]], what: str, colour: Any) -> Any:
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
