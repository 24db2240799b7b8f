"""Who stands in a row of the board: an architecture with its arguments, and how these were chosen."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from rnnbench.config.cards import ArchitectureCard
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.config.model_size import Size
from rnnbench.config.registry import catalogue
from rnnbench.config.search_space import Space, design_of
from rnnbench.utils.fingerprint import canonical

DEFAULT = "default"
PLAIN = re.compile(r"[A-Za-z_][\w./:-]*")
"""Words that stand in the text of settings without quotation marks."""
KEYWORDS = {DEFAULT, "true", "false", "null", "NaN", "Infinity"}
"""Such words that stand for something else there."""


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
        training: how it is trained, if not as usual, see `rnnbench.config.training.Training.settings`; canonical JSON.
    """

    name: str
    class_path: str
    arguments: str
    size: str = ""
    tuning: str = DEFAULT
    space: str = ""
    files: str = "{}"
    training: str = "{}"

    @classmethod
    def of(cls, spec: RunSpec) -> "Configuration":
        """The configuration of a run; one that is tuned is the same on every task, whatever was selected there."""
        model, selected = spec.architecture, spec.selected
        size = str(spec.size) if spec.size else ""
        one = cls(
            model.name,
            model.class_path,
            canonical(model.init_args),
            size,
            files=canonical(model.files),
            training=canonical(spec.training.settings if spec.training else {}),
        )
        if selected is None:
            return one
        return replace(one, tuning=f"tuned({selected.trials})", space=f"{selected.space} {selected.design}")

    @property
    def shown(self) -> str:
        """The name of its row: that of its card, and that it is tuned. Others of that name differ in their settings."""
        return self.name if self.tuning == DEFAULT else f"{self.name} {self.tuning}"

    @property
    def trained(self) -> str:
        """How it is trained, `compile=true, precision=bf16-mixed`; empty if as usual."""
        return ", ".join(_differences(json.loads(self.training), {}))

    @property
    def family(self) -> str:
        """The name of its class."""
        return self.class_path.rpartition(".")[2]


Settings = Callable[[Configuration], str]
"""Gives what differs from the architecture's card, as a text such as `hidden_size=32`; empty if nothing does."""


def settings_of(grid: GridSpec | None = None) -> Settings:
    """What tells configurations from their cards, and so from others of their name. It depends on nobody's records.

    In the rows of a `grid` the arguments, the size, the space and the training that it gives to all of them are no
    difference. Of an
    architecture without a card here all arguments are named. A space by which a configuration was tuned is named unless
    it is one that has a name here, as it is here, with the default sampler.

    Raises:
        RnnbenchError: an architecture of the grid does not exist.
    """
    known = catalogue("architecture")
    cards = dict(ArchitectureCard.load(name) for name in grid.architectures) if grid else {}
    given = grid.model if grid else {}
    size = str(Size.of(grid.params, grid.flops) or "") if grid else ""
    usual_training = grid.training.settings if grid and grid.training else {}

    @cache
    def has_name(space: str, architecture: str) -> bool:
        name, _, design = space.rpartition(" ")
        if name not in catalogue("space"):
            return False
        return design == design_of(Space.load(name, "", [architecture]), architecture, "sobol")

    def settings(one: Configuration) -> str:
        if one.name not in cards and one.name in known:
            cards[one.name] = ArchitectureCard.load(one.name)[1]
        card, own = cards.get(one.name), json.loads(one.arguments)
        usual = {**card.init_args, **given} if card else {}
        texts = _differences(own, usual)
        if card is None or card.class_path != one.class_path:
            texts.insert(0, f"class={_word(one.class_path)}")
        if one.size != size:
            texts.append(f"size={one.size or DEFAULT}")
        texts += _differences(json.loads(one.training), usual_training)
        if grid is None:
            texts += [f"space={one.space}"] if one.space and not has_name(one.space, one.name) else []
            texts += [f"content of {_word(name)}={text[:8]}" for name, text in json.loads(one.files).items()]
        return ", ".join(texts)

    return settings


def _differences(own: dict[str, Any], usual: dict[str, Any]) -> list[str]:
    """`name=value` of what differs from the usual."""
    keys = [key for key in sorted({*own, *usual}) if _differ(key, own, usual)]
    return [f"{_word(key)}={_value(own[key]) if key in own else DEFAULT}" for key in keys]


def _differ(key: str, own: dict[str, Any], usual: dict[str, Any]) -> bool:
    return (key in own) != (key in usual) or canonical(own.get(key)) != canonical(usual.get(key))


def _value(value: Any) -> str:
    return _word(value) if isinstance(value, str) else canonical(value)


def _word(text: str) -> str:
    """A text in quotation marks, if it would be taken for another one or for a value without them."""
    return text if PLAIN.fullmatch(text) and text not in KEYWORDS else json.dumps(text, ensure_ascii=False)
