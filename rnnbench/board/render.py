"""The table in a terminal and in Markdown."""

import re

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from rnnbench.board.table import Column, Table, number

CHANCE = "chance"
FOOTNOTE = (
    "Test score of the checkpoint with the best validation score: mean ± 95 % interval (Student's t) over n seeds. "
    "Bold: the best, where Welch's t test separates it from the second (p < 0.05). "
    "≈ chance: not better than chance by the margin on the task's card."
)


def clean(text: str) -> str:
    """Text from a record without line breaks, controls and changes of direction: it cannot draw on terminal or page."""
    return re.sub(r"[^\S ]+|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", " ", text)


def terminal(table: Table) -> RenderableType:
    """The board for rich."""
    shown = RichTable(box=box.SIMPLE_HEAVY, pad_edge=False, header_style="bold")
    shown.add_column("architecture", no_wrap=True, overflow="fold")
    for column in table.columns:
        shown.add_column(Text("\n".join(table.headings[column])), justify="right", overflow="fold")
    shown.add_column("parameters", justify="right")
    shown.add_column("train s", justify="right")
    for row in table.rows:
        entries = [_styled(table.text(row, column), row.entries[column].best) if column in row.entries else Text("–")
                   for column in table.columns]  # fmt: skip
        shown.add_row(Text(clean(row.label)), *entries, row.parameters, row.seconds)
    shown.add_section()
    shown.add_row(
        Text(CHANCE, style="dim"), *(Text(_chance(table, column), style="dim") for column in table.columns), "", ""
    )
    notes = [Text(clean(f"{where}: {why}"), style="dim") for where, why in table.reasons]
    return Group(shown, *notes, Text(FOOTNOTE, style="dim"))


def markdown(table: Table) -> str:
    """The board in GitHub's Markdown."""
    heads = [
        "architecture",
        *("<br>".join(table.headings[column]) for column in table.columns),
        "parameters",
        "train s",
    ]
    lines = [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]
    for row in table.rows:
        texts = []
        for column in table.columns:
            entry = row.entries.get(column)
            text = escape(table.text(row, column)) if entry else "–"
            texts.append(f"**{text}**" if entry and entry.best else text)
        lines.append(_line([escape(row.label), *texts, row.parameters, row.seconds]))
    lines.append(_line([f"*{CHANCE}*", *(f"*{escape(_chance(table, column))}*" for column in table.columns), "", ""]))
    notes = [f"- {escape(where)}: {escape(why)}" for where, why in table.reasons]
    return "\n".join([*lines, "", FOOTNOTE, *(["", *notes] if notes else [])]) + "\n"


def escape(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|~!#$])", r"\\\1", text)
    return re.sub(r"(?i)(:)(?=//)|(?<=www)(\.)", r"\\\1\2", text)  # no link of its own accord


def _chance(table: Table, column: Column) -> str:
    chance = table.chance.get(column)
    return f"{number(chance.value)} ({clean(chance.of)})" if chance else ""


def _styled(text: str, best: bool) -> Text:
    return Text(text, style="bold green" if best else "")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
