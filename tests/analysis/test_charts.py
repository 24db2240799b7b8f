"""Pictures of gradients and gates, and the verbs that draw them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.analysis.charts import (
    GradientCurves,
    Panel,
    check_plot,
    gates_chart,
    gradient_chart,
    html_page,
    save,
    scripts,
)
from rnnbench.cli import main
from rnnbench.cli.gradients import TaskGradients, shares_of, sparkline, table_of, terms_table
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from tests.fixtures.trained import train

CURVES = [
    GradientCurves("elman", "before training", [1.0, 0.5, 0.25], [1.0, 0.4, 0.1], [2.0, 0.2, 0.0]),
    GradientCurves("elman", "after training", [1.0, 2.0, 4.0], [1.0, 1.0, 1.0], [2.0, 4.0, 8.0]),
]


def values(spec: Any) -> list[dict[str, Any]]:
    """All rows of data of a chart, wherever they stand."""
    if isinstance(spec, list):
        return [row for one in spec for row in values(one)]
    if not isinstance(spec, dict):
        return []
    found = spec["values"] if isinstance(spec.get("values"), list) else []
    rows = [row for row in found if isinstance(row, dict)]
    return rows + [row for one in spec.values() for row in values(one)]


def test_the_chart_of_gradients_has_both_measures_as_shares_and_nothing_that_has_no_logarithm() -> None:
    rows = values(gradient_chart(CURVES, "title").to_dict())
    kinds = ("largest", "median", "loss")
    after, before = (
        [
            [(row["distance"], row["value"]) for row in rows if row["when"] == when and row["kind"] == kind]
            for kind in kinds
        ]
        for when in ("after training", "before training")
    )
    assert after == [[(0, 1.0), (1, 2.0), (2, 4.0)], [(0, 1.0), (1, 1.0), (2, 1.0)], [(0, 1.0), (1, 2.0), (2, 4.0)]]
    assert before == [[(0, 1.0), (1, 0.5), (2, 0.25)], [(0, 1.0), (1, 0.4), (2, 0.1)], [(0, 1.0), (1, 0.1)]]


def test_what_was_logged_during_training_is_a_panel_for_each_measure() -> None:
    rows = [{"architecture": "elman", "step": step, "measure": what, "value": 1.0} for what in "ab" for step in (1, 2)]
    *_, last = gradient_chart(CURVES, "title", training=rows).to_dict()["vconcat"]
    assert values(last) == rows


def test_shares_of_steps_have_panels_and_a_table_where_they_are_known() -> None:
    curve = GradientCurves("elman", "before training", [], [], [1.0, 0.5, 0.0], [1.25, -0.25, 0.0], [1.3, 0.4, 0.0])
    (_, shares, norms) = gradient_chart([curve], "title").to_dict()["vconcat"]
    assert [row["value"] for row in values(shares)] == [1.25, -0.25, 0.0]
    assert [row["value"] for row in values(norms)] == [1.3, 0.4]  # an axis of logarithms has no 0
    found = terms_table(TaskGradients("adding", [curve, CURVES[0]], [], []), 120)
    columns = {str(one.header): list(one.cells) for one in found.columns}
    assert (columns["d = 0"], columns["d = 1"], columns["d = 2"]) == (["1.2"], ["-0.25"], ["0"])
    assert columns["all of\nd < 10"] == ["1"]


def test_networks_without_jacobian_have_one_row_of_panels() -> None:
    (panel,) = gradient_chart([GradientCurves("bigru", "before training", [], [], [1.0, 0.5])], "title").to_dict()[
        "vconcat"
    ]
    assert "∂L(T)" in json.dumps(panel, ensure_ascii=False)


def test_gates_between_0_and_1_have_one_scale_and_states_are_around_0() -> None:
    panels = [Panel("gate i (sigmoid)", [[0.2], [0.9]], [7]), Panel("state c", [[-3.0], [1.0]], [7])]
    first, second = gates_chart(panels, ["a", "b"], "title").to_dict()["vconcat"]
    assert first["encoding"]["color"]["scale"]["domain"] == [0, 1]
    assert second["encoding"]["color"]["scale"]["domain"] == [-3.0, 3.0]
    assert [row["unit"] for row in values(first)] == [7, 7]


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "a\u2028b", '"]; alert(1); ["', "\\"])
def test_no_text_leaves_the_data_of_a_page_and_it_asks_for_nothing(text: str) -> None:
    spec = gates_chart([Panel("gate", [[0.1]], [0])], [text], text).to_dict()
    whole = html_page(spec, text)
    assert len(re.findall(r"<script", whole)) == len(re.findall(r"</script", whole)) == 1
    assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=", whole.replace(scripts(), ""))
    called = whole[whole.rindex("window.vegaEmbed(") :]
    data = called[called.index("{") : called.rindex(", {actions")]
    assert "\u2028" not in data
    assert json.loads(data) == json.loads(json.dumps(spec))


@pytest.mark.parametrize(("name", "begins"), [("a.html", b"<!DOCTYPE html>"), ("a.png", b"\x89PNG"), ("a.svg", b"<svg"),
                                              ("a.json", b"{")])  # fmt: skip
def test_a_chart_is_written_as_its_ending_says(name: str, begins: bytes, tmp_path: Path) -> None:
    check_plot(tmp_path / name)
    save(gradient_chart(CURVES, "title"), tmp_path / name, "title")
    content = (tmp_path / name).read_bytes()
    assert content.startswith(begins)
    assert len(content) > 300


def test_what_cannot_be_drawn_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(RnnbenchError, match=r"unknown format of a picture '.pgn'; did you mean '.png'"):
        check_plot(tmp_path / "a.pgn")
    with pytest.raises(RnnbenchError, match="there is no folder"):
        check_plot(tmp_path / "nowhere" / "a.png")


def test_small_curves_are_logarithmic() -> None:
    assert sparkline([100.0, 1.0, 1e-6, 1e-9, 0.0, float("inf")]) == "█▇▁▁ █"
    assert shares_of([2.0, 1.0]) == [1.0, 0.5]


def test_singular_values_stand_at_the_distance_that_they_are_of() -> None:
    curves = [
        GradientCurves("elman", "before training", [1.0, 0.5, 0.25], [1.0, 0.5, 0.25], [1.0] * 8),
        GradientCurves("lstm", "before training", [1.0, 0.75, 0.5, 0.125], [1.0] * 4, [1.0] * 8),
    ]
    columns = {
        str(one.header): list(one.cells) for one in table_of(TaskGradients("adding", curves, [], []), 120).columns
    }
    assert columns["σ at\nd = 2"] == ["0.25", "0.5"]
    assert columns["left at\nd = 7"] == ["1", "1"]


# --- verbs


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def test_gradients_of_a_grid_before_and_after_training(
    place: Path, grid: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    content = grid(architectures=["elman", "cnn", "lstm"], watch=["gradients"]).model_dump(
        mode="json", exclude_none=True
    )
    (place / "small.yaml").write_text(yaml.safe_dump(content))
    assert main(["gradients", "small.yaml", "--architectures", "elman,cnn"]) == 0
    said = capsys.readouterr().out
    assert "before" in said
    assert "elman: not run yet" in said
    assert "cnn: CNN has no recurrent stack" in said
    assert main(["run", "small.yaml"]) == 0
    capsys.readouterr()
    assert main(["gradients", "small.yaml"]) == 0
    said = capsys.readouterr().out
    assert "during training" in said
    assert "by norm" in said
    assert main(["gradients", "small.yaml", "--json", "--sequences", "3", "--plot", "g.html"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    kinds = [(one["architecture"], one["when"]) for one in found["curves"]]
    assert kinds == [(name, when) for name in ("elman", "lstm") for when in ("before training", "after training")]
    assert all(len(one["loss"]) == 6 and one["jacobian"][0] == 1.0 for one in found["curves"])
    before, after = (one["loss"] for one in found["curves"][:2])
    assert before != after
    steps = {(row["architecture"], row["step"]) for row in found["training"]}
    assert steps == {(name, step) for name in ("elman", "lstm") for step in (2, 5)}  # counted from 0
    assert "elman" in (place / "g.html").read_text("utf-8")


def test_gates_over_a_text_and_over_a_sequence_of_the_data(
    stand_ins: None, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = Folders(place / "leaderboard", place / "runs")
    text, series = train(folders, "shakespeare-char", "lstm"), train(folders, "weather-nyc", "gru")
    assert main(["gates", "shakespeare-char/lstm", "to be", "--plot", "gates.png", "--units", "3"]) == 0
    said = capsys.readouterr().out
    assert said.index("<s>") < said.index("␣")
    for word in ("sigmoid", "state"):
        assert word in said
    assert (place / "gates.png").read_bytes().startswith(b"\x89PNG")
    assert main(["gates", text.id, "--json", "--steps", "4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["steps"]) == len(found["layers"][0]["gates"]["f"]) == 4
    assert main(["gates", series.id, "--sequence", "1", "--steps", "5"]) == 0
    assert "the first 5 of" in capsys.readouterr().out
    for arguments, told in [
        ([series.id, "a text"], "this run reads no text"),
        ([text.id, ""], "the text is empty"),
        ([series.id, "--sequence", "-1"], "--sequence must be 0 to"),
        ([text.id, "--units", "0"], "--units must be at least 1, got 0"),
        ([text.id, "--plot", "a.gif"], "unknown format of a picture '.gif'"),
    ]:
        assert main(["gates", *arguments]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gradients", "quickstrat"], "did you mean 'quickstart'"),
        (["gradients", "quickstart", "--task", "addin"], "unknown task of grid 'quickstart' 'addin'; did you mean"),
        (["gradients", "quickstart", "--architectures", "lstn"], "did you mean 'lstm'"),
        (["gradients", "quickstart", "--seed", "7"], "grid 'quickstart' has no seed 7; its seeds: 0, 1"),
        (["gradients", "quickstart", "--sequences", "0"], "--sequences must be at least 1, got 0"),
        (["gradients", "quickstart", "--plot", "g.png"], "a picture is of one task: choose it with --task"),
        (["gradients", "quickstart", "--plot", "g.pgn"], "did you mean '.png'"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], told: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.startswith("rnnbench: error: ")
