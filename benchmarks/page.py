"""How the page grows with its records, and how soon a reader sees it: `python -m benchmarks.page`.

Built in memory from made-up records, written to a file, opened from it in Chromium; goals are a first paint within a
second of 1,000 records and within three of 20,000, and 3 MB beside the data of the records.
"""

import argparse
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.board import SHAPES
from benchmarks.made_up import made_up
from rnnbench.config.grid import GridSpec
from rnnbench.config.registry import catalogue
from rnnbench.leaderboard.html.build import html
from rnnbench.leaderboard.table import make_table
from rnnbench.records.status import Cell

GOALS = {1_000: 1.0, 20_000: 3.0}
"""Seconds to the first paint."""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def page(records: int) -> str:
    """The page of so many made-up records."""
    tasks, architectures, seeds = SHAPES[records]
    names = {"tasks": list(catalogue("task"))[:tasks], "architectures": list(catalogue("architecture"))[:architectures]}
    specs = GridSpec.read({"name": "page", **names, "seeds": seeds}, "page").expand()
    table = make_table([Cell(spec, "done", "", made_up(spec)) for spec in specs])
    return html([table], [])


def seconds_to(act: Any) -> float:
    """How long something takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def reader(path: Path) -> dict[str, float]:
    """What a reader waits for: seconds to the first paint, of a sort, until a field is open."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1300, "height": 900})
        shown.goto(path.as_uri())
        paint = float(shown.evaluate(PAINT))
        sort = seconds_to(shown.locator("table.rank thead th").nth(1).click)
        chart = shown.locator("#run .chart svg").first
        opened = seconds_to(shown.locator("table.scores button.field").first.click) + seconds_to(chart.wait_for)
        browser.close()
    return {"first paint": paint, "sort": sort, "field open": opened}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, nargs="+", choices=list(SHAPES), default=list(GOALS))
    table = Table("records", "page", "of it data", "build", "first paint", "sort", "field open")
    for records in options.parse_args().records:
        start = time.process_time()
        text = page(records)
        built = time.process_time() - start
        data = sum(map(len, re.findall(r'<script type="application/json".*?</script>', text, re.DOTALL)))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index.html"
            path.write_text(text)
            waits = reader(path)
        sizes = (f"{len(text.encode()) / 1e6:.1f} MB", f"{data / 1e6:.1f} MB", f"{built:.1f} s")
        goal = f" (goal < {GOALS[records]:g} s)" if records in GOALS else ""
        shown = [f"{wait:.2f} s{goal if name == 'first paint' else ''}" for name, wait in waits.items()]
        table.add_row(f"{records:,}", *sizes, *shown)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
