"""Generated data that no memory holds is refused before any of it is made; so are phonemes that training lacks."""

from typing import Any

import pytest

from rnnbench import data
from rnnbench.cli import main
from rnnbench.data.pronunciation import CMUDict, Word
from rnnbench.errors import RnnbenchError

HUGE = 10**11


@pytest.mark.parametrize(
    ("cls", "arguments", "told"),
    [
        (data.EvenPairs, {"length": HUGE}, f"length must be at least 1 and at most 1,000,000, got {HUGE}"),
        (data.Adding, {"length": 10**6, "train_size": 10**6}, "train_size=1000000 and length=1000000 make"),
        (data.Adding, {"train_size": HUGE}, "at most 1,000,000,000 fit into memory"),
        (data.ParityCheck, {"length": 40, "test_lengths": [41, HUGE, 1]}, "test_lengths must be at most 1,000,000"),
        (data.ParityCheck, {"length": 40, "test_lengths": [41, 10**6, 1]}, r"test_lengths=\[41, 1000000, 1\] make"),
        (data.Dyck1, {"length": HUGE}, "at most 1,000,000"),
        (data.AnBn, {"length": HUGE}, "at most 1,000,000"),
        (data.ContinualReber, {"length": HUGE}, "at most 1,000,000"),
        (data.TemporalOrder, {"length": HUGE}, "at most 1,000,000"),
        (data.SpikeTiming, {"length": HUGE}, "at most 1,000,000"),
        (data.EmbeddedReber, {"train_size": HUGE}, f"train_size={HUGE} make"),
        (data.ListOps, {"longest": HUGE}, f"train_size=50000 and longest={HUGE} make"),
        (data.FactQuestions, {"train_size": HUGE}, f"train_size={HUGE} make"),
        (data.Lorenz, {"steps": HUGE}, f"count=16 and steps={HUGE} make"),
        (data.Narma10, {"count": HUGE}, f"count={HUGE} and steps=2000 make"),
        (data.NumberWords, {"largest": HUGE}, f"largest={HUGE} make"),
    ],
)
def test_what_no_memory_holds_is_refused_before_it_is_made(cls: Any, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        cls(**arguments)


def test_a_grid_with_lengths_that_no_memory_holds_ends_before_training(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.yaml").write_text(
        "name: g\narchitectures: [elman]\ntasks: [parity-check]\nlengths: 41:1000000:1\n"
        "budget: {steps: 1}\nexecutor: inline\n"
    )
    assert main(["run", "g.yaml"]) == 2
    assert "ParityCheck: test_lengths=[41, 1000000, 1] make" in capsys.readouterr().err
    assert not (tmp_path / "leaderboard" / "records").exists()


def test_a_phoneme_that_training_lacks_is_told_with_its_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    parts = {
        "train": [Word("a", ["AH"]), Word("be", ["B", "IY"])],
        "validation": [Word("bee", ["B", "IY"])],
        "test": [Word("azure", ["AE", "ZH", "ER"])],
    }
    monkeypatch.setattr(CMUDict, "words", lambda self: parts)
    with pytest.raises(
        RnnbenchError, match="split 'test' has the phoneme AE in 'azure', which no word of training has"
    ):
        CMUDict().build_splits(tmp_path)
