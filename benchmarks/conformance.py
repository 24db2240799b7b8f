"""Claims of the literature as runs of the whole path: `python -m benchmarks.conformance`.

Claims stand in `configs/conformance/claims.yaml`. Runs go through the harness into `runs/conformance`, so that a second
start goes on where the first one ended; the verdicts go to `leaderboard/conformance.md` and, for machines, `.json`.
"""

import json
import math
import os
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, Self

import yaml
from pydantic import Field, TypeAdapter, model_validator
from rich.console import Console

from rnnbench.cli.console import make_console
from rnnbench.config.cards import Budget, Name, TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.config.schema import Arguments, StrictModel, read_json, read_yaml
from rnnbench.errors import RnnbenchError
from rnnbench.harness.display import make_display
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.statistics import LEVEL, welch
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Record
from rnnbench.records.status import cells_of
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import write_whole
from rnnbench.utils.fingerprint import digest
from rnnbench.utils.text import escape

HOME = Path(__file__).parents[1]
CLAIMS = HOME / "configs" / "conformance"
OWN = HOME / "runs" / "conformance"
VERDICTS = HOME / "leaderboard" / "conformance.json"
EARLIER = " (found by earlier runs, not repeated)"
FOLDERS = Folders(OWN / "leaderboard", OWN / "runs")


class Rule(StrictModel):
    """When a claim holds, by the scores of its seeds.

    Of one architecture: the mean over seeds, or with `seed: best` its best seed, is `near` a value `within` a
    tolerance, `below` or `above` a value; or at least `share` of the seeds reach a score (`reaches`).
    Of two: the first is `better by` so much in the mean; is `better`, which Welch's t test separates; or the second is
    `not worse`, which that test does not separate from the first, or which is better.
    """

    near: float | None = None
    within: float | None = Field(None, gt=0)
    below: float | None = None
    above: float | None = None
    reaches: float | None = None
    share: float | None = Field(None, gt=0, le=1)
    first_better_by: float | None = Field(None, gt=0)
    first_better: Literal[True] | None = None
    not_worse: Literal[True] | None = None
    seed: Literal["mean", "best"] = "mean"

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = {
            "near": "within",
            "below": None,
            "above": None,
            "reaches": "share",
            "first_better_by": None,
            "first_better": None,
            "not_worse": None,
        }
        given = [name for name in kinds if getattr(self, name) is not None]
        companions = {name for name in ("within", "share") if getattr(self, name) is not None}
        if len(given) != 1 or companions != {kinds[given[0]]} - {None}:
            raise ValueError(
                "give one of near (with within), below, above, reaches (with share), first_better_by, first_better, "
                "not_worse"
            )
        if self.seed == "best" and given[0] not in {"near", "below", "above"}:
            raise ValueError(f"seed: best goes with near, below and above, not with {given[0]}")
        return self

    @property
    def architectures(self) -> int:
        """How many architectures it is about."""
        return 1 if (self.first_better_by, self.first_better, self.not_worse) == (None, None, None) else 2

    def holds(self, scores: list[list[float]], minimise: bool) -> bool:
        """Whether it holds for the scores of each architecture."""
        if self.reaches is not None and self.share is not None:
            reached = [one <= self.reaches if minimise else one >= self.reaches for one in scores[0]]
            return fmean(reached) >= self.share
        if self.architectures == 1:
            found = best(scores[0], minimise) if self.seed == "best" else fmean(scores[0])
            if self.near is not None and self.within is not None:
                return abs(found - self.near) <= self.within
            return (self.below is None or found < self.below) and (self.above is None or found > self.above)
        first, second = map(fmean, scores)
        advantage = second - first if minimise else first - second
        if self.first_better_by is not None:
            return advantage >= self.first_better_by
        separated = advantage > 0 and welch(scores[0], scores[1]) < LEVEL
        return separated if self.first_better else not separated

    def decided(self, scores: list[float], minimise: bool, ceiling: float | None) -> bool:
        """Whether no further seed can change that it holds: the best seed so far, and the best possible score, do."""
        if self.seed == "mean" or not scores:
            return False
        limit = ceiling if ceiling is not None else -math.inf if minimise else math.inf
        return self.holds([scores], minimise) and self.holds([[limit]], minimise)

    def text(self) -> str:
        """The rule in a few signs."""
        which = "best seed " if self.seed == "best" else ""
        if self.near is not None:
            return f"{which}{self.near:g} ± {self.within:g}"
        if self.below is not None:
            return f"{which}< {self.below:g}"
        if self.above is not None:
            return f"{which}> {self.above:g}"
        if self.share is not None:
            return f"{self.reaches:g} reached by ≥ {self.share:.0%} of seeds"
        if self.first_better_by is not None:
            return f"first better by ≥ {self.first_better_by:g}"
        return "first better (p < 0.05)" if self.first_better else "second no worse (or p ≥ 0.05)"


