"""The board in a terminal and in Markdown, and what its numbers and signs mean."""

from collections.abc import Sequence
from html import escape as escape_html
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text as RichText

from rnnbench.leaderboard.grid_layout import CHANCE, GridLayout, Style, Text
from rnnbench.leaderboard.ranking import Ranking, rank
from rnnbench.leaderboard.scores import scores_of
from rnnbench.leaderboard.table import UNCERTIFIED, Table
from rnnbench.utils.files import write_whole
from rnnbench.utils.text import clean, clean_lines, escape

DEFINITIONS = {
    "score": "Test score of the checkpoint with the best validation score: mean ± 95 % interval (Student's "
    "t) over n seeds; where that would leave the metric's range, [low, high] by the same on the scale of its logit or, "
    "without a largest value, its logarithm.",
    "best": "Bold: the best of its task alone: Welch's t test, adjusted by Holm, tells it from each other "
    "one (p < 0.05).",
    "tied": "=: the same as the best, as far as these seeds tell (the same test, p ≥ 0.05). Nothing is "
    "marked where the best has one seed.",
    "chance": "≈ chance: the mean is not better than the simplest reference by the margin on the task's card.",
    "uncertified": "°: made by another version of the code. A probe (the first three training steps, repeated) tells "
    "whether this version still gives the same; nobody has taken it yet. If it does not, the run is stale.",
    "normalised": "0 is chance, 1 is the ceiling on the card or, where a card has none, the best mean on this "
    "board; a run below chance counts as chance. Seeds are averaged within a task, then tasks.",
    "rank": "Ranked by mean on each task (1 is best, ties share a rank), then averaged over tasks.",
    "win_rate": "At the same task and seed, the share of the other configurations that are beaten; a tie is half.",
    "seconds": "Of training alone, without validation and test, the mean over runs. With one thread on a CPU it is CPU "
    "time, which leaves out waiting for others; else, and in records without it, wall-clock time.",
    "parameters": "Trainable numbers; where a rule for the size counts some of them alone, as those that are no "
    "embeddings, the heading says so. The table of costs and a run have all of them.",
    "interval": "2,000 draws of tasks, and of seeds within each (paired hierarchical bootstrap: all configurations "
    "share a draw), expanded for few tasks (Hesterberg 2015, section 4.3), or Student's t with the standard error of "
    "the draws where that is wider.",
    "position": "By mean normalised score; in brackets, the places it may have: behind all that are "
    "significantly better, before all that are significantly worse (simultaneous confidence sets for ranks, Mogstad "
    "et al. 2024).",
    "ties": "Neighbouring places that do not differ significantly when all pairs are judged at once (single-step "
    "max-T on the draws, 5 % for the whole table; Romano & Wolf 2005).",
    "need": "How many more seeds or tasks would tell two neighbours apart in 80 % of cases, if their "
    "difference and the spread over seeds and tasks are what they seem; they "
    "are judged as two alone.",
    "shared": "Only tasks and seeds that all ranked configurations have are compared.",
    "better": "At a task and then a seed drawn at random among those that both have, the probability that the"
    " row is better than the column; a tie is half. The interval is that of the bootstrap, or the "
    "exact binomial one for as many tasks where that is wider (Clopper & Pearson 1934). The "
    "difference is real where it leaves out 50 %.",
    "critical_difference": "Average ranks on a line; a bar joins those that Nemenyi's test cannot tell apart (Demšar "
    "2006). It sees ranks alone, not by how much and not each seed, and so tells fewer apart than the table.",
}


HEAD = """# Leaderboard

Made from the files in `records/` by `rnnbench board`; do not edit. A record says what was run, on which data, by which
code and on which machine. Six states: *done* (a score), *failed*, *infeasible* (cannot be run by its nature),
*running*, *missing*, *stale* (its card or data has changed, or the code no longer gives the same).

"""
STYLES: dict[Style, str] = {"": "", "best": "bold green", "dim": "dim"}
SIGNS = ("score", "best", "tied", "chance")
FOOTNOTE = " ".join(DEFINITIONS[name] for name in SIGNS)
RANKING_FOOTNOTE = (
    "Score: 0 is chance, 1 the ceiling or, where a card has none, the best mean here; tasks count the same. "
    "In brackets: 95 % intervals of a paired hierarchical bootstrap over tasks and seeds (Student's t where that "
    "is wider), and the places that cannot be ruled out when all pairs are judged at once (5 % for the whole table). "
    "Win rate: share of the others beaten at the same task and seed. Same as places: the neighbours in the order up to "
    "the first on either side that differs significantly; beyond it others may not."
)


