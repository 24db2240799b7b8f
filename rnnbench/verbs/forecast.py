"""`rnnbench forecast`."""

import math
from typing import Any, NamedTuple

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.verbs.opening import open_run, print_json


class Window(NamedTuple):
    """A window of the test part in the unit of the data, one channel of it: what was measured and foreseen, by step.

    `measured` is None where nothing was; errors are over all windows and channels of the test part, standardised.
    """

    channel: str
    unit: str
    past: list[float]
    measured: list[float | None]
    continuous: list[float]
    free: list[float]
    continuous_error: list[float]
    free_error: list[float]
    persistence_error: list[float]


def forecast(options: Namespace) -> None:
    """Print a forecast of a window of the test part with measured inputs and on its own, and errors by step.

    Raises:
        RnnbenchError: no such run, one of another objective, or a value out of its range.
    """
    if options.plot:
        from rnnbench.inside.charts import check_plot

        check_plot(options.plot)
    run = open_run(options, "forecast")
    window = foreseen(run, options.horizon, options.window, options.channel)
    if options.plot:
        from rnnbench.inside.charts import save
        from rnnbench.inside.pictures import forecast_chart

        save(forecast_chart(window._asdict(), run.name), options.plot, run.name)
    if options.json:
        print_json(window._asdict())
    else:
        _print(window)


def foreseen(run: Any, horizon: int, number: int, channel: str | None) -> Window:
    """The forecast of a window, in the unit of the data if it is known."""
    import torch

    from rnnbench.inside.forecast import errors_by_step

    run.data.prepare_data()
    run.data.setup("test")
    every = [batch[:2] for batch in run.data.test_dataloader()]
    inputs, targets = (torch.cat(some) for some in zip(*every, strict=True))
    if not 0 <= number < len(inputs):
        raise RnnbenchError(f"--window must be from 0 to {len(inputs) - 1}, got {number}")
    found = run.model.forecast(inputs, horizon)
    ends = targets[:, -horizon:]
    if not bool((~ends.isnan()).any(0).any(-1).all()):
        scored = int((~targets.isnan()).any(0).any(-1).sum())
        raise RnnbenchError(f"--horizon must be at most {scored}, the steps of a window that are scored, got {horizon}")
    known = inputs.shape[1] - horizon + 1
    persistence = inputs[:, known - 1 : known].expand_as(ends)
    names, mean, deviation = _units(run, inputs.shape[-1])
    place = _place(channel, names)

    def real(values: Any) -> list[float]:
        return [float(one) for one in values[number, :, place] * deviation[place] + mean[place]]

    return Window(
        names[place],
        "the unit of the data" if hasattr(run.data, "units") else "standard deviations",
        real(inputs[:, :known]),
        [None if math.isnan(one) else one for one in real(ends)],
        real(found.continuous),
        real(found.free),
        errors_by_step(found.continuous, ends),
        errors_by_step(found.free, ends),
        errors_by_step(persistence, ends),
    )


def _units(run: Any, channels: int) -> tuple[list[str], list[float], list[float]]:
    """Names, means and deviations of the channels; numbers and standard deviations where the data does not say."""
    if hasattr(run.data, "units"):
        return run.data.units()  # type: ignore[no-any-return]
    return [str(number) for number in range(channels)], [0.0] * channels, [1.0] * channels


def _place(channel: str | None, names: list[str]) -> int:
    if channel is None:
        return 0
    if channel.isdigit() and int(channel) < len(names):
        return int(channel)
    if channel not in names:
        raise unknown("channel", channel, names)
    return names.index(channel)


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
