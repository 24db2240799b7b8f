"""The critical-difference diagram, as SVG that takes the colours of the page."""

import io
import re
import warnings
from typing import Any

from rnnbench.board.ranking import Ranking, ranks_of

MOST = 40
"""Contenders that are still readable on it."""


def critical_difference_diagram(ranking: Ranking, name: str) -> str:
    """The diagram of the ranking `name`; empty where Nemenyi's test cannot be made, or there are too many to read."""
    if not 3 <= len(ranking.places) <= MOST or ranking.tasks < 2:
        return ""
    import pandas as pd
    from scikit_posthocs import posthoc_nemenyi_friedman

    labels = [place.label for place in ranking.places]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means that are all the same on a task
        tests = posthoc_nemenyi_friedman(pd.DataFrame(ranking.means.T))
    return _draw(name, labels, ranks_of(ranking.means).mean(1).tolist(), tests.fillna(1.0))


def _draw(name: str, labels: list[str], average: list[float], tests: Any) -> str:
    """Draw it by numbers, whose sets have the same order in every process, as those of words have not."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from scikit_posthocs import critical_difference_diagram

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9, "text.parse_math": False}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(8, 1.2 + 0.16 * len(average)))
        drawn = critical_difference_diagram(
            dict(enumerate(average)), tests, ax=figure.subplots(), color_palette=["black"] * len(average),
            label_fmt_left="{label}|{{}} ({rank:.2g})", label_fmt_right="{label}|({rank:.2g}) {{}}",
        )  # fmt: skip
        for text in drawn["labels"]:
            number, _, form = text.get_text().partition("|")
            text.set_text(form.replace("{}", labels[int(number)]))
        svg = io.StringIO()
        figure.savefig(
            svg, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None}
        )
    return _themed(svg.getvalue())


def _themed(svg: str) -> str:
    """The drawing alone, in the colour of the text around it."""
    svg = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z][\w.]*_\d+"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"#000000|\bblack\b", "currentColor", svg)
    return re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", svg, count=2)
