"""A board of made-up scores with everything on it: six states, ties, chance, two machines, hostile text."""

import random
from typing import Any

from rnnbench.board.states import Cell
from rnnbench.card import Chance, Scoring, TaskCard
from rnnbench.record import Cost, Environment, Point, Record
from rnnbench.selection import runs_of
from rnnbench.spec import GridSpec, RunSpec
from tests.test_record import done, lost

HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>{{7*7}}${7*7}"
ARCHITECTURES = ["elman", "gru", "lstm", "lstm-peephole", "mingru", "tcn"]
TEXTS = ("python", "torch", "lightning", "rnnbench", "platform", "processor", "device")
TASKS = [
    "adding", "parity", "mnist1d", "copy-memory", "sentiment-movies", "weather-nyc", "japanese-vowels", "folk-abc",
]  # fmt: skip


def specs(architectures: list[str], tasks: list[str], seeds: int, steps: int = 300) -> list[RunSpec]:
    content = {"name": "made-up", "architectures": architectures, "tasks": tasks, "seeds": seeds}
    return GridSpec.read({**content, "budget": {"steps": steps}}, "made up").expand()


def skill(spec: RunSpec) -> float:
    """How far from chance to the ceiling a run comes."""
    own = ARCHITECTURES.index(spec.architecture.name) if spec.architecture.name in ARCHITECTURES else 3
    task, run = random.Random(spec.task.name), random.Random(spec.id)
    return min(0.98, max(0.0, 0.05 + 0.14 * own + task.uniform(-0.1, 0.2) + run.gauss(0, 0.02)))


def made(spec: RunSpec, device: str = "cpu", **changes: Any) -> Record:
    """A record whose score follows from its spec."""
    card, share = TaskCard.load(spec.task.name), skill(spec)
    best = card.ceiling if card.ceiling is not None else card.chance.value * 0.4
    score = card.chance.value + share * (best - card.chance.value)
    cost = Cost(train_seconds=2 + 3 * share, total_seconds=9.0, steps=300, epochs=1, peak_memory_bytes=400_000_000,
                steps_per_epoch=300, state_bytes=512, flops_per_step=int(20_000 + 30_000 * share))  # fmt: skip
    where = Environment(
        python="3.11", torch="2.13", lightning="2.6", rnnbench="0.1", platform="Linux", processor="Processor X",
        device=device, threads=2,
    )  # fmt: skip
    curve = [Point(step=step, train_loss=2 / step**0.5, score=score * (1 + 10 / step)) for step in range(30, 301, 30)]
    content = {"cost": cost, "environment": where, "curve": curve, "best_step": 300, "backend": "native",
               "validation": {spec.task.metric: score}, "parameters": int(10_000 + 40_000 * share)}  # fmt: skip
    return done(spec, **{"score": score, **content, **changes})


def made_up_cells(architectures: list[str] = ARCHITECTURES, tasks: list[str] = TASKS, seeds: int = 3) -> list[Cell]:
    """Cells of a grid; some are not done, one is hostile, some ran on another machine and are not certified."""
    cells = [Cell(spec, "done", "", made(spec)) for spec in specs(architectures, tasks, seeds)]
    strange = [cells[place].spec for place in range(1, 6)]
    cells[1] = Cell(
        strange[0], "failed", HOSTILE, lost(strange[0], reason=HOSTILE).model_copy(update={"log_tail": HOSTILE})
    )
    cells[2] = Cell(strange[1], "infeasible", "it would read the answer", lost(strange[1], "infeasible"))
    cells[3] = Cell(strange[2], "running")
    cells[4] = Cell(strange[3], "missing")
    cells[5] = Cell(strange[4], "stale", "its card has changed", made(strange[4]))
    other = specs(["gru"], tasks[:2], 2, steps=100)
    cells += [
        Cell(spec, "done", "", made(spec, device="GPU Y", backend="torch.nn.GRU"), certified=False) for spec in other
    ]
    return cells + tuned_cells()


def tuned_cells() -> list[Cell]:
    """A tuned row: four trials, and what they select with three seeds."""
    content = {"name": "tuned", "architectures": ["elman"], "tasks": ["adding"], "seeds": 3, "budget": {"steps": 300}}
    grid = GridSpec.read({**content, "tune": {"trials": 4, "space": "core"}}, "made up")
    trials = [spec for spec in grid.expand() if spec.trial]
    records = {spec.id: made(spec, score=None, scores={}, validation={"mse": value})
               for spec, value in zip(trials, (0.2, 0.12, 0.16, 0.15), strict=True)}  # fmt: skip
    tested = [spec for spec in runs_of(grid, records) if spec.selected]
    records |= {spec.id: made(spec) for spec in tested}
    return [Cell(record.spec, "done", "", record) for record in records.values()]


def hostile_cells() -> list[Cell]:
    """Two contenders of which every text that a record may bring is hostile."""
    cells = []
    for spec in specs(["gru", "lstm"], ["adding"], 2):
        scoring = Scoring(group=HOSTILE, kind="real", chance=Chance(value=0.5, of=HOSTILE, margin=0.0))
        task = spec.task.model_copy(update={"metric": HOSTILE, "fingerprint": "x", "scoring": scoring})
        model = spec.architecture.model_copy(update={"init_args": {HOSTILE: HOSTILE}})
        own = spec.model_copy(update={"task": task, "architecture": model})
        where = Environment(**dict.fromkeys(TEXTS, HOSTILE), threads=1)
        more: dict[str, Any] = dict.fromkeys(("backend", "baseline", "started", "data_fingerprint"), HOSTILE)
        more |= {"baseline_scores": {HOSTILE: 0.2}, "scores": {HOSTILE: 0.1}, "attempts": [HOSTILE]}
        more |= {"environment": where, "spec": own, "id": own.id, "score": skill(spec)}
        cells.append(Cell(own, "done", HOSTILE, made(spec).model_copy(update=more)))
    return cells
