"""`rnnbench gradients`."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import print_json, save_chart
from rnnbench.cli.parser import Parser, add_grid, add_names, add_plot, names_of
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.harness.paths import Folders
from rnnbench.utils.text import clean

if TYPE_CHECKING:
    from rnnbench.analysis.charts import GradientCurves
    from rnnbench.analysis.gradients import Profile

BEFORE, AFTER = "before training", "after training"
BLOCKS = "▁▂▃▄▅▆▇█"
SPARK, LOW, HIGH = 14, -6, 2
"""Columns of a small curve in the terminal, and the powers of ten it reaches from and to."""
WIDE = 100
"""From this width on a terminal shows more distances."""
NEAR = 10
"""Steps whose shares are summed up in the terminal."""
DISTANCE = "distance from which < 1 % of the gradient is left"
BY_NORM, BY_VALUE = "share of steps clipped by norm", "share of steps clipped by value"
LEGEND = (
    "‖∂L(T)/∂s(T−d)‖: gradient of the last loss by the states d steps before, as a share of that at d = 0. σ: largest "
    "singular value of ∂s(T)/∂s(T−d). Curves: from 10⁻⁶ to 10² on a logarithmic scale, d from left to right."
)
TERMS_LEGEND = (
    "∂L(T)/∂W = Σ_k (∂L(T)/∂s_k)(∂⁺s_k/∂W), W: all weights of the top layer. Share of step k = T−d: projection of its "
    "term on the sum, ⟨term, ∂L/∂W⟩ / ‖∂L/∂W‖², negative where it points against the sum; all shares sum to 1. Norms: "
    "‖term‖ / ‖∂L/∂W‖, on the same scale."
)


class TaskGradients(NamedTuple):
    """Gradients of one task: curves, what was logged during training, and why curves are missing, if any are."""

    task: str
    curves: "list[GradientCurves]"
    training: list[dict[str, Any]]
    notes: list[str]


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_grid(parser)
    parser.add_argument("--task", type=str, help="only this (default: all of the grid)")
    add_names(parser, "--architectures", "only these (default: all of the grid)")
    parser.add_argument("--seed", type=int, help="whose runs (default: the grid's first)")
    parser.add_argument("--sequences", type=int, default=8, help="sequences of the validation part")
    add_plot(parser)


def run(options: Namespace) -> None:
    """Print how gradients of a grid's networks fall off with distance, and draw them.

    Raises:
        RnnbenchError: no such grid, task, architecture or seed; a picture that cannot be written; nothing to show.
    """
    from rnnbench.analysis.charts import check_plot, gradient_chart

    if options.plot is not None:
        check_plot(options.plot)
    if options.sequences < 1:
        raise RnnbenchError(f"--sequences must be at least 1, got {options.sequences}")
    options.architectures = names_of(options.architectures)
    folders = Folders(options.leaderboard, options.runs)
    grid = folders.grid(options.grid)
    specs = chosen(grid, options)
    if options.plot is not None and len({spec.task.name for spec in specs}) > 1:
        raise RnnbenchError("a picture is of one task: choose it with --task")
    results = [
        gradients_of(task, specs, folders, options.sequences)
        for task in dict.fromkeys(spec.task.name for spec in specs)
    ]
    if not any(result.curves for result in results):
        raise RnnbenchError("; ".join(dict.fromkeys(note for result in results for note in result.notes)))
    if options.plot is not None:
        (result,) = results
        subtitle = (
            f"{grid.name}: means over {options.sequences} validation sequences of {result.task}, seed {specs[0].seed}"
        )
        chart = gradient_chart(result.curves, "Gradients through time", subtitle, result.training)
        save_chart(chart, options.plot, f"Gradients: {grid.name}")
    if options.json:
        print_json([{**result._asdict(), "curves": [vars(curve) for curve in result.curves]} for result in results])
    else:
        print_tables(results, Console(highlight=False))


def chosen(grid: GridSpec, options: Namespace) -> list[RunSpec]:
    """The runs of a grid that are compared: those of one seed.

    Raises:
        RnnbenchError: the grid has no such task, architecture or seed.
    """
    specs = grid.expand()
    seed = grid.seed_list[0] if options.seed is None else options.seed
    if seed not in grid.seed_list:
        raise RnnbenchError(f"grid {grid.name!r} has no seed {seed}; its seeds: {', '.join(map(str, grid.seed_list))}")
    for kind, wanted in (("task", options.task), ("architecture", options.architectures)):
        names = {getattr(spec, kind).name for spec in specs}
        for name in [wanted] if isinstance(wanted, str) else wanted or []:
            if name not in names:
                raise unknown(f"{kind} of grid {grid.name!r}", name, names)
    return [
        spec for spec in specs
        if spec.seed == seed
        and options.task in (None, spec.task.name)
        and (not options.architectures or spec.architecture.name in options.architectures)
    ]  # fmt: skip


def gradients_of(task: str, specs: Sequence[RunSpec], folders: Folders, sequences: int) -> TaskGradients:
    """The curves of the runs of one task."""
    from rnnbench.harness.gradient_profiles import profiles, validation_sequences

    own = [spec for spec in specs if spec.task.name == task]
    result = TaskGradients(task, [], [], [])
    try:
        batches, facts = validation_sequences(own[0], sequences)
    except RnnbenchError as error:
        result.notes.append(f"{task}: {error}")
        return result
    for spec in own:
        name = spec.architecture.name
        try:
            profile = profiles(spec, batches, facts, folders.leaderboard, folders.runs)
        except RnnbenchError as error:
            result.notes.append(f"{name}: {error}")
            continue
        result.curves.append(curves_of(name, BEFORE, profile.before))
        if profile.after is not None:
            result.curves.append(curves_of(name, AFTER, profile.after))
            result.training.extend(training_log(name, spec, folders))
        result.notes.extend(f"{name}: {why}" for why in (profile.why_not, profile.before.why_not) if why)
    return result


def curves_of(name: str, when: str, profile: "Profile") -> "GradientCurves":
    """A profile as plain numbers: of the loss the forward direction of the top layer."""
    from rnnbench.analysis.charts import GradientCurves

    values = profile.jacobian
    largest = [] if values is None else values[:, 0].tolist()
    median = [] if values is None else values.median(1).values.tolist()
    shares, norms = ([], []) if profile.terms is None else (values.tolist() for values in profile.terms)
    return GradientCurves(name, when, largest, median, profile.loss[-profile.directions].tolist(), shares, norms)


def training_log(name: str, spec: RunSpec, folders: Folders) -> Iterator[dict[str, Any]]:
    """What was logged while a run was trained; of gradients, those of the top layer in the forward direction."""
    from rnnbench.harness.gradient_profiles import logged

    for step, values in logged(spec, folders.runs):
        top = max((key for key in values if key.endswith("/distance") and "reverse" not in key), default=None)
        for key, measure in ((top, DISTANCE), ("clipping/by_norm", BY_NORM), ("clipping/by_value", BY_VALUE)):
            if key in values:
                yield {"architecture": name, "step": step, "measure": measure, "value": values[key]}


def print_tables(results: Sequence[TaskGradients], console: Console) -> None:
    """The curves as tables."""
    for result in results:
        if result.curves:
            console.print(table_of(result, console.width))
        if any(curve.shares for curve in result.curves):
            console.print(terms_table(result, console.width))
        if result.training:
            console.print(_training(result))
        for note in result.notes:
            console.print(Text(clean(note), style="dim"), soft_wrap=True)
    console.print(Text(LEGEND, style="dim"))
    if any(curve.shares for result in results for curve in result.curves):
        console.print(Text(TERMS_LEGEND, style="dim"))


def table_of(result: TaskGradients, width: int) -> Table:
    """A row for each curve; the largest singular value at the farthest distance to which all were taken."""
    marks = _marks([curve.loss for curve in result.curves], width)
    length = marks[-1]
    far = min((len(curve.jacobian) - 1 for curve in result.curves if curve.jacobian), default=length)
    table = Table(title=f"{escape(clean(result.task))}: ‖∂L(T)/∂s(T−d)‖ by distance d", title_justify="left",
                  box=box.SIMPLE_HEAVY, pad_edge=False)  # fmt: skip
    table.add_column("architecture", overflow="fold")
    table.add_column("when")
    for name in ("< 1 %\nfrom d", *(f"left at\nd = {d}" for d in marks), f"σ at\nd = {far}"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("curve", no_wrap=True)
    before = ""
    for curve in result.curves:
        shares = shares_of(curve.loss)
        gone = next((str(d) for d, share in enumerate(shares) if share < 0.01), "never")
        at = [_number(shares[d]) if d < len(shares) else "" for d in marks]
        sigma = _number(curve.jacobian[far]) if curve.jacobian else "–"
        name = "" if curve.architecture == before else clean(curve.architecture)
        table.add_row(Text(name), curve.when.split()[0], gone, *at, sigma, sparkline(shares))
        before = curve.architecture
    return table


def terms_table(result: TaskGradients, width: int) -> Table:
    """A row for each curve: the shares of some steps in ∂L(T)/∂W, and of the nearest ten together."""
    curves = [curve for curve in result.curves if curve.shares]
    marks = sorted({0, *_marks([curve.shares for curve in curves], width)})
    table = Table(title=f"{escape(clean(result.task))}: share of step T−d in ∂L(T)/∂W", title_justify="left",
                  box=box.SIMPLE_HEAVY, pad_edge=False)  # fmt: skip
    table.add_column("architecture", overflow="fold")
    table.add_column("when")
    for name in (*(f"d = {d}" for d in marks), f"all of\nd < {NEAR}"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("norms", no_wrap=True)
    before = ""
    for curve in curves:
        at = [_number(curve.shares[d]) if d < len(curve.shares) else "" for d in marks]
        name = "" if curve.architecture == before else clean(curve.architecture)
        near = _number(sum(curve.shares[:NEAR]))
        table.add_row(Text(name), curve.when.split()[0], *at, near, sparkline(curve.norms))
        before = curve.architecture
    return table


def _marks(curves: Sequence[Sequence[float]], width: int) -> list[int]:
    """Distances from 1 on that a table has columns for, the last being the longest curve's."""
    length = max(map(len, curves)) - 1
    return sorted({min(d, length) for d in ((1, 10, 50, length) if width >= WIDE else (10, length))})


