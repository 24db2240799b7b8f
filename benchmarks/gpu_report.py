"""The page docs/gpu.md: what `python -m benchmarks.gpu` has measured, or that nothing was measured yet."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.layer_device import Figure, Ratio, cell_text, goal_lines, ratios, rows
from benchmarks.layer_timing import label

PACKING_GOAL = 4.0
"""Least throughput of eight runs on a card, in that of one."""
TOLERANCE = 0.05
"""Largest difference of two scores that counts as the same: a share, or absolute below 1, as probes have it."""
COMMAND = "python -m benchmarks.gpu"
TABLE_COMMAND = "python -m benchmarks.layers --device cuda"
HEAD = f"""# On a GPU

`{COMMAND}` measures all of this in one go, in about ten minutes: the tests that need a device, the layers
beside cuDNN and others, what several runs on one card yield, and one grid on the card beside the same grid on the CPU.
`{COMMAND} --dry-run` makes all of it tiny on the CPU, to see that it runs. This page and `docs/gpu.json` are
written by it.
"""


def report(content: dict[str, Any] | None) -> str:
    """The page; of None, that nothing was measured yet and what the goals are."""
    if content is None:
        return "\n".join([HEAD, *_not_measured()]) + "\n"
    parts = [HEAD, *_machine(content), *_goals(content), *_tests(content["tests"]), *_packing(content["packing"])]
    return "\n".join([*parts, *_grid(content["grid"]), *_layers(content["layers"])]) + "\n"


def _not_measured() -> list[str]:
    goals = goal_lines([Ratio(row, (256, 64, 128, 512 if goal.bound == 2.0 else 128), "float32", None, "not measured")
                        for row in rows() if row.group != "cells" for goal in row.goals])  # fmt: skip
    lines = [(row, goal) for row, _, goal, _ in goals]
    lines += [("cells: triton ÷ function, every layer", "≤ 0.1"), (_packing_title(), f"≥ {PACKING_GOAL:g}")]
    return ["**It has not been measured yet.** The goals:", "", *_table(["what", "goal"], dict.fromkeys(lines))]


def _packing_title() -> str:
    return "throughput of 8 runs on a card ÷ 1 run"


def _machine(content: dict[str, Any]) -> list[str]:
    machine = content["machine"]
    tree = "" if machine["clean"] else ", with changes that are not committed"
    card = f"{machine['card']} (sm_{machine['capability'].replace('.', '')}, {machine['memory_gb']} GB)" if (
        "card" in machine) else "no card: a dry run on a CPU"  # fmt: skip
    versions = f"torch {machine['torch']}, CUDA {machine['cuda']}, Triton {machine['triton'] or 'none'}"
    return [
        f"Measured on {content['started']} on {card}; {versions}; commit {machine['commit'][:12] or 'unknown'}{tree}.",
        "",
    ]


def _goals(content: dict[str, Any]) -> list[str]:
    lines = goal_lines(ratios(map(Figure.read, content["layers"].get("figures", []))))
    gain = _gain(content["packing"].get("rows", []))
    verdict = "open" if gain is None else "reached" if gain >= PACKING_GOAL else "missed"
    lines.append((_packing_title(), "not measured" if gain is None else f"{gain:.2f}", f"≥ {PACKING_GOAL:g}", verdict))
    return ["## Goals", "", *_table(["what", "worst figure", "goal", ""], lines)]


def _gain(packing: Sequence[dict[str, Any]]) -> float | None:
    """Throughput of the eight runs at a time in that of one."""
    by_count = {row["at_a_time"]: row["runs_a_minute"] for row in packing}
    return by_count[8] / by_count[1] if {1, 8} <= by_count.keys() else None


def _tests(tests: dict[str, Any]) -> list[str]:
    if "tests" not in tests:
        return ["## Tests", "", _error(tests) or f"{tests.get('collected', 0)} tests need a GPU; none was run.", ""]
    failed = tests["failures"] + tests["errors"]
    counts = f"{tests['tests']} tests marked `gpu`: {failed} failed, {tests['skipped']} skipped."
    return ["## Tests", "", counts, "", *(f"- failed: `{name}`" for name in tests["failed"]), *[""] * bool(failed)]


def _packing(packing: dict[str, Any]) -> list[str]:
    some = packing.get("rows", [])
    lines = [(row["at_a_time"], row["runs"], f"{row['seconds']:.1f}", f"{row['runs_a_minute']:.1f}",
              f"{row['runs_a_minute'] / some[0]['runs_a_minute']:.2f}", f"{row['train_seconds']:.2f}",
              f"{row['peak_memory_mb']:.0f}", row["backend"]) for row in some]  # fmt: skip
    heads = [
        "at a time",
        "runs",
        "seconds",
        "runs a minute",
        "÷ one at a time",
        "training s of a run",
        "peak MB",
        "backend",
    ]
    return ["## Runs on one card at a time", "", *_table(heads, lines), *_error_lines(packing)]


def same(card: float, cpu: float) -> bool:
    """Whether two scores are the same as far as two kinds of machine can tell."""
    return abs(card - cpu) <= TOLERANCE * max(1.0, abs(cpu))


def _grid(grid: dict[str, Any]) -> list[str]:
    lines = [(cell["run"], cell["metric"], f"{cell['card']:.4g}", f"{cell['cpu']:.4g}",
              "same" if same(cell["card"], cell["cpu"]) else "differs",
              *(f"{cell[f'{where}_backend']}, {cell[f'{where}_seconds']:.2f} s" for where in ("card", "cpu")))
             for cell in grid.get("cells", [])]  # fmt: skip
    heads = ["run", "metric", "on the card", "on the CPU", "", "card", "CPU"]
    said = f"Scores are the same if they differ by at most {TOLERANCE:g} (of the score, where that is above 1)."
    return ["## One grid on the card and on the CPU", "", said, "", *_table(heads, lines), *_error_lines(grid)]


def _layers(layers: dict[str, Any]) -> list[str]:
    found = ratios(map(Figure.read, layers.get("figures", [])))
    text = [
        "## Layers",
        "",
        "Ratios of medians, training steps unless the group says otherwise; `!` misses its goal.",
        "",
    ]
    for group in dict.fromkeys(one.row.group for one in found):
        some = [one for one in found if one.row.group == group]
        shapes = list(dict.fromkeys(one.shape for one in some))
        lines = []
        for row, precision in dict.fromkeys((one.row, one.precision) for one in some):
            by_shape = {one.shape: one for one in some if (one.row, one.precision) == (row, precision)}
            lines.append((row.title, precision, *(cell_text(by_shape.get(shape)) for shape in shapes)))
        text += [f"### {group}", "", *_table(["", "precision", *map(label, shapes)], lines)]
    missing = dict.fromkeys(one.missing for one in found if one.missing)
    text += [f"- {why}" for why in missing] + [""] * bool(missing)
    text += [f"- an error ended the process of {one}" for one in layers.get("failed", [])]
    if late := layers.get("late"):
        text += [f"No time was left for {len(late)} parts of the table; `{TABLE_COMMAND}` makes all of it.", ""]
    return text + _error_lines(layers)


def _error(step: dict[str, Any]) -> str:
    return f"Not measured to its end: {' '.join(str(step['error']).split())}" if "error" in step else ""


def _error_lines(step: dict[str, Any]) -> list[str]:
    return [_error(step), ""] if "error" in step else []


def _table(heads: Sequence[str], lines: Iterable[Sequence[Any]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    body = [f"| {' | '.join(str(field).replace('|', '&#124;') for field in line)} |" for line in lines]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body, ""]
