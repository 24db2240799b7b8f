"""Whose code a run is: import paths that neither rnnbench nor a registered plug-in provides."""

from collections.abc import Iterable, Mapping
from typing import Any

from rnnbench.config.grid import RunSpec
from rnnbench.config.registry import packages


def foreign(spec: RunSpec) -> list[str]:
    """Import paths that a run names, of classes, objectives, cells and callbacks that are of others.

    Lightning's own callbacks are among them: some write files wherever their arguments say.
    """
    callbacks = [one.class_path for one in spec.training.callbacks] if spec.training else []
    classes = [spec.architecture.class_path, spec.task.data.class_path, *callbacks]
    return foreign_paths([*classes, *named_in({"objective": spec.task.objective, **spec.arguments})])


def named_in(arguments: Mapping[str, Any]) -> list[str]:
    """Import paths among the arguments of a model: its objective and its cell, unless they are plain names."""
    values = (arguments.get(name) for name in ("objective", "cell"))
    return [value for value in values if isinstance(value, str) and "." in value]


def foreign_paths(paths: Iterable[str]) -> list[str]:
    """Those that are of others."""
    own = packages()
    return [path for path in dict.fromkeys(paths) if path.partition(".")[0] not in own]
