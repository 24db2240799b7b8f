"""The table in a terminal and in Markdown."""

import re
from collections.abc import Iterable

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text as RichText

from rnnbench.board.sheet import CHANCE, Sheet, Style, Text
from rnnbench.board.table import Table

STYLES: dict[Style, str] = {"": "", "best": "bold green", "dim": "dim"}
MOST_COLUMNS = 8
FOOTNOTE = (
    "Test score of the checkpoint with the best validation score: mean ± 95 % interval (Student's t) over n seeds. "
    "Bold: the best alone; =: the same as the best, as far as these seeds tell (Welch's t test, adjusted by Holm, "
    "p ≥ 0.05). "
    "≈ chance: not better than chance by the margin on the task's card."
)


def clean(text: str) -> str:
    """Text from a record without line breaks, controls and changes of direction: it cannot draw on terminal or page."""
    return re.sub(r"[^\S ]+|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", " ", text)


class Terminal:
    """The board for rich: as wide as the console, in as many parts as that takes."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def fits(sheet: Sheet) -> bool:
            return Measurement.get(console, options.update(max_width=10_000), _rich(sheet)).maximum <= options.max_width

        yield from map(_rich, Sheet.of(self.table).parts(fits))
        yield from (RichText(clean(f"{where}: {why}"), style="dim") for where, why in self.table.reasons)
        yield RichText(FOOTNOTE, style="dim")


def _rich(sheet: Sheet) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAVY, pad_edge=False, header_style="bold")
    shown.add_column(sheet.corner, no_wrap=True, overflow="fold")
    for heading in sheet.across:
        shown.add_column(RichText(clean_lines(heading, "\n")), justify="right", overflow="fold")
    for heading, fields in zip(sheet.down, sheet.fields, strict=True):
        if heading == [CHANCE]:
            shown.add_section()
        texts = [RichText(clean(one.text), style=STYLES[one.style]) for one in fields]
        shown.add_row(RichText(clean_lines(heading, ", ")), *texts)
    return shown


def markdown(table: Table) -> str:
    """The board in GitHub's Markdown: the way round that is easier to read."""
    sheet = Sheet.of(table)
    if len(sheet.across) > max(MOST_COLUMNS, len(sheet.down)):
        sheet = sheet.turned()
    heads = [sheet.corner, *("<br>".join(map(escape, lines)) for lines in sheet.across)]
    lines = [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]
    for heading, fields in zip(sheet.down, sheet.fields, strict=True):
        lines.append(_line([", ".join(map(escape, heading)), *map(_marked, fields)]))
    notes = [f"- {escape(where)}: {escape(why)}" for where, why in table.reasons]
    return "\n".join([*lines, "", FOOTNOTE, *(["", *notes] if notes else [])]) + "\n"


def _marked(field: Text) -> str:
    text, mark = escape(field.text), {"best": "**", "dim": "*", "": ""}[field.style]
    return f"{mark}{text}{mark}" if text else ""


def clean_lines(lines: Iterable[str], between: str) -> str:
    """Lines of a heading as one text."""
    return between.join(map(clean, lines))


def escape(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|~!#$])", r"\\\1", text)
    return re.sub(r"(?i)(:)(?=//)|(?<=www)(\.)", r"\\\1\2", text)  # no link of its own accord


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