def best(scores: list[float], minimise: bool) -> float:
    """The best of some scores."""
    return min(scores) if minimise else max(scores)


class Claim(StrictModel):
    """A claim, where it stands, and the runs that test it.

    Args:
        name: of its runs.
        claim: in a sentence.
        source: paper, with table or equation.
        deviation: what here differs from the paper's experiment.
        contested: who found otherwise; its verdict is then never that it simply holds or does not.
        task: a folder here, or the name of a task.
        architectures: files here, or names of architectures.
        model: arguments of all of them.
        seeds: how many; with a rule on the best seed at most so many, fewer if no further one can change the verdict.
        budget: of each run.
        rule: when it holds.
        file: the option that names a file which the user must have; the task is then `piano-roll` on that file.
    """

    name: Name
    claim: str
    source: str
    deviation: str = ""
    contested: str = ""
    task: str
    architectures: list[str] = Field(min_length=1, max_length=2)
    model: Arguments = {}
    seeds: int = Field(ge=1)
    budget: Budget
    rule: Rule
    file: Literal["jsb"] | None = None

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.architectures) != self.rule.architectures:
            raise ValueError(f"the rule is about {self.rule.architectures} architectures, got {self.architectures}")
        return self

    def grid(self, seeds: int | None = None) -> GridSpec:
        """Its runs, or those of its first `seeds` seeds."""
        own = OWN / "tasks" / self.task if self.file else CLAIMS / self.task
        content: dict[str, Any] = {
            "name": self.name,
            "architectures": [
                str(path) if (path := CLAIMS / f"{name}.yaml").is_file() else name for name in self.architectures
            ],
            "tasks": [str(own) if own.is_dir() else self.task],
            "seeds": seeds or self.seeds,
            "budget": self.budget,
            "model": self.model,
        }
        return GridSpec.read(content, f"claim {self.name!r}")

    @property
    def runnable(self) -> bool:
        """Whether the file that it needs has been named, and is there."""
        path = OWN / "tasks" / self.task / "task.yaml"
        return not self.file or (path.is_file() and Path(read_yaml(path)["data"]["init_args"]["path"]).is_file())

    def digest(self) -> str:
        """Of its runs: another budget, number of seeds, argument or card makes another."""
        return digest(sorted(spec.id for spec in self.grid().expand()))

    def scores(self, records: Mapping[str, Record]) -> tuple[list[list[float]], list[str]]:
        """The scores of each architecture, by seed; and what is lacking of the runs."""
        scores: defaultdict[str, list[float]] = defaultdict(list)
        lacking = []
        for cell in cells_of(self.grid().expand(), records, certificates=Certificates(FOLDERS.leaderboard)):
            if cell.state == "done" and cell.record and cell.record.score is not None:
                scores[cell.spec.architecture.name].append(cell.record.score)
            else:
                lacking.append(f"{cell.spec.label}: {cell.state}")
        return [scores[name] for name in self.architectures], lacking

    def run(self, console: Console) -> None:
        """Run what is missing; of a rule on the best seed, only until the verdict is settled."""
        card = TaskCard.load(self.grid().tasks[0])
        at_once = len(os.sched_getaffinity(0))
        steps = [*range(at_once, self.seeds, at_once), self.seeds] if self.rule.seed == "best" else [self.seeds]
        for seeds in steps:
            if self.rule.decided(self.scores(read_records())[0][0], card.direction == "minimise", card.ceiling):
                return
            grid = self.grid(seeds)
            cells, todo = plan(grid, read_records(), certificates=Certificates(FOLDERS.leaderboard))
            console.print(f"{self.name}: {len(todo)} of {len(cells)} runs to go", highlight=False)
            if todo:
                with make_display(cells, todo, console) as display:
                    run_grid(grid, todo, FOLDERS, display)

    def verdict(self, records: Mapping[str, Record]) -> dict[str, Any]:
        """What was found, from the records there are."""
        card = TaskCard.load(self.grid().tasks[0] if self.runnable else "piano-roll")
        minimise = card.direction == "minimise"
        found, lacking = self.scores(records) if self.runnable else ([[] for _ in self.architectures], ["no file"])
        verdict = "not run"
        if not lacking or self.rule.decided(found[0], minimise, card.ceiling):
            verdict = "holds" if self.rule.holds(found, minimise) else "does not hold"
            if self.contested:
                verdict = f"contested in the literature ({self.contested}); {verdict} here"
        elif not self.runnable:
            verdict = f"skipped: no --{self.file} FILE"
        return {
            "name": self.name,
            "claim": self.claim,
            "source": self.source,
            "deviation": self.deviation,
            "task": card.name,
            "metric": card.metric,
            "runs": self.digest() if self.runnable else "",
            "rule": self.rule.text(),
            "scores": dict(zip(self.architectures, found, strict=True)),
            "lacking": len(lacking),
            "verdict": verdict,
        }


