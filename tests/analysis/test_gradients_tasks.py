"""Gradients through time for every kind of question, on small made-up data."""

from pathlib import Path

from rnnbench.analysis.gradients import profile
from rnnbench.config.grid import GridSpec
from rnnbench.harness.gradient_profiles import validation_sequences
from rnnbench.harness.instantiate import make_model
from tests.fixtures.trained import small_spec

TASKS = {
    "sentiment-movies": "sequences of different lengths",
    "pos-tagging": "a class for each step",
    "shakespeare-char": "streams",
    "bach-chorales": "several keys for each step",
    "weather-nyc-24h": "predictions that are read again",
    "translate-numbers": "an encoder",
    "speech-prompts": "no alignment",
}


def test_every_kind_of_question_has_gradients_through_time(stand_ins: None, tmp_path: Path) -> None:
    for task, kind in TASKS.items():
        spec = small_spec(tmp_path, task, "gru")
        batches, facts = validation_sequences(spec, 2)
        found = profile(make_model(spec, **facts), batches, jacobians=1)
        longest = max(batch.inputs.shape[1] for batch in batches)
        assert found.loss.shape[0] == 1, kind
        assert longest - 1 <= found.loss.shape[1] <= longest + 24, kind  # what is read again comes on top
        assert bool(found.loss.isfinite().all() & (found.loss[:, 0] > 0).all()), kind
        assert found.jacobian is not None
        assert found.jacobian.shape[1] == 8
        assert found.terms is not None
        assert abs(float(found.terms.shares.sum()) - 1) < 1e-9, kind


def test_gradients_are_of_the_long_ones_among_generated_strings() -> None:
    content = {"name": "g", "architectures": ["elman"], "tasks": ["parity-check"], "budget": {"steps": 1}}
    (spec,) = GridSpec.read(content, "test").expand()
    batches, _ = validation_sequences(spec, 8)
    assert len(batches) == 8
    assert min(batch.inputs.shape[1] for batch in batches) > 30
