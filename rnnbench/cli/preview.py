"""`rnnbench board --preview`."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.leaderboard.preview import Difference, preview
from rnnbench.leaderboard.table import budget_text
from rnnbench.records.record import Record
from rnnbench.records.submissions.check import audit
from rnnbench.utils.text import clean

SHOWN = 20
"""Records that are named one by one."""


def show_preview(leaderboard: Path, base: str | None, console: Console) -> int:
    """Print what the records change on the board, and what is wrong with them; 2 if anything is.

    Raises:
        RnnbenchError: there is no repository or no such revision.
    """
    found, wrong = preview(leaderboard, base), audit(leaderboard, base).problems
    counts = ("added", found.added), ("changed", found.changed), ("removed", found.removed)
    told = ", ".join(f"{len(some)} {what}" for what, some in counts)
    console.print(f"records against {found.base[:10]}: {told}", highlight=False)
    for what, some in counts:
        _name(what, some, console)
    if found.differences:
        console.print(_table(found.differences))
    else:
        console.print("the board stays as it is", highlight=False)
    for problem in wrong:
        console.print(Text(clean(f"problem: {problem}"), style="red"), soft_wrap=True)
    return 2 if wrong else 0


def _name(what: str, records: list[Record], console: Console) -> None:
    for record in records[:SHOWN]:
        by = f", by {record.provenance.by}" if record.provenance and record.provenance.by else ""
        console.print(Text(clean(f"  {what} {record.spec.label} ({record.id}): {record.status}{by}")), soft_wrap=True)
    if len(records) > SHOWN:
        console.print(f"  … and {len(records) - SHOWN} more {what}", highlight=False)


def _table(differences: list[Difference]) -> Table:
    table = Table("task", "architecture", "before", "after", "", box=box.SIMPLE_HEAVY, pad_edge=False)
    for one in differences:
        task = f"{one.column.task} {one.column.metric} {one.column.arrow}, {budget_text(one.column.budget)}"
        best = {(False, True): "now the best", (True, False): "no longer the best"}.get((one.was_best, one.is_best), "")
        table.add_row(*(Text(clean(text)) for text in (task, one.row, one.before or "–", one.after or "–", best)))
    for column in table.columns:
        column.overflow = "fold"
    return table
