"""The page in a real browser, opened from a file: what a reader does with it, in both themes and on a phone."""

import csv
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnbench.config.grid import GridSpec
from rnnbench.leaderboard.html.build import html
from rnnbench.leaderboard.table import make_table
from rnnbench.records.record import Point
from rnnbench.records.status import Cell
from tests.fixtures.made_up_board import HOSTILE, hostile_cells, made, made_up_cells, specs
from tests.fixtures.records import lost

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
WHY_NONE = os.environ.get("RNNBENCH_NO_BROWSER")
"""Set by CI where the system has none to install."""
pytestmark = [
    pytest.mark.skipif(
        BROWSER is None and (WHY_NONE is not None or not os.environ.get("CI")),
        reason=WHY_NONE or f"no browser: none of {', '.join(BROWSERS)} is on the path; CI installs one",
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
WIDE, PHONE = {"width": 1300, "height": 900}, {"width": 390, "height": 844}
TABLE = "#all-runs-table"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html([make_table(made_up_cells())], [HOSTILE]))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    assert BROWSER, "CI has a browser: .ci/run installs it"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


class Visit:
    """A page with all that it said and asked for."""

    def __init__(self, browser: Any, address: str, viewport: dict[str, int] = WIDE, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def shows(self, count: str) -> None:
        """Wait until the table says that so much is shown."""
        self.page.locator("#all-runs-shown", has_text=count).wait_for()

    def rows(self) -> list[str]:
        return self.texts(f"{TABLE} tbody tr:visible > th")

    def columns(self) -> list[str]:
        return [text.split("\n")[0] for text in self.texts(f"{TABLE} thead th[data-group]")]

    def choose(self, name: str, label: str) -> None:
        """Choose in the control whose state has that name in the address."""
        self.page.locator(f"select[data-state='{name}']").select_option(label=label)

    def view(self) -> str:
        """What the address says of the view."""
        return str(self.page.evaluate("decodeURIComponent(location.hash.slice(1))"))


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    made = Visit(browser, address)
    yield made
    made.context.close()
    assert made.said == []
    assert made.asked == [address]


def test_a_heading_sorts_with_the_best_first_and_what_has_no_score_last(visit: Visit) -> None:
    def first_click(task: str) -> list[str]:
        head = visit.page.locator(f"{TABLE} thead th[data-group]", has_text=task).filter(has_text="300 steps")
        head.click()
        index = head.evaluate("head => head.cellIndex")
        return visit.texts(f"{TABLE} tbody tr > :nth-child({index + 1}) .mean")

    low = [float(re.findall(r"[\d.]+", text)[0]) for text in first_click("adding")]
    high = [float(re.findall(r"[\d.]+", text)[0]) for text in first_click("mnist1d")]
    assert low == sorted(low)
    assert high == sorted(high, reverse=True)
    assert (len(low), len(high)) == (7, 6)
    visit.page.locator(f"{TABLE} thead th", has_text="100 steps").first.click()
    visit.page.locator(f"{TABLE} thead th[aria-sort]", has_text="100 steps").wait_for()
    assert visit.rows()[0] == "gru"


def test_numbers_of_any_size_are_sorted_as_numbers_beside_what_has_none(browser: Any, tmp_path: Path) -> None:
    scores = {"elman": 9.2, "gru": 100.3, "lstm": 10.5, "mingru": 1e-5}
    runs = [made(one, score=scores[one.architecture.name]) for one in specs([*scores], ["weather-nyc"], 1)]
    failed = [lost(one) for one in specs(["tcn"], ["weather-nyc"], 1)]
    table = make_table([Cell(one.spec, one.status, "", one) for one in runs + failed])
    (tmp_path / "index.html").write_text(html([table], []))
    visit = Visit(browser, (tmp_path / "index.html").as_uri())
    visit.page.locator(f"{TABLE} thead th", has_text="weather-nyc").click()
    visit.page.locator(f"{TABLE} thead th[aria-sort=ascending]").wait_for()
    assert visit.rows() == ["mingru", "elman", "lstm", "gru", "tcn"]
    assert "inf" not in visit.page.eval_on_selector_all("td", "all => all.map((one) => one.dataset.order)")
    visit.context.close()


def test_scores_are_searched_and_filtered(visit: Visit) -> None:
    everything, tasks = visit.rows(), visit.columns()
    visit.page.fill("[data-state=search]", "lstm")
    visit.shows("2 of 7 architectures")
    assert set(visit.rows()) == {"lstm", "lstm-peephole"}
    visit.page.click("text=Show all")
    visit.shows("7 of 7 architectures, 10 of 10 columns")
    assert visit.rows() == everything
    visit.choose("family", "GRU")
    visit.shows("1 of 7 architectures")
    assert visit.rows() == ["gru"]
    visit.choose("family", "all families")
    visit.shows("7 of 7 architectures")
    visit.choose("tuning", "tuned(4)")
    visit.shows("1 of 7 architectures")
    assert visit.rows() == ["elman tuned(4)"]
    visit.choose("tuning", "tuned or not")
    visit.choose("group", "music")
    visit.shows("1 of 10 columns")
    assert visit.columns() == ["folk-abc"]
    visit.choose("group", "all groups")
    visit.choose("kind", "synthetic")
    visit.shows("of 7 architectures, 6 of 10 columns")
    assert set(visit.columns()) == {"adding", "copy-memory", "mnist1d", "parity"}
    visit.page.click("text=Show all")
    visit.shows("7 of 7 architectures, 10 of 10 columns")
    assert visit.columns() == tasks
    assert visit.view() == ""


def test_a_folded_group_is_the_mean_over_it(visit: Visit) -> None:
    before = visit.columns()
    folder = visit.page.locator(".folder", has_text="memory")
    folder.click()
    assert folder.get_attribute("aria-expanded") == "false"
    assert visit.view() == "folded=memory"
    assert set(before) - set(visit.columns()) == {"adding", "copy-memory", "parity"}
    means = visit.texts(f"{TABLE} tbody td.folded")
    assert means == visit.texts("#all-runs-rank tbody td.part:nth-child(6)")[: len(means)]
    folder.click()
    assert visit.columns() == before
    lower = visit.page.locator(f"{TABLE} thead tr").nth(1).locator("th").first.bounding_box()
    first = visit.page.locator(f"{TABLE} tbody th").first.bounding_box()
    assert first["y"] == pytest.approx(lower["y"] + lower["height"], abs=1)  # no heading lies over the first row


def test_the_address_holds_the_view_and_gives_it_back(browser: Any, address: str, visit: Visit) -> None:
    page = visit.page
    page.locator("#all-runs-rank thead th[data-key=seconds]").click()
    page.locator(f"{TABLE} thead th[data-key=mnist1d]").click()
    page.locator(f"{TABLE} thead th[data-key=mnist1d]").click()
    visit.choose("kind", "synthetic")
    visit.choose("pairs", "memory")
    page.locator("[data-picker=curves] [data-label=lstm]").click()
    page.wait_for_function("location.hash.includes('pick=')")  # set once its chart is drawn
    page.locator("nav [data-section=cost]").click()
    page.locator(f"{TABLE} button.field[aria-label^='tcn on mnist1d']").click()
    assert visit.view() == (
        "sort=seconds&scores-sort=-mnist1d&kind=synthetic&pairs=group-memory&pick=tcn,mingru,lstm-peephole,gru&"
        "section=cost&cell=tcn/mnist1d"
    )
    other = Visit(browser, page.url)
    assert other.page.inner_text("#run-title") == "tcn on mnist1d"
    other.page.keyboard.press("Escape")
    for selector in ("#all-runs-rank tbody th", f"{TABLE} tbody th", ".pairs tbody th", "[aria-pressed=true]"):
        assert other.texts(selector) == visit.texts(selector)
    assert other.columns() == visit.columns()
    assert other.page.evaluate("document.activeElement.id") == "all-runs-cost"
    assert other.view() == visit.view().removesuffix("&cell=tcn/mnist1d")
    assert (other.said, other.page.locator("#all-runs-cost").is_visible()) == ([], True)
    other.context.close()


def test_one_track_is_shown_at_a_time(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    tables = [make_table(made_up_cells(["gru", "lstm"], tasks, 6)) for tasks in (["adding"], ["parity"])]
    names: list[tuple[str, str, int | None]] = [("core", "Core", 2), ("other", HOSTILE, None)]
    tracks = [replace(table, name=name, title=title, summary=f"Rules of {title}.", version=version)
              for (name, title, version), table in zip(names, tables, strict=True)]  # fmt: skip
    path.write_text(html(tracks, []))
    visit = Visit(browser, f"{path.as_uri()}#track=core&sort=seconds")
    assert visit.texts(".facts:visible .track-name")[0].endswith("v2")
    visit.page.locator("[data-track]:visible").select_option(label=HOSTILE)
    assert visit.view() == "track=other"
    assert [one for one in visit.texts(".scores:visible thead th[data-group]") if "parity" in one]
    assert not visit.page.locator("#core").is_visible()
    visit.page.reload()
    assert visit.page.locator("#other").is_visible()
    assert (visit.said, visit.page.title()) == ([], "rnnbench leaderboard")
    visit.context.close()


def test_figures_are_downloaded_as_pictures_and_numbers(visit: Visit) -> None:
    page = visit.page

    def save(figure: str, kind: str) -> bytes:
        with page.expect_download() as started:
            page.get_by_role("button", name=f"Download {figure} as {kind}", exact=True).first.click()
        assert started.value.suggested_filename == f"rnnbench-all-runs-{figure.replace(' ', '-')}.{kind.lower()}"
        return Path(started.value.path()).read_bytes()

    page.locator("[data-cost-of=mean] svg").wait_for()
    assert save("quality by cost", "SVG").startswith(b"<svg")
    assert save("quality by cost", "PNG").startswith(b"\x89PNG")
    lines = save("quality by cost", "CSV").decode().splitlines()
    assert lines[0].startswith("label,score,cost,backend")
    assert len(lines) == 7
    ranking = list(csv.DictReader(save("ranking", "CSV").decode().splitlines()))
    assert [row["architecture"] for row in ranking][:2] == ["tcn", "mingru"]
    assert float(ranking[0]["score_low"]) <= float(ranking[0]["score"]) <= float(ranking[0]["score_high"]) <= 1
    scores = list(csv.DictReader(save("scores", "CSV").decode().splitlines()))
    assert {row["n"] for row in scores if row["task"] == "parity" and row["budget"] == "300 steps"} == {"3"}
    assert len(list(csv.reader(save("who beats whom", "CSV").decode().splitlines()))) == 1 + 7 * 6
    page.locator("#all-runs-sure .diagram").scroll_into_view_if_needed()
    assert b"tcn" in save("critical differences all", "SVG")


def test_a_field_opens_by_mouse_and_by_keyboard_and_says_everything(visit: Visit) -> None:
    page = visit.page
    page.locator(f"{TABLE} tbody tr", has_text="mingru").locator("button.field").last.click()
    shown = page.locator("#run")
    assert shown.is_visible()
    assert page.inner_text("#run-title").startswith("mingru on ")
    shown.locator(".chart svg").nth(2).wait_for()
    assert shown.locator(".chart").first.locator("path[aria-roledescription='point']").count() == 3
    words = shown.inner_text()
    for word in ("Learning curves", "rnnbench run again.yaml", "hidden_size", "Processor X", "native", "seed"):
        assert word in words
    page.keyboard.press("Escape")
    assert not shown.is_visible()
    page.locator(f"{TABLE} button.field").first.focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#run-title").startswith("tcn on ")


def test_a_failed_run_says_why_and_its_text_does_nothing(visit: Visit) -> None:
    page = visit.page
    page.locator(f"{TABLE} button.field[aria-label*=failed]").click()
    assert page.locator("#run pre").first.inner_text() == HOSTILE
    assert page.locator("#run p", has_text="<script>").first.inner_text() == HOSTILE
    assert page.title() == "rnnbench leaderboard"
    assert page.locator("img").count() == 0


def test_a_page_of_hostile_records_does_nothing_wherever_it_is_touched(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(html([make_table(hostile_cells())], [HOSTILE]))
    visit = Visit(browser, path.as_uri())
    page = visit.page
    page.locator("#all-runs-curves-chart").scroll_into_view_if_needed()
    page.locator("#all-runs-curves-chart svg").wait_for()
    page.locator("#all-runs-cost").scroll_into_view_if_needed()
    page.locator("#all-runs-cost-chart svg").wait_for()
    page.locator("#all-runs-cost-chart .mark-symbol path").first.hover()
    for details in page.locator("details").all():
        details.evaluate("details => details.open = true")
    page.locator(f"{TABLE} button.field").first.click()
    page.locator("#run .chart svg").nth(2).wait_for()
    page.locator("#run .chart path[aria-roledescription='point']").first.hover()
    assert HOSTILE in page.locator("#run").inner_text()
    assert page.title() == "rnnbench leaderboard"
    assert page.locator("img").count() == 0
    assert (visit.said, visit.asked) == ([], [path.as_uri()])
    visit.context.close()


def test_the_first_screen_answers(visit: Visit) -> None:
    page = visit.page
    assert visit.texts("#all-runs-rank tbody th[scope=row]")[:2] == ["tcn", "mingru"]
    for selector in ("#all-runs-rank tbody tr >> nth=4", ".findings li >> nth=2", ".links a[data-section=submit]"):
        box = page.locator(selector).bounding_box()
        assert box["y"] + box["height"] < WIDE["height"]
    page.locator("[data-cost-of=mean] svg").wait_for()
    assert all(re.search(r"\d", finding) for finding in visit.texts(".findings li"))
    labels = page.locator("[data-cost-of=mean] .mark-text text:not([opacity='0'])")
    boxes = labels.evaluate_all("all => all.map((one) => one.getBoundingClientRect().toJSON())")
    assert len(boxes) > 3
    for at, one in enumerate(boxes):
        for other in boxes[:at]:
            assert (one["right"] <= other["left"] + 1 or other["right"] <= one["left"] + 1
                    or one["bottom"] <= other["top"] + 3 or other["bottom"] <= one["top"] + 3)  # fmt: skip
    page.locator("#all-runs-sure [popovertarget=define-win_rate]").click()
    assert "a tie is half" in page.locator("#define-win_rate").inner_text()
    assert page.locator("#define-win_rate").is_visible()


def test_who_beats_whom_is_there_at_once_and_over_any_set(visit: Visit) -> None:
    title = visit.page.locator(".pairs tbody td").nth(1).get_attribute("title")
    assert title.startswith("tcn better than mingru: 100 %")
    everything = visit.texts(".pairs tbody th")
    visit.choose("pairs", "synthetic data")
    assert visit.texts(".pairs tbody th")[:2] == ["tcn", "mingru"]
    assert visit.page.locator(".pairs tbody td").nth(1).get_attribute("title").endswith("on 4 tasks")
    assert len(everything) == 7


def test_seeds_are_on_an_axis_from_chance_to_the_ceiling(visit: Visit) -> None:
    visit.page.locator(f"{TABLE} button.field[aria-label^='tcn on mnist1d']").click()
    chart = visit.page.locator("#run .chart").first
    chart.locator("svg").wait_for()
    texts = chart.locator("svg text").all_text_contents()
    assert {"chance", "ceiling"} <= set(texts)
    ticks = [float(text) for text in texts if re.fullmatch(r"[\d.]+", text)]
    assert min(ticks) < 0.2
    assert max(ticks) == 1


def test_learning_curves_are_of_any_selection(visit: Visit) -> None:
    page = visit.page
    page.locator("#all-runs-curves-chart").scroll_into_view_if_needed()
    legend = page.locator("#all-runs-curves-chart .role-legend-label text")
    legend.first.wait_for()
    assert legend.count() == 5
    page.locator("[data-picker=curves] [data-label=tcn]").click()
    page.locator("#all-runs-curves-chart .role-legend-label text", has_text="tcn").wait_for(state="detached")
    assert legend.count() == 4
    visit.choose("curve-of", "training loss")
    page.locator("#all-runs-curves-chart text", has_text="training loss").wait_for()


def test_a_learning_curve_is_a_mean_of_all_seeds_or_of_none(browser: Any, tmp_path: Path) -> None:
    """Seeds that stop early, and points that one seed lacks, make no jumps."""
    first, second = specs(["gru"], ["adding"], 2)
    curves = {first.id: ((10, 10.0), (20, 20.0), (30, 30.0), (40, 40.0)), second.id: ((10, 30.0), (30, 90.0))}
    cells = [Cell(spec, "done", "", made(spec, curve=[Point(step=step, train_loss=None, score=score)
                  for step, score in curves[spec.id]])) for spec in (first, second)]  # fmt: skip
    path = tmp_path / "index.html"
    path.write_text(html([make_table(cells)], []))
    visit = Visit(browser, path.as_uri())
    visit.page.locator("#all-runs-curves-chart").scroll_into_view_if_needed()
    visit.page.locator("#all-runs-curves-chart svg").wait_for()
    with visit.page.expect_download() as started:
        visit.page.get_by_role("button", name="Download learning curves as CSV").click()
    rows = list(csv.DictReader(Path(started.value.path()).read_text().splitlines()))
    assert [(row["step"], row["score"], row["n"]) for row in rows] == [
        ("10", "20", "2"), ("20", "40", "2"), ("30", "60", "2")]  # fmt: skip
    visit.context.close()
    assert visit.said == []


def test_rows_are_filtered_by_settings_and_printed_with_them(browser: Any, tmp_path: Path) -> None:
    content = {"name": "g", "architectures": ["gru"], "tasks": ["adding"], "seeds": 1, "budget": {"steps": 300}}
    runs = [spec for more in ({}, {"model": {"hidden_size": 17}})
            for spec in GridSpec.read({**content, **more}, "made up").expand()]  # fmt: skip
    path = tmp_path / "index.html"
    path.write_text(html([make_table([Cell(spec, "done", "", made(spec)) for spec in runs])], []))
    visit = Visit(browser, path.as_uri())
    visit.shows("2 of 2 architectures")
    visit.choose("settings", "hidden_size=17")
    visit.shows("1 of 2 architectures")
    assert visit.texts(f"{TABLE} tbody tr:visible > .row-settings") == ["hidden_size=17"]
    assert visit.view() == "settings=hidden_size=17"
    visit.choose("settings", "as on the card")
    visit.shows("1 of 2 architectures")
    assert visit.texts(f"{TABLE} tbody tr:visible > .row-settings") == [""]
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    heads = visit.page.locator("#all-runs-scores .parts table thead tr th").all_text_contents()
    assert [head.strip() for head in heads[:3]] == ["architecture", "#", "settings"]
    assert sum(head.startswith("adding") for head in heads) == 1
    visit.context.close()
    assert visit.said == []


def test_costs_of_two_machines_are_never_in_one_table(visit: Visit) -> None:
    page = visit.page
    page.locator("#all-runs-cost").scroll_into_view_if_needed()
    page.locator("#all-runs-cost-chart svg").wait_for()
    assert page.locator("[data-state=cost]").input_value() == ""
    assert len(visit.texts("#all-runs-costs tbody th")) == 6
    for machine in ("Processor X, 2 threads", "GPU Y (Processor X)"):
        visit.choose("machine", machine)
        shown = page.eval_on_selector_all("#all-runs-costs tbody tr", "rows => rows.map(row => row.dataset.machine)")
        assert set(filter(None, shown)) <= {machine}
    assert "No record says this cost here." in page.inner_text("#all-runs-cost-chart")
    visit.choose("cost", "adding, mse ↓, 100 steps")
    assert "torch.nn.GRU" in page.inner_text("#all-runs-costs")


def test_the_theme_follows_the_system_until_the_reader_chooses(browser: Any, address: str) -> None:
    visit = Visit(browser, address, scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert visit.page.evaluate(colour) == "rgb(20, 23, 28)"
    visit.page.click("#theme")
    assert visit.page.evaluate(colour) == "rgb(255, 255, 255)"
    visit.page.click("#theme")
    assert visit.page.evaluate(colour) == "rgb(20, 23, 28)"
    visit.context.close()


def test_a_phone_sees_scores_first_and_only_tables_scroll_sideways(browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport=PHONE)
    page = visit.page
    assert page.locator("#all-runs-rank tbody .number").first.bounding_box()["y"] < 400
    assert page.locator("details.fold[open]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert visit.columns() == []
    page.locator(".folder", has_text="memory").click()
    assert set(visit.columns()) == {"adding", "copy-memory", "parity"}
    first = page.locator(f"{TABLE} tbody th").first
    left = first.bounding_box()["x"]
    page.locator(TABLE).evaluate("table => table.closest('.scroll').scrollLeft = 400")
    assert first.bounding_box()["x"] == pytest.approx(left, abs=2)
    page.locator(f"{TABLE} button.field").first.click()
    assert page.evaluate("document.querySelector('#run').scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert visit.said == []
    visit.context.close()


def test_paper_gets_everything_that_is_folded(visit: Visit, tmp_path: Path) -> None:
    unfolded = visit.page.locator("details[open]").count()
    assert visit.page.locator("#all-runs-curves-chart svg").count() == 0  # nobody has scrolled to it
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    visit.page.locator("#all-runs-curves-chart svg").wait_for()
    assert visit.page.locator("details:not([open])").count() == 0
    visit.page.emulate_media(media="print")
    assert not visit.page.locator("#all-runs-filters").is_visible()
    heat = visit.page.locator(".parts .heat").first
    assert heat.evaluate("cell => getComputedStyle(cell).printColorAdjust") == "exact"
    assert len(visit.page.pdf(path=tmp_path / "page.pdf")) > 10_000
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert visit.page.locator("details[open]").count() == unfolded


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_a_drawing_have_the_colour_of_words_around_it(browser: Any, address: str, scheme: str) -> None:
    visit = Visit(browser, address, scheme=scheme)
    ink = visit.page.evaluate("getComputedStyle(document.body).color")
    words = visit.page.locator("#all-runs-sure .diagram svg text").all()
    assert len(words) > 5
    assert {word.evaluate("word => getComputedStyle(word).fill") for word in words} == {ink}
    visit.context.close()


def test_on_paper_a_wide_table_is_in_parts_that_fit_and_no_column_is_lost(visit: Visit) -> None:
    heads = visit.texts(f"{TABLE} thead tr:last-child th")
    visit.page.set_viewport_size({"width": 980, "height": 700})  # a landscape page within its margins
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not visit.page.locator(TABLE).is_visible()
    parts = visit.page.locator("#all-runs-scores .parts table")
    assert parts.count() == -(-(len(heads) - 2) // 10) > 1
    told = [[text.strip() for text in part.locator("thead th").all_inner_texts()] for part in parts.all()]
    assert [head for part in told for head in part[2:]] == [head.strip() for head in heads[2:]]
    assert {part[0] for part in told} == {heads[0].strip()}
    for table in visit.page.locator("table:visible").all():
        assert table.evaluate("table => table.getBoundingClientRect().right") <= 980
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert visit.page.locator(".parts").count() == 0


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", PHONE)])
def test_axe_finds_nothing_wrong(browser: Any, tmp_path: Path, scheme: str, viewport: dict[str, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "index.html"  # few rows: each has the same elements, and all of them are looked at
    path.write_text(html([make_table(made_up_cells(["gru", "lstm"], ["adding", "mnist1d"]))], [HOSTILE]))
    visit = Visit(browser, path.as_uri(), viewport=viewport, scheme=scheme)
    visit.page.locator("[data-cost-of=mean] svg").wait_for()
    for details in visit.page.locator("details").all():
        details.evaluate("details => details.open = true")
    found = Axe().run(visit.page)
    assert found.violations_count == 0, found.generate_report()
    visit.page.evaluate("location.hash = 'cell=lstm/mnist1d.300-steps'")
    visit.page.locator("#run .chart svg").nth(2).wait_for()
    found = Axe().run(visit.page)
    assert found.violations_count == 0, found.generate_report()
    visit.context.close()
