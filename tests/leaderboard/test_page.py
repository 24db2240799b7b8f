"""The page as text: the same bytes each time, nothing from outside, nothing that a record can draw."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rnnbench.config.cards import ArchitectureCard, Published
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.config.model_size import Fit
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.costs import cost_rows, mean_cost_rows
from rnnbench.leaderboard.html.assets import kept, own
from rnnbench.leaderboard.html.build import html, write_html
from rnnbench.leaderboard.html.cards import read_claims, task_sections, verdict, words_about
from rnnbench.leaderboard.html.charts import chart_specs, drawn
from rnnbench.leaderboard.html.content import most_first
from rnnbench.leaderboard.html.findings import findings_of
from rnnbench.leaderboard.html.overview import fields_of, heads_of
from rnnbench.leaderboard.html.rankings import ranking_sections
from rnnbench.leaderboard.html.runs import grid_of, runs_data
from rnnbench.leaderboard.html.tracks import facts_of, keys_of
from rnnbench.leaderboard.intervals import bounded_interval, digits
from rnnbench.leaderboard.ranking import rank
from rnnbench.leaderboard.scores import scores_of
from rnnbench.leaderboard.statistics import decimals_of, seeds_to_separate
from rnnbench.leaderboard.table import Table, make_table
from rnnbench.records.record import LengthPoint, Provenance, Record
from rnnbench.records.status import Cell
from rnnbench.records.store import RecordStore
from rnnbench.utils.extras import EXTRAS
from tests.conftest import ARCHITECTURES
from tests.fixtures.made_up_board import HOSTILE, hostile_cells, made, made_up_cells, specs, tuned_cells
from tests.fixtures.records import done, lost

HOME = Path(__file__).parents[2]
TAGS = """html head meta title style body a header h1 small nav button main p section h2 h3 span i b s form label input
select option output div ul table thead tbody tfoot tr th td br details summary strong code pre li dialog script dl dt
dd svg g path use defs text figure figcaption abbr sup"""
"""All elements of the page."""


class Reader(HTMLParser):
    """Elements with their attributes, and the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.lasttag == "script" and self.cdata_elem:
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def table() -> Table:
    return make_table(made_up_cells())


@pytest.fixture(scope="module")
def text(table: Table) -> str:
    return html([table], ["records/<b>x</b>.json: broken"])


@pytest.fixture(scope="module")
def page(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


@pytest.fixture(scope="module")
def data(page: Reader) -> dict[str, Any]:
    """Of the one track: its fields and the environments of their runs, and beside them what charts and tables need."""
    (runs,), everything = json.loads(page.scripts[1]), json.loads(page.scripts[0])
    return {"runs": runs, **everything["tracks"][0]}


def test_the_same_records_give_the_same_bytes_in_any_order(text: str) -> None:
    again = html([make_table(made_up_cells()[::-1])], ["records/<b>x</b>.json: broken"])
    assert again == text


def test_another_process_writes_the_same_bytes(text: str) -> None:
    code = """import sys
from rnnbench.leaderboard.table import make_table
from rnnbench.leaderboard.html.build import html
from tests.fixtures.made_up_board import made_up_cells
sys.stdout.buffer.write(html([make_table(made_up_cells())], ["records/<b>x</b>.json: broken"]).encode())"""
    for seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", code], cwd=HOME, env={**os.environ, "PYTHONHASHSEED": seed},
                              capture_output=True, check=True)  # fmt: skip
        assert done.stdout == text.encode()


def test_the_page_stays_small(text: str) -> None:
    assert len(text.encode()) < 3_000_000


def test_nothing_is_loaded_from_outside(text: str, page: Reader) -> None:
    loading = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in {"src", "href"}
    ]
    assert all(value.startswith("#") for value in loading)
    assert not re.search(r"url\((?!data:)|@import", "".join(re.findall(r"<style>.*?</style>", text, re.DOTALL)))
    assert "default-src 'none'" in page.all("meta")[2]["content"]


def test_only_the_scripts_of_the_page_may_run(page: Reader) -> None:
    policy = page.all("meta")[2]["content"]
    kinds = [attributes["type"] for attributes in page.all("script")]
    assert kinds == ["application/json", "application/json", "module", "module", "module"]
    for script in page.scripts[2:]:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_hostile_text_is_text(page: Reader, text: str) -> None:
    assert not page.all("img")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "<script>document" not in text
    assert any(HOSTILE in one for one in page.texts)
    assert "records/<b>x</b>.json: broken" in page.texts


