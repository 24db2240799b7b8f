"""The page in a real browser, opened from a file: what a reader does with it, in both themes and on a phone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnbench.leaderboard.html.build import html
from rnnbench.leaderboard.table import make_table
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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html(make_table(made_up_cells()), [HOSTILE]))
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
        self.page.locator("#shown", has_text=count).wait_for()

    def rows(self) -> list[str]:
        return self.texts("#scores tbody tr:visible > th")

    def columns(self) -> list[str]:
        return [text.split("\n")[0] for text in self.texts("#scores thead th[data-group]")]


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    made = Visit(browser, address)
    yield made
    made.context.close()
    assert made.said == []
    assert made.asked == [address]


def test_a_heading_sorts_with_the_best_first_and_what_has_no_score_last(visit: Visit) -> None:
    def first_click(task: str) -> list[str]:
        head = visit.page.locator("#scores thead th", has_text=task).filter(has_text="300 steps")
        head.click()
        index = head.evaluate("head => head.cellIndex")
        return visit.texts(f"#scores tbody tr > :nth-child({index + 1}) .mean")

    low = [float(text.split()[0]) for text in first_click("adding")]
    high = [float(text.split()[0]) for text in first_click("mnist1d")]
    assert low == sorted(low)
    assert high == sorted(high, reverse=True)
    assert (len(low), len(high)) == (7, 6)
    visit.page.locator("#scores thead th", has_text="100 steps").first.click()
    visit.page.locator("#scores thead th[aria-sort]", has_text="100 steps").wait_for()
    assert visit.rows()[0] == "gru"


def test_numbers_of_any_size_are_sorted_as_numbers_beside_what_has_none(browser: Any, tmp_path: Path) -> None:
    scores = {"elman": 9.2, "gru": 100.3, "lstm": 10.5, "mingru": 1e-5}
    runs = [made(one, score=scores[one.architecture.name]) for one in specs([*scores], ["weather-nyc"], 1)]
    failed = [lost(one) for one in specs(["tcn"], ["weather-nyc"], 1)]
    table = make_table([Cell(one.spec, one.status, "", one) for one in runs + failed])
    (tmp_path / "index.html").write_text(html(table, []))
    visit = Visit(browser, (tmp_path / "index.html").as_uri())
    visit.page.locator("#scores thead th", has_text="weather-nyc").click()
    visit.page.locator("#scores thead th[aria-sort=ascending]").wait_for()
    assert visit.rows() == ["mingru", "elman", "lstm", "gru", "tcn"]
    assert "inf" not in visit.page.eval_on_selector_all("td", "all => all.map((one) => one.dataset.order)")
    visit.context.close()


def test_scores_are_searched_and_filtered(visit: Visit) -> None:
    everything, tasks = visit.rows(), visit.columns()
    visit.page.fill("#search", "lstm")
    visit.shows("2 of 7 architectures")
    assert visit.rows() == ["lstm", "lstm-peephole"]
    visit.page.click("text=Show all")
    visit.shows("7 of 7 architectures, 10 of 10 columns")
    assert visit.rows() == everything
    visit.page.select_option("#by-family", "GRU")
    visit.shows("1 of 7 architectures")
    assert visit.rows() == ["gru"]
    visit.page.select_option("#by-family", "")
    visit.shows("7 of 7 architectures")
    visit.page.select_option("#by-tuning", "tuned(4)")
    visit.shows("1 of 7 architectures")
    assert visit.rows() == ["elman tuned(4)"]
    visit.page.select_option("#by-tuning", "")
    visit.page.select_option("#by-group", "music")
    visit.shows("1 of 10 columns")
    assert visit.columns() == ["folk-abc"]
    visit.page.select_option("#by-group", "")
    visit.page.select_option("#by-kind", "synthetic")
    visit.shows("of 7 architectures, 6 of 10 columns")
    assert set(visit.columns()) == {"adding", "copy-memory", "mnist1d", "parity"}
    visit.page.click("text=Show all")
    visit.shows("7 of 7 architectures, 10 of 10 columns")
    assert visit.columns() == tasks


def test_a_field_opens_by_mouse_and_by_keyboard_and_says_everything(visit: Visit) -> None:
    page = visit.page
    page.locator("#scores tbody tr", has_text="mingru").locator("button.field").last.click()
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
    page.locator("button.field").first.focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#run-title") == "elman on adding"


def test_a_failed_run_says_why_and_its_text_does_nothing(visit: Visit) -> None:
    page = visit.page
    page.locator("#scores tbody tr", has_text="gru").locator("button.field", has_text="failed").click()
    assert page.locator("#run pre").first.inner_text() == HOSTILE
    assert page.locator("#run p", has_text="<script>").first.inner_text() == HOSTILE
    assert page.title() == "rnnbench leaderboard"
    assert page.locator("img").count() == 0


def test_a_page_of_hostile_records_does_nothing_wherever_it_is_touched(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(html(make_table(hostile_cells()), [HOSTILE]))
    visit = Visit(browser, path.as_uri())
    page = visit.page
    page.locator("#ranking").scroll_into_view_if_needed()
    page.locator("#cost").scroll_into_view_if_needed()
    page.locator("#pareto svg").wait_for()
    page.locator("#pareto path[aria-roledescription='point']").first.hover()
    for details in page.locator("details").all():
        details.evaluate("details => details.open = true")
    page.locator("button.field").first.click()
    page.locator("#run .chart svg").nth(2).wait_for()
    page.locator("#run .chart path[aria-roledescription='point']").first.hover()
    assert HOSTILE in page.locator("#run").inner_text()
    assert page.title() == "rnnbench leaderboard"
    assert page.locator("img").count() == 0
    assert (visit.said, visit.asked) == ([], [path.as_uri()])
    visit.context.close()


def test_a_ranking_is_chosen_and_a_number_is_explained_by_one_click(visit: Visit) -> None:
    page = visit.page
    assert visit.texts("#ranking-0 tbody th[scope=row]")[:2] == ["tcn", "mingru"]
    page.select_option("#ranking-set", label="synthetic data")
    assert page.locator(".ranking:visible").count() == 1
    assert "4 tasks" in page.locator(".ranking:visible > p").first.inner_text()
    assert visit.texts(".ranking:visible .pairs tbody th")[:2] == ["tcn", "mingru"]
    assert (
        page.locator(".ranking:visible .pairs tbody td")
        .nth(1)
        .get_attribute("title")
        .startswith("tcn better than mingru: 100 %")
    )
    page.locator(".ranking:visible [popovertarget=define-win_rate]").click()
    assert "a tie is half" in page.locator("#define-win_rate").inner_text()
    assert page.locator("#define-win_rate").is_visible()


def test_costs_of_two_machines_are_never_in_one_table(visit: Visit) -> None:
    page = visit.page
    page.locator("#cost").scroll_into_view_if_needed()
    page.locator("#pareto svg").wait_for()
    assert len(visit.texts("#costs tbody th")) == 7
    for machine in ("Processor X, 2 threads", "GPU Y (Processor X)"):
        page.select_option("#cost-machine", machine)
        shown = page.eval_on_selector_all("#costs tbody tr", "rows => rows.map(row => row.dataset.machine)")
        assert set(filter(None, shown)) <= {machine}
    assert "No record says this cost here." in page.inner_text("#pareto")
    page.select_option("#cost-task", label="adding, mse ↓, 100 steps")
    assert "torch.nn.GRU" in page.inner_text("#costs")


def test_the_theme_follows_the_system_until_the_reader_chooses(browser: Any, address: str) -> None:
    visit = Visit(browser, address, scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert visit.page.evaluate(colour) == "rgb(20, 23, 28)"
    visit.page.click("#theme")
    assert visit.page.evaluate(colour) == "rgb(255, 255, 255)"
    visit.page.click("#theme")
    assert visit.page.evaluate(colour) == "rgb(20, 23, 28)"
    visit.context.close()


def test_on_a_phone_only_tables_scroll_sideways(browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport=PHONE)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    first = visit.page.locator("#scores tbody th").first
    left = first.bounding_box()["x"]
    visit.page.locator("#scores").evaluate("table => table.closest('.scroll').scrollLeft = 400")
    assert first.bounding_box()["x"] == pytest.approx(left, abs=2)
    visit.page.locator("button.field").first.click()
    assert visit.page.evaluate("document.querySelector('#run').scrollWidth") <= PHONE["width"]
    assert visit.said == []
    visit.context.close()


def test_paper_gets_everything_that_is_folded(visit: Visit, tmp_path: Path) -> None:
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert visit.page.locator("details:not([open])").count() == 0
    visit.page.emulate_media(media="print")
    assert not visit.page.locator("#filters").is_visible()
    assert len(visit.page.pdf(path=tmp_path / "page.pdf")) > 10_000
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert visit.page.locator("details[open]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_a_drawing_have_the_colour_of_words_around_it(browser: Any, address: str, scheme: str) -> None:
    visit = Visit(browser, address, scheme=scheme)
    ink = visit.page.evaluate("getComputedStyle(document.body).color")
    words = visit.page.locator(".diagram svg text").all()
    assert len(words) > 5
    assert {word.evaluate("word => getComputedStyle(word).fill") for word in words} == {ink}
    visit.context.close()


def test_on_paper_a_wide_table_is_in_parts_that_fit_and_no_column_is_lost(visit: Visit) -> None:
    heads = visit.texts("#scores thead th")
    visit.page.set_viewport_size({"width": 980, "height": 700})  # a landscape page within its margins
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not visit.page.locator("#scores").is_visible()
    parts = visit.page.locator("#overview .parts table")
    assert parts.count() == -(-(len(heads) - 1) // 10) > 1
    told = [[text.strip() for text in part.locator("thead th").all_inner_texts()] for part in parts.all()]
    assert [head for part in told for head in part[1:]] == [head.strip() for head in heads[1:]]
    assert {part[0] for part in told} == {heads[0].strip()}
    for table in visit.page.locator("table:visible").all():
        assert table.evaluate("table => table.getBoundingClientRect().right") <= 980
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert visit.page.locator(".parts").count() == 0


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", PHONE)])
def test_axe_finds_nothing_wrong(browser: Any, address: str, scheme: str, viewport: dict[str, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    visit = Visit(browser, address, viewport=viewport, scheme=scheme)
    for details in visit.page.locator("details").all():
        details.evaluate("details => details.open = true")
    found = Axe().run(visit.page)
    assert found.violations_count == 0, found.generate_report()
    visit.page.locator("button.field").nth(3).click()
    visit.page.locator("#run .chart svg").nth(2).wait_for()
    found = Axe().run(visit.page)
    assert found.violations_count == 0, found.generate_report()
    visit.context.close()
