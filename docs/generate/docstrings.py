"""Docstrings in parts: paragraphs, and the sections that describe arguments."""

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Args|Raises|Returns|Warns|Yields):\n", re.M)


@dataclass(frozen=True)
class Docstring:
    """The paragraphs of a docstring, and what its section `Args` says of each name."""

    text: str = ""
    arguments: dict[str, str] = field(default_factory=dict)

    def with_options(self, names: set[str]) -> "Docstring":
        """The same, in which lines of the text that begin with a name of an option and a colon say what it means."""
        meanings = dict(self.arguments)

        def take(match: re.Match[str]) -> str:
            if match[1] not in names:
                return match[0]
            meanings.setdefault(match[1], re.sub(r"\s+", " ", match[2]).strip())
            return ""

        text = re.sub(r"^`(\w+)`: ((?:.+\n?)+?)(?=^`\w+`: |\n|\Z)", take, self.text, flags=re.M)
        return Docstring(re.sub(r"\n{3,}", "\n\n", text).strip(), meanings)

    @classmethod
    def of(cls, thing: object) -> "Docstring":
        """That of a class or a function; of its own, not of what it inherits from."""
        own = vars(thing).get("__doc__") if isinstance(thing, type) else getattr(thing, "__doc__", None)
        text, *sections = _SECTION.split(inspect.cleandoc(own or ""))
        arguments: dict[str, str] = {}
        for name, body in zip(sections[::2], sections[1::2], strict=True):
            for match in re.finditer(r"^    (\w[\w, ]*): (.*(?:\n     +.*)*)", body, re.M) if name == "Args" else ():
                meaning = re.sub(r"\s+", " ", match[2]).strip()
                arguments |= {one.strip(): meaning for one in match[1].split(",")}
        return cls(text.strip(), arguments)


def cell_text(text: str) -> str:
    """A text for a cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def table(heading: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; empty without rows."""
    if not rows:
        return ""
    lines = [heading, ["---"] * len(heading), *([cell_text(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