def test_a_record_that_is_hostile_throughout_is_text_throughout() -> None:
    reader = Reader()
    reader.feed(html([make_table(hostile_cells())], [HOSTILE]))
    assert {tag for tag, _ in reader.elements} <= set(TAGS.split())
    assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]
    assert len(reader.scripts) == 5


def test_each_id_stands_once_and_each_definition_is_one_click_away(page: Reader) -> None:
    ids = [attributes["id"] for tag, attributes in page.elements if "id" in attributes and tag not in {"path"}]
    assert not [one for one, count in Counter(ids).items() if count > 1]
    targets = {attributes["popovertarget"] for attributes in page.all("button") if "popovertarget" in attributes}
    assert targets
    assert targets <= set(ids)


def test_the_overview_says_what_the_other_boards_say(page: Reader, table: Table) -> None:
    told = " ".join(" ".join(page.texts).split())
    for row in table.rows:
        for entry in row.entries.values():
            if entry.scores:
                assert entry.text().split(" ")[0] in told
    for state in ("failed", "infeasible", "running", "missing", "stale"):
        assert state in told
    assert "° not certified" in told
    assert f"°: {table.uncertified} runs of this board were made by another version of the code" in told
    spoken = [one.get("aria-label", "") for one in page.all("button") if one.get("class") == "field"]
    assert sum("not certified for this version of the code" in one for one in spoken) == sum(
        entry.uncertified > 0 for row in table.rows for entry in row.entries.values()
    )


def test_a_field_has_its_runs_with_reason_curve_and_command(data: dict[str, Any], table: Table) -> None:
    fields = data["runs"]["fields"]
    assert len(fields) == sum(len(row.entries) for row in table.rows)
    runs = [run for field in fields.values() for run in field["runs"]]
    assert Counter(run["state"] for run in runs) == Counter(
        cell.state for row in table.rows for entry in row.entries.values() for cell in entry.cells
    )
    (failed,) = (run for run in runs if run["state"] == "failed")
    assert failed["reason"] == failed["log"] == HOSTILE
    one = next(run for run in runs if run["state"] == "done")
    assert len(one["curve"]) == 10
    assert data["runs"]["environments"][one["environment"]]["processor"] == "Processor X"
    assert all("rnnbench run again.yaml" in field["again"] for field in fields.values())


def test_a_field_says_how_it_stands_to_the_best_and_how_many_seeds_would_tell() -> None:
    from rnnbench.leaderboard.html.runs import runs_data

    near = [Cell(spec, "done", "", done(spec, score)) for spec, score in
            zip(specs(["gru", "lstm"], ["adding"], 2), (0.1, 0.11, 0.12, 0.12), strict=True)]  # fmt: skip
    told = [field["standing"] for field in runs_data(make_table(near))["fields"].values()]
    needed = seeds_to_separate([0.1, 0.12], [0.11, 0.12])
    assert needed is not None
    same = "the same as the best, gru, as far as the seeds tell"
    more = f"about {needed - 2} more seeds of each would tell them apart"
    assert told == ["the best here; others are the same", f"{same}; {more}"]


def test_scores_by_length_have_a_section_and_a_field_opens_them() -> None:
    curve = [LengthPoint(41, 0.9), LengthPoint(91, 0.6)]
    cells = [Cell(spec, "done", "", made(spec, length_curve=curve)) for spec in specs(["gru"], ["reverse-string"], 2)]
    page = Reader()
    page.feed(text := html([make_table(cells)], []))
    assert '<select data-state="lengths"><option value="reverse-string">reverse-string' in text
    (field,) = json.loads(page.scripts[1])[0]["fields"].values()
    assert field["trained_to"] == 40
    assert [run["lengths"] for run in field["runs"]] == [[[41, 0.9], [91, 0.6]]] * 2
    assert grid_of([cell.spec for cell in cells])["lengths"] == "41:500:20"
    assert 'data-state="lengths"' not in html([make_table(made_up_cells())], [])


