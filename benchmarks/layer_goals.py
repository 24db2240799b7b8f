"""What the layers are to reach, and tables that say whether they do."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from benchmarks.layer_cases import COUNTERPARTS, GROUPS, cells
from benchmarks.layer_memory import FIRST
from benchmarks.layer_timing import Key, Record, Shape, label

Setting = tuple[str, int]  # allocator, threads
Values = dict[Setting, dict[Shape, float]]


def everywhere(shape: Shape) -> bool:
    """All shapes."""
    return True


@dataclass(frozen=True)
class Goal:
    """A bound for the worst figure, or for the geometric mean over shapes."""

    bound: float
    over: Literal["each", "mean"] = "each"
    where: Callable[[Shape], bool] = everywhere
    says: str = ""


@dataclass(frozen=True)
class Row:
    """A figure made of one or two of a group's calls."""

    name: str
    title: str
    group: str
    ours: str
    theirs: str = ""
    goals: tuple[Goal, ...] = ()
    kind: Literal["ratio", "threads", "peak", "value"] = "ratio"
    where: Callable[[Shape], bool] = everywhere

    @property
    def job(self) -> str:
        """The group that is run for it."""
        return self.group.partition(":")[0]

    @property
    def entries(self) -> list[str]:
        """The calls it is made of."""
        return [name for name in (self.ours, self.theirs) if name]

    @property
    def sign(self) -> str:
        """How figure and goal are compared."""
        return "≥" if self.kind == "peak" else "≤"

    def worst(self, figures: Iterable[float]) -> float:
        """The figure that is furthest from the goal."""
        return min(figures) if self.kind == "peak" else max(figures)

    def reaches(self, figure: float, goal: Goal) -> bool:
        """Whether it is good enough."""
        return figure >= goal.bound if self.kind == "peak" else figure <= goal.bound

    def text(self, figure: float) -> str:
        """The figure as tables have it."""
        return f"{figure:.3g}" if self.kind == "value" or figure < 0.095 else f"{figure:.2f}"

    def wants(self, goal: Goal) -> str:
        """The goal in words."""
        over = {"each": "at every shape", "mean": "geometric mean"}[goal.over]
        unit = " s" if self.kind == "value" else f", {goal.says or over}"
        return f"{self.sign} {goal.bound:g}{unit}"

    def values(self, records: dict[Key, Record]) -> Values:
        """Figures by setting and shape, as far as they were measured."""
        found: Values = {}
        for group, shape, allocator, threads, entry in records:
            if group != self.group or entry != self.ours or not self.where(shape):
                continue
            ours = records[group, shape, allocator, threads, entry]
            other = (group, shape, allocator, 1 if self.kind == "threads" else threads, self.theirs or self.ours)
            if other not in records or (self.kind == "threads" and threads == 1):
                continue
            figure = self._figure(ours, records[other])
            found.setdefault((allocator, threads), {})[shape] = figure
        return found

    def _figure(self, ours: Record, theirs: Record) -> float:
        if self.kind == "value":
            return ours.median
        if self.kind == "peak":
            return (ours.flops / ours.median) / (theirs.flops / theirs.median)
        return ours.median / theirs.median