RANKING_LEGEND = "0: chance; 1: the ceiling or the best here; in brackets: 95 % intervals, and places that may be."


def legend(table: Table) -> str:
    """What the signs of a board mean that occur on it, in a line; nothing of a board without scores."""
    if table.seeds is None:
        return ""
    texts = [(entry, table.text(row, column)) for row in table.rows for column, entry in row.entries.items()]
    several = any(len(entry.scores) > 1 for entry, _ in texts)
    parts = [
        f"{'mean ± 95 % interval' if several else 'test score'}, {table.n_note}",
        *["bold: best"] * any(entry.standing == "best" for entry, _ in texts),
        *["=: not told from the best"] * any(entry.standing == "tied" for entry, _ in texts),
        *["≈ chance: no better"] * any("≈ chance" in text for _, text in texts),
        *[f"{UNCERTIFIED}: made by another version of the code"] * bool(table.uncertified),
    ]
    return "; ".join(parts)


class Terminal:
    """The board for rich, and the ranking if there is one: as wide as the console, in as many parts as that takes.

    Args:
        table: the board.
        ranking: of its rows.
        full_legend: say in full what signs and numbers mean, instead of in a line.
    """

    def __init__(self, table: Table, ranking: Ranking | None = None, full_legend: bool = False) -> None:
        self.table, self.ranking, self.full_legend = table, ranking, full_legend

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def fits(layout: GridLayout) -> bool:
            return (
                Measurement.get(console, options.update(max_width=10_000), _rich(layout)).maximum <= options.max_width
            )

        if self.table.title:
            yield RichText(clean(_heading(self.table)), style="bold")
            yield RichText(clean(self.table.summary), style="dim")
        if not self.table.rows:
            yield RichText(self.table.no_rows)
            yield from (RichText(clean(f"{where}: {why}"), style="dim") for where, why in self.table.reasons)
            return
        yield from map(_rich, GridLayout.of(self.table).parts(fits))
        yield from (RichText(clean(f"{where}: {why}"), style="dim") for where, why in self.table.reasons)
        yield from (RichText(text, style="dim") for text in self._legend() if text)
        if self.ranking:
            yield RichText("\nRanking over tasks", style="bold")
            yield from map(_rich, GridLayout.of_ranking(self.ranking).parts(fits))
            yield from (RichText(clean(text), style="dim") for text in _notes(self.ranking))
            yield RichText(RANKING_FOOTNOTE if self.full_legend else RANKING_LEGEND, style="dim")

    def _legend(self) -> Sequence[str]:
        table = self.table
        if not self.full_legend:
            return [legend(table)]
        return [*(DEFINITIONS[name] for name in SIGNS), table.n_note and f"{table.n_note}.", table.uncertified_note]


def _notes(ranking: Ranking) -> list[str]:
    return [ranking.note(), *ranking.power_notes()]


def _rich(layout: GridLayout) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAVY, pad_edge=False, header_style="bold")
    for corner in layout.corner:
        shown.add_column(corner, no_wrap=corner != "settings", overflow="fold")
    for heading in layout.across:
        shown.add_column(RichText(clean_lines(heading, "\n")), justify="right", overflow="fold")
    for heading, fields in zip(layout.down, layout.fields, strict=True):
        if heading == [CHANCE]:
            shown.add_section()
        texts = [RichText(clean(one.text), style=STYLES[one.style]) for one in fields]
        shown.add_row(*(RichText(clean_lines(lines, ", ")) for lines in layout.columns_before(heading)), *texts)
    return shown


