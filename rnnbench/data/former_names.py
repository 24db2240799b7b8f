"""Names of the release before this, which users' data modules may override or call; to be removed in the next one."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

FORMER_NAMES = {
    "make": "build_splits",
    "facts": "model_kwargs",
    "about": "metadata",
    "given": "user_path_arg",
    "given_is": "user_path_help",
    "unaligned": "variable_length_targets",
}


def accept_former_names(cls: type[Any]) -> None:
    """Let a class that defines an attribute by its former name have it by the present one, and the other way round.

    Each class has both, so that `super()` finds the right method by either.
    """
    for former, name in FORMER_NAMES.items():
        own = vars(cls)
        if former in own and name not in own:
            warnings.warn(f"{cls.__name__}.{former} is now {name}", DeprecationWarning, stacklevel=4)
            setattr(cls, name, own[former])
        elif callable(own.get(name)) and former not in own:
            setattr(cls, former, _deprecated(own[name], former, name))


def _deprecated(method: Callable[..., Any], former: str, name: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def warn_and_call(self: Any, *args: Any) -> Any:
        warnings.warn(f"{type(self).__name__}.{former}() is now {name}()", DeprecationWarning, stacklevel=2)
        return method(self, *args)

    return warn_and_call
