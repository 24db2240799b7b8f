"""Numbers and texts as people are shown them: short numbers, and text of records that cannot draw."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote

BLOCKS = "▁▂▃▄▅▆▇█"
"""What a sparkline is made of."""
UNITS = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))

UNSEEN = (
    r"[^\S ]+|[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069"
    r"\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Line breaks, controls, changes of direction, letters without a shape, and halves of a pair, as in names of files."""


def clean(text: str) -> str:
    """Text from a record without what is `UNSEEN`: it cannot draw on terminal or page."""
    return re.sub(UNSEEN, " ", text)


def clean_lines(lines: Iterable[str], between: str) -> str:
    """Lines of a heading as one text."""
    return between.join(map(clean, lines))


def escape(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|~!#$])", r"\\\1", text)
    return re.sub(r"(?i)(:)(?=//)|(?<=www)(\.)", r"\\\1\2", text)  # no link of its own accord


def number(value: float) -> str:
    """A score with three digits that matter."""
    return f"{value:.3f}" if 0.1 <= abs(value) < 10 or value == 0 else f"{value:.3g}"


def amount(value: float) -> str:
    """A count or a time, short."""
    value = float(f"{value:.3g}")  # first, so that 999,999 is 1M
    unit, size = next(((unit, size) for unit, size in UNITS if value >= size), ("", 1.0))
    return f"{value / size:.3g}{unit}"


def sparkline(values: Sequence[float], low: float | None = None, high: float | None = None) -> str:
    """Values as a line of blocks, from `low` (by default the smallest) to `high` (the largest)."""
    low, high = min(values) if low is None else low, max(values) if high is None else high
    if high <= low:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in values)


def folder_options(**folders: Path) -> str:
    """Options that name folders on a command line, for a hint; nothing for `leaderboard=Path("leaderboard")` and such,
    as a folder that is called as its option is its default.
    """
    return "".join(f" --{name} {quote(str(path))}" for name, path in folders.items() if str(path) != name)