def markdown(table: Table, ranking: Ranking | None = None) -> str:
    """The board in GitHub's Markdown, the way round that is easier to read, and the ranking if there is one."""
    layout = GridLayout.of(table).upright()
    notes = [f"- {escape(where)}: {escape(why)}" for where, why in table.reasons]
    blocks = [
        _grid(layout),
        [" ".join(filter(None, [FOOTNOTE, table.n_note and f"{escape(table.n_note)}."]))],
        [escape(note) for note in [table.uncertified_note] if note],
        notes,
    ]
    if table.title:
        blocks = [[f"## {escape(_heading(table))}"], [escape(table.summary)], *blocks]
    if ranking:
        note, power_notes = escape(ranking.note()), [f"- {escape(one)}" for one in ranking.power_notes()]
        blocks += [
            [f"{'###' if table.title else '##'} Ranking over tasks"],
            _grid(GridLayout.of_ranking(ranking)),
            [note],
            power_notes,
            [RANKING_FOOTNOTE],
        ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _grid(layout: GridLayout) -> list[str]:
    heads = [*layout.corner, *("<br>".join(map(escape, lines)) for lines in layout.across)]
    lines = [_line(heads), _line([*["---"] * len(layout.corner), *["---:"] * len(layout.across)])]
    for heading, fields in zip(layout.down, layout.fields, strict=True):
        before = [", ".join(map(escape, lines)) for lines in layout.columns_before(heading)]
        lines.append(_line([*before, *map(_marked, fields)]))
    return lines


def _marked(field: Text) -> str:
    text, mark = escape(field.text), {"best": "**", "dim": "*", "": ""}[field.style]
    return f"{mark}{text}{mark}" if text else ""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def html_board(table: Table, problems: Sequence[str] = ()) -> str:
    """The board as a fragment of HTML for a notebook: a table and its legend. Text of records stays text."""
    before = [f"{where}: {why}" for where, why in table.reasons]
    if not table.rows:
        return "".join(map(_paragraph, [*problems, table.no_rows, *before]))
    layout = GridLayout.of(table).upright()
    heads = [*layout.corner, *("\n".join(lines) for lines in layout.across)]
    rows = [
        [*(Text(", ".join(lines)) for lines in layout.columns_before(heading)), *fields]
        for heading, fields in zip(layout.down, layout.fields, strict=True)
    ]
    return "".join(map(_paragraph, problems)) + html_table(heads, rows, [*before, legend(table)])


def html_table(heads: Sequence[str], rows: Sequence[Sequence[Text]], notes: Sequence[str] = ()) -> str:
    """A table as a fragment of HTML, with notes below it. The first column is the head of each row."""
    head = "".join(f"<th>{_html(text)}</th>" for text in heads)
    body = "".join(f"<tr><th>{_html(row[0].text)}</th>{''.join(map(_html_field, row[1:]))}</tr>" for row in rows if row)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return table + "".join(_paragraph(note) for note in notes if note)


HTML_STYLES: dict[Style, str] = {"": "", "best": "font-weight: bold", "dim": "opacity: 0.7"}


def _html_field(field: Text) -> str:
    style = HTML_STYLES[field.style]
    return f'<td style="text-align: right; {style}">{_html(field.text)}</td>'


def _html(text: str) -> str:
    return "<br>".join(escape_html(clean(line)) for line in text.split("\n"))


def _paragraph(text: str) -> str:
    return f'<p style="opacity: 0.7">{_html(text)}</p>'


def _heading(table: Table) -> str:
    """The title of a table, with the version of its track."""
    return f"{table.title} (track {table.name}, version {table.version})" if table.version else table.title


def write_markdown(leaderboard: Path, tables: Sequence[Table]) -> Path:
    """Write `README.md` of a leaderboard: its tables, one below the other.

    Raises:
        RnnbenchError: it cannot be written.
    """
    path = leaderboard / "README.md"
    write_whole(path, HEAD + board_markdown(tables))
    return path


def board_markdown(tables: Sequence[Table]) -> str:
    """The tables of a board in Markdown, one below the other."""
    return "\n".join(
        markdown(table, rank(scores_of(table))) if table.rows else f"{table.no_rows}\n" for table in tables
    )
