"""No output ends in an error because of a letter, whatever the encoding of terminal, file or pipe is."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnbench.cli import main
from rnnbench.config.schema import write_yaml
from rnnbench.records.store import RecordStore

PRINTING = """
from rnnbench.architectures import Elman

class Printing(Elman):
    def on_train_start(self):
        super().on_train_start()
        print("grüße 漢 \\udce9")

class Failing(Printing):
    def on_train_start(self):
        super().on_train_start()
        raise ValueError("kaputt: grüße 漢 \\udce9")
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a grid whose two runs, of which one has failed, print letters of all kinds."""
    place, patch = tmp_path_factory.mktemp("printing"), pytest.MonkeyPatch()
    patch.chdir(place)
    patch.syspath_prepend(place)
    patch.setenv("PYTHONIOENCODING", "ascii")
    Path("printing_models.py").write_text(PRINTING, "utf-8")
    for name in ("Printing", "Failing"):
        content = {"summary": "± é 漢", "class_path": f"printing_models.{name}", "init_args": {"hidden_size": 4}}
        Path(f"{name.lower()}.yaml").write_text(write_yaml(content), "utf-8")
    grid = {
        "name": "g", "summary": "± é 漢", "architectures": ["printing.yaml", "failing.yaml"], "tasks": ["parity"],
        "budget": {"steps": 2}, "executor": "inline", "replay": True,
    }  # fmt: skip
    Path("g.yaml").write_text(write_yaml(grid), "utf-8")
    assert main(["run", "g.yaml"]) == 1
    yield place
    patch.undo()


def printed(encoding: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, "strict") for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    return code, out, err


VERBS: dict[str, tuple[int | None, str]] = {
    "run g.yaml": (None, "n = 1 seed"),
    "run g.yaml --dry-run": (0, "nothing was started"),
    "run g.yaml --print_config": (0, 'summary: "\\xB1 \\xE9 \\u6F22"'),
    "run é漢.yaml": (2, "there is no file '??.yaml' for a grid"),
    "run g.yaml --é漢": (2, "??"),
    "status g.yaml": (0, "1 done - 1 failed"),
    "watch g.yaml": (0, "nobody runs grid g"),
    "board": (0, "~ chance"),
    "board g.yaml": (0, "failed: parity x failing: ValueError: kaputt: gr??e ? \\udce9"),
    "show FAILING": (0, "kaputt: gr??e ? \\udce9"),
    "show PRINTING": (0, "--full prints the whole record"),
    "show PRINTING --full": (0, "learning curve"),
    "list": (0, "architectures"),
    "check leaderboard": (0, "checked 2 records"),
    "gates PRINTING": (0, "sigmoid gates: mean over units"),
    "gradients g.yaml": (0, "|dL(T)/ds(T-d)|"),
    "export --format json --out rö.json": (0, "r?.json: 2 runs"),
    "export --format csv": (2, "the standard output is ascii and lacks letters of this: use --out FILE"),
    "publish PRINTING --to pü --by Zoë": (0, "board: p?/README.md"),
    "replay PRINTING": (0, "step 1, the best by validation"),
    "--help": (0, "usage"),
}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("words", VERBS)
def test_verbs_print_to_every_terminal(
    words: str, encoding: str, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        record.spec.architecture.name.upper(): name
        for name, record in RecordStore(Path("leaderboard")).read()[0].items()
    }
    code, out, err = printed(encoding, [known.get(word, word) for word in words.split()], monkeypatch)
    assert VERBS[words][0] in (code, None), err
    if encoding == "ascii":
        assert VERBS[words][1] in " ".join(f"{out}{err}".split())


@pytest.mark.parametrize(
    "words", [["generate", "x", "--prompt", "caf\udce9"], ["classify", "x", "caf\udce9"], ["run", "caf\udce9"]]
)
def test_words_of_the_command_line_are_text(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert "'caf\\udce9' is not text in UTF-8" in capsys.readouterr().err


def test_the_log_of_a_run_is_utf_8(records: Path) -> None:
    logs = [path.read_text("utf-8") for path in Path("runs").rglob("log.txt")]
    assert len(logs) == 2
    assert all("grüße 漢 \\udce9\n" in log for log in logs)


def test_a_worker_prints_utf_8_into_its_log(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom rnnbench.harness.executors.worker import redirect_output\n"
        "redirect_output(Path(sys.argv[1]), dict(os.environ))\nprint('grüße 漢 \\udce9')\nprint('é', file=sys.stderr)\n"
    )
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], env=environ, check=True)
    assert (tmp_path / "log").read_text("utf-8") == "grüße 漢 \\udce9\né\n"


def test_json_is_json_in_every_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnbench.cli.console import print_json

    content = {"text": "é漢😀 half \udce9"}
    for encoding in ("ascii", "cp1252", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding, "strict")
        monkeypatch.setattr(sys, "stdout", stream)
        print_json(content)
        stream.flush()
        assert json.loads(stream.buffer.getvalue().decode(encoding)) == content


def test_the_standard_input_is_utf_8_as_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnbench.cli.inference import read_texts
    from rnnbench.errors import RnnbenchError

    for encoding in ("ascii", "cp1252", "utf-8"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffgrüße\r\n漢\n".encode()), encoding))
        assert read_texts([], Path("-"), "score") == ["grüße", "漢"]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("grüße".encode("latin-1")), encoding))
        with pytest.raises(RnnbenchError, match="the standard input, line 1, byte 3: not UTF-8"):
            read_texts([], Path("-"), "score")
