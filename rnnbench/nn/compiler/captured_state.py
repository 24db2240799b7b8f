"""What a step reads beside its arguments: the functions that it calls, and values that could change later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

_FIXED = ("torch", "numpy", "rnnbench.nn")  # modules whose functions stay as they are
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


class Read(NamedTuple):
    """A value that a step reads: its name, how to read it, and what it was."""

    name: str
    value: Callable[[], Any]
    before: Any

    @property
    def changed(self) -> bool:
        """Whether it is another one by now."""
        return bool(_state(self.value()) != self.before)


def functions(cell: Any) -> list[FunctionType]:
    """The cell's step and the functions that it may call, as far as the names in their code tell."""
    found: dict[FunctionType, None] = {}
    todo: list[Any] = [type(cell).step]
    while todo:
        one = todo.pop()
        one = getattr(one, "fget", None) or getattr(one, "__func__", one)  # of a property, of a method
        if isinstance(one, FunctionType) and one not in found and (not found or not _is_fixed(one.__module__)):
            found[one] = None
            todo += _named(one, cell)
    return list(found)


def names(function: FunctionType) -> set[str]:
    """Every name of a global or an attribute in a function, and in those defined inside it."""
    return {name for code in _codes(function.__code__) for name in code.co_names}


def reads(cell: Any) -> list[Read]:
    """What a step could read: contents of the cell's and its classes' attributes, globals, and variables around it."""
    if _is_fixed(type(cell).__module__):
        return []
    found = [_read(f"attribute {name}", partial(vars(cell).get, name)) for name in vars(cell) if name != "_made"]
    for cls in type(cell).__mro__:
        if not _is_fixed(cls.__module__) and cls is not object:
            found += [_read(f"class attribute {name}", partial(vars(cls).get, name)) for name in _attributes(cls)]
            found.append(_read("the list of class attributes", partial(_attributes, cls)))  # one more may hide another
    for function in functions(cell):
        known = function.__globals__
        for name in sorted(names(function) & known.keys()):
            if not isinstance(known[name], (ModuleType, type)):
                found.append(_read(f"global {name}", partial(known.get, name)))
        for name, place in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            found.append(_read(f"variable {name}", partial(getattr, place, "cell_contents", None)))
    return found


def _read(name: str, value: Callable[[], Any]) -> Read:
    return Read(name, value, _state(value()))


def _attributes(cls: type) -> list[str]:
    return [name for name in vars(cls) if not name.startswith("__")]


def _is_fixed(module: str | None) -> bool:
    return any(f"{module}.".startswith(f"{one}.") for one in _FIXED)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _named(function: FunctionType, cell: Any) -> Iterator[Any]:
    """What the names in a function may stand for."""
    for place in function.__closure__ or ():
        yield getattr(place, "cell_contents", None)
    for name in names(function):
        value = function.__globals__.get(name)
        yield value
        yield vars(cell).get(name)
        yield next((vars(cls)[name] for cls in type(cell).__mro__ if name in vars(cls)), None)
        if isinstance(value, ModuleType) and not _is_fixed(value.__name__):
            yield from (vars(value).get(other) for other in names(function))


class _Same:
    """Equal to itself alone, as long as it lives."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class _SameFunction:
    """Equal to functions that compute the same: of equal code and defaults, where what they read around them is equal.

    Whatever pickles a class by value, as joblib and Ray do with classes of a script, or reloads a module that was
    edited elsewhere, as notebooks do, puts such functions in the place of those before.
    """

    def __init__(self, function: FunctionType, inside: tuple[int, ...]) -> None:
        self.function, self.code, self.inside = function, function.__code__, inside
        self.defaults = _state([function.__defaults__, function.__kwdefaults__], inside)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _SameFunction) or self.defaults != other.defaults:
            return False
        if self.code is not other.code and _content(self.code) != _content(other.code):
            return False
        return self.function is other.function or bool(self._around() == other._around())

    def __hash__(self) -> int:
        return hash(self.code.co_name)

    def _around(self) -> list[Any]:
        known = self.function.__globals__
        around = [getattr(place, "cell_contents", None) for place in self.function.__closure__ or ()]
        around += [known[name] for name in sorted(names(self.function) & known.keys())]
        return [_state(value, self.inside) for value in around]


def _content(code: CodeType) -> list[Any]:
    """What a piece of code does, wherever it stands in its file."""
    constants = [_content(one) if isinstance(one, CodeType) else _state(one) for one in code.co_consts]
    variables = code.co_varnames, code.co_cellvars, code.co_freevars, code.co_argcount, code.co_kwonlyargcount
    return [code.co_code, code.co_exceptiontable, code.co_names, *variables, code.co_flags, constants]


def _state(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Something that equals itself as long as `value` and what it holds do not change."""
    if isinstance(value, _PLAIN):
        return type(value), repr(value)  # NaN is NaN
    if id(value) in inside:
        return None
    inside = (*inside, id(value))
    if isinstance(value, FunctionType):
        return _SameFunction(value, inside)
    if isinstance(value, (staticmethod, classmethod)):
        return type(value), _state(value.__func__, inside)
    if isinstance(value, property):
        return property, _state(value.fget, inside)
    if isinstance(value, dict):
        return dict, [(_state(key, inside), _state(one, inside)) for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [_state(one, inside) for one in value]
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(map(repr, value))
    if isinstance(value, Tensor):
        return _Same(value), value._version
    if isinstance(value, (np.ndarray, np.generic)):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, (type, ModuleType)) or callable(value) or not hasattr(value, "__dict__"):
        return _Same(value)
    return _Same(value), _state(vars(value), inside)