def test_curves_open_on_the_task_with_most_points_and_leave_out_what_is_validated_once() -> None:
    """A task that is validated once has no line: its chart would be a column of points."""
    runs = specs(["gru", "lstm"], ["adding", "parity", "reverse-string"], 2)
    lengths = {"adding": 1, "parity": 3, "reverse-string": 10}
    cells = [Cell(spec, "done", "", made(spec, curve=made(spec).curve[: lengths[spec.task.name]])) for spec in runs]
    text = html([make_table(cells)], [])
    choice = text.split('data-state="curves"')[1].split("</select>")[0]
    assert re.findall(r'<option value="([^"]+)"', choice) == ["reverse-string", "parity"]
    assert "so that there is no curve: adding." in text


def test_a_tuned_field_has_its_trials_and_what_was_selected(data: dict[str, Any]) -> None:
    (field,) = (one for one in data["runs"]["fields"].values() if "tuning" in one)
    assert field["title"] == "elman tuned(4) on adding"
    assert field["tuning"]["chosen"] == "trial 1 of 4, by validation mse; 36 s spent on trials"
    assert len(field["tuning"]["curve"]) == 4
    assert field["tuning"]["curve"][0] == pytest.approx((0.2 + 0.12 + 0.16 + 0.15) / 4)
    assert "among 4 trials" in field["again"]
    assert "learning_rate" in field["settings"]


def test_digits_end_where_the_uncertainty_begins() -> None:
    uncertainties = (0.0129, 0.052, 0.097, 0.2, 1.4, 12, 3e-12)
    assert [decimals_of(one) for one in uncertainties] == [3, 3, 3, 2, 1, 0, 13]
    assert digits(0.89213, (0.88, 0.9043)) == ("0.892", ("0.880", "0.904"))
    assert digits(151.3, (120, 182)) == ("151", ("120", "182"))
    assert digits(0.5, None) == ("0.500", ())
    assert digits(98.65, (98.57, 98.73), most=1) == ("98.7", ("98.6", "98.7"))


def test_intervals_stay_within_what_a_metric_can_be() -> None:
    low, high = bounded_interval([0.99, 1.0, 0.95], "accuracy") or (0.0, 0.0)
    assert (round(low, 3), round(high, 3)) == (0.631, 0.999)  # 0.980 ± 0.066 would be more than 1
    assert bounded_interval([0.5, 0.6, 0.7], "accuracy") == pytest.approx((0.35159, 0.84841), abs=1e-5)
    assert (bounded_interval([0.0, 0.1], "mse") or (-1.0,))[0] > 0
    assert bounded_interval([1.0, 1.0], "accuracy") == (1.0, 1.0)
    unbounded = bounded_interval([0.0, 0.1], "somebody's own")
    assert unbounded is not None
    assert unbounded[0] < 0
    assert bounded_interval([0.5], "accuracy") is None


def test_colours_go_from_chance_to_the_best_and_leave_out_what_is_noise(table: Table) -> None:
    heads = heads_of(table)
    fields = fields_of(table, heads)
    for index in range(len(heads)):
        column = [row[index] for row in fields if row[index].n]
        heats = [field.heat for field in column if field.heat is not None]
        assert all(0 <= heat <= 1 for heat in heats)
        if len(column) > 1 and not all("chance" in field.marks for field in column):
            best = max(column, key=lambda field: field.share or 0)
            assert best.heat == max(heats) == 1
        assert len(heats) in {0, len(column)}
        assert len(column) > 1 or not heats
    chance = make_table([Cell(spec, "done", "", made(spec, score=0.5 + 0.001 * spec.seed))
                         for spec in specs(["gru", "lstm"], ["parity"], 2)])  # fmt: skip
    assert {field.heat for row in fields_of(chance, heads_of(chance)) for field in row} == {None}


def test_the_ranked_table_has_the_ranking_and_the_means_of_each_group(data: dict[str, Any], table: Table) -> None:
    ranking = rank(scores_of(table))
    assert ranking is not None
    rows = data["rankings"]["all"]
    assert [row["architecture"] for row in rows[: len(ranking.places)]] == [place.label for place in ranking.places]
    for row, place in zip(rows, ranking.places, strict=False):
        assert (row["score"], row["place_low"]) == (place.score.value, place.position.low)
        assert 0 <= row["score_low"] <= row["score"] <= row["score_high"] <= 1
    music = rank(scores_of(table, lambda column: table.scoring[column].group == "music"))
    assert music is not None
    means = {row["architecture"]: row["music"] for row in rows}
    assert all(means[place.label] == place.score.value for place in music.places)
    assert {row["place"] for row in rows[len(ranking.places) :]} <= {None}