def _rows() -> list[Row]:
    four = (Goal(0.95), Goal(0.85, "mean"))
    gru = (Goal(0.75), Goal(0.40, where=lambda shape: shape[-1] <= 64, says="H ≤ 64"))
    gates = [
        ("lstm", "LSTM", "nn.LSTM", four),
        ("peephole", "PeepholeLSTM", "nn.LSTM", four),
        ("noaf", "PeepholeLSTM NOAF", "nn.LSTM", four),
        ("niaf", "PeepholeLSTM NIAF", "nn.LSTM", four),
        ("coupled", "CoupledLSTM", "nn.LSTM", (Goal(0.72),)),
        ("gru-after", "GRU", "nn.GRU", gru),
        ("gru-before", "GRU before", "nn.GRU", gru),
        ("elman-tanh", "Elman", "nn.RNN tanh", (Goal(0.75),)),
        ("elman-relu", "Elman relu", "nn.RNN relu", (Goal(0.75),)),
        ("layer-norm", "LayerNormLSTM", "nn.LSTM", (Goal(1.15),)),
    ]
    rows = [Row(name, f"{ours} / {theirs}", "gates", ours, theirs, goals) for name, ours, theirs, goals in gates]
    rows += [
        Row("peak", "LSTM's products / arithmetic peak, H ≥ 128", "gates", "LSTM", "peak", (Goal(0.75),), "peak",
            lambda shape: shape[-1] >= 128),
        Row("threads", "LSTM, several threads / 1, B ≥ 8", "gates", "LSTM", "", (Goal(0.55),), "threads",
            lambda shape: shape[1] >= 8),
        Row("projected", "LSTM / nn.LSTM, projected to H/2", "projected", "LSTM projected", "nn.LSTM projected",
            (Goal(0.6),)),
        Row("packed-lstm", "LSTM / nn.LSTM, packed", "packed", "LSTM", "nn.LSTM", (Goal(0.36),)),
        Row("packed-gru", "GRU / nn.GRU, packed", "packed", "GRU", "nn.GRU", (Goal(0.36),)),
        Row("bidirectional", "LSTM / nn.LSTM, bidirectional, 2 layers", "deep", "LSTM", "nn.LSTM", (Goal(0.9),)),
        Row("step", "LSTM called with one step / nn.LSTMCell", "one step", "LSTM", "nn.LSTMCell", (Goal(1.0),)),
        Row("step-method", "LSTM.step / nn.LSTMCell", "one step", "LSTM.step", "nn.LSTMCell", (Goal(1.0),)),
        Row("scan", "linear_recurrence / associative_scan", "scan", "linear_recurrence", "associative_scan",
            (Goal(0.15),)),
        Row("scan-doubling", "linear_recurrence / Hillis–Steele", "scan", "linear_recurrence", "Hillis–Steele",
            (Goal(0.15),)),
    ]  # fmt: skip
    for mode in ("inference", "training"):
        for name, short in (("LSTM", "LSTM"), ("GRU", "GRU"), ("Elman", "RNN")):
            theirs = f"nn.{short}Cell {mode}"
            for ours, what, bound in ((name, "calling", 1.3), (f"{short}Cell", "cell", 1.0)):
                rows.append(Row(f"{what}-{mode}-{name}", f"{ours} / nn.{short}Cell, {mode}", "calling cost",
                                f"{ours} {mode}", theirs, (Goal(bound),)))  # fmt: skip
            rows.append(Row(f"calling-layer-{mode}-{name}", f"{name} / nn.{short}, {mode}", "calling cost",
                            f"{name} {mode}", f"nn.{short} {mode}", (Goal(1.0),)))  # fmt: skip
    for name in cells():
        rows.append(
            Row(
                f"loop-{name}".replace(" ", "-"),
                f"{name} / its step in a loop",
                "cells",
                name,
                f"{name} loop",
                (Goal(0.35),),
            )
        )
    for name in COUNTERPARTS:
        rows.append(Row(f"torchrecurrent-{name}".replace(" ", "-"), f"{name} / torchrecurrent", "cells", name,
                        f"{name} torchrecurrent", (Goal(0.35),)))  # fmt: skip
    for what, goals in (("saved", (Goal(1.0),)), ("peak", ())):
        for ours, theirs in (("LSTM", "nn.LSTM"), ("PeepholeLSTM", "nn.LSTM"), ("CoupledLSTM", "nn.LSTM"),
                             ("GRU", "nn.GRU"), ("Elman", "nn.RNN tanh")):  # fmt: skip
            rows.append(Row(f"{what}-memory-{ours}", f"{ours} / {theirs}", f"memory: {what} bytes", ours, theirs,
                            goals if theirs == "nn.LSTM" else ()))  # fmt: skip
    for name in FIRST:
        for cache, bound in (("empty", 3.0), ("full", 0.02)):
            rows.append(Row(f"first-{cache}-{name}", f"{name}, {cache} cache", "first use", f"{name} {cache}", "",
                            (Goal(bound),), "value"))  # fmt: skip
    return [*rows, Row("growth", "growth with T, B and H", "growth", "")]


ROWS = _rows()


def geometric_mean(figures: Iterable[float]) -> float:
    """exp of the mean of the logarithms."""
    logs = [math.log(one) for one in figures]
    return math.exp(sum(logs) / len(logs))


def group_tables(records: dict[Key, Record], rows: Sequence[Row]) -> Iterable[Table]:
    """One table a group: every figure, the worst one, the geometric mean."""
    for group in dict.fromkeys(row.group for row in rows):
        lines = [(row, values) for row in rows if row.group == group and (values := row.values(records))]
        order = {shape: k for k, shape in enumerate(GROUPS[group.partition(":")[0]].shapes)}
        found = {shape for _, values in lines for by_shape in values.values() for shape in by_shape}
        shapes = sorted(found, key=lambda shape: (order.get(shape, len(order)), shape))
        if not lines:
            continue
        what = "medians in seconds" if lines[0][0].kind == "value" else "ratios of medians"
        table = Table("", "allocator", "threads", title=f"{group}: {what}, ! misses the goal")
        for shape in shapes:
            table.add_column("\n".join(map(str, shape)), justify="right")
        for name in ("worst", "mean"):
            table.add_column(name, justify="right")
        for row, values in lines:
            for (allocator, threads), by_shape in values.items():
                figures = [_cell(row, by_shape[shape], shape) if shape in by_shape else "" for shape in shapes]
                mean = geometric_mean(by_shape.values())
                missed = any(not row.reaches(mean, goal) for goal in row.goals if goal.over == "mean")
                table.add_row(row.title, allocator, str(threads), *figures,
                              row.text(row.worst(by_shape.values())), row.text(mean) + "!" * missed)  # fmt: skip
        yield table


def _cell(row: Row, figure: float, shape: Shape) -> str:
    missed = any(not row.reaches(figure, goal) for goal in row.goals if goal.over == "each" and goal.where(shape))
    return row.text(figure) + "!" * missed


def summary(records: dict[Key, Record], rows: Sequence[Row]) -> Table:
    """Every goal, the figure furthest from it, and whether it is reached."""
    table = Table("row", "figure", "measured", "where", "goal", "verdict", title="goals")
    for row in rows:
        values = row.values(records)
        for goal in row.goals:
            found: list[tuple[float, str]] = []
            for (allocator, threads), by_shape in values.items():
                at = f"{allocator}, {threads} thread{'s' * (threads > 1)}"
                chosen = {shape: figure for shape, figure in by_shape.items() if goal.where(shape)}
                if chosen and goal.over == "mean":
                    found.append((geometric_mean(chosen.values()), at))
                else:
                    found += [(figure, f"{label(shape)} {at}".strip()) for shape, figure in chosen.items()]
            if not found:
                table.add_row(row.name, row.title, "–", "not measured", row.wants(goal), "–")
                continue
            figure = row.worst(figure for figure, _ in found)
            where = next(place for one, place in found if one == figure)
            passed = row.reaches(figure, goal)
            verdict = "[green]pass[/green]" if passed else "[red]FAIL[/red]"
            table.add_row(row.name, row.title, row.text(figure), where, row.wants(goal), verdict)
    return table
