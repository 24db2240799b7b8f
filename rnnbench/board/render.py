"""The table in a terminal and in Markdown."""

import re
from collections.abc import Iterable

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text as RichText

from rnnbench.board.definitions import DEFINITIONS
from rnnbench.board.ranking import Ranking
from rnnbench.board.sheet import CHANCE, Sheet, Style, Text
from rnnbench.board.table import Table

STYLES: dict[Style, str] = {"": "", "best": "bold green", "dim": "dim"}
FOOTNOTE = " ".join(DEFINITIONS[name] for name in ("score", "best", "tied", "chance"))
RANKING_FOOTNOTE = (
    "Score: 0 is chance, 1 the ceiling or, where a card has none, the best mean here; tasks count the same. "
    "In brackets: 95 % intervals of a paired hierarchical bootstrap over tasks and seeds, and the places that cannot "
    "be ruled out when all pairs are judged at once (5 % for the whole table). "
    "Win rate: share of the others beaten at the same task and seed."
)
UNSEEN = (
    r"[^\S ]+|[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069"
    r"\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Line breaks, controls, changes of direction, letters without a shape, and halves of a pair, as in names of files."""


def clean(text: str) -> str:
    """Text from a record without what is `UNSEEN`: it cannot draw on terminal or page."""
    return re.sub(UNSEEN, " ", text)


class Terminal:
    """The board for rich, and the ranking if there is one: as wide as the console, in as many parts as that takes."""

    def __init__(self, table: Table, ranking: Ranking | None = None) -> None:
        self.table, self.ranking = table, ranking

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def fits(sheet: Sheet) -> bool:
            return Measurement.get(console, options.update(max_width=10_000), _rich(sheet)).maximum <= options.max_width

        if not self.table.rows:
            yield RichText(self.table.no_rows)
            yield from (RichText(clean(f"{where}: {why}"), style="dim") for where, why in self.table.reasons)
            return
        yield from map(_rich, Sheet.of(self.table).parts(fits))
        yield from (RichText(clean(f"{where}: {why}"), style="dim") for where, why in self.table.reasons)
        yield from (RichText(text, style="dim") for text in (FOOTNOTE, self.table.uncertified_note) if text)
        if self.ranking:
            yield RichText("\nRanking over tasks", style="bold")
            yield from map(_rich, Sheet.of_ranking(self.ranking).parts(fits))
            yield from (RichText(clean(text), style="dim") for text in [*_told(self.ranking), RANKING_FOOTNOTE])


def _told(ranking: Ranking) -> list[str]:
    return [ranking.note(), *ranking.needs()]


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


def markdown(table: Table, ranking: Ranking | None = None) -> str:
    """The board in GitHub's Markdown, the way round that is easier to read, and the ranking if there is one."""
    sheet = Sheet.of(table).upright()
    notes = [f"- {escape(where)}: {escape(why)}" for where, why in table.reasons]
    blocks = [_grid(sheet), [FOOTNOTE], [escape(note) for note in [table.uncertified_note] if note], notes]
    if ranking:
        told, needs = escape(ranking.note()), [f"- {escape(one)}" for one in ranking.needs()]
        blocks += [["## Ranking over tasks"], _grid(Sheet.of_ranking(ranking)), [told], needs, [RANKING_FOOTNOTE]]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _grid(sheet: Sheet) -> list[str]:
    heads = [sheet.corner, *("<br>".join(map(escape, lines)) for lines in sheet.across)]
    lines = [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]
    for heading, fields in zip(sheet.down, sheet.fields, strict=True):
        lines.append(_line([", ".join(map(escape, heading)), *map(_marked, fields)]))
    return lines


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
