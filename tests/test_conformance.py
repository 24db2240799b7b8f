"""Conformance: rules, claims and the networks that only they need."""

import math
from typing import Any

import datasets
import pytest
import torch

from benchmarks.conformance import Claim, Rule, keep_earlier, page, read_claims
from benchmarks.conformance_models import CNN, MLP, with_validation
from rnnbench.config.cards import Budget
from rnnbench.data.module import Splits
from rnnbench.errors import RnnbenchError
from tests.fixtures.records import done

SPREAD = [0.50, 0.52, 0.54]


@pytest.mark.parametrize(
    ("rule", "scores", "minimise", "holds"),
    [
        ({"near": 0.5, "within": 0.03}, [SPREAD], False, True),
        ({"near": 0.5, "within": 0.01}, [SPREAD], False, False),
        ({"near": 0.54, "within": 0.001, "seed": "best"}, [SPREAD], False, True),
        ({"near": 0.54, "within": 0.001, "seed": "best"}, [SPREAD], True, False),
        ({"below": 0.53}, [SPREAD], False, True),
        ({"below": 0.53, "seed": "best"}, [SPREAD], False, False),
        ({"above": 0.53, "seed": "best"}, [SPREAD], False, True),
        ({"above": 0.53}, [SPREAD], False, False),
        ({"reaches": 0.52, "share": 0.6}, [SPREAD], False, True),
        ({"reaches": 0.52, "share": 0.7}, [SPREAD], False, False),
        ({"reaches": 0.50, "share": 0.6}, [SPREAD], True, False),
        ({"first_better_by": 0.1}, [[0.9, 0.9], [0.7, 0.8]], False, True),
        ({"first_better_by": 0.1}, [[0.9, 0.9], [0.7, 0.8]], True, False),
        ({"first_better": True}, [[0.90, 0.91, 0.92], [0.70, 0.71, 0.72]], False, True),
        ({"first_better": True}, [[0.90, 0.91, 0.92], [0.70, 0.71, 0.72]], True, False),
        ({"first_better": True}, [[0.90, 0.50, 0.92], [0.70, 0.71, 0.72]], False, False),
        ({"not_worse": True}, [[0.90, 0.91, 0.92], [0.70, 0.71, 0.72]], False, False),
        ({"not_worse": True}, [[0.90, 0.91, 0.92], [0.70, 0.71, 0.72]], True, True),
        ({"not_worse": True}, [[0.90, 0.50, 0.92], [0.70, 0.71, 0.72]], False, True),
    ],
)
def test_rules(rule: dict[str, Any], scores: list[list[float]], minimise: bool, holds: bool) -> None:
    assert Rule.read(rule, "rule").holds(scores, minimise) is holds


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"near": 0.5},
        {"within": 0.5},
        {"below": 0.5, "above": 0.1},
        {"reaches": 0.5},
        {"below": 0.5, "share": 0.5},
        {"first_better": True, "seed": "best"},
    ],
)
def test_rules_that_say_nothing_or_two_things(rule: dict[str, Any]) -> None:
    with pytest.raises(RnnbenchError, match=r"give one of near|seed: best goes with"):
        Rule.read(rule, "rule")


def test_a_verdict_is_settled_only_where_no_further_seed_can_change_it() -> None:
    best = Rule.read({"near": 1.0, "within": 0.03, "seed": "best"}, "rule")
    assert best.decided([0.5, 0.98], minimise=False, ceiling=1.0)
    assert not best.decided([0.5, 0.96], minimise=False, ceiling=1.0)
    assert not best.decided([0.98], minimise=False, ceiling=None)
    assert not best.decided([], minimise=False, ceiling=1.0)
    middle = Rule.read({"near": 0.6, "within": 0.03, "seed": "best"}, "rule")
    assert not middle.decided([0.6], minimise=False, ceiling=1.0)
    assert not Rule.read({"near": 1.0, "within": 0.03}, "rule").decided([1.0], minimise=False, ceiling=1.0)
    assert Rule.read({"below": 0.5, "seed": "best"}, "rule").decided([0.1], minimise=True, ceiling=None)


def test_the_claims() -> None:
    claims = read_claims()
    assert len(claims) >= 41
    for claim in claims:
        if claim.file:
            assert not claim.runnable
            assert claim.verdict({})["verdict"] == f"skipped: no --{claim.file} FILE"
            continue
        specs = claim.grid().expand()
        assert len(specs) == claim.seeds * len(claim.architectures), claim.name
        assert {spec.architecture.name for spec in specs} == set(claim.architectures), claim.name
        verdict = claim.verdict({})
        assert (verdict["verdict"], verdict["lacking"]) == ("not run", len(specs)), claim.name


