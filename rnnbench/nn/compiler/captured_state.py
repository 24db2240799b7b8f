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


class CapturedValue(NamedTuple):
    """A value that a step reads: its name, how to read it, and what it was."""

    name: str
    value: Callable[[], Any]
    before: Any

    @property
    def changed(self) -> bool:
        """Whether it differs by now."""
        return bool(_state(self.value()) != self.before)


def functions(cell: Any) -> list[FunctionType]:
    """The cell's step and the functions that it may call, as far as the names in their code tell."""
    seen: dict[FunctionType, None] = {}
    todo: list[Any] = [type(cell).step]
    while todo:
        value = todo.pop()
        value = getattr(value, "fget", None) or getattr(value, "__func__", value)  # of a property, of a method
        if isinstance(value, FunctionType) and value not in seen and (not seen or not _is_fixed(value.__module__)):
            seen[value] = None
            todo += _named(value, cell)
    return list(seen)


def names(function: FunctionType) -> set[str]:
    """Every name of a global or an attribute in a function, and in those defined inside it."""
    return {name for code in _codes(function.__code__) for name in code.co_names}


def captured_values(cell: Any) -> list[CapturedValue]:
    """What a step could read: contents of the cell's and its classes' attributes, globals, and variables around it."""
    if _is_fixed(type(cell).__module__):
        return []
    captured = [
        _capture(f"attribute {name}", partial(vars(cell).get, name)) for name in vars(cell) if name != "_compile_cache"
    ]
    for cls in type(cell).__mro__:
        if not _is_fixed(cls.__module__) and cls is not object:
            captured += [_capture(f"class attribute {name}", partial(vars(cls).get, name)) for name in _attributes(cls)]
            captured.append(
                _capture("the list of class attributes", partial(_attributes, cls))
            )  # one more may hide another
    for function in functions(cell):
        module_globals = function.__globals__
        for name in sorted(names(function) & module_globals.keys()):
            if not isinstance(module_globals[name], (ModuleType, type)):
                captured.append(_capture(f"global {name}", partial(module_globals.get, name)))
        for name, place in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            captured.append(_capture(f"variable {name}", partial(getattr, place, "cell_contents", None)))
    return captured


def _capture(name: str, value: Callable[[], Any]) -> CapturedValue:
    return CapturedValue(name, value, _state(value()))


def _attributes(cls: type) -> list[str]:
    return [name for name in vars(cls) if not name.startswith("__")]


def _is_fixed(module: str | None) -> bool:
    return any(f"{module}.".startswith(f"{fixed}.") for fixed in _FIXED)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


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
        module_globals = self.function.__globals__
        around = [getattr(place, "cell_contents", None) for place in self.function.__closure__ or ()]
        around += [module_globals[name] for name in sorted(names(self.function) & module_globals.keys())]
        return [_state(value, self.inside) for value in around]


def _content(code: CodeType) -> list[Any]:
    """What a piece of code does, wherever it stands in its file."""
    constants = [_content(value) if isinstance(value, CodeType) else _state(value) for value in code.co_consts]
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
        return dict, [(_state(key, inside), _state(item, inside)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [_state(item, inside) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(map(repr, value))
    if isinstance(value, Tensor):
        return _Same(value), value._version
    if isinstance(value, (np.ndarray, np.generic)):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, (type, ModuleType)) or callable(value) or not hasattr(value, "__dict__"):
        return _Same(value)
    return _Same(value), _state(vars(value), inside)
