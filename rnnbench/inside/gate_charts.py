"""Charts of gates and states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.inside.charts import data, look

if TYPE_CHECKING:
    import altair as alt


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
