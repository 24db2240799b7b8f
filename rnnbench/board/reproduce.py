"""How to run again what a field of the board shows."""

from collections.abc import Sequence
from typing import Any

import yaml

from rnnbench.spec import RunSpec


def grid_of(specs: Sequence[RunSpec]) -> dict[str, Any]:
    """The grid that expands to `specs`, runs of one contender on one task that differ in their seed."""
    spec = specs[0]
    grid: dict[str, Any] = {
        "name": "again",
        "architectures": [spec.architecture.name],
        "tasks": [spec.task.name],
        "seeds": sorted(one.seed for one in specs),
        "budget": spec.budget.model_dump(exclude_none=True),
        "model": spec.arguments,
    }
    if "batch_size" in spec.task.data.init_args:
        grid["batch_size"] = spec.task.data.init_args["batch_size"]
    if spec.devices > 1:
        grid["devices"] = spec.devices
    if spec.size:
        rule = spec.size.model_dump(exclude_none=True)
        grid["params" if rule.pop("quantity") == "parameters" else "flops"] = rule
    return grid


def command_of(specs: Sequence[RunSpec]) -> str:
    """What to type into a shell to run `specs` again. Quoting by the here-document: nothing in it is a command."""
    text = yaml.safe_dump(grid_of(specs), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    return f"cat > again.yaml <<'END-OF-GRID'\n{text}END-OF-GRID\nrnnbench run again.yaml"
