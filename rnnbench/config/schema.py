"""Strict reading of YAML and JSON: safe, typed, no unknown key, and a sentence for whatever is wrong."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.utils.files import read_text

MAX_INTEGER = 10**30
"""The largest whole number among arguments: every one can be printed and is finite as a float."""

MAX_VALUES = 1_000_000
"""Of a YAML file, aliases written out."""


class StrictModel(BaseModel):
    """A frozen model without coercion or unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def read(cls, content: Any, where: str) -> Self:
        """`content` as this model.

        Raises:
            RnnbenchError: what is wrong in `where`, in one sentence an error.
        """
        if not isinstance(content, Mapping):
            raise RnnbenchError(f"{where}: expected keys and values, got {short_repr(content)}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise RnnbenchError("\n".join(cls._sentence(one, where) for one in error.errors())) from None

    @classmethod
    def parse(cls, content: bytes, where: str) -> Self:
        """JSON as this model: read and checked in one pass; a second pass only to say what is wrong.

        Raises:
            RnnbenchError: what is wrong in `where`, in one sentence an error.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            cls.read(parse_json(content, where), where)
            raise RnnbenchError(f"{where} is not valid JSON: {error.errors()[0]['msg']}") from None

    @classmethod
    def _sentence(cls, error: ErrorDetails, where: str) -> str:
        *outer, last = error["loc"] or ("",)
        path = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            return str(unknown("key", str(last), _keys_at(cls, outer), where=".".join([where, *map(str, outer)])))
        if error["type"] == "missing":
            return f"{where}: missing field {path!r}"
        reason = error["msg"].removeprefix("Value error, ")
        reason = reason[:1].lower() + reason[1:]
        where = f"{where}: {path}" if path else where
        return f"{where}: {reason}" + ("" if error["type"] == "value_error" else f", got {short_repr(error['input'])}")


def _keys_at(model: type[BaseModel], path: list[int | str]) -> list[str]:
    """The field names of the model found along `path`; of the last model on the way where it is no longer clear."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = [kind for kind in _parts(field.annotation if field else None) if isinstance(kind, type)]
        model = next((kind for kind in inner if issubclass(kind, BaseModel)), model)
    return list(model.model_fields)


def _parts(annotation: Any) -> list[Any]:
    arguments = getattr(annotation, "__args__", ())
    return [annotation] + [part for argument in arguments for part in _parts(argument)]


def short_repr(value: Any) -> str:
    """A value as a sentence shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _plain(value: Any, path: str = "") -> Any:
    """`value`, if it is made of words, finite numbers, yes and no, nothing, lists and mappings of these.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            _plain(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            _plain(inner, path)
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"{path} is a whole number beyond {MAX_INTEGER:.0e}")
    elif not (value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))):
        raise ValueError(f"{path} is {value!r}; allowed are words, finite numbers, true, false, null, lists, mappings")
    return value


Arguments = Annotated[dict[str, Any], AfterValidator(_plain)]
"""Arguments of a constructor, as YAML and JSON can hold them."""


_SCALARS = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?\d+(_\d+)*|0o[0-7]+|0x[\da-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.\d+|\d+(_\d+)*(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
    ("merge", "<<", "<"),
)
"""What a word without quotation marks stands for: the core schema of YAML 1.2, with `1_000` and `<<` beside it."""


class _Loader(yaml.SafeLoader):
    """Safe YAML of the core schema of version 1.2, in which a key may stand only once.

    PyYAML's own is 1.1: `010` is 8 in it, `1:30` is 90, `1e-3` a word, `no` is false, and a date is no word.
    """

    yaml_implicit_resolvers = {}  # none of 1.1

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """A whole number, decimal whatever zeros it begins with."""
        text = self.construct_scalar(node).replace("_", "")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))

    def construct_float(self, node: yaml.ScalarNode) -> float:
        """A number; those of 1.1 in base 60 are none, whatever tag they have."""
        text = self.construct_scalar(node).replace("_", "").lower()
        try:
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            raise yaml.constructor.ConstructorError(None, None, f"{text!r} is not a number", node.start_mark) from None

    def construct_bool(self, node: yaml.ScalarNode) -> bool:
        """True or false; the other words of 1.1 are neither, whatever tag they have."""
        text = self.construct_scalar(node).lower()
        if text not in ("true", "false"):
            raise yaml.constructor.ConstructorError(None, None, f"{text!r} is not true or false", node.start_mark)
        return bool(text == "true")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is a single word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes words so that YAML 1.1 and 1.2 read them as words."""


for _kind, _pattern, _first in _SCALARS:
    for _reader in (_Loader, _Dumper):
        _reader.add_implicit_resolver(
            f"tag:yaml.org,2002:{_kind}",
            re.compile(f"(?:{_pattern})$", re.ASCII),
            [*_first, *("",) * (_kind == "null")],
        )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_float)
_Loader.add_constructor("tag:yaml.org,2002:bool", _Loader.construct_bool)


def write_yaml(content: Any, plain: bool = False) -> str:
    """`content` as YAML that `read_yaml` reads back; `plain` writes letters beyond ASCII as escapes."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=not plain))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        RnnbenchError: it cannot be read, or is not YAML.
    """
    try:
        content = _content(_Loader(read_text(path)))
        json.dumps(
            content, default=str, ensure_ascii=False
        ).encode()  # raises at a number of a thousand digits, half a pair
        return content
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise RnnbenchError(f"{path} is not valid YAML: {getattr(error, 'problem', error)}{place}") from None
    except (ValueError, TypeError, RecursionError) as error:  # a date of no calendar, a number of a thousand digits
        raise RnnbenchError(f"{path} has a value that cannot be read: {error}") from None


def _content(loader: _Loader) -> Any:
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many values something is made of, what an alias names counted wherever the alias stands.

    Raises:
        ValueError: an alias stands in what it names, or there are too many.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if known.get(node) == 0:
        raise ValueError("an alias stands in what it names")
    if node not in known:
        known[node] = 0
        inner = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in node.value]
        count = 1 + sum(_count(one, known) for one in inner)
        if count > MAX_VALUES:
            raise ValueError(f"with its aliases it stands for more than {MAX_VALUES:,} values")
        known[node] = count
    return known[node]


def read_json(path: Path) -> Any:
    """The content of a JSON file, without NaN and infinities.

    Raises:
        RnnbenchError: it cannot be read, or is not JSON.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str | bytes, where: str) -> Any:
    """The content of JSON, without NaN and infinities; no key may stand twice.

    Raises:
        RnnbenchError: it is not JSON in UTF-8.
    """
    try:
        text = text if isinstance(text, str) else text.decode()
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise RnnbenchError(f"{where} is not valid JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {twice!r} stands twice")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
