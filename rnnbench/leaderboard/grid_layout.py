"""The table as a layout of texts, either way round, cut to the width there is."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from rnnbench.leaderboard.intervals import digits
from rnnbench.leaderboard.ranking import Estimate, Ranking
from rnnbench.leaderboard.table import Column, Row, Table
from rnnbench.utils.text import number

CHANCE = "chance"
MAX_COLUMNS = 8
"""That a page holds beside each other."""
Style = Literal["", "best", "dim"]


@dataclass(frozen=True)
class Text:
    """One field, and how it is set."""

    text: str
    style: Style = ""


@dataclass(frozen=True)
class GridLayout:
    """Fields with a heading (of lines) for each column and each row.

    Args:
        corner: what the rows are, a heading for each column before the fields.
        turns_to: the same of the columns, if the layout may be turned; else empty.
    """

    corner: Sequence[str]
    turns_to: Sequence[str]
    across: Sequence[Sequence[str]]
    down: Sequence[Sequence[str]]
    fields: Sequence[Sequence[Text]]

    @classmethod
    def of(cls, table: Table, n_once: bool = True) -> "GridLayout":
        """Architectures down, with their settings if any has some, tasks across; the last row is chance, the last
        columns what it cost.

        Args:
            table: the board.
            n_once: only entries over another number of seeds than most name theirs; a legend says that of the others.
        """
        across = [*(table.headings[column] for column in table.columns), *([name] for name in _costs(table))]
        fields = [
            [*(_field(table, row, column, n_once) for column in table.columns), *map(Text, _costs(table, row))]
            for row in table.rows
        ]
        chance = [
            *(Text(_chance(table, column), "dim") for column in table.columns),
            *(Text("") for _ in _costs(table)),
        ]
        corner = ["architecture", "settings"] if table.has_settings else ["architecture"]
        down = [[row.name, row.settings][: len(corner)] for row in table.rows]
        return cls(corner, ["task"], across, [*down, [CHANCE]], [*fields, chance])

    def columns_before(self, heading: Sequence[str]) -> list[Sequence[str]]:
        """The lines of a row's heading in each column before the fields."""
        if len(self.corner) == 1:
            return [heading]
        return [[heading[place]] if place < len(heading) else [] for place in range(len(self.corner))]

    @classmethod
    def of_ranking(cls, ranking: Ranking) -> "GridLayout":
        """Places down, the best first."""
        across = [["place"], ["mean normalised", "score"], ["average", "rank"], ["win rate"], ["same as", "places"]]
        fields = [
            [
                Text(_estimate(place.position, 0)),
                Text(_estimate(place.score, 3)),
                Text(_estimate(place.rank, 2)),
                Text(_estimate(place.win_rate, 2)),
                Text("alone" if place.ties[0] == place.ties[1] else f"{place.ties[0]}–{place.ties[1]}"),
            ]
            for place in ranking.places
        ]
        return cls(["architecture"], [], across, [[place.label] for place in ranking.places], fields)

    def upright(self) -> "GridLayout":
        """The way round that is easier to read on a page: of many columns rows are made."""
        return self.turned() if len(self.across) > max(MAX_COLUMNS, len(self.down)) else self

    def turned(self) -> "GridLayout":
        """Columns as rows."""
        across = [[line for line in heading if line] for heading in self.down]
        return GridLayout(self.turns_to, self.corner, across, self.across, list(zip(*self.fields, strict=True)))

    def parts(self, fits: Callable[["GridLayout"], bool]) -> list["GridLayout"]:
        """The layout in as few parts as fit, each with all rows, whichever way round that is."""
        ways = [self, self.turned()] if self.turns_to else [self]
        return min((way._cut(fits) for way in ways), key=len)

    def _cut(self, fits: Callable[["GridLayout"], bool]) -> list["GridLayout"]:
        parts, start, end = [], 0, len(self.across)
        while start < end:
            ends = range(start + 1, end + 1)
            count = bisect_left(ends, True, key=partial(self._is_too_wide, fits, start))
            parts.append(self._columns(start, start + max(1, count)))
            start += max(1, count)
        return parts

    def _is_too_wide(self, fits: Callable[["GridLayout"], bool], start: int, end: int) -> bool:
        return not fits(self._columns(start, end))

    def _columns(self, start: int, end: int) -> "GridLayout":
        return GridLayout(
            self.corner, self.turns_to, self.across[start:end], self.down, [row[start:end] for row in self.fields]
        )


def _estimate(one: Estimate, most: int) -> str:
    """A number and its interval, with the digits that the interval leaves, so many decimals at most."""
    if one.low is None or one.high is None or one.high <= one.low:
        ends = "" if one.low is None else f" [{one.low:.{most}f}, {one.high:.{most}f}]"
        return f"{one.value:.{most}f}{ends}"
    shown, ends_shown = digits(one.value, (one.low, one.high), most)
    return f"{shown} [{', '.join(ends_shown)}]"


def _field(table: Table, row: Row, column: Column, n_once: bool) -> Text:
    entry = row.entries.get(column)
    if entry is None:
        return Text("–")
    return Text(table.text(row, column, table.seeds if n_once else None), "best" if entry.standing == "best" else "")


def _costs(table: Table, row: Row | None = None) -> list[str]:
    """The last columns: their names, or what a row has there. Those about tuning only where something was tuned."""
    names, values = [table.parameters_title, "train s"], [row.parameters, row.seconds] if row else []
    if any(one.studies for one in table.rows):
        names += ["trials", "tuning s"]
        values += [row.trials, row.tuning_seconds] if row else []
    return values if row else names


def _chance(table: Table, column: Column) -> str:
    chance = table.chance.get(column)
    return f"{number(chance.value)} ({chance.of})" if chance else ""
