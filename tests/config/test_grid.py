"""Grids: what they expand to, what makes two runs the same, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.errors import RnnbenchError
from rnnbench.utils.fingerprint import digest, imported_modules, source_digest, source_file

GRID: dict[str, Any] = {
    "name": "my",
    "architectures": ["lstm", "gru"],
    "tasks": ["adding"],
    "seeds": 2,
    "budget": {"steps": 3},
}


def read(**changes: Any) -> GridSpec:
    return GridSpec.read({**GRID, **changes}, "my.yaml")


def ids(**changes: Any) -> set[str]:
    return {spec.id for spec in read(**changes).expand()}


def test_a_grid_is_the_cross_product_seeds_first() -> None:
    labels = [spec.label for spec in read(tasks=["adding", "copy-memory"]).expand()]
    assert labels[:4] == ["adding/lstm/0", "adding/gru/0", "copy-memory/lstm/0", "copy-memory/gru/0"]
    assert len(labels) == 8


def test_order_seed_notation_and_names_do_not_change_identity(tmp_path: Path) -> None:
    assert ids() == ids(architectures=["gru", "lstm"], seeds=[1, 0], name="other", loggers=["wandb"], executor="inline")
    copy = tmp_path / "renamed.yaml"
    copy.write_text(Path("configs/architectures/lstm.yaml").read_text())
    assert ids(architectures=["lstm"]) == ids(architectures=[str(copy)])
    assert ids(model={"learning_rate": 1.0}) == ids(model={"learning_rate": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"budget": {"steps": 4}},
        {"seeds": [2, 3]},
        {"model": {"hidden_size": 5}},
        {"batch_size": 8},
        {"tasks": ["copy-memory"]},
    ],
)
def test_whatever_shapes_a_score_changes_identity(change: dict[str, Any]) -> None:
    assert not ids() & ids(**change)


def test_one_more_architecture_adds_its_runs_alone() -> None:
    assert len(ids(architectures=["lstm", "gru", "elman"]) - ids()) == 2
    assert ids() < ids(architectures=["lstm", "gru", "elman"])


def test_a_card_changes_its_fingerprint_with_what_scores_mean_alone() -> None:
    card = TaskCard.load("adding")
    data = card.data.model_copy(update={"init_args": {**card.data.init_args, "batch_size": 7}})
    same = card.model_copy(update={"title": "x", "summary": "y", "references": [], "data": data})
    assert same.fingerprint == card.fingerprint
    longer = card.data.model_copy(update={"init_args": {**card.data.init_args, "length": 7}})
    for change in ({"version": 2}, {"metric": "mae"}, {"data": longer}):
        assert card.model_copy(update=change).fingerprint != card.fingerprint


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tasks": ["copyng-memory"]}, "unknown task 'copyng-memory'; did you mean 'copy-memory'?"),
    ({"architectures": ["lstn"]}, "unknown architecture 'lstn'; did you mean 'lstm'?"),
    ({"architecture": ["lstm"]}, "unknown key 'architecture'; did you mean 'architectures'?"),
    ({"budget": {"step": 3}}, "my.yaml.budget: unknown key 'step'; did you mean 'steps'?"),
    ({"budget": {}}, "never ends: give at least one of steps, epochs, minutes, patience"),
    ({"budget": {"steps": "many"}}, "budget.steps: input should be a valid integer, got 'many'"),
    ({"budget": {"steps": 0}}, "budget.steps"),
    ({"budget": {"steps": 10**23}}, "budget.steps: input should be less than or equal to 1000000000"),
    ({"budget": {"minutes": 1e300}}, "budget.minutes: input should be less than or equal to 1000000000"),
    ({"batch_size": 10**23}, "batch_size: input should be less than or equal to 1000000000"),
    ({"seeds": "two"}, "seeds"),
    ({"seeds": 0}, "seeds"),
    ({"seeds": []}, "seeds"),
    ({"seeds": True}, "seeds"),
    ({"tasks": []}, "tasks: list should have at least 1 item"),
    ({"architectures": []}, "architectures: list should have at least 1 item"),
    ({"architectures": ["lstm", "lstm"]}, "duplicated cell: adding/lstm/0"),
    ({"seeds": [1, 1]}, "duplicated cell: adding/lstm/1"),
    ({"executor": {"local": {"worker": 2}}}, "unknown key 'worker'; did you mean 'workers'?"),
    (
        {"executor": {"local": {"runs_per_device": "aut"}}},
        "runs_per_device: give a whole number from 1 to 4096, or auto, got 'a",
    ),
    ({"executor": {"ray": {"memory": "4 gigs"}}}, "one with a unit such as 4GB, got '4 gigs'"),
    ({"executor": {"local": {"workers": 10**20}}}, "workers: input should be less than or equal to 4096"),
    ({"executor": {"local": {"runs_per_device": 10**20}}}, "runs_per_device: give a whole number from 1 to 4096"),
    ({"executor": {"local": {"timeout_minutes": 1e300}}}, "timeout_minutes: input should be less than or equal to"),
    ({"executor": {"slurm": {"minutes": 10**20}}}, "minutes: input should be less than or equal to 527040"),
    ({"executor": {"ray": {"cpus": 1e20}}}, "cpus: input should be less than or equal to 4096"),
    ({"executor": {"ray": {"gpus": 1e20}}}, "gpus: input should be less than or equal to 4096"),
    ({"executor": {}}, "choose one executor"),
    ({"executor": None}, "executor: name one of inline, local, ray, slurm, or one with settings, got None"),
    ({"executor": {"local": {"memory": True}}}, "one with a unit such as 4GB, got True"),
    ({"executor": {"local": {"memory": 10**40}}}, "memory: give a number of bytes, or one with a unit"),
    (
        {"executor": {"slurm": {"gpus": 0.5}}},
        "slurm: give whole cores and GPUs, Slurm divides none, got cpus: 1, gpus: 0.5",
    ),
    ({"artefacts": True}, "artefacts: give default, or settings of questions, got True"),
    ({"architectures": ["nosuch.yaml"]}, "there is no file 'nosuch.yaml' for an architecture"),
    ({"loggers": ["tensorbord"]}, "loggers"),
    ({"name": "a/b"}, "name"),
    ({"model": {"learning_rate": float("nan")}}, "model: learning_rate is nan; allowed are"),
    ({"model": {"layer_options": {"forget_bias": float("inf")}}}, "layer_options.forget_bias is inf"),
    ({"architectures": ["a" * 5000]}, "unknown architecture"),
]


@pytest.mark.parametrize(("change", "told"), BAD)
def test_a_wrong_grid_is_refused_in_a_sentence(change: dict[str, Any], told: str) -> None:
    with pytest.raises(RnnbenchError, match=re.escape(told)):
        read(**change).expand()


def test_an_alias_of_the_same_configuration_is_a_duplicated_cell(tmp_path: Path) -> None:
    copy = tmp_path / "lstm-again.yaml"
    copy.write_text(Path("configs/architectures/lstm.yaml").read_text())
    with pytest.raises(RnnbenchError, match=r"adding/lstm/0 and adding/lstm-again/0 would be the same run"):
        read(architectures=["lstm", str(copy)]).expand()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "not valid YAML"),
        ("name: my\nname: other\n", "key 'name' stands twice"),
        ("- a\n", "expected keys and values"),
        ("!!python/object/apply:os.system [ls]", "not valid YAML"),
        ("name: my\n", "missing field 'architectures'"),
        ("? [a, b]\n: 3\n", "a key is a single word"),
        ("seeds: !!timestamp 2020-13-45\n", "has a value that cannot be read"),
        ("model: &a {inner: *a}\n", "has a value that cannot be read: an alias stands in what it names"),
        (
            "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)),
            "with its aliases it stands for more than 1,000,000 values",
        ),
        (
            "a: &a0 {x: 1}\n"
            + "".join(f"b{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 40)),
            "with its aliases it stands for more than 1,000,000 values",
        ),
        (
            "model: {hidden_size: !!timestamp 2020-01-01}\nname: my\narchitectures: [gru]\ntasks: [adding]\n",
            "hidden_size is datetime",
        ),
    ],
)
def test_a_broken_file_is_refused_in_a_sentence(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(RnnbenchError, match=told):
        GridSpec.load(str(path))


def test_a_card_with_a_missing_field_is_refused_by_name(task: Callable[..., str]) -> None:
    folder = Path(task())
    content = yaml.safe_load((folder / "task.yaml").read_text())
    del content["metric"]
    (folder / "task.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RnnbenchError, match=r"task.yaml: missing field 'metric'"):
        read(tasks=[str(folder)]).expand()


def test_a_card_in_a_folder_of_another_name_is_refused(task: Callable[..., str]) -> None:
    folder = Path(task())
    with pytest.raises(RnnbenchError, match="the folder is 'other'"):
        TaskCard.load(str(folder.rename(folder.with_name("other"))))


def test_numbers_in_scientific_notation_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(
        "name: my\narchitectures: [gru]\ntasks: [adding]\nmodel: {learning_rate: 1e-3, weight_decay: 5E-4}\n"
    )
    assert GridSpec.load(str(path)).model == {"learning_rate": 0.001, "weight_decay": 0.0005}


def test_a_digest_ignores_order_and_notation_alone() -> None:
    assert digest({"a": 1, "b": [1.0]}) == digest({"b": [1], "a": 1.0})
    assert len({digest(content) for content in ([1, 2], [2, 1], ["1", 2], [True, 2], [1.5, 2])}) == 5


def test_a_digest_of_source_changes_with_any_file_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "alone.py").write_text("x = 1")
    (tmp_path / "whole").mkdir()
    for name in ("__init__.py", "inner.py", "inner.h"):
        (tmp_path / "whole" / name).write_text("int x;")
    first, alone = source_digest("whole"), source_digest("alone")
    assert source_digest("nowhere") == "absent"
    for change in ("inner.py", "inner.h", "more.py"):
        (tmp_path / "whole" / change).write_text(f"int y; // {change}")
        source_digest.cache_clear()
        assert source_digest("whole") not in (first, "absent")
        assert source_digest("alone") == alone
        first = source_digest("whole")
    for release in ("1.0", "2.0"):
        (tmp_path / "whole" / "__init__.py").write_text(f'x = 1\n__version__ = "{release}"\n')
        source_digest.cache_clear()
        assert source_digest("whole") != first if release == "1.0" else source_digest("whole") == first
        first = source_digest("whole")
    (tmp_path / "whole" / "inner.py").rename(tmp_path / "whole" / "moved.py")
    source_digest.cache_clear()
    assert source_digest("whole") != first
    assert source_file("rnnbench.nn") == Path(source_file("rnnbench") or "").parent / "nn" / "__init__.py"


def test_modules_that_are_imported_are_found_whichever_way_they_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    texts = {
        "__init__": "",
        "start": "import os\nimport mine.one\nfrom mine import two, name\nfrom rnnbench.errors import unknown",
        "one": "from .three import name",
        "two": "def f():\n    from . import four",
        "three": "import mine.start",
        "four": "",
        "five": "",
    }
    (tmp_path / "mine").mkdir()
    for name, text in texts.items():
        (tmp_path / "mine" / f"{name}.py").write_text(text)
    found = {"mine", *(f"mine.{name}" for name in ("start", "one", "two", "three", "four"))}
    assert set(imported_modules("mine.start")) == {*found, "rnnbench.errors"}
    assert imported_modules("no.such.module") == ()
