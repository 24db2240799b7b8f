"""Equal size: the width that a rule leads to, what is counted, and what is said where no width will do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

from rnnbench.config.cards import ArchitectureCard
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.config.model_size import Fit, Size
from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.harness.fit_size import check_size, count_of, fit_size, flops_of_a_step, near, with_width
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.instantiate import make_model
from rnnbench.harness.paths import Folders
from rnnbench.harness.preflight import preflight
from rnnbench.leaderboard.table import make_table
from rnnbench.records.record import Record
from rnnbench.records.status import cells_of, cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import CACHE_VARIABLE
from tests.conftest import ARCHITECTURES, Silent
from tests.fixtures.records import done

FEATURES: dict[str, Any] = {"input_size": 3, "output_size": 5, "objective": "tagging", "input_kind": "features"}
FACTS: dict[str, dict[str, Any]] = {
    "features": FEATURES,
    "one answer": {**FEATURES, "objective": "classification"},
    "tokens": {**FEATURES, "input_size": 40, "input_kind": "tokens"},
}


def spec_of(architecture: str = "lstm", model: dict[str, Any] | None = None, **size: Any) -> RunSpec:
    content = {"name": "g", "architectures": [architecture], "tasks": ["adding"], "model": model or {}}
    return GridSpec.read({**content, **({"params": size} if size else {})}, "test").expand()[0]


@pytest.mark.parametrize(
    ("rule", "least", "most"),
    [
        ("100 ± 10%", 90, 110), ("1000 ± 2.3%", 977, 1023), ("1000 ± 0.1%", 999, 1001), ("70_000 ± 2%", 68_600, 71_400),
        ("1000 ± 5.7%", 943, 1057), ("1000 ± 14.3%", 857, 1143), ("7", 7, 7),
    ],
)  # fmt: skip
def test_a_count_at_the_very_edge_of_the_tolerance_meets_it(rule: str, least: int, most: int) -> None:
    content = {"name": "g", "architectures": ["lstm"], "tasks": ["adding"], "params": rule}
    size = GridSpec.read(content, "test").expand()[0].size
    assert size is not None
    assert [size.met_by(count) for count in (least - 1, least, most, most + 1)] == [False, True, True, False]


@pytest.mark.parametrize("target", [1, 5, 8, 9, 700, 10_007, 123_456])
@pytest.mark.parametrize("exists", [lambda w: True, lambda w: w % 6 == 0, lambda w: w > 40], ids=["all", "6th", "40"])
def test_bisection_finds_what_trying_every_width_would(target: int, exists: Callable[[int], bool]) -> None:
    counts = {width: 4 * width**2 + 3 * width + 1 for width in range(1, 1000) if exists(width)}
    below = [one for one in counts.items() if one[1] < target]
    above = [one for one in counts.items() if one[1] >= target]
    assert near(target, counts.get) == [*below[-1:], *above[:1]]


@pytest.mark.parametrize("target", [*range(3900, 4500, 50), 9000])
def test_a_width_with_fewer_parameters_than_its_neighbours_does_not_mislead(target: int) -> None:
    counts = {width: width**2 + width - 700 * (width == 64) for width in range(1, 200)}
    best = min(abs(count - target) for width, count in counts.items() if width != 64)
    assert min(abs(count - target) for _, count in near(target, counts.get)) <= best


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_gets_the_width_nearest_to_the_target(name: str) -> None:
    looks_ahead = name == "cnn" or ArchitectureCard.load(name)[1].init_args.get("bidirectional")
    facts = FACTS["one answer" if looks_ahead else ("features", "tokens")[len(name) % 2]]
    spec = spec_of(name, {"attention": "none"}, target=60_000, tolerance=0.05)
    sized, fit = fit_size(spec, facts)
    assert fit is not None
    assert sized.arguments[fit.argument] == fit.width
    model = make_model(sized, **facts)
    check_size(spec, fit, model)
    own = {name: one.numel() for name, one in model.named_parameters() if one.requires_grad}
    assert sum(count for name, count in own.items() if name != "embedding.weight") == fit.count
    for width in (fit.width - 1, fit.width + 1):
        try:
            with torch.device("meta"):
                beside = make_model(with_width(spec, fit.argument, width), **facts)
        except RnnbenchError:  # a width that this architecture does not have
            continue
        assert abs(count_of(beside, size_of(spec)) - 60_000) >= abs(fit.count - 60_000)


def size_of(spec: RunSpec) -> Size:
    assert spec.size is not None
    return spec.size


@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
@pytest.mark.parametrize("model", [{"num_layers": 3}, {"bidirectional": True}, {"embedding_size": 8}])
@pytest.mark.parametrize("count", ["non-embedding", "all", "recurrent"])
def test_any_depth_direction_and_head_is_sized(facts: dict[str, Any], model: dict[str, Any], count: str) -> None:
    spec = spec_of("gru", model, target=9_000, tolerance=0.05, count=count)
    sized, fit = fit_size(spec, facts)
    assert fit is not None
    peer = nn.GRU(
        {"tokens": sized.arguments.get("embedding_size", 64)}.get(facts["input_kind"], 3),
        fit.width,
        model.get("num_layers", 1),
        bidirectional=model.get("bidirectional", False),
    )
    layer = sum(one.numel() for one in peer.parameters())
    head = fit.width * (2 if model.get("bidirectional") else 1) * 5 + 5
    embedding = 40 * sized.arguments.get("embedding_size", 64) if facts["input_kind"] == "tokens" else 0
    assert fit.count == layer + {"recurrent": 0, "non-embedding": head, "all": head + embedding}[count]


def by_hand(name: str, inputs: int, hidden: int, outputs: int) -> int:
    gates = {"elman": 1, "gru": 3, "lstm": 4}[name]
    return 2 * gates * (inputs * hidden + hidden * hidden) + 2 * hidden * outputs


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_operations_of_a_step_are_those_counted_by_hand(name: str) -> None:
    model = make_model(spec_of(name, {"hidden_size": 16}), **FEATURES)
    assert flops_of_a_step(model) == by_hand(name, 3, 16, 5)
    once = make_model(spec_of(name, {"hidden_size": 16}), **FACTS["one answer"])
    assert flops_of_a_step(once) == by_hand(name, 3, 16, 0)
    deep = make_model(spec_of(name, {"hidden_size": 16, "num_layers": 2}), **FEATURES)
    assert flops_of_a_step(deep) == by_hand(name, 3, 16, 0) + by_hand(name, 16, 16, 5)


@pytest.mark.parametrize(
    ("name", "model", "by_hand"),
    [
        ("bilstm", {}, 2 * 2 * 4 * (3 * 16 + 16 * 16)),
        ("window-mlp", {"num_layers": 1, "layer_options": {"window": 4}}, 2 * 4 * 3 * 16),
        ("cnn", {"num_layers": 1, "layer_options": {"kernel_size": 5}}, 2 * 5 * 3 * 16),
    ],
)
def test_a_network_that_looks_both_ways_or_has_no_states_is_counted_too(
    name: str, model: dict[str, Any], by_hand: int
) -> None:
    made = make_model(spec_of(name, {"hidden_size": 16, **model}), **FACTS["one answer"])
    assert flops_of_a_step(made) == by_hand


def test_a_network_is_sized_by_its_operations() -> None:
    content = {"name": "g", "architectures": ["lstm"], "tasks": ["adding"], "flops": "50_000 ± 5%"}
    _, fit = fit_size(GridSpec.read(content, "test").expand()[0], FEATURES)
    assert fit is not None
    assert fit.count == by_hand("lstm", 3, fit.width, 5)
    assert abs(fit.count - 50_000) <= min(abs(by_hand("lstm", 3, fit.width + d, 5) - 50_000) for d in (-1, 1))


def test_where_no_width_is_near_enough_both_beside_it_are_named() -> None:
    with pytest.raises(Infeasible) as caught:
        fit_size(spec_of("lstm", target=70_000, tolerance=0.0001), FEATURES)
    below, above = (sum(one.numel() for one in nn.LSTM(3, width).parameters()) + 5 * width + 5 for width in (129, 130))
    assert str(caught.value) == (
        f"no width within 0.01 % of 70,000: hidden_size 129 gives {below:,}, 130 gives {above:,}"
    )


def test_a_network_of_another_size_than_it_should_be_is_refused() -> None:
    spec = spec_of("lstm", target=9_000)
    sized, fit = fit_size(spec, FEATURES)
    assert fit is not None
    with pytest.raises(RnnbenchError, match=f"hidden_size {fit.width} was to give {fit.count + 1:,}, but gives"):
        check_size(spec, Fit(**{**fit.model_dump(), "count": fit.count + 1}), make_model(sized, **FEATURES))


class Narrow(LightningModule):
    """Has another word for its width."""

    width_argument = "units"

    def __init__(self, units: int = 4, input_size: int = 1, output_size: int = 1) -> None:
        super().__init__()
        self.head = nn.Linear(input_size, units)


class Fixed(LightningModule):
    """Has no width."""

    def __init__(self, learning_rate: float = 0.1) -> None:
        super().__init__()


def test_a_class_names_its_width_or_is_refused(architecture: Callable[..., str]) -> None:
    spec = spec_of(architecture("narrow", "tests.harness.test_fit_size.Narrow"), target=400)
    _, fit = fit_size(spec, {"input_size": 3, "output_size": 2})
    assert fit == Fit(argument="units", width=100, count=400)
    with pytest.raises(RnnbenchError, match="Fixed has no width to choose for 400 ± 2 % non-embedding parameters"):
        fit_size(spec_of(architecture("fixed", "tests.harness.test_fit_size.Fixed"), target=400), {})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("70_000 ± 2%", {"target": 70_000, "tolerance": 0.02}),
        ("70,000 +- 0.5 %", {"target": 70_000, "tolerance": 0.005}),
        (70_000, {"target": 70_000}),
        (7e4, {"target": 70_000}),
        ({"target": 70_000, "count": "all"}, {"target": 70_000, "count": "all"}),
    ],
)
def test_a_size_is_written_in_one_of_a_few_ways(given: Any, read: dict[str, Any]) -> None:
    content = {"name": "g", "architectures": ["lstm"], "tasks": ["adding"]}
    grid = GridSpec.read({**content, "params": given}, "test")
    assert grid.params is not None
    assert grid.params.model_dump(exclude_unset=True) == read
    assert GridSpec.read(grid.model_dump(mode="json", exclude_unset=True), "again") == grid


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"params": "many"},
            "g: params: give a number, '70_000 ± 2%', or {target: 70000, tolerance: 0.02}, got 'many'",
        ),
        ({"params": True}, "got True"),
        ({"params": "9" * 5000}, "g: params: give a number, '70_000 ± 2%', or"),
        ({"params": 10**30}, f"g: params.target: input should be less than or equal to {10**15}, got {10**30}"),
        ({"params": {"target": 9, "tolerence": 1}}, "unknown key 'tolerence'; did you mean 'tolerance'?"),
        ({"params": {"target": 0}}, "g: params.target: input should be greater than or equal to 1, got 0"),
        ({"params": "9 ± 100%"}, "g: params.tolerance: input should be less than 1, got 1.0"),
        ({"params": 9, "flops": 9}, "g: give params or flops, not both"),
    ],
)
def test_a_size_that_is_none_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RnnbenchError) as caught:
        GridSpec.read({"name": "g", "architectures": ["lstm"], "tasks": ["adding"], **change}, "g")
    assert sentence in str(caught.value)


def test_runs_without_a_size_are_the_runs_they_were() -> None:
    content = {"name": "g", "architectures": ["lstm"], "tasks": ["adding"], "budget": {"steps": 3}}
    (plain,), (sized,) = (GridSpec.read({**content, **more}, "g").expand() for more in ({}, {"params": 700}))
    assert plain.id == "daa24edd22c2"
    assert sized.id != plain.id


def test_records_say_what_was_asked_for_and_what_was_found(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    asked = grid(architectures=["elman", "lstm"], params={"target": 100, "tolerance": 0.05})
    records = run_all(asked, folders, watcher)
    done, infeasible = (records[spec.id] for spec in asked.expand())
    assert done.size == Fit(argument="hidden_size", width=8, count=8 * 2 + 8 * 8 + 16 + 8 + 1)
    assert (done.status, done.parameters) == ("done", 105)
    assert done.spec.size == Size(quantity="parameters", target=100, tolerance=0.05, count="non-embedding")
    assert infeasible.reason == "no width within 5 % of 100: hidden_size 3 gives 88, 4 gives 133"
    with pytest.raises(RnnbenchError, match="its size is to be 100 ± 5 % non-embedding parameters, got None"):
        Record.read(done.model_dump() | {"size": None}, "changed")


def test_the_board_says_how_many_parameters_were_matched() -> None:
    fit = Fit(argument="hidden_size", width=3, count=71)
    sized = done(spec_of("lstm", target=70), size=fit)
    (row,) = make_table(cells_on_record({sized.id: sized})).rows
    assert row.parameters == "71"


def test_a_size_that_no_network_of_a_grid_can_have_is_refused_before_anything_starts(
    grid: Callable[..., GridSpec], folders: Folders, watcher: Silent
) -> None:
    run_all(grid(), folders, watcher)  # prepares the data
    with pytest.raises(
        RnnbenchError, match="no network of it can have 3 ± 2 % non-embedding parameters; short/elman/0:"
    ):
        run_all(grid(params=3), folders, watcher)
    assert watcher.count("started") == 2


def test_what_data_alone_tells_refuses_no_size_before_it_is_prepared(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    content = {"name": "g", "architectures": ["gru", "bilstm"], "tasks": ["mackey-glass", "bach-chorales"], "seeds": 1}
    specs = GridSpec.read({**content, "params": "30_000 ± 5%"}, "test").expand()
    answers = {spec.label: preflight([spec])[spec.id] for spec in specs}
    assert not any(known.cached for known in answers.values())
    refused = {label for label, known in answers.items() if known.why_not}
    assert {label for label in refused if "/gru/" in label} == set()
    assert "bach-chorales/bilstm/0" in refused
    assert "causal" in answers["bach-chorales/bilstm/0"].why_not


def run_all(asked: GridSpec, folders: Folders, watcher: Silent) -> dict[str, Record]:
    _, todo = plan(asked, RecordStore(folders.leaderboard).read()[0])
    run_grid(asked, todo, folders, watcher)
    records = RecordStore(folders.leaderboard).read()[0]
    assert {cell.state for cell in cells_of(asked.expand(), records)} <= {"done", "infeasible"}
    return records
