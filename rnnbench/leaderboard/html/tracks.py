"""What the page shows one of at a time: a comparison with a name, and the facts in its head."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rnnbench.leaderboard.table import Table
from rnnbench.records.record import Record
from rnnbench.records.status import STATES, State
from rnnbench.utils.text import clean


def titled(table: Table) -> Table:
    """The table with a name, a title and a summary, as that of a track has them."""
    if table.name:
        return table
    summary = "Every record of this leaderboard, whatever grid it is from."
    return replace(table, name="all-runs", title="All runs", summary=summary)


SLOW = 1.25
"""Wall-clock by CPU time of one thread: beyond it others have used its core."""


@dataclass(frozen=True)
class Facts:
    """How much there is, and of when.

    Args:
        runs: how many, whatever their state.
        states: how many are in which state, those that occur.
        certified: of the runs that are done, how many hold for this version of the code.
        date: day of the latest run, ISO 8601; empty where nothing has run.
        commit: of the source with which the latest published record was made; empty where none is published.
        commits: how many different ones there are.
        seeds: of most cells that have scores.
        groups: of tasks.
        timed: of the runs that are done, how many have CPU time of one thread.
        contended: how many of these took more than `SLOW` times of it by the clock.
    """

    runs: int
    states: dict[State, int]
    certified: int
    date: str
    commit: str
    commits: int
    seeds: int
    groups: int
    timed: int
    contended: int

    @property
    def done(self) -> int:
        """Runs with a score that counts."""
        return self.states.get("done", 0)

    @property
    def certified_percent(self) -> int:
        """Rounded down, so that 100 is all of them."""
        return 100 * self.certified // self.done if self.done else 0


def facts_of(table: Table) -> Facts:
    """The facts of a table."""
    entries = [entry for row in table.rows for entry in row.entries.values()]
    counts = sum((entry.states for entry in entries), Counter[str]())
    records: list[Record] = [record for entry in entries for record in entry.done]
    published = [(record.started, record.provenance.commit) for record in records
                 if record.provenance and record.provenance.commit]  # fmt: skip
    times = [(cost.train_seconds, cost.cpu_seconds) for record in records
             if (cost := record.cost) and cost.cpu_seconds and record.training_seconds == cost.cpu_seconds]  # fmt: skip
    return Facts(
        runs=counts.total(),
        states={state: counts[state] for state in STATES if counts[state]},
        certified=counts["done"] - sum(entry.uncertified for entry in entries),
        date=clean(max((record.started for record in records), default="")[:10]),
        commit=max(published, default=("", ""))[1][:8],
        commits=len({commit for _, commit in published}),
        seeds=most_common(len(entry.scores) for entry in entries if entry.scores),
        groups=len({scoring.group for scoring in table.scoring.values()}),
        timed=len(times),
        contended=sum(wall > SLOW * cpu for wall, cpu in times),
    )


def most_common(counts: Iterable[int]) -> int:
    """The count that occurs most often, the largest of several; 0 of none."""
    occurs = Counter(counts)
    return max(occurs, key=lambda count: (occurs[count], count), default=0)


def keys_of(names: Iterable[str]) -> list[str]:
    """A word for each name, of letters, digits, dots and dashes, that is unique among them."""
    keys: list[str] = []
    for name in names:
        word = re.sub(r"[^a-z0-9.]+", "-", name.casefold()).strip("-") or "x"
        count = 1
        while (key := word if count == 1 else f"{word}-{count}") in keys:
            count += 1
        keys.append(key)
    return keys
