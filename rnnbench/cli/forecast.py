"""`rnnbench forecast`."""

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from rnnbench.cli.opening import open_run, print_json
from rnnbench.harness.samples import ForecastWindows, Window


def forecast(options: Namespace) -> None:
    """Print a forecast of a window of the test part with measured inputs and on its own, and errors by step.

    Raises:
        RnnbenchError: no such run, one of another objective, or a value out of its range.
    """
    if options.plot:
        from rnnbench.analysis.charts import check_plot

        check_plot(options.plot)
    run = open_run(options, "forecast")
    test = ForecastWindows(run.model, run.data, options.horizon)
    window = test.window(options.window, options.channel)
    if options.plot:
        from rnnbench.analysis.charts import forecast_chart, save

        shown = [options.channel] if options.channel else [str(number) for number in range(len(test.names))]
        windows = [test.window(options.window, channel)._asdict() for channel in shown]
        save(forecast_chart(windows, run.name), options.plot, run.name)
    if options.json:
        print_json(window._asdict())
    else:
        _print(window)


def _print(window: Window) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), title=f"{window.channel}, in {window.unit}", title_justify="left")
    ways = ("continuous", "on its own")
    heads = ("step", "measured", *ways, *(f"rmse\n{way}" for way in (*ways, "persistence")))
    for head in heads:
        table.add_column(head, justify="right")
    columns = zip(window.measured, window.continuous, window.free, window.continuous_error, window.free_error,
                  window.persistence_error, strict=True)  # fmt: skip
    for step, (measured, *numbers) in enumerate(columns, 1):
        first = "–" if measured is None else f"{measured:.2f}"
        table.add_row(str(step), first, *(f"{one:.2f}" for one in numbers[:2]), *(f"{one:.3f}" for one in numbers[2:]))
    Console(highlight=False).print(table)
    print("rmse: over all windows and channels of the test part, in standard deviations, so many steps ahead")
