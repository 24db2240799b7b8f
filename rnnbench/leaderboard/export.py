"""Records as rows for other programs, and the board as a table for a paper. Text of records stays text everywhere."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.configuration import Configuration, settings_of
from rnnbench.leaderboard.grid_layout import CHANCE, GridLayout, Text
from rnnbench.leaderboard.render import legend
from rnnbench.leaderboard.table import Table
from rnnbench.records.status import Cell
from rnnbench.utils.files import writing
from rnnbench.utils.text import clean

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "json", "latex", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "json", "latex", "parquet")
FORMULA = tuple("=+-@")
"""With one of these a text begins that a spreadsheet would compute."""
NO_TRACKS: Mapping[str, Sequence[str]] = {}
LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "±": r"$\pm$", "≈": r"$\approx$", "×": r"$\times$",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "–": "--", "|": r"\textbar{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "°": r"$^{\circ}$", "…": r"\ldots{}",
    '"': r"\textquotedbl{}", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
}  # fmt: skip


def rows_of(cells: Iterable[Cell], tracks: Mapping[str, Sequence[str]] = NO_TRACKS) -> list[dict[str, Any]]:
    """A row for each cell, in the order of task, architecture and seed; what a cell does not have is None.

    `settings` are what tells its configuration from the architecture's card, `tracks` by id those to which it belongs.
    """
    settings = cache(settings_of())
    rows = []
    for cell in cells:
        more = {"settings": settings(Configuration.of(cell.spec)), "tracks": ",".join(tracks.get(cell.spec.id, ()))}
        rows.append(_row(cell) | {name: text or None for name, text in more.items()})
    return sorted(rows, key=lambda row: (row["task"], row["architecture"], row["seed"], row["id"]))


def _row(cell: Cell) -> dict[str, Any]:
    spec, record = cell.spec, cell.record
    cost, where, source, fit = (getattr(record, name, None) for name in ("cost", "environment", "provenance", "size"))
    return {
        "id": spec.id,
        "task": spec.task.name,
        "task_version": spec.task.version,
        "task_fingerprint": spec.task.fingerprint,
        "metric": spec.task.metric,
        "direction": spec.task.direction,
        "architecture": spec.architecture.name,
        "class_path": spec.architecture.class_path,
        "arguments": spec.arguments,
        "size": str(spec.size) if spec.size else None,
        "width": getattr(fit, "width", None),
        "size_found": getattr(fit, "count", None),
        "data_arguments": spec.task.data.init_args,
        "budget": spec.budget.model_dump(exclude_none=True),
        "devices": spec.devices,
        **{name: getattr(spec.training, name, None) or None for name in ("precision", "compile", "trainer")},
        "callbacks": spec.training.content.get("callbacks") if spec.training else None,
        "seed": spec.seed,
        "data_seed": spec.data_seed,
        "trial": spec.trial.index if spec.trial else None,
        "tuned": spec.selected.trials if spec.selected else None,
        "state": cell.state,
        "reason": cell.reason or None,
        "score": getattr(record, "score", None),
        "scores": getattr(record, "scores", None) or None,
        "validation": getattr(record, "validation", None) or None,
        "baseline_scores": getattr(record, "baseline_scores", None) or None,
        **{name: getattr(record, name, None) for name in ("best_step", "parameters")},
        **{name: getattr(cost, name, None) for name in ("steps", "epochs", "train_seconds", "cpu_seconds",
                                                        "total_seconds", "peak_memory_bytes", "steps_per_epoch",
                                                        "state_bytes", "flops_per_step", "micro_batches")},
        "backend": getattr(record, "backend", None) or None,
        **{name: getattr(where, name, None) for name in ("device", "threads", "processor", "platform", "python",
                                                         "torch", "lightning", "rnnbench")},
        "code_version": getattr(record, "code_version", None),
        "certified": cell.certified if cell.state == "done" else None,
        "data_fingerprint": getattr(record, "data_fingerprint", None) or None,
        "started": getattr(record, "started", None) or None,
        **{name: getattr(source, name, None) for name in ("commit", "clean", "by")},
    }  # fmt: skip


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose mappings and lists are JSON."""
    return {
        name: json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
        for name, value in row.items()
    }


def to_json(rows: Sequence[dict[str, Any]]) -> str:
    """An array of objects."""
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """A line a row. A text that a spreadsheet would take for a formula has an apostrophe before it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _no_formula(value) for name, value in flat(row).items()} for row in rows)
    return out.getvalue()


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def to_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A table of typed columns.

    Raises:
        RnnbenchError: it cannot be written.
    """
    with writing(path, "the file of an export (--out)"):
        frame_of(rows).to_parquet(path, index=False)


def frame_of(rows: Sequence[dict[str, Any]]) -> "pd.DataFrame":
    """Rows as a DataFrame with a type for each column; what a row lacks is missing there, and mappings are JSON."""
    import pandas as pd

    frame = pd.DataFrame([flat(row) for row in rows])
    counts = ["task_version", "devices", "seed", "best_step", "parameters", "steps", "epochs", "peak_memory_bytes",
              "steps_per_epoch", "state_bytes", "flops_per_step", "micro_batches", "threads", "width", "size_found",
              "data_seed", "trial", "tuned"]  # fmt: skip
    kinds = dict.fromkeys(counts, "Int64") | dict.fromkeys(
        ["score", "train_seconds", "cpu_seconds", "total_seconds"], "Float64"
    )
    flags = ("certified", "clean", "compile")
    others = {name: "string" for name in frame.columns if name not in {*kinds, *flags}}
    return frame.astype({**kinds, **others, **dict.fromkeys(flags, "boolean")})


