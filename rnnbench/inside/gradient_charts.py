"""Charts of gradients through time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.inside.charts import COLOURS, Row, data, look

if TYPE_CHECKING:
    import altair as alt

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
LEAST, MOST = 1e-8, 1e6
"""A logarithmic axis shows no more than this."""
LARGEST, MEDIAN = "largest", "median"
FAINT = 0.01
"""Where a gradient counts as gone."""


@dataclass(frozen=True)
class Curves:
    """Gradients of one architecture, `when`: before or after training, by distance.

    Args:
        architecture: its name.
        when: `before training` or `after training`.
        jacobian: largest singular value of ∂s(T)/∂s(T−d); empty if not taken.
        median: the median of its singular values.
        loss: ‖∂L(T)/∂s(T−d)‖ of the top layer.
    """

    architecture: str
    when: str
    jacobian: Sequence[float]
    median: Sequence[float]
    loss: Sequence[float]


def gradient_chart(
    curves: Sequence[Curves], title: str, subtitle: str = "", training: Sequence[Row] = ()
) -> alt.TopLevelMixin:
    """Singular values of ∂s(T)/∂s(T−d), and ‖∂L(T)/∂s(T−d)‖ as a share of that at d = 0, before and after training.

    `training` is what was logged meanwhile: rows with `architecture`, `step`, `measure` (the title of a panel) and
    `value`.
    """
    import altair as alt

    names = list(dict.fromkeys(one.architecture for one in curves))
    whens = list(dict.fromkeys(one.when for one in curves))
    colour = alt.Color("architecture:N", sort=names, title=None, scale=_scale(names, COLOURS))
    dash = alt.StrokeDash("architecture:N", sort=names, title=None, scale=_scale(names, DASHES))
    jacobian = [row for one in curves for row in (*_rows(one, LARGEST, one.jacobian), *_rows(one, MEDIAN, one.median))]
    loss = [row for one in curves for row in _rows(one, "loss", [value / (one.loss[0] or 1.0) for value in one.loss])]
    panels = []
    if jacobian:
        panels.append(_panels(jacobian, "singular values of ∂s(T)/∂s(T−d)", whens, [colour, dash, _shade()]))
    panels.append(_panels(loss, "‖∂L(T)/∂s(T−d)‖, share of d = 0", whens, [colour, dash], rule=FAINT))
    if training:
        panels.append(_training(training, [colour, dash]))
    return look(alt.vconcat(*panels, spacing=28), title, subtitle)  # type: ignore[no-any-return]


def _rows(one: Curves, kind: str, values: Sequence[float]) -> Iterable[Row]:
    """What of a curve a logarithmic axis can show."""
    for distance, value in enumerate(values):
        if 0 < value < float("inf"):
            yield {
                "architecture": one.architecture, "when": one.when, "kind": kind, "distance": distance, "value": value,
            }  # fmt: skip


def _panels(rows: list[Row], what: str, whens: list[str], channels: list[Any], rule: float | None = None) -> Any:
    """One panel for each of `whens`, side by side, with one pair of axes."""
    import altair as alt

    shown = [row["value"] for row in rows] + ([rule] if rule else [])
    bounds = [max(LEAST, min(shown) / 2), min(MOST, max(shown) * 2)]
    scale = alt.Scale(type="log", domain=bounds, nice=False)
    layers = [
        alt.Chart()
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            *channels,
            alt.X("distance:Q", title="distance d, steps", axis=alt.Axis(tickCount=6)),
            alt.Y("value:Q", title=what, scale=scale, axis=alt.Axis(format=".0e", tickCount=7)),
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


def _training(rows: Sequence[Row], channels: list[Any]) -> Any:
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


def _shade() -> Any:
    """Of singular values: the largest is dark, the median light."""
    import altair as alt

    scale = alt.Scale(domain=[LARGEST, MEDIAN], range=[1.0, 0.3])
    return alt.Opacity("kind:N", sort=[LARGEST, MEDIAN], title="singular value", scale=scale)


def _scale(names: list[str], values: Sequence[Any]) -> Any:
    import altair as alt

    return alt.Scale(domain=names, range=[values[k % len(values)] for k in range(len(names))])
