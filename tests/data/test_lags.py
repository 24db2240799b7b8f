"""Long lags: answers against what stands at the marked steps, and arguments that make no sense."""

from typing import Any

import numpy as np
import pytest

from rnnbench import data


def drawn(module: Any, size: int, length: int, seed: int = 0) -> tuple[list[Any], Any]:
    inputs, targets = module.draw(np.random.default_rng(seed), size, length)
    return [np.asarray(row) for row in inputs], targets


@pytest.mark.parametrize(("symbols", "windows"), [(2, [(10, 20), (50, 60)]), (3, [(10, 20), (33, 43), (66, 76)])])
def test_the_class_is_the_order_of_the_two_letters(symbols: int, windows: list[tuple[int, int]]) -> None:
    inputs, targets = drawn(data.TemporalOrder(100, symbols=symbols), 3000, 100)
    assert {len(row) for row in inputs} == {*range(100, 111)}
    places = []
    for row, target in zip(inputs, targets, strict=True):
        letters = np.flatnonzero(row >= 7)
        places.append(letters)
        assert (row[0], row[-1]) == (1, 2)
        assert set(row[1:-1][row[1:-1] < 7]) <= {3, 4, 5, 6}
        assert target == int("".join(str(row[place] - 7) for place in letters), 2)
    reach = np.array(places)
    assert [*zip(reach.min(0), reach.max(0), strict=True)] == windows
    assert np.abs(np.bincount(targets) / 3000 - 0.5**symbols).max() < 0.03


def test_the_shortest_lag_still_has_room_for_all_symbols() -> None:
    inputs, _ = drawn(data.TemporalOrder(10, symbols=3), 500, 10)
    assert {int((row >= 7).sum()) for row in inputs} == {3}
    assert all((row[0], row[-1]) == (1, 2) for row in inputs)


def test_the_first_steps_say_of_which_kind_a_sequence_is() -> None:
    inputs, targets = drawn(data.TwoSequence(40, signal_steps=3), 4000, 40)
    assert {len(row) for row in inputs} == {40, 41, 42, 43, 44}
    values = np.array([row[:40] for row in inputs])
    sides = np.where(targets == 1, 1, -1)[:, None]
    assert np.abs((values[:, :3] * sides).mean(0) - 1).max() < 0.03
    assert np.abs((values[:, 3:] * sides).mean(0)).max() < 0.03
    assert np.abs((values[:, :3] - sides).var(0) - 0.2).max() < 0.02
    assert np.abs(values[:, 3:].var(0) - 0.2).max() < 0.02
    assert ((values[:, :3].sum(1) > 0) == targets).mean() > 0.999


def test_the_product_is_that_of_the_two_marked_values() -> None:
    inputs, targets = drawn(data.Multiplication(40), 3000, 40)
    assert {len(row) // 2 for row in inputs} == {40, 41, 42, 43, 44}
    marked = []
    for row, target in zip(inputs, targets, strict=True):
        values, markers = row.reshape(-1, 2).T
        assert (markers[0], markers[-1]) == (-1, -1)
        assert set(markers[1:-1]) == {0, 1}
        places = np.flatnonzero(markers == 1)
        assert len(places) in (1, 2)  # the first step keeps its own marker
        assert target == pytest.approx(np.prod(values[places], dtype=np.float64), abs=1e-6)
        marked.append(places)
    both = np.array([places for places in marked if len(places) == 2])
    assert (both[:, 0] < 10).all()
    assert both.max() == 19
    assert abs(1 - len(both) / 3000 - (1 / 10 + 9 / 10 / 19)) < 0.03


def test_the_reference_of_the_product_answers_the_mean() -> None:
    module = data.Multiplication(20, 500, test_lengths=[24, 28, 4])
    train, test = (np.asarray(module.table(split)["targets"][:]) for split in ("train", "test"))
    errors = (test - train.mean()) ** 2
    expected = (errors[:100].mean() + errors[100:].mean()) / 2
    assert module.metadata()["baseline_scores"]["mse"] == pytest.approx(expected, rel=1e-12)


def test_a_spike_is_scored_by_the_steps_since_the_last() -> None:
    inputs, targets = drawn(data.SpikeTiming(50, interval=7, delays=3), 300, 50)
    seen = set()
    for row, answers in zip(inputs, targets, strict=True):
        spikes = np.flatnonzero(row)
        assert spikes[0] == 0
        assert 50 - spikes[-1] <= 9
        assert [*answers[spikes[1:]]] == [*(np.diff(spikes) - 7)]
        assert (np.delete(answers, spikes[1:]) == -100).all()
        seen |= {*answers[spikes[1:]]}
    assert seen == {0, 1, 2}
    shortest, _ = drawn(data.SpikeTiming(10, interval=7, delays=3), 300, 10)
    assert min(map(np.count_nonzero, shortest)) == 2


@pytest.mark.parametrize(
    ("cls", "arguments", "told"),
    [
        (data.TemporalOrder, {"length": 9}, "length must be at least 10"),
        (data.TemporalOrder, {"symbols": 4}, "symbols must be 2 or 3, got 4"),
        (data.TwoSequence, {"signal_steps": 0}, "signal_steps must be at least 1 and at most length=100"),
        (data.TwoSequence, {"length": 2, "signal_steps": 3}, "signal_steps must be at least 1 and at most length=2"),
        (data.Multiplication, {"length": 19}, "length must be at least 20"),
        (data.SpikeTiming, {"delays": 1}, "delays at least 2, got 20 and 1"),
        (data.SpikeTiming, {"length": 21}, "length must be at least interval \\+ delays = 22, got 21"),
    ],
)
def test_arguments_that_make_no_sequence_are_refused(cls: type[Any], arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        cls(**arguments)