def read_records() -> dict[str, Record]:
    """The records of earlier starts, and of the committed leaderboard, which may hold the same runs."""
    committed = RecordStore(HOME / "leaderboard").read()[0]
    return committed | RecordStore(FOLDERS.leaderboard).read()[0]


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


def keep_earlier(verdicts: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts; of claims of which no run is at hand that of earlier runs, unless the claim has changed since."""
    same = ("claim", "task", "metric", "rule", "runs")
    found = {
        tuple(one.get(key, "") for key in same) + tuple(one["scores"]): one
        for one in earlier
        if not one["verdict"].startswith(("not run", "skipped"))
    }
    kept = []
    for one in verdicts:
        before = found.get(tuple(one[key] for key in same) + tuple(one["scores"]))
        if before and one["verdict"] == "not run" and not any(one["scores"].values()):
            verdict = before["verdict"].removesuffix(EARLIER) + EARLIER
            one = {**one, "scores": before["scores"], "lacking": before["lacking"], "verdict": verdict}
        kept.append(one)
    return kept


def write_jsb_task(path: Path) -> None:
    """The task `piano-roll` with a path, as a task of its own; later starts find it again."""
    card = TaskCard.load("piano-roll").model_dump(mode="json", exclude_none=True)
    card |= {"name": "jsb"}
    card["data"]["init_args"]["path"] = str(path.resolve())
    folder = OWN / "tasks" / "jsb"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "task.yaml", yaml.safe_dump(card, allow_unicode=True))


def page(verdicts: list[dict[str, Any]]) -> str:
    """The verdicts as Markdown."""
    counts = Counter(one["verdict"].split(" (")[0].split(":")[0] for one in verdicts)
    lines = [
        "# Conformance",
        "",
        "Claims of the literature, run by `make conformance`: mean ± standard deviation over seeds, or the best seed "
        "where the source reports that.",
        "",
        f"{len(verdicts)} claims: {', '.join(f'{number} {verdict}' for verdict, number in counts.most_common())}.",
        "",
        "| claim | source | task, metric | differs from the source | expected | found | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in verdicts:
        cells = [
            one["claim"],
            one["source"],
            f"{one['task']}, {one['metric']}",
            one["deviation"] or "–",
            one["rule"],
            found_text(one) or "–",
            one["verdict"],
        ]
        lines.append(f"| {' | '.join(map(escape, cells))} |")
    return "\n".join(lines) + "\n"


def found_text(verdict: dict[str, Any]) -> str:
    """What the architectures of a claim scored."""
    parts = []
    for name, scores in verdict["scores"].items():
        if scores and "best seed" in verdict["rule"]:
            parts.append(f"{name}: " + ", ".join(f"{score:.3g}" for score in sorted(scores)))
        elif scores:
            parts.append(f"{name} {_mean(scores)} (n={len(scores)})")
    return "; ".join(parts)


def _mean(scores: list[float]) -> str:
    deviation = f" ± {stdev(scores):.2g}" if len(scores) > 1 else ""
    return f"{fmean(scores):.4g}{deviation}" if all(map(math.isfinite, scores)) else "not finite"


def main() -> None:
    """Run what is missing, and write the verdicts."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="claims")
    parser.add_argument("--shard", default="1/1", metavar="K/N", help="every N-th claim, from the K-th on")
    parser.add_argument("--jsb", type=Path, metavar="FILE", help="JSB Chorales, as `piano-roll` reads it")
    parser.add_argument("--report", action="store_true", help="run nothing: the verdicts of what there is")
    options = parser.parse_args()
    claims, console = read_claims(), make_console()
    if wrong := set(options.only or ()) - {claim.name for claim in claims}:
        parser.error(f"no claim is named {', '.join(sorted(wrong))}; there are {', '.join(c.name for c in claims)}")
    first, _, of = options.shard.partition("/")
    if not (first.isdecimal() and of.isdecimal() and 1 <= int(first) <= int(of)):
        parser.error(f"--shard takes K/N with 1 ≤ K ≤ N, such as 1/2, got {options.shard}")
    if options.jsb is not None:
        if not options.jsb.is_file():
            parser.error(f"--jsb takes a file, and {options.jsb} is none")
        write_jsb_task(options.jsb)
    for claim in claims[int(first) - 1 :: int(of)]:
        if options.report or (options.only and claim.name not in options.only):
            continue
        if claim.runnable:
            claim.run(console)
    records = read_records()
    verdicts = keep_earlier(
        [claim.verdict(records) for claim in claims], read_json(VERDICTS) if VERDICTS.is_file() else []
    )
    write_whole(VERDICTS, json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n")
    write_whole(HOME / "leaderboard" / "conformance.md", page(verdicts))
    for one in verdicts:
        console.print(f"{one['name']:24} {one['rule']:32} {one['verdict']}", highlight=False)


if __name__ == "__main__":
    main()
