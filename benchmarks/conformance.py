"""Claims of the literature as runs of the whole path: `python -m benchmarks.conformance`.

Claims stand in `configs/conformance/claims.yaml`. Runs go through the harness into `runs/conformance`, so that a second
start goes on where the first one ended; the verdicts go to `leaderboard/conformance.md` and, for machines, `.json`.
"""

import json
import math
from argparse import ArgumentParser
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from rnnbench.cli.console import make_console
from rnnbench.config.cards import Budget, Name, TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.config.schema import StrictModel, read_yaml
from rnnbench.errors import RnnbenchError
from rnnbench.harness.display import make_display
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.statistics import LEVEL, welch
from rnnbench.records.certificates import Certificates
from rnnbench.records.status import cells_of
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import write_whole
from rnnbench.utils.text import escape

HOME = Path(__file__).parents[1]
CLAIMS = HOME / "configs" / "conformance"
FOLDERS = Folders(HOME / "runs" / "conformance" / "leaderboard", HOME / "runs" / "conformance" / "runs")


class Rule(StrictModel):
    """When a claim holds: `near` a value `within` a tolerance, `below` a value; of two architectures, that the
    `first` is `better by` so much, or that the second is `not worse`: Welch's t test does not separate them, or it is
    better.
    """

    near: float | None = None
    within: float | None = Field(None, gt=0)
    below: float | None = None
    first_better_by: float | None = Field(None, gt=0)
    not_worse: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [self.near, self.below, self.first_better_by, self.not_worse]
        if sum(one is not None for one in given) != 1 or (self.near is None) != (self.within is None):
            raise ValueError("give one of near (with within), below, first_better_by, not_worse")
        return self

    def holds(self, scores: list[list[float]], minimise: bool) -> bool:
        """Whether it holds for the scores of each architecture."""
        means = [fmean(some) for some in scores]
        if self.near is not None and self.within is not None:
            return abs(means[0] - self.near) <= self.within
        if self.below is not None:
            return means[0] < self.below
        if self.first_better_by is not None:
            return (means[1] - means[0] if minimise else means[0] - means[1]) >= self.first_better_by
        worse = means[1] > means[0] if minimise else means[1] < means[0]
        return not (worse and welch(scores[0], scores[1]) < LEVEL)

    def text(self) -> str:
        """The rule in a few signs."""
        if self.near is not None:
            return f"{self.near:g} ± {self.within:g}"
        if self.below is not None:
            return f"< {self.below:g}"
        if self.first_better_by is not None:
            return f"first better by ≥ {self.first_better_by:g}"
        return "second no worse (or p ≥ 0.05)"


class Claim(StrictModel):
    """A claim, where it stands, and the runs that test it."""

    name: Name
    claim: str
    source: str
    task: str
    architectures: list[str] = Field(min_length=1, max_length=2)
    seeds: int = Field(ge=1)
    budget: Budget
    rule: Rule

    def grid(self) -> GridSpec:
        """Its runs."""
        own = CLAIMS / self.task
        content: dict[str, Any] = {
            "name": self.name,
            "architectures": [str(CLAIMS / f"{name}.yaml") for name in self.architectures],
            "tasks": [str(own) if own.is_dir() else self.task],
            "seeds": self.seeds,
            "budget": self.budget,
        }
        return GridSpec.read(content, f"claim {self.name!r}")

    def verdict(self) -> dict[str, Any]:
        """What was found, from the records there are."""
        grid = self.grid()
        records, _ = RecordStore(FOLDERS.leaderboard).read()
        scores: defaultdict[str, list[float]] = defaultdict(list)
        lacking = 0
        for cell in cells_of(grid.expand(), records, certificates=Certificates(FOLDERS.leaderboard)):
            if cell.state == "done" and cell.record and cell.record.score is not None:
                scores[cell.spec.architecture.name].append(cell.record.score)
            else:
                lacking += 1
        card = TaskCard.load(grid.tasks[0])
        found = [scores[name] for name in self.architectures]
        whole = lacking == 0
        return {
            "name": self.name, "claim": self.claim, "source": self.source, "task": card.name, "metric": card.metric,
            "rule": self.rule.text(), "scores": dict(zip(self.architectures, found, strict=True)), "lacking": lacking,
            "verdict": ("holds" if self.rule.holds(found, card.direction == "minimise") else "does not hold")
            if whole else "not run",
        }  # fmt: skip


def read_claims() -> list[Claim]:
    """All claims.

    Raises:
        RnnbenchError: something in the file is wrong.
    """
    path = CLAIMS / "claims.yaml"
    content = TypeAdapter(list[dict[str, Any]]).validate_python(read_yaml(path))
    claims = [Claim.read(one, f"{path}: {one.get('name')}") for one in content]
    if len({claim.name for claim in claims}) < len(claims):
        raise RnnbenchError(f"{path}: a name stands twice")
    return claims


def page(verdicts: list[dict[str, Any]]) -> str:
    """The verdicts as Markdown."""
    lines = [
        "# Conformance",
        "",
        "Claims of the literature, run by `make conformance`: mean ± standard deviation over seeds.",
        "",
        "| claim | source | task, metric | expected | found | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for one in verdicts:
        found = "; ".join(
            f"{name} {_mean(scores)} (n={len(scores)})" for name, scores in one["scores"].items() if scores
        )
        cells = [
            one["claim"],
            one["source"],
            f"{one['task']}, {one['metric']}",
            one["rule"],
            found or "–",
            one["verdict"],
        ]
        lines.append(f"| {' | '.join(map(escape, cells))} |")
    return "\n".join(lines) + "\n"


def _mean(scores: list[float]) -> str:
    deviation = f" ± {stdev(scores):.2g}" if len(scores) > 1 else ""
    return f"{fmean(scores):.4g}{deviation}" if all(map(math.isfinite, scores)) else "not finite"


def main() -> None:
    """Run what is missing, and write the verdicts."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="claims")
    parser.add_argument("--report", action="store_true", help="run nothing: the verdicts of what there is")
    options = parser.parse_args()
    claims, console = read_claims(), make_console()
    for claim in claims:
        if options.report or (options.only and claim.name not in options.only):
            continue
        grid = claim.grid()
        cells, todo = plan(
            grid, RecordStore(FOLDERS.leaderboard).read()[0], certificates=Certificates(FOLDERS.leaderboard)
        )
        console.print(f"{claim.name}: {len(todo)} of {len(cells)} runs to go", highlight=False)
        if todo:
            with make_display(cells, todo, console) as display:
                run_grid(grid, todo, FOLDERS, display)
    verdicts = [claim.verdict() for claim in claims]
    write_whole(HOME / "leaderboard" / "conformance.json", json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n")
    write_whole(HOME / "leaderboard" / "conformance.md", page(verdicts))
    for one in verdicts:
        console.print(f"{one['name']:20} {one['rule']:28} {one['verdict']}", highlight=False)


if __name__ == "__main__":
    main()
