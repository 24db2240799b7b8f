"""`rnnbench forecast`."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from rnnbench.cli.console import print_json, save_chart
from rnnbench.cli.inference import open_run
from rnnbench.cli.parser import Parser, add_json, add_precision, add_run
from rnnbench.harness.forecast_range import RangeErrors, range_errors
from rnnbench.harness.samples import ForecastWindows, Window, begin


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_precision(parser)
    parser.add_argument("--horizon", type=int, default=24, help="steps ahead")
    parser.add_argument("--window", type=int, default=0, help="which window of the test part, from 0")
    parser.add_argument("--channel", type=str, help="name or number of the channel that is shown (default: the first)")
    parser.add_argument("--range", action="store_true", help="errors inside and beyond the range of values of "
                        "training: the channel is moved by offsets")  # fmt: skip
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a figure of it (.html, .png or .svg)")
    add_json(parser)


def run(options: Namespace) -> None:
    """Print a forecast of a window of the test part with measured inputs and on its own, and errors by step; or the
    errors inside and beyond the range of values of training.

    Raises:
        RnnbenchError: no such run, a run of another objective, or a value out of its range.
    """
    if options.plot:
        from rnnbench.analysis.charts import check_plot

        check_plot(options.plot)
    trained = open_run(options, "forecast")
    test = ForecastWindows(trained.model, trained.data, options.horizon)
    if options.range:
        _run_range(options, trained, test)
        return
    window = test.window(options.window, options.channel)
    if options.plot:
        from rnnbench.analysis.charts import forecast_chart

        channels = [options.channel] if options.channel else [str(number) for number in range(len(test.names))]
        windows = [test.window(options.window, channel)._asdict() for channel in channels]
        save_chart(forecast_chart(windows, trained.name), options.plot, trained.name)
    if options.json:
        print_json({name: value for name, value in window._asdict().items() if value is not None})
    else:
        _print(window)


def _run_range(options: Namespace, trained: Any, test: ForecastWindows) -> None:
    """Print, and draw, forecasts inside and beyond the range of training."""
    found = range_errors(trained.model, trained.data, test, options.channel, options.window)
    if options.plot:
        from rnnbench.analysis.charts import range_chart

        save_chart(range_chart({**found._asdict(), "windows": [one._asdict() for one in found.windows]}, trained.name),
             options.plot, trained.name)  # fmt: skip
    if options.json:
        print_json({**found._asdict(), "windows": [one._asdict() for one in found.windows]})
    else:
        _print_range(found)


def _print_range(found: RangeErrors) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), title=f"{found.channel}, in {found.unit}", title_justify="left")
    for head in ("moved by", "outside the range\nof training", "rmse\non its own", "rmse\npersistence"):
        table.add_column(head, justify="right")
    rows = zip(found.offsets, found.outside, found.free_error, found.persistence_error, strict=True)
    for offset, outside, free, persistence in rows:
        table.add_row(f"{offset:+.4g}", f"{outside:.0%}", f"{free:.4g}", f"{persistence:.4g}")
    Console(highlight=False).print(table)
    print(
        f"range of training: {found.low:.4g} to {found.high:.4g}; moved by 0: as measured. Inputs and true values are"
    )
    print("moved alike, by the same offset in all windows: the same series, measured from another zero")


def _print(window: Window) -> None:
    where = f"; {begin(window)}" if window.times else ""
    title = f"{window.channel}, in {window.unit}{where}"
    table = Table(box=None, padding=(0, 1, 0, 0), title=title, title_justify="left")
    ways = ("continuous", "on its own")
    bounds = ("10 %", "90 %") if window.fan else ()
    heads = (
        "step",
        *(["hour"] if window.times else []),
        "measured",
        *ways,
        *bounds,
        *(f"rmse\n{way}" for way in (*ways, "persistence")),
    )
    for head in heads:
        table.add_column(head, justify="right")
    fan = window.fan or [[] for _ in window.free]
    values = zip(window.measured, window.continuous, window.free, fan, strict=True)
    errors = zip(window.continuous_error, window.free_error, window.persistence_error, strict=True)
    for step, ((measured, continuous, free, quantiles), wrong) in enumerate(zip(values, errors, strict=True), 1):
        first = "–" if measured is None else f"{measured:.2f}"
        numbers = (continuous, free, *(quantiles[:1] + quantiles[-1:]))
        hour = [_hour(window.times[step - 1])] if window.times else []
        table.add_row(str(step), *hour, first, *(f"{one:.2f}" for one in numbers), *(f"{one:.3f}" for one in wrong))
    Console(highlight=False).print(table)
    print("rmse: over all windows and channels of the test part, in standard deviations, so many steps ahead")


def _hour(time: str) -> str:
    """The hour of a time such as `2013-11-09 07:00`; at midnight the day."""
    day, hour = time[5:].split(" ")
    return day if hour == "00:00" else hour
