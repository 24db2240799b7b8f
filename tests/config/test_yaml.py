"""YAML of users is read by the core schema of YAML 1.2: no word becomes a number, a date or a truth by older rules."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli import main
from rnnbench.config.cards import ArchitectureCard, TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.config.schema import read_yaml, write_yaml
from rnnbench.config.search_space import Space
from rnnbench.errors import RnnbenchError

NUMBERS: dict[str, Any] = {
    "10": 10, "010": 10, "0777": 777, "-7": -7, "+5": 5, "-010": -10, "0o17": 15, "0x1F": 31, "1_000": 1000,
    ".5": 0.5, "-.5": -0.5, "5.": 5.0, "1e3": 1000.0, "1E-3": 0.001, "1.5e+3": 1500.0, "12e03": 12000.0,
    "685_230.15": 685230.15, ".inf": math.inf, "-.INF": -math.inf,
    "true": True, "True": True, "FALSE": False, "null": None, "~": None, "": None,
}  # fmt: skip
WORDS = [
    "1:30",
    "190:20:30.15",
    "yes",
    "no",
    "on",
    "off",
    "Yes",
    "NO",
    "y",
    "n",
    "tRue",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "=",
    "0b101",
    "0o8",
    "-0x1",
    "1_",
    "_1",
    "1__0",
    "1,000",
    ".",
    ".e3",
    "1e3x",
    "0.1.2",
    "٣",
    "nan",
    "inf",
    "±1",
]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Any]:
    def from_text(text: str) -> Any:
        (tmp_path / "a.yaml").write_text(text, "utf-8")
        return read_yaml(tmp_path / "a.yaml")

    return from_text


@pytest.mark.parametrize("text", [*NUMBERS, *WORDS])
def test_what_a_word_stands_for(text: str, read: Callable[[str], Any]) -> None:
    value, expected = read(f"k: {text}\n")["k"], NUMBERS.get(text, text)
    assert type(value) is type(expected)
    assert value == expected
    assert read(f"[{text}]") == [expected] or text in ("", "1,000")
    if text:
        assert read(f"{text}: 1") == {expected: 1}
    for quoted in (f"'{text}'", f'"{text}"', f"!!str {text}"):
        assert read(f"k: {quoted}")["k"] == text


@pytest.mark.parametrize("text", [*NUMBERS, *WORDS, "a: b", "- x", "#", "é漢", "<<", " "])
@pytest.mark.parametrize("plain", [True, False])
def test_what_is_written_is_read_again_by_any_reader(text: str, plain: bool, read: Callable[[str], Any]) -> None:
    written = write_yaml({"k": text, "v": NUMBERS.get(text, text)}, plain)
    assert written.isascii() or not plain
    assert read(written) == {"k": text, "v": NUMBERS.get(text, text)}
    assert yaml.safe_load(written)["k"] == text  # by the rules of 1.1


def test_the_rest_of_yaml(read: Callable[[str], Any]) -> None:
    assert read("a: &a {x: 1, y: 1}\nb:\n  <<: *a\n  y: 010\n")["b"] == {"x": 1, "y": 10}
    assert read("k: !!int '010'\nm: !!float 3\n") == {"k": 10, "m": 3.0}
    assert math.isnan(read("k: .nan")["k"])
    for text in ("k: !!int 1:30", "k: !!float 1:30", "k: !!bool yes", 'k: "\\ud800"', "010: 1\n010: 2"):
        with pytest.raises(RnnbenchError, match=r"a\.yaml"):
            read(text)


GRID = "name: g\narchitectures: [gru]\ntasks: [adding]\n"
REFUSED = {
    "seeds: 1:30": "seeds: give a number of seeds from 1 to 10000, or a list .*, got '1:30'",
    "seeds: [1:30]": r"seeds: give a number of seeds .*, got \['1:30'\]",
    "budget: {minutes: 1:30}": "budget.minutes: input should be a valid number, got '1:30'",
    "replay: yes": "replay: input should be a valid boolean, got 'yes'",
    "params: 7:00": "params: give a number, .*, got '7:00'",
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_grid_of_old_rules_is_refused_in_a_sentence(line: str, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(GRID + line)
    with pytest.raises(RnnbenchError, match=f"g.yaml: {REFUSED[line]}") as error:
        GridSpec.load(str(tmp_path / "g.yaml"))
    assert "\n" not in str(error.value)


def test_every_file_of_users_is_read_by_the_same_rules(
    tmp_path: Path, task: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grids, cards, architectures and spaces."""
    monkeypatch.chdir(tmp_path)
    folder = Path(task())
    card = (folder / "task.yaml").read_text()
    (folder / "task.yaml").write_text(card.replace("length: 6", "length: 010"))
    assert TaskCard.load(str(folder)).data.init_args["length"] == 10
    Path("a.yaml").write_text(
        "summary: 2024-01-01\nclass_path: rnnbench.architectures.GRU\ninit_args: {hidden_size: 010}\n"
    )
    name, architecture = ArchitectureCard.load("a.yaml")
    assert (name, architecture.summary, architecture.init_args) == ("a", "2024-01-01", {"hidden_size": 10})
    Path("s.yaml").write_text("shared: {dropout: {choice: [no, 1e-1, .5]}, hidden_size: {int_uniform: [010, 0o20]}}\n")
    space = Space.load("s.yaml", "", []).shared
    assert (space["dropout"].choice, space["hidden_size"].int_uniform) == (["no", 0.1, 0.5], [10, 16])
    Path("g.yaml").write_text(
        "name: no\narchitectures: [a.yaml]\ntasks: [adding]\nseeds: [010]\nbudget: {steps: 1_000}\n"
    )
    grid = GridSpec.load("g.yaml")
    assert (grid.name, grid.seed_list, grid.budget and grid.budget.steps) == ("no", [10], 1000)


@pytest.mark.parametrize("number", ["1:30", "0x10", "1e1", "yes", "null", ""])
def test_numbers_of_the_command_line(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words, name in (
        (["run", "quickstart", "--workers"], "workers"),
        (["vectors", "adding", "--out=x", "--seed"], "seed"),
    ):
        with pytest.raises(SystemExit):
            main([*words, number])
        assert f"argument --{name}: invalid int value: '{number}'" in capsys.readouterr().err


def test_print_config_prints_words_as_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(GRID + "summary: '1e3'\nseeds: 010\nmodel: {embedding: learned}\n")
    assert main(["run", "g.yaml", "--workers", "010", "--print_config"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["summary"] == "1e3"
    Path("again.yaml").write_text(printed)
    again = GridSpec.load("again.yaml")
    assert (again.summary, again.seeds, again.executor.local.workers) == ("1e3", 10, 10)  # type: ignore[union-attr]
