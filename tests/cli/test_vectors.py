"""`rnnbench vectors` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.cli import main

Ask = Callable[..., tuple[int, str, str]]
TEXT = ", 0 1\nking 1 0.1\nqueen 0.9 0.2\nriver -1 0.3\nrain -0.9 0.4\n"


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["vectors", *words])
        out, error = capsys.readouterr()
        return code, out, error

    return run


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "some.txt"
    path.write_text(TEXT)
    return str(path)


def test_the_nearest_words_of_a_file_of_vectors(ask: Ask, file: str) -> None:
    code, out, _ = ask(file, "--nearest", "king", "--nearest", "rain", "--count", "1")
    assert code == 0
    assert out.split() == ["king", "0.993", "queen", "rain", "0.992", "river"]
    found = json.loads(ask(file, "--nearest", "king", "--json")[1])
    assert [one["word"] for one in found["king"]] == ["queen", ",", "rain", "river"]


def test_a_map_has_the_words_that_were_asked_for_or_the_commonest(ask: Ask, file: str, tmp_path: Path) -> None:
    picture = tmp_path / "map.json"
    for words, shown in (
        (["--nearest", "king", "--count", "2"], ["king", "queen", ","]),
        (["--words", "3"], ["king", "queen", "river"]),
    ):
        assert ask(file, "--plot", str(picture), *words)[0] == 0
        spec = json.loads(picture.read_text())
        assert [row["word"] for row in spec["layer"][0]["data"]["values"]] == shown
    assert ask(file, "--plot", str(tmp_path / "map.png"))[0] == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--nearest", "kind"], "has no vector of 'kind'; did you mean 'king'"),
        ([], "say what to do with the vectors: --out FILE, --nearest WORD or --plot FILE"),
        (["--nearest", "king", "--count", "0"], "--count must be at least 1, got 0"),
        (["--words", "2", "--plot", "a.png"], "--words must be at least 3, got 2"),
        (["--out", "b.txt", "--size", "8", "--nearest", "king"], "is trained already: leave out --out, --size"),
        (["--plot", "a.gif"], "unknown format of a picture '.gif'"),
        (["--nearest", "king", "--count", "1", "--plot", "a.png"], "a map needs at least 3 words"),
    ],
)
def test_what_cannot_be_asked_of_vectors_is_refused(
    arguments: list[str], told: str, ask: Ask, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = ask(file, *arguments)
    assert code == 2
    assert told in error
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("glove-6b-50", "unknown task or word vectors 'glove-6b-50'; did you mean 'glove-6b-50d'"),
        ("nowhere.txt", "cannot read nowhere.txt"),
        ("nowhere/mine", "there is no file 'nowhere/mine/task.yaml' for a task"),
        ("adding", "task 'adding' has no tokens with names"),
    ],
)
def test_what_are_no_vectors_is_refused(source: str, told: str, ask: Ask) -> None:
    code, _, error = ask(source, "--nearest", "king")
    assert code == 2
    assert told in error


@pytest.mark.usefixtures("stand_ins")
def test_either_method_is_asked_while_it_is_trained(ask: Ask, tmp_path: Path) -> None:
    said = {}
    for method in ("skip-gram", "cbow"):
        words = ("shakespeare-word", "--method", method, "--size", "8", "--epochs", "1", "--nearest", "king", "--json")
        code, out, error = ask(*words, "--out", str(tmp_path / f"{method}.txt"))
        assert code == 0
        assert "vectors of 8 numbers" in error  # the standard output is JSON alone
        said[method] = json.loads(out)
        assert (
            json.loads(ask(str(tmp_path / f"{method}.txt"), "--nearest", "king", "--json")[1])["king"][0]["word"]
            == (said[method]["king"][0]["word"])
        )
    assert said["skip-gram"] != said["cbow"]
    assert (
        "unknown method 'cbo'; did you mean 'cbow'" in ask("shakespeare-word", "--method", "cbo", "--plot", "a.png")[2]
    )
    error = ask("shakespeare-word", "--nearest", "kinq")[2]
    assert "shakespeare-word has no vector of 'kinq'; did you mean 'king'" in error
