"""Paths from outside: a home folder is expanded wherever one comes in, and names that a library reads otherwise are
refused before anything is written."""

import inspect
import shutil
from argparse import _SubParsersAction
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import rnnbench.data
from rnnbench.architectures import GRU
from rnnbench.cli import main, make_parser
from rnnbench.cli.parser import Parser
from rnnbench.config.grid import GridSpec
from rnnbench.config.registry import find
from rnnbench.data.hub import HubDataModule, read_hub
from rnnbench.data.module import SPLITS
from rnnbench.errors import RnnbenchError
from rnnbench.harness.executors.remote import adopt_environment, shared_environment
from rnnbench.nn.compiler.build import _compiler
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import CACHE_VARIABLE, cache_folder, expand_home, user_path, writable_folder
from rnnbench.utils.word_vectors import read_vectors
from tests.conftest import _with_kernels


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder; what works here works in an empty folder beside it."""
    folder = tmp_path / "the home of Zoë"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_run_with_home_folders_everywhere(
    home: Path, task: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "é").mkdir()
    _with_kernels(home / "cache")
    monkeypatch.setenv(CACHE_VARIABLE, "~/cache")
    shutil.move(task("mine"), home / "mine")
    card = {"summary": "mine", "class_path": "rnnbench.architectures.GRU", "init_args": {"hidden_size": 4}}
    (home / "small.yaml").write_text(yaml.safe_dump(card))
    space = {"shared": {"dropout": {"choice": [0.0, 0.1]}}}
    (home / "space.yaml").write_text(yaml.safe_dump(space))
    grid = {"name": "g", "architectures": ["~/small.yaml"], "tasks": ["~/mine/"], "budget": {"steps": 2}}
    (home / "g.yaml").write_text(yaml.safe_dump(grid))
    folders = ["--runs", "~/runs", "--leaderboard=~/lb/"]
    assert main(["run", "~/g.yaml", "--executor", "inline", *folders]) == 0
    records, problems = RecordStore(home / "lb").read()
    assert [record.status for record in records.values()] == ["done"]
    assert not problems
    assert GridSpec.read({**grid, "tune": {"trials": 1, "space": "~/space.yaml"}}, "tuned").space() is not None
    (checkpoint,) = (home / "runs").rglob("best.ckpt")
    assert main(["gates", f"~/{checkpoint.relative_to(home)}", "--plot", "~/é/gates.json", *folders]) == 0
    assert main(["export", "--format", "csv", "--out", "~/board.csv", *folders]) == 0
    assert main(["check", "~/lb"]) == 0
    assert {"runs", "lb", "cache", "é", "board.csv"} <= {path.name for path in home.iterdir()}
    assert list(Path().iterdir()) == []  # above all no folder `~`


def _options(parser: Parser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name, inner in action.choices.items():
                yield from _options(inner, (*words, name))
        else:
            yield words, action


def test_every_option_that_is_a_path_knows_the_home_folder(home: Path) -> None:
    paths = [(words, one) for words, one in _options(make_parser()) if one.type and repr(one.type) == "path"]
    assert {"out", "plot", "midi", "sheet", "file", "to", "paths", "leaderboard", "runs"} == {
        one.dest for _, one in paths
    }
    for words, one in _options(make_parser()):
        named = one.metavar in {"FILE", "FOLDER", "DIR"} or "file" in one.dest or "folder" in one.dest
        assert not named or repr(one.type) == "path", (words, one.dest)
    for _, one in paths:
        assert one.type("~/a b") == home / "a b"


def test_every_data_module_knows_the_home_folder(home: Path) -> None:
    classes: list[Any] = [
        cls for _, cls in inspect.getmembers(rnnbench.data, inspect.isclass) if getattr(cls, "user_path_arg", "")
    ]
    assert len(classes) >= 8
    for cls in classes:
        module = cls(**{cls.user_path_arg: "~/data.pickle"})
        assert getattr(module, cls.user_path_arg) == str(home / "data.pickle"), cls
        assert module.hparams[cls.user_path_arg] == "~/data.pickle"  # cards and checkpoints name nobody's home folder
        assert issubclass(cls, HubDataModule) or getattr(cls(), cls.user_path_arg) is None


def test_word_vectors_in_the_home_folder(home: Path) -> None:
    (home / "v.txt").write_text("a 1 2\nb 3 4\n")
    assert read_vectors("~/v.txt").matrix.tolist() == [[1, 2], [3, 4]]
    GRU(embedding="~/v.txt")  # is checked when it is made
    grid = GridSpec.read(
        {"name": "g", "architectures": ["gru"], "tasks": ["adding"], "model": {"embedding": "~/v.txt"}}, "g"
    )
    (before,) = grid.expand()
    (home / "v.txt").write_text("a 1 2\nb 3 5\n")
    (after,) = grid.expand()
    assert before.id != after.id  # another content is another run


def test_a_compiler_in_the_home_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "mycc").symlink_to(str(shutil.which("cc")))
    monkeypatch.setenv("CC", "~/mycc -g")
    _compiler.cache_clear()
    try:
        assert _compiler()[0] == [str(home / "mycc"), "-g"]
    finally:
        _compiler.cache_clear()


def test_only_a_leading_home_folder_of_somebody_is_one(home: Path) -> None:
    kept = ("a/~/b", "./~", "~nobody-of-this-name/x", "", "Salesforce/wikitext", "C:~x")
    assert [expand_home(path) for path in kept] == list(kept)
    assert expand_home("~") == str(home)
    assert user_path("a//b/") == Path("a/b")
    with pytest.raises(RnnbenchError, match=r"there is no file '.*Zoë/x.yaml' for a grid"):
        find("grid", "~/x.yaml")


@pytest.mark.parametrize("address", ["s3://bucket/lb", "gs://x", "file:///tmp/x", "hf://datasets/a"])
def test_addresses_are_no_paths(address: str, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    for words in (["board", "--leaderboard", address], ["export", "--format=csv", "--out", address]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2
        assert f"'{address}' is an address, not a path" in capsys.readouterr().err
    monkeypatch.setenv(CACHE_VARIABLE, address)
    with pytest.raises(RnnbenchError, match=f"RNNBENCH_CACHE: '{address}' is an address"):
        cache_folder("x")
    assert list(Path().iterdir()) == []


def test_names_that_fsspec_reads_as_chains_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RnnbenchError, match=r"a::b, working state \(--runs\): its name may not have '::' in it"):
        writable_folder(Path("a::b"), "working state (--runs)")
    monkeypatch.setenv(CACHE_VARIABLE, "a::b")
    with pytest.raises(RnnbenchError, match=r"the cache \(set RNNBENCH_CACHE to move it\): its name may not have '::'"):
        cache_folder("x")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "é漢", "a#b", "100%", "file:x", "~lit", "{a}", "a[1]", "a*", "a?", "a::b"])
def test_names_of_folders_of_data(name: str, home: Path) -> None:
    """Each is read as it is named, or refused: as a pattern `a*` would be read with the rows of `another` in it."""
    for folder in (name, "another"):
        Path(folder).mkdir()
        for split in SPLITS:
            Path(folder, f"{split}.csv").write_text("text\ngood\n" if folder == name else "text\nwrong\nwrong\n")
    if not set(name) & {"*", "?", "["} and "::" not in name:
        assert [list(rows["text"]) for rows in read_hub(name, {"text": str}).values()] == [["good"]] * 3
    else:
        with pytest.raises(RnnbenchError, match=r"the path of a data set may not have .* rename the folder"):
            read_hub(str(Path(name).absolute()), {"text": str})


def test_a_relative_cache_stays_where_it_is_and_goes_along(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that are done in another process, which began in another folder, see the same paths."""
    monkeypatch.setenv(CACHE_VARIABLE, "cache")
    here, environ = Path.cwd(), shared_environment()
    assert cache_folder("x") == here / "cache" / "x"
    monkeypatch.chdir("/")
    adopt_environment(environ)
    assert Path.cwd() == here
    assert cache_folder("x") == here / "cache" / "x"
    adopt_environment({**environ, "PWD": str(here / "of another machine")})
    assert Path.cwd() == here


def test_a_checkpoint_in_a_folder_of_any_name(home: Path) -> None:
    from rnnbench.harness.load_run import load, read_checkpoint

    model = GRU(input_size=3, output_size=2, objective="classification", input_kind="features", hidden_size=4)
    from lightning.pytorch import Trainer

    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint("one.ckpt", weights_only=True)
    for name in ("~", "file:x", "a::b", "x*[1]", "é"):
        Path(name).mkdir()
        shutil.copy("one.ckpt", Path(name, "x.ckpt"))
        assert "state_dict" in read_checkpoint(Path(name, "x.ckpt"))
        again = load(Path(name, "x.ckpt"), None)
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
