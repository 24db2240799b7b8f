"""Who stands in a row of the board: an architecture with its arguments, and how these were chosen."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rnnbench.config.grid import RunSpec
from rnnbench.utils.fingerprint import canonical

DEFAULT = "default"


@dataclass(frozen=True)
class Configuration:
    """Runs that may be averaged over seeds and compared over tasks.

    Args:
        name: of the architecture.
        class_path: of its class.
        arguments: of its constructor, as canonical JSON.
        size: the rule that chose its width, if one did.
        tuning: `default`, or `tuned(k)`: its hyper-parameters are those of the best of k trials.
        space: of these trials.
        files: digests of arguments that are files, as canonical JSON.
    """

    name: str
    class_path: str
    arguments: str
    size: str = ""
    tuning: str = DEFAULT
    space: str = ""
    files: str = "{}"

    @classmethod
    def of(cls, spec: RunSpec) -> "Configuration":
        """The configuration of a run; one that is tuned is the same on every task, whatever was selected there."""
        model, selected = spec.architecture, spec.selected
        size = str(spec.size) if spec.size else ""
        one = cls(model.name, model.class_path, canonical(model.init_args), size, files=canonical(model.files))
        if selected is None:
            return one
        return replace(one, tuning=f"tuned({selected.trials})", space=f"{selected.space} {selected.design}")

    @property
    def shown(self) -> str:
        """Its name, and that it is tuned."""
        return self.name if self.tuning == DEFAULT else f"{self.name} {self.tuning}"

    @property
    def family(self) -> str:
        """The name of its class."""
        return self.class_path.rpartition(".")[2]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Whatever tells it from others of its name."""
        rules = {"size": self.size} if self.size else {}
        rules |= {"space": self.space} if self.space else {}
        rules |= {f"content of {name}": checksum[:8] for name, checksum in json.loads(self.files).items()}
        return {"class": self.class_path, **json.loads(self.arguments), **rules}


def labels_of(configurations: Iterable[Configuration]) -> dict[Configuration, str]:
    """A label for each: the architecture's name, with its settings where one name stands for several."""
    by_name: dict[str, list[Configuration]] = defaultdict(list)
    for one in sorted(
        set(configurations), key=lambda one: (one.name, one.class_path, one.arguments, one.files, one.size, one.tuning)
    ):
        by_name[one.shown].append(one)
    return {one: _label(one, others) for others in by_name.values() for one in others}


def _label(own: Configuration, others: list[Configuration]) -> str:
    if len(others) == 1:
        return own.shown
    keys = sorted({key for other in others for key in {**other.settings, **own.settings} if _differ(key, own, other)})
    return f"{own.shown} ({', '.join(f'{key}={own.settings.get(key, DEFAULT)}' for key in keys)})"


def _differ(key: str, one: Configuration, other: Configuration) -> bool:
    mine, theirs = one.settings, other.settings
    return (key in mine) != (key in theirs) or canonical(mine.get(key)) != canonical(theirs.get(key))
