"""How to run again what a field of the board shows."""

import json
import re
from collections.abc import Sequence
from typing import Any

from rnnbench.resources import catalogue
from rnnbench.spec import RunSpec


def grid_of(specs: Sequence[RunSpec]) -> dict[str, Any]:
    """The grid that expands to `specs`, runs of one contender on one task that differ in their seed.

    Of a tuned contender it has the configuration that was selected, as runs of their own.
    """
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
    if spec.data_seed is not None:
        grid["data_seed"] = spec.data_seed
    if spec.selected:
        grid["summary"] = f"what was selected among {spec.selected.trials} trials by {spec.selected.by}"
    if spec.devices > 1:
        grid["devices"] = spec.devices
    if spec.size:
        rule = spec.size.model_dump(exclude_none=True)
        grid["params" if rule.pop("quantity") == "parameters" else "flops"] = rule
    return grid


def command_of(specs: Sequence[RunSpec]) -> str:
    """What to type into a shell to run `specs` again. Quoting by the here-document: nothing in it is a command."""
    lines = [f"{name}: {_flow(value)}" for name, value in grid_of(specs).items()]
    parts = {"task": specs[0].task.name, "architecture": specs[0].architecture.name}
    lines += [f"# {kind} {name} is not one of this installation: give the path of its card"
              for kind, name in parts.items() if name not in catalogue(kind)]  # fmt: skip
    return "\n".join(["cat > again.yaml <<'END-OF-GRID'", *lines, "END-OF-GRID", "rnnbench run again.yaml"])


def _flow(value: Any) -> str:
    """A value in one line of YAML, which is JSON but for the escapes of what is not ASCII."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text)