def test_every_finding_has_its_numbers(table: Table) -> None:
    sections, heads = ranking_sections(table), heads_of(table)
    places = sections[0].ranking.places if sections[0].ranking else []
    scores = {place.label: place.score.value for place in places}
    tasks = [sections[0].scores.columns[task] for task in sections[0].ranking.shared] if sections[0].ranking else []
    found = findings_of(table, sections[0], mean_cost_rows(cost_rows(table), tasks, scores), heads)
    assert [finding.heading for finding in found] == ["Best overall", "Best for its cost", "Task by task"]
    assert found[0].text.startswith(f"tcn leads with {100 * scores['tcn']:.0f} % [")
    assert "of 15 pairs are settled (n = " in found[0].text
    assert re.search(r"n = \d+ runs, Processor X, 2 threads", found[1].text)
    alone = sum(entry.standing == "best" for row in table.rows for entry in row.entries.values())
    assert found[2].text.startswith(f"On {alone} of 8 tasks one is significantly better than all others")
    assert findings_of(make_table([]), None, [], []) == []


def test_what_is_best_for_its_cost_is_nearly_as_good_as_the_best() -> None:
    """Where nothing is settled, who is cheap and has learnt nothing is no recommendation."""
    level = {"elman": 0.05, "gru": 0.9, "lstm": 0.95}
    seconds = {"elman": 1.0, "gru": 2.0, "lstm": 3.0}

    def record(spec: RunSpec) -> Record:
        name = spec.architecture.name
        cost = made(spec).cost
        assert cost is not None
        score = level[name] + (0.01 if spec.seed else 0)
        return made(spec, score=score, scores={"accuracy": score},
                    cost=cost.model_copy(update={"train_seconds": seconds[name]}))  # fmt: skip

    table = make_table([Cell(spec, "done", "", record(spec)) for spec in specs(list(level), ["mnist1d"], 2)])
    section = ranking_sections(table)[0]
    assert section.ranking
    section = replace(section, ranking=replace(section.ranking, places=[
        replace(place, position=replace(place.position, low=1)) for place in section.ranking.places]))  # fmt: skip
    scores = {place.label: place.score.value for place in section.ranking.places} if section.ranking else {}
    found = findings_of(table, section, mean_cost_rows(cost_rows(table), table.columns, scores), heads_of(table))
    assert found[1].text.startswith(
        "Of those that may be best and score within 10 points of lstm, gru trains fastest: 2 s"
    )


def test_the_page_says_what_is_counted_as_parameters_and_whose_times_others_have_made_longer() -> None:
    content = {"name": "g", "architectures": ["gru", "lstm"], "tasks": ["adding"], "seeds": 2, "params": "1_000 ± 20%"}
    runs = GridSpec.read({**content, "budget": {"steps": 300}}, "made up").expand()

    def record(spec: RunSpec) -> Record:
        one = made(spec, size=Fit(argument="hidden_size", width=8, count=1000))
        assert one.cost
        assert one.environment
        cpu = one.cost.train_seconds / (2 if spec.seed else 1.1)
        return one.model_copy(update={"cost": one.cost.model_copy(update={"cpu_seconds": cpu}),
                                      "environment": one.environment.model_copy(update={"threads": 1})})  # fmt: skip

    table = make_table([Cell(spec, "done", "", record(spec)) for spec in runs])
    facts = facts_of(table)
    assert (facts.timed, facts.contended) == (4, 2)
    for field in runs_data(table)["fields"].values():
        for run in field["runs"]:
            assert run["training_seconds"] == pytest.approx(run["cost"]["cpu_seconds"]) != run["cost"]["train_seconds"]
    text = html([table], [])
    assert "2 of 4 runs with CPU time took over 1.25 times of it by the clock" in text
    assert "non-embedding<br>parameters</th>" in text
    assert table.parameters_title == "non-embedding parameters"
    assert make_table(made_up_cells()).parameters_title == "parameters"