def to_latex(table: Table) -> str:
    """The board as a `tabular` for a paper: rules by booktabs, numbers aligned by siunitx, the best alone in bold.

    The way round that is easier to read. Comments say which packages it needs and what the signs mean.
    """
    layout = GridLayout.of(table).upright()
    columns = [_LatexColumn(fields) for fields in zip(*layout.fields, strict=True)]
    heads = [
        *(escape_latex(head) for head in layout.corner),
        *(f"{{{_stacked(lines)}}}" if column.numeric else _stacked(lines)
          for column, lines in zip(columns, layout.across, strict=True)),
    ]  # fmt: skip
    lines = [
        _line([*(escape_latex(", ".join(lines)) for lines in layout.columns_before(heading)),
               *(column.text(place) for column in columns)])
        for place, heading in enumerate(layout.down)
    ]  # fmt: skip
    body = [*lines[:-1], r"\midrule", lines[-1]] if layout.down[-1] == [CHANCE] else lines
    begin = rf"\begin{{tabular}}{{{'l' * len(layout.corner)}{''.join(column.kind for column in columns)}}}"
    chances = [f"{column.task}: {chance.of}" for column, chance in table.chance.items()]
    notes = [LATEX_PACKAGES, legend(table), f"chance: {'; '.join(chances)}" if chances else "",
             *(f"{where}: {why}" for where, why in table.reasons)]  # fmt: skip
    comments = [f"% {escape_latex(note)}" if note != LATEX_PACKAGES else f"% {note}" for note in notes if note]
    rules = [r"\toprule", _line(heads), r"\midrule", *body, r"\bottomrule"]
    return "\n".join([*comments, begin, *rules, r"\end{tabular}"]) + "\n"


LATEX_PACKAGES = (
    r"\usepackage{booktabs} \usepackage[separate-uncertainty=true, detect-weight=true, group-digits=none]{siunitx}"
)
MEASURED = re.compile(r"(?P<value>-?\d+(\.\d+)?)( ± (?P<width>\d+(\.\d+)?))?(?P<rest>( .*|, .*)?)")
"""A number with its interval, and signs or states behind it."""
LATEX_SIGNS = {"°": r"\circ", "=": "=", "≈ chance": r"\approx"}


class _LatexColumn:
    """The fields of a column: aligned by siunitx if one of them is a number, else right-aligned text."""

    def __init__(self, fields: Sequence[Text]) -> None:
        self.fields = fields
        self.numbers = [MEASURED.fullmatch(field.text) for field in fields]
        self.numeric = any(self.numbers)

    @property
    def kind(self) -> str:
        """Its type in the head of the `tabular`."""
        if not self.numeric:
            return "r"
        found = [number for number in self.numbers if number]
        whole = max(len(number["value"].partition(".")[0].lstrip("-")) for number in found)
        decimals = max(len(number["value"].partition(".")[2]) for number in found)
        widths = [len(number["width"].replace(".", "").lstrip("0")) or 1 for number in found if number["width"]]
        sign = "-" if any(number["value"].startswith("-") for number in found) else ""
        digits = f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
        behind = max((self._behind(place).strip() for place in range(len(self.fields))), key=len)
        space = f", table-space-text-post={behind}" if behind else ""  # else it runs into the next column
        return f"S[table-format={digits}{f'({max(widths)})' if widths else ''}{space}]"

    def _behind(self, place: int) -> str:
        """What stands behind a number; of chance nothing, that stands in a comment."""
        field, number = self.fields[place], self.numbers[place]
        return _signs(number["rest"]) if number and field.style != "dim" else ""

    def text(self, place: int) -> str:
        """One field."""
        field, number = self.fields[place], self.numbers[place]
        if number is None:
            return f"{{{escape_latex(field.text)}}}" if self.numeric and field.text else escape_latex(field.text)
        width = f" +- {number['width']}" if number["width"] else ""
        return f"{BOLD if field.style == 'best' else ''}{number['value']}{width}{self._behind(place)}"


BOLD = r"\bfseries "


def _signs(rest: str) -> str:
    """What stands behind a number: signs raised, other words as they are."""
    signs = [sign for sign in LATEX_SIGNS if f" {sign}" in rest]
    for sign in signs:
        rest = rest.replace(f" {sign}", "", 1)
    raised = rf"$^{{{' '.join(LATEX_SIGNS[sign] for sign in signs)}}}$" if signs else ""
    return f" {{{raised}{escape_latex(rest)}}}" if signs or rest else ""


def _stacked(lines: Sequence[str]) -> str:
    inner = r" \\ ".join(map(escape_latex, lines))
    return inner if len(lines) == 1 else rf"\begin{{tabular}}{{@{{}}r@{{}}}} {inner} \end{{tabular}}"


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return re.sub("|".join(map(re.escape, LATEX)), lambda found: LATEX[found[0]], clean(text))


def _line(fields: Sequence[str]) -> str:
    return f"{' & '.join(fields)} \\\\"


def check_target(form: Format, out: Path | None) -> None:
    """Whether an export of that form can go there.

    Raises:
        RnnbenchError: it cannot.
    """
    if form == "parquet" and out is None:
        raise RnnbenchError("parquet is no text: say where it goes with --out FILE")
    if out is not None and (out.is_dir() or not out.name):
        raise RnnbenchError(f"--out must be a file, got {str(out)!r}")
