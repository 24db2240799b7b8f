"""How verbs end: what is missing is told in a sentence, hints go on where the call was, options take what is theirs."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli import main, make_parser
from rnnbench.cli.parser import RUN, Parser
from rnnbench.config.grid import GridSpec
from rnnbench.errors import told
from rnnbench.records.store import RecordStore
from rnnbench.utils.extras import EXTRAS
from tests.fixtures.records import done, spec
from tests.fixtures.trials import trial

ELSEWHERE = ["--leaderboard", "some where", "--runs", "work"]
OPTIONS = "--leaderboard 'some where' --runs work"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsers() -> Iterator[tuple[str, Parser]]:
    """Every verb and its parser."""
    todo = [("rnnbench", make_parser())]
    for name, parser in todo:
        yield name, parser
        for action in parser._actions:
            todo += [(f"{name} {verb}", one) for verb, one in getattr(action, "_name_parser_map", {}).items()]


def test_no_option_takes_an_argument_that_follows_it() -> None:
    """An option of several values beside positional arguments would swallow them."""
    found = dict(parsers())
    assert len(found) > 25
    for name, parser in found.items():
        options = [one for one in parser._actions if one.option_strings and one.nargs in ("+", "*", "?")]
        assert not [one.dest for one in options if one.dest != "print_config"], name  # jsonargparse sets that one apart


def test_every_verb_that_takes_a_run_says_the_same_forms() -> None:
    arguments = [(name, one) for name, parser in parsers() for one in parser._actions if not one.option_strings]
    of_runs = {name: one.help for name, one in arguments if one.dest in ("run", "record")}
    assert len(of_runs) >= 11
    assert {name for name, said in of_runs.items() if said != RUN} == set()


def test_several_values_are_given_one_at_a_time(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {"name": "g", "architectures": ["gru"], "tasks": ["adding"], "budget": {"steps": 3}, "executor": "inline"}
    Path("g.yaml").write_text(yaml.safe_dump(content))
    RecordStore(Path("leaderboard")).write(done(GridSpec.load("g.yaml").expand()[0]))
    for words in (["--retry", "done", "g.yaml"], ["g.yaml", "--retry", "failed,done"],
                  ["--retry", "failed", "--retry", "done", "g.yaml"]):  # fmt: skip
        assert main(["run", *words, "--dry-run"]) == 0
        assert "1 to run" in capsys.readouterr().out
    assert main(["run", "g.yaml", "--retry", "dne", "--dry-run"]) == 2
    assert "unknown state for --retry 'dne'; did you mean 'done'?" in capsys.readouterr().err


GRID: dict[str, Any] = {"name": "g", "architectures": ["gru"], "tasks": ["adding"], "budget": {"steps": 3}}
LACKING: list[tuple[list[str], dict[str, Any], str, str]] = [
    (["importance", "g.yaml"], {}, "sklearn", "importance needs sklearn: pip install 'rnnbench[tune]'"),
    (["importance", "g.yaml"], {}, "optuna", "importance needs optuna: pip install 'rnnbench[tune]'"),
    (["gradients", "g.yaml", "--plot", "a.html"], {}, "altair", "the picture a.html needs altair: pip install"),
    (
        ["gates", "x", "--plot", "a.png"],
        {},
        "vl_convert",
        "the picture a.png needs vl_convert: pip install 'rnnbench[plots]'",
    ),
    (["forecast", "x", "--plot", "a.svg"], {}, "altair", "pip install 'rnnbench[plots]'"),
    (["generate", "x", "--plot", "a.svg"], {}, "altair", "pip install 'rnnbench[plots]'"),
    (["generate", "x", "--abc"], {}, "music21", "--abc needs music21: pip install 'rnnbench[music]'"),
    (["generate", "x", "--midi", "m"], {}, "music21", "--midi needs music21: pip install 'rnnbench[music]'"),
    (["generate", "x", "--sheet", "s"], {}, "verovio", "--sheet needs verovio: pip install 'rnnbench[music]'"),
    (["vectors", "folk-abc", "--out", "v"], {}, "gensim", "training word vectors needs gensim: pip install"),
    (["run", "g.yaml"], {"loggers": ["tensorboard"]}, "tensorboard", "logger 'tensorboard' needs tensorboard: pip"),
    (["run", "g.yaml", "--dry-run"], {"loggers": ["tensorboard"]}, "tensorboard", "logger 'tensorboard' needs"),
    (["run", "g.yaml"], {"executor": "ray"}, "ray", "executor ray needs ray: pip install 'rnnbench[ray]'"),
    (["run", "g.yaml", "--dry-run"], {"executor": "slurm"}, "submitit", "pip install 'rnnbench[slurm]'"),
]


@pytest.mark.parametrize(("words", "changes", "package", "said"), LACKING, ids=lambda value: str(value)[:40])
def test_a_verb_whose_package_is_missing_says_so_before_any_work(
    words: list[str], changes: dict[str, Any], package: str, said: str, place: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    Path("g.yaml").write_text(yaml.safe_dump({"executor": "inline", **GRID, **changes}))
    Path("v.txt").write_text("one 1 2\ntwo 3 4\n")
    monkeypatch.setitem(sys.modules, package, None)
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(place.glob("leaderboard/records/*"))


def test_trials_alone_are_told_as_such(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "board", ("no_such_package",))
    Path("g.yaml").write_text(yaml.safe_dump({**GRID, "tune": {"trials": 2, "space": "core"}}))
    store = RecordStore(place / "leaderboard")
    for run in GridSpec.load("g.yaml").expand():
        if run.trial:
            store.write(trial(run, 0.5))
    assert main(["board"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 trials, and nothing tested yet")
    assert "no records" not in said.lower()
    assert "2 trials, and nothing tested yet" in (place / "leaderboard" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["board"], f"rnnbench run quickstart {OPTIONS}"),
        (["export", "--format", "csv"], f"rnnbench run quickstart {OPTIONS}"),
        (["upload"], f"rnnbench run quickstart {OPTIONS}"),
        (["compare", "lstm", "gru"], f"rnnbench run quickstart {OPTIONS}"),
        (["importance", "tuned.yaml"], f"rnnbench run tuned.yaml {OPTIONS}"),
    ],
)
def test_a_hint_goes_on_where_the_call_was(
    words: list[str], hint: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tuned.yaml").write_text(yaml.safe_dump({**GRID, "tune": {"trials": 2, "space": "core"}}))
    main([*words, *ELSEWHERE])
    said = capsys.readouterr()
    assert hint in said.out + said.err


def test_the_hints_of_a_run_go_on_where_it_was(
    place: Path, grid: Callable[..., GridSpec], architecture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    small = grid(architectures=[architecture("raises", "tests.fixtures.strange.Raises")])
    Path("small.yaml").write_text(yaml.safe_dump(small.model_dump(mode="json", exclude_unset=True)))
    assert main(["run", "small.yaml", *ELSEWHERE]) == 1
    said = capsys.readouterr().out
    assert f"run them again with: rnnbench run small.yaml {OPTIONS} --retry failed" in said
    assert f"for a browser: rnnbench board {OPTIONS}" in said


def test_an_export_of_a_grid_has_its_tuned_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tuned.yaml").write_text(yaml.safe_dump({**GRID, "tune": {"trials": 2, "space": "core"}}))
    store = RecordStore(place / "leaderboard")
    for run in GridSpec.load("tuned.yaml").expand():
        if run.trial:
            store.write(trial(run, 0.5))
    assert main(["export", "tuned.yaml", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2 + 1 + 1  # heads, trials, as it is, tuned


def test_records_are_shown_verified_and_published_by_their_files(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = RecordStore(place / "leaderboard").write(done(spec()))
    assert main(["show", str(path)]) == 0
    assert done().id in capsys.readouterr().out
    assert main(["publish", str(path), "--to", "theirs"]) == 0
    assert "1 published" in capsys.readouterr().out


def test_code_of_a_compiled_module_does_not_pass_for_a_users() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    try:
        pyarrow.table({"x": [1]}).column("y")
    except KeyError as error:
        found = told(error)
    assert "(in tests/cli/test_endings.py, line" in found
    assert found.endswith(", in test_code_of_a_compiled_module_does_not_pass_for_a_users)")