def _training(result: TaskGradients) -> Table:
    """Of each run the distance at its first and last validation, and the share of steps that were clipped."""
    table = Table(title=f"{escape(clean(result.task))}: during training", title_justify="left", box=box.SIMPLE_HEAVY,
                  pad_edge=False)  # fmt: skip
    table.add_column("architecture", overflow="fold")
    for name in ("< 1 % from d,\nfirst → last", "steps clipped\nby norm", "by value"):
        table.add_column(name, justify="right")
    for name in dict.fromkeys(row["architecture"] for row in result.training):
        series = [
            [row["value"] for row in result.training if (row["architecture"], row["measure"]) == (name, measure)]
            for measure in (DISTANCE, BY_NORM, BY_VALUE)
        ]
        clipped = [f"{sum(shares) / len(shares):.0%}" if shares else "–" for shares in series[1:]]
        table.add_row(Text(clean(name)), f"{series[0][0]:.0f} → {series[0][-1]:.0f}" if series[0] else "–", *clipped)
    return table


def shares_of(values: Sequence[float]) -> list[float]:
    """Values as shares of the first."""
    return [value / values[0] if values[0] else math.nan for value in values]


def _number(value: float) -> str:
    return f"{value:.2g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.0e}"


def sparkline(shares: Sequence[float]) -> str:
    """A small curve of positive numbers on a logarithmic scale; a space where there is nothing."""
    return "".join(map(_block, _thinned(shares)))


def _thinned(values: Sequence[float]) -> Iterator[float]:
    columns = min(SPARK, len(values))
    for k in range(columns):
        yield values[round(k * (len(values) - 1) / max(1, columns - 1))]


def _block(value: float) -> str:
    if not value > 0:
        return " "
    height = (math.log10(value) - LOW) / (HIGH - LOW) if value < math.inf else 1.0
    return BLOCKS[max(0, min(len(BLOCKS) - 1, int(height * len(BLOCKS))))]
