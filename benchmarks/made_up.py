"""Records as runs make them, with made-up numbers, for benchmarks of what reads many of them."""

from random import Random

from rnnbench.config.grid import RunSpec
from rnnbench.records.probe import Probe, code_version
from rnnbench.records.record import Cost, Environment, Point, Record


def made_up(spec: RunSpec) -> Record:
    """A record of a run that is done; the same for the same run."""
    random = Random(spec.id)  # no secret
    score = random.uniform(0.1, 0.9)
    metric = spec.task.metric
    curve = [Point(step=100 * (i + 1), train_loss=random.random(), score=random.random()) for i in range(10)]
    return Record(
        schema_version=2,
        id=spec.id,
        spec=spec,
        status="done",
        started="2026-01-01T00:00:00+00:00",
        score=score,
        scores={metric: score, "loss": random.random()},
        validation={metric: score},
        best_step=1000,
        curve=curve,
        baseline="constant",
        baseline_scores={metric: 0.1},
        parameters=random.randrange(10_000, 100_000),
        cost=Cost(
            train_seconds=random.uniform(5, 50), total_seconds=60.0, steps=1000, epochs=10, peak_memory_bytes=1 << 28
        ),
        backend="native",
        data_fingerprint="0" * 16,
        code_version=code_version(spec),
        probe=Probe(losses=[1.5, 1.25, 1.125], scores={metric: 0.1, "loss": 1.0}),
        environment=Environment(
            python="3.11",
            torch="2.13.0",
            lightning="2.6",
            rnnbench="0.1",
            platform="Linux",
            processor="made up",
            device="cpu",
            threads=1,
        ),
    )
