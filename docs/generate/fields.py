"""References of all fields of the files that people write and that runs leave, from the pydantic models."""

import json
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.generate.docstrings import Docstring, table
from rnnbench.config.cards import ArchitectureCard, TaskCard
from rnnbench.config.grid import GridSpec, Track
from rnnbench.config.search_space import Space
from rnnbench.records.folded import TrialsFile
from rnnbench.records.record import Record


class Reference(NamedTuple):
    """A page: its title, an opening, and the models that it begins with."""

    title: str
    opening: str
    models: tuple[type[BaseModel], ...]


PAGES = {
    "reference/grid.md": Reference(
        "Fields of a grid",
        "A grid is a YAML file, `configs/grids/NAME.yaml` or a path; a track is a grid in `configs/tracks/` with the "
        "fields of `Track` beside these; a space says what `tune` varies. An unknown key is an error that names the "
        "nearest one.",
        (GridSpec, Track, Space),
    ),
    "reference/card.md": Reference(
        "Fields of a card",
        "A task's card is `tasks/NAME/task.yaml`, an architecture's `configs/architectures/NAME.yaml`.",
        (TaskCard, ArchitectureCard),
    ),
    "reference/record.md": Reference(
        "Fields of a record",
        "A record is a JSON file, `leaderboard/records/TASK/ARCHITECTURE/ID.json`; the trials of a study are folded "
        "into one `trials-….json`. Both are read strictly: what is not written here is refused.",
        (Record, TrialsFile),
    ),
}


def make(page: str) -> str:
    """One of the pages."""
    title, opening, roots = PAGES[page]
    parts = [f"# {title}", opening]
    for model in _with_parts(roots):
        doc = Docstring.of(model)
        parts += [f"## {model.__name__}", doc.text, table(["field", "type", "default", "meaning"], _rows(model, doc))]
    return "\n\n".join(filter(None, parts)) + "\n"


def _with_parts(roots: tuple[type[BaseModel], ...]) -> list[type[BaseModel]]:
    """These models, and after each those that its fields are made of, every one once."""
    found: list[type[BaseModel]] = []

    def visit(model: type[BaseModel]) -> None:
        if model not in found:
            found.append(model)
            for field in model.model_fields.values():
                for part in _models(field.annotation):
                    visit(part)

    for root in roots:
        visit(root)
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _rows(model: type[BaseModel], doc: Docstring) -> list[list[str]]:
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel):
            meanings |= Docstring.of(base).arguments
    inherited = {
        name for base in model.__mro__[1:] if issubclass(base, BaseModel) for name in base.model_fields
    } - {*doc.arguments}  # fmt: skip
    own = {name: field for name, field in model.model_fields.items() if name not in inherited or model is Record}
    return [
        [f"`{name}`", _type(field.annotation) + _bounds(field), _default(field), meanings.get(name, "")]
        for name, field in own.items()
    ]


def _type(annotation: Any) -> str:
    """A type in words; models are links to their section."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0])
    if origin is Literal:
        return " or ".join(f"`{json.dumps(part)}`" if not isinstance(part, str) else f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in parts if part is not NoneType))
    if origin is list:
        return f"list of {_type(parts[0])}"
    if origin is tuple:
        return "[" + ", ".join(_type(part) for part in parts if part is not Ellipsis) + "]"
    if origin is dict:
        return f"{_type(parts[0])} → {_type(parts[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Any: "anything",
        NoneType: "null",
    }
    return names.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {value:,}" if isinstance(value, int) else f"{sign} {value:g}"
        for part in field.metadata
        for name, sign in signs.items()
        if (value := getattr(part, name, None)) is not None
    ]
    return f", {' and '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return ""
    shown = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return f"`{re.sub('None', 'null', json.dumps(shown, ensure_ascii=False, default=str))}`"