def test_settings_are_a_column_and_a_filter() -> None:
    content = {"name": "g", "architectures": ["gru"], "tasks": ["adding"], "seeds": 1, "budget": {"steps": 300}}
    runs = [spec for more in ({}, {"model": {"hidden_size": 17}})
            for spec in GridSpec.read({**content, **more}, "made up").expand()]  # fmt: skip
    text = html([make_table([Cell(spec, "done", "", made(spec)) for spec in runs])], [])
    assert '<td class="row-settings">hidden_size=17</td>' in text
    assert '<option value="hidden_size=17">' in text
    assert 'class="row-settings"' not in html([make_table([Cell(runs[0], "done", "", made(runs[0]))])], [])


def test_a_cell_of_which_no_trial_has_a_score_says_so() -> None:
    cells = tuned_cells()
    trials = [cell for cell in cells if cell.spec.trial]
    failed = [replace(cell, state="failed", record=lost(cell.spec, reason="diverged: x")) for cell in trials]
    selected = [
        Cell(cell.spec, "infeasible", "no trial", lost(cell.spec, "infeasible")) for cell in cells if cell not in trials
    ]
    fields = runs_data(make_table([*failed, *selected]))["fields"].values()
    assert [field["tuning"]["chosen"][:32] for field in fields] == ["none of 4 trials has a score; 0 "]
    assert [field["tuning"]["curve"] for field in fields] == [[]]


def test_several_tracks_have_names_and_ids_of_their_own(table: Table) -> None:
    few = make_table(made_up_cells(["gru"], ["adding"], 6))
    tracks = [
        replace(few, name="core", title="Core", summary="Rules.", version=1),
        replace(few, name="core!", title=HOSTILE, summary=HOSTILE),
    ]
    reader = Reader()
    reader.feed(html(tracks, []))
    ids = [attributes["id"] for tag, attributes in reader.elements if "id" in attributes and tag != "path"]
    assert len(ids) == len({*ids})
    assert [one["key"] for one in json.loads(reader.scripts[0])["tracks"]] == ["core", "core-2"]
    assert not reader.all("img")
    assert keys_of(["A b", "a-b", "ü"]) == ["a-b", "a-b-2", "x"]


def test_a_head_says_how_much_there_is_and_of_when(table: Table) -> None:
    facts = facts_of(table)
    entries = [entry for row in table.rows for entry in row.entries.values()]
    assert facts.runs == sum(len(entry.cells) for entry in entries)
    assert facts.done == sum(len(entry.done) for entry in entries)
    assert facts.certified == facts.done - table.uncertified
    assert facts.certified_percent < 100
    assert (facts.date, facts.seeds, facts.commit) == ("2026-01-01", 3, "")
    spec = specs(["gru"], ["adding"], 1)[0]
    source = Provenance(version="0", commit="abcdef0123" * 4, clean=True, published="2026-01-02T00:00:00+00:00")
    published = facts_of(make_table([Cell(spec, "done", "", made(spec, provenance=source))]))
    assert (published.commit, published.commits, published.certified_percent) == ("abcdef01", 1, 100)


def test_links_are_to_what_lies_beside_the_page(tmp_path: Path) -> None:
    (tmp_path / "board").mkdir()
    (tmp_path / "CITATION.cff").write_text("x")
    (tmp_path / "board" / "results.csv").write_text("x")
    reader = Reader()
    path = write_html(tmp_path / "board", [make_table(made_up_cells(["gru"], ["adding"], 6))], [])
    reader.feed(path.read_text())
    outside = [one["href"] for one in reader.all("a") if not one["href"].startswith("#")]
    assert outside == ["../CITATION.cff", "results.csv"]


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    from rnnbench.leaderboard.html.runs import MAX_POINTS, runs_data

    (run,) = specs(["gru"], ["adding"], 1)
    record = made(run)
    curve = [point._replace(step=step) for step in range(1, 1001) for point in record.curve[:1]]
    cells = made_up_cells(["gru"], ["adding"], 6)
    cells[0] = type(cells[0])(run, "done", "", record.model_copy(update={"curve": curve}))
    fields = runs_data(make_table(cells))["fields"]
    points = next(one["curve"] for field in fields.values() for one in field["runs"] if one["id"] == run.id)
    assert len(points) <= MAX_POINTS + 1
    assert (points[0][0], points[-1][0]) == (1, 1000)


