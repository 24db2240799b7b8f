"""What the committed board says of an architecture or a task."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

from docs.generate.docstrings import table
from rnnbench.leaderboard.board import OTHER_TITLE, read_board
from rnnbench.leaderboard.table import Column, Entry, Row, Table
from rnnbench.utils.text import number

LEADERBOARD = Path(__file__).parents[2] / "leaderboard"
MARKS = {"best": "best", "tied": "=", None: ""}
LEGEND = (
    "Mean ± 95 % interval over n seeds, test part. *best*: significantly better than every other row of its table; "
    "*=*: the best, or not significantly worse; °: made by an earlier version of the code, and not yet certified for "
    "this one; see [how to read the board](../guides/reading-the-board.md).\n"
)


@dataclass(frozen=True)
class Score:
    """One row of a table of the board on one task."""

    table: Table
    column: Column
    row: Row
    entry: Entry

    @property
    def track(self) -> str:
        """The title of its track."""
        return self.table.title or OTHER_TITLE

    @property
    def budget(self) -> str:
        """The budget in words."""
        return ", ".join(f"{value} {name}" for name, value in self.column.budget.model_dump(exclude_none=True).items()
                         if name in ("steps", "epochs", "minutes", "patience"))  # fmt: skip

    @property
    def better(self) -> float:
        """Smaller is better, whichever way the metric goes."""
        mean = fmean(self.entry.scores)
        return mean if self.column.direction == "minimise" else -mean


@cache
def committed() -> tuple[Score, ...]:
    """Everything with a score on the committed board."""
    return tuple(_scores(read_board(LEADERBOARD)[0]))


def _scores(tables: list[Table]) -> Iterator[Score]:
    for one in tables:
        for row in one.rows:
            for column, entry in row.entries.items():
                if entry.scores:
                    yield Score(one, column, row, entry)


def of_architectures(names: set[str]) -> str:
    """The best score of any of these architectures, for each track, task and budget."""
    best: dict[tuple[str, Column], Score] = {}
    for score in committed():
        if score.row.configuration.name in names:
            key = (score.track, score.column)
            if key not in best or score.better < best[key].better:
                best[key] = score
    rows = [
        [
            score.track,
            f"[{score.column.task}](../tasks/{score.column.task}.md)",
            f"{score.column.metric} {score.column.arrow}",
            score.row.label,
            score.budget,
            score.entry.text(),
            MARKS[score.entry.standing],
            number(score.table.chance[score.column].value) if score.column in score.table.chance else "",
        ]
        for score in best.values()
    ]
    made = table(["track", "task", "metric", "row", "budget", "score", "", "chance"], rows)
    return LEGEND + "\n" + made if made else "No committed record yet.\n"


def of_task(name: str, cells: dict[str, str]) -> str:
    """All scores on a task, for each track and budget the best first; `cells`: pages of architectures."""
    columns: dict[tuple[str, Column], list[Score]] = {}
    for score in committed():
        if score.column.task == name:
            columns.setdefault((score.track, score.column), []).append(score)
    parts = []
    for (track, column), scores in columns.items():
        rows = []
        for score in sorted(scores, key=lambda score: score.better):
            page = cells.get(score.row.configuration.name)
            label = f"[{score.row.label}](../{page})" if page else score.row.label
            entry = score.entry
            rows.append([label, entry.text(), MARKS[entry.standing], score.row.spread(entry.parameters),
                         number(fmean(entry.train_seconds)) if entry.train_seconds else ""])  # fmt: skip
        metric = f"{column.metric} {column.arrow}"
        parts.append(f"**{track}**, {scores[0].budget}\n\n" + table(["row", metric, "", "parameters", "train s"], rows))
    return LEGEND + "\n" + "\n".join(parts) if parts else "No committed record yet.\n"