def verdict_of(claim: Claim, scores: list[float]) -> dict[str, Any]:
    records = {run.id: done(run, score) for run, score in zip(claim.grid().expand(), scores, strict=False)}
    return claim.verdict(records)


def test_verdicts_from_records() -> None:
    (claim,) = [one for one in read_claims() if one.name == "parity-check-lstm"]
    assert verdict_of(claim, [0.5, 0.99])["verdict"] == "holds"
    assert verdict_of(claim, [0.5] * 9)["verdict"] == "not run"
    assert verdict_of(claim, [0.5] * 10)["verdict"] == "does not hold"
    contested = claim.model_copy(update={"contested": "Doe 2020"})
    assert verdict_of(contested, [0.5, 0.99])["verdict"] == "contested in the literature (Doe 2020); holds here"
    text = page([verdict_of(claim, [0.5, 0.99]), verdict_of(contested, [0.5, 0.99])])
    assert "2 claims: 1 holds, 1 contested in the literature." in text
    assert "lstm: 0.5, 0.99" in text


def test_verdicts_of_earlier_runs_are_kept_until_the_claim_changes() -> None:
    (claim,) = [one for one in read_claims() if one.name == "parity-check-lstm"]
    earlier, nothing = verdict_of(claim, [0.5] * 10), claim.verdict({})
    (kept,) = keep_earlier([nothing], [earlier])
    assert kept["verdict"] == "does not hold (found by earlier runs, not repeated)"
    assert kept["scores"] == earlier["scores"]
    assert keep_earlier([nothing], [kept]) == [kept]
    assert keep_earlier([nothing], [{**earlier, "rule": "best seed 0.9 ± 0.03"}]) == [nothing]
    for change in ({"budget": Budget(steps=1)}, {"seeds": 7}, {"model": {"hidden_size": 32}}):
        changed = claim.model_copy(update=change).verdict({})
        assert keep_earlier([changed], [earlier]) == [changed]
    settled = verdict_of(claim, [0.5, 0.99])  # by two seeds of ten: no other can change it
    (kept,) = keep_earlier([nothing], [settled])
    assert (kept["verdict"], kept["lacking"]) == ("holds (found by earlier runs, not repeated)", 8)
    assert keep_earlier([nothing], [verdict_of(claim, [0.5, 0.6])]) == [nothing]
    again = verdict_of(claim, [0.99] * 2)
    assert keep_earlier([again], [earlier]) == [again]


@pytest.mark.parametrize(
    ("model", "options", "width"),
    [
        (MLP, {"steps": 9, "hidden_dropout": 0.2, "input_dropout": 0.1}, 6),
        (MLP, {"steps": 40, "residual": True}, 6),
        (CNN, {"steps": 40, "channels": [25, 25, 25], "kernel_sizes": [5, 3, 3], "stride": 2, "padding": 1}, 125),
        (
            CNN,
            {
                "steps": 29,
                "channels": [6, 12],
                "kernel_sizes": [7, 7],
                "padding": 3,
                "pool": 3,
                "activation": "sigmoid",
            },
            36,
        ),
    ],
)
def test_networks_on_whole_series(model: Any, options: dict[str, Any], width: int) -> None:
    made = model(2, 3, "classification", hidden_size=6, num_layers=2, layer_options=options).eval()
    inputs, lengths = torch.randn(4, options["steps"], 2), torch.tensor([options["steps"], 7, 8, 7])
    padded = inputs.masked_fill(torch.arange(inputs.shape[1])[None, :, None] >= lengths[:, None, None], math.nan)
    assert torch.isfinite(made(padded, lengths)).all()
    torch.testing.assert_close(made(padded, lengths)[1], made(padded[1:2, :7], lengths[1:2])[0])
    assert made.layer.output_size == width


def test_training_with_the_validation_part() -> None:
    def table(*values: float) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"inputs": [[value] for value in values], "targets": [0] * len(values)})

    tables: Any = {"train": table(1.0, 2.0), "validation": table(3.0), "test": table(4.0)}
    splits = with_validation(Splits(tables, 1, 2, "majority class", {"accuracy": 0.5}))
    parts: Any = splits.tables
    assert {name: [row[0] for row in part["inputs"]] for name, part in parts.items()} == {
        "train": [1.0, 2.0, 3.0],
        "validation": [3.0],
        "test": [4.0],
    }