def test_what_a_run_has_made_is_shown() -> None:
    from rnnbench.leaderboard.html.runs import runs_data

    content = runs_data(make_table(made_up_cells()), lambda record: [{"title": "sample", "text": record.id}])
    runs = [run for field in content["fields"].values() for run in field["runs"] if run["state"] == "done"]
    assert all(run["artefacts"] == [{"title": "sample", "text": run["id"]}] for run in runs)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_its_equation_on_the_page(name: str) -> None:
    words = words_about(ArchitectureCard.load(name)[1].class_path)
    assert words
    assert "`" in words[-1]
    assert re.search(r"[=_→·]|h_t|conv", words[-1])


def test_a_class_of_somebody_else_has_no_words() -> None:
    assert words_about("somebody.else.LSTM") == []
    assert words_about("rnnbench.architectures.Nobody") == []


@pytest.mark.parametrize(
    ("mean", "width", "comparable", "said"),
    [
        (0.9, 0.05, True, "ours is better by 0.400"),
        (0.1, 0.05, True, "ours is worse by 0.400"),
        (0.52, 0.05, True, "the same, as far as our seeds tell"),
        (0.9, None, True, "ours is better by 0.400 (one seed)"),
        (0.9, 0.05, False, "not comparable"),
    ],
)
def test_the_verdict_on_a_published_number(mean: float, width: float | None, comparable: bool, said: str) -> None:
    published = Published(architecture="LSTM", value=0.5, source="Somebody 2000", comparable=comparable)
    assert verdict(published, mean, width, 1) == said
    assert verdict(published.model_copy(update={"value": -0.5}), -mean, width, -1) == said


def test_a_published_number_stands_beside_the_same_architecture_or_beside_our_best(table: Table) -> None:
    section = next(one for one in task_sections(table) if one.card.name == "mnist1d")
    beside = {one.published.architecture: one.ours for one in section.comparisons}
    assert "(gru, n=3)" in beside["GRU"]
    assert "(tcn, our best, n=3)" in beside["MLP"]


def test_claims_are_read_and_broken_ones_are_told(tmp_path: Path) -> None:
    home = Path(__file__).parents[2] / "leaderboard"
    assert len(read_claims(home).entries) == len(json.loads((home / "conformance.json").read_text()))
    assert read_claims(tmp_path).entries == []
    (tmp_path / "conformance.json").write_text('[{"name": "x"}]')
    assert "conformance.json" in read_claims(tmp_path).problems[0]


def test_a_page_without_records_or_scores_is_a_page(tmp_path: Path) -> None:
    assert "No records yet" in html([make_table([])], [])
    store = RecordStore(tmp_path)
    assert store.read() == ({}, [])
    path = write_html(tmp_path, [make_table(made_up_cells(["gru"], ["adding"], 6)[1:3])], [])
    assert "A ranking needs two architectures" in path.read_text()


def test_without_its_packages_there_is_no_page_but_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(EXTRAS, "board", ("no_such_package",))
    with pytest.raises(RnnbenchError, match=r"pip install 'rnnbench\[board\]'"):
        write_html(tmp_path, [make_table([])], [])


def test_only_scores_that_stand_alone_are_bold() -> None:
    """As the legend says: `=` is not."""
    rules = re.findall(r"([^{}]+)\{([^}]*)\}", own("page.css"))
    bold = [
        name for names, style in rules if re.search(r"font-weight: *([6-9]00|bold)", style) for name in names.split(",")
    ]
    assert any("td.best .mean" in name for name in bold)
    assert not [name for name in bold if re.search(r"\.(tied|chance|mean)\b", name) and "td.best" not in name]


def test_a_page_of_trials_alone_says_so() -> None:
    trials = [cell for cell in tuned_cells() if cell.spec.trial]
    assert "4 trials, and nothing tested yet" in html([make_table(trials)], [])


def test_what_stands_most_often_comes_first() -> None:
    assert most_first("abbcb") == ["b", "a", "c"]


def test_what_is_kept_is_made_anew_where_it_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_CACHE", str(tmp_path))
    made: list[str] = []

    def make() -> str:
        made.append("text\n")
        return made[-1]

    assert [kept("name", make), kept("name", make), len(made)] == ["text\n", "text\n", 1]
    (path,) = (tmp_path / "board").iterdir()
    for content in (path.read_bytes()[:-1], b"", b"\xff"):
        path.write_bytes(content)
        assert kept("name", make) == "text\n"
    assert len(made) == 4
    assert chart_specs() == chart_specs() == drawn()
    monkeypatch.setenv("RNNBENCH_CACHE", str(path / "below a file"))
    assert kept("name", make) == "text\n"
