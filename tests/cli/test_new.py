"""`rnnbench new`: skeletons that work as they are written, proposals for a file; own code and data end on the board."""

import csv
import inspect
import json
import math
import random
import re
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch import LightningDataModule, seed_everything

from rnnbench.cli import main, smoke
from rnnbench.cli.new import FILES
from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import GridSpec
from rnnbench.config.registry import catalogue, roots
from rnnbench.data import AudioFolder, SeriesCSV, TextCSV, TextFile
from rnnbench.data.propose import propose
from rnnbench.errors import RnnbenchError
from rnnbench.harness.instantiate import construct
from rnnbench.records.record import Record
from rnnbench.records.status import CARD_CHANGED, DATA_CHANGED, cells_of
from rnnbench.records.store import RecordStore
from tests.data.test_own_data import write, write_clips

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, from which modules can be imported; they are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    roots.cache_clear()


def machines(path: Path = Path("machines.csv"), runs: int = 60) -> str:
    """Runs of machines, some of them worn: another rhythm of vibration."""
    drawn = random.Random(0)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["machine", "run", "time", "vibration", "state"])
        for run in range(runs):
            worn = run % 3 == 0
            for time in range(drawn.randint(6, 12)):
                value = math.sin(time * (1.4 if worn else 0.5)) + drawn.gauss(0, 0.1)
                table.writerow([f"M{run // 4}", f"R{run}", time, round(value, 3), "worn" if worn else "fine"])
    return str(path)


def call_tests(module_name: str) -> int:
    """Call the tests of a module that was written; how many there were."""
    module = import_module(module_name)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    for test in tests:
        asks_for_data = "data" in inspect.signature(test).parameters
        test(*[construct(module.CARD.data, LightningDataModule, "written", set())] if asks_for_data else [])
    return len(tests)


def trained(architecture: str, task: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """How an architecture on a task ends in `rnnbench smoke`."""
    smoke._modules.cache_clear()
    monkeypatch.setattr(smoke, "_worker_arguments", ([task], folder), raising=False)
    (outcome,) = smoke._train_all(architecture, [task])
    smoke._modules.cache_clear()
    return outcome


def test_what_is_written_works_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, name in (("cell", "leaky"), ("architecture", "residual"), ("task", "sums")):
        assert main(["new", kind, name]) == 0
        said = capsys.readouterr().out
        written = {path.format(name=name) for path in FILES[kind]}
        assert {str(path.relative_to(place / name)) for path in (place / name).rglob("*.*")} == written
        commands = [line.split() for line in said.partition("next: ")[2].strip().split("; ")]
        assert [words[1] for words in commands] == ["check", "smoke", "run"]
        assert main(commands[0][1:]) == 0
        assert "no problems" in capsys.readouterr().out
        assert len(GridSpec.load(commands[2][2]).expand()) >= 6
        seed_everything(0, verbose=False)
        assert call_tests(f"{name}.test_{name}") == 2
    for architecture in ("leaky/leaky.yaml", "residual/residual.yaml"):
        assert trained(architecture, "sums", place, monkeypatch).state == "ok"


def test_a_plug_in_joins_by_its_entry_point(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["new", "plugin", "plugged"]) == 0
    project = (place / "plugged" / "pyproject.toml").read_text()
    assert '[project.entry-points."rnnbench.plugins"]\nplugged = "plugged"' in project
    info = place / "plugged" / "plugged-0.1.0.dist-info"  # as an editable installation leaves it
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[rnnbench.plugins]\nplugged = plugged\n")
    monkeypatch.syspath_prepend(str(place / "plugged"))
    invalidate_caches()
    roots.cache_clear()
    for kind in ("task", "architecture", "grid"):
        assert "plugged" in catalogue(kind)
    assert main(["check", *(str(catalogue(kind)["plugged"]) for kind in ("task", "architecture", "grid"))]) == 0
    monkeypatch.syspath_prepend(str(place / "plugged" / "tests"))
    assert call_tests("test_cell") + call_tests("test_task") == 4
    assert trained("plugged", "plugged", place, monkeypatch).state == "ok"


def test_nothing_is_overwritten_and_a_name_must_be_free(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("mine/task.yaml"), "precious")
    for words, why in (
        (["task", "mine"], "mine is there already: nothing is overwritten"),
        (["cell", "My-Cell"], "'My-Cell' must be small letters, digits and _, and begin with a letter; did you mean"),
        (["cell", "torch"], "'torch' is the name of a Python package that is installed"),
        (["cell", "class"], "'class' must be small letters"),
        (["task", "adding"], "'adding' is the name of a task already"),
        (["cell", "lstm"], "'lstm' is the name of an architecture already"),
        (["cell", "leaky", "--from", "a.csv"], "--from proposes a task by its data; cell takes none"),
        (["task", "wear", "--from", "nowhere.csv"], "there is no file nowhere.csv"),
        (["box", "leaky"], "'box'"),
    ):  # fmt: skip
        try:
            code = main(["new", *words])
        except SystemExit as error:
            code = int(str(error.code))
        assert code == 2
        assert why in capsys.readouterr().err
    assert [path.name for path in place.iterdir()] == ["mine"]
    assert Path("mine/task.yaml").read_text() == "precious"


def test_from_a_file_to_a_row_on_the_board(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machines()
    assert main(["new", "task", "wear", "--from", "machines.csv"]) == 0
    said = capsys.readouterr().out
    assert "'state' is the same in all rows of a series: one of 2 classes" in said
    assert "Divided into 40, 8 and 12 sequences" in said
    card = TaskCard.load("wear")
    assert card.data.init_args == {
        "path": "machines.csv", "inputs": ["vibration"], "id": "run", "time": "time", "label": "state",
        "group": "machine", "batch_size": 4,
    }  # fmt: skip
    assert main(["check", "wear"]) == 0
    assert call_tests("wear.test_wear") == 2
    text = Path("wear/grid.yaml").read_text()
    Path("wear/grid.yaml").write_text(
        text.replace("steps: 1000", "steps: 4").replace("[elman, gru, lstm]", "[elman]").replace("seeds: 2", "seeds: 1")
        + "model: {hidden_size: 4}\nexecutor: inline\n"
    )
    capsys.readouterr()
    assert main(["run", "wear/grid.yaml"]) == 0
    assert re.search(r"elman +0\.\d+", capsys.readouterr().out)
    asked_about_own_series(capsys)
    (record,) = RecordStore(Path("leaderboard")).read()[0].values()
    changed_files_make_other_runs(record)


def asked_about_own_series(capsys: pytest.CaptureFixture[str]) -> None:
    """Every series of a file is classified, the first ones of the test part too; a list of texts is refused."""
    rows = [line.rpartition(",")[0] for line in Path("machines.csv").read_text().splitlines()]  # without the label
    Path("new.csv").write_text("\n".join(row for row in rows if row.startswith("machine") or row[:3] == "M0,") + "\n")
    capsys.readouterr()
    assert main(["classify", "wear/elman", "new.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    runs = dict.fromkeys(row.split(",")[1] for row in rows if row[:3] == "M0,")
    assert [one["input"] for one in found] == [f"new.csv: {run}" for run in runs]
    assert {entry["class"] for entry in found[0]["classes"]} == {"fine", "worn"}
    assert main(["classify", "wear/elman", "--test", "2", "--json"]) == 0
    assert {one["reference"] for one in json.loads(capsys.readouterr().out)} <= {"fine", "worn"}
    assert main(["classify", "wear/elman", "--file", "new.csv"]) == 2
    assert "this run reads no texts, give its inputs as files, or --test N" in capsys.readouterr().err
    assert main(["board"]) == 0
    page = Path("leaderboard/index.html").read_text()
    assert "on 1 task;" in page
    assert ">Tasks</h2>" not in page  # a task that has no card of this installation
    assert main(["run", "wear/grid.yaml"]) == 0
    assert "the page is older: make it anew by rnnbench board" in capsys.readouterr().out


def changed_files_make_other_runs(record: Record) -> None:
    """A file's content is part of the id; records that were written before that stay those of their cells."""
    before = GridSpec.load("wear/grid.yaml").expand()[0]
    assert (record.id, set(record.spec.task.files)) == (before.id, {"path"})
    former = record.spec.model_copy(update={"task": record.spec.task.model_copy(update={"files": {}})})
    assert former.id == before.former_id != before.id
    old = record.model_copy(update={"spec": former, "id": former.id})
    assert cells_of([before], {old.id: old})[0].state == "done"
    card = Path("wear/task.yaml").read_text()
    Path("wear/task.yaml").write_text(card.replace("version: 1", "version: 2"))
    cells = cells_of(GridSpec.load("wear/grid.yaml").expand(), {record.id: record})
    assert [(cell.state, cell.reason) for cell in cells] == [("stale", CARD_CHANGED)]
    Path("wear/task.yaml").write_text(card)
    with Path("machines.csv").open("a") as file:
        file.write("M0,R0,99,0.5,worn\n")
    cells = cells_of(GridSpec.load("wear/grid.yaml").expand(), {record.id: record})
    assert [(cell.state, cell.reason) for cell in cells] == [("stale", DATA_CHANGED)]


def test_words_that_are_no_paths_are_not_digested(place: Path) -> None:
    from rnnbench.config.grid import data_files

    for name in ("characters", "GunPoint", "clips/high"):
        (place / name).mkdir(parents=True)
    write(place / "a.csv", "x\n")
    arguments = {"tokens": "characters", "dataset": "GunPoint", "path": "clips", "source": "a.csv", "name": "./clips"}
    assert set(data_files(arguments)) == {"path", "source", "name"}
    before = data_files(arguments)
    write(place / "clips" / "high" / "a.wav", b"sound")
    after = data_files(arguments)
    assert {name for name in before if before[name] != after[name]} == {"path", "name"}


def table(path: Path, header: str, rows: Any) -> Path:
    write(path, header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def test_what_is_proposed_fits_the_file(tmp_path: Path) -> None:
    steps = [(name, step) for name in range(12) for step in range(40)]
    hours = [f"2024-01-{1 + hour // 24:02}T{hour % 24:02}:00" for hour in range(300)]
    moods = ["a warm and funny film", "a long and dull film", "what a bright idea", "far too cold for me"]
    files: list[tuple[Path, type, dict[str, Any]]] = [
        (table(tmp_path / "load.csv", "subject,step,x,y,load", [(f"p{n}", t, n + t, t % 5, n / 7) for n, t in steps]),
         SeriesCSV, {"inputs": ["x", "y"], "id": "subject", "time": "step", "target": "load"}),
        (table(tmp_path / "clock.csv", "run,beat,x,kind", [(f"r{n}", 3 + 2 * t, (7 * n + t * t) % 11, f"k{n % 2}")
                                                           for n, t in steps]),
         SeriesCSV, {"inputs": ["x"], "id": "run", "time": "beat", "label": "kind"}),
        (table(tmp_path / "hours.csv", "date,load,price", [(one, n % 24, n % 7 or "") for n, one in enumerate(hours)]),
         SeriesCSV, {"inputs": ["load", "price"], "time": "date", "horizon": 10, "missing": "forward"}),
        (table(tmp_path / "many.csv", "station,date,load", [(f"s{n % 2}", hour, n % 5) for n, hour in
                                                            enumerate(sorted(hours * 2))]),
         SeriesCSV, {"inputs": ["load"], "id": "station", "time": "date", "horizon": 10}),
        (table(tmp_path / "reviews.csv", "author,text,stars", [(f"a{n % 9}", f"{moods[n % 4]} {n}", 1 + n % 2)
                                                               for n in range(40)]),
         TextCSV, {"text": "text", "label": "stars", "group": "author"}),
        (Path(write(tmp_path / "book.txt", "caf\xe9\n".encode("latin-1") * 20)), TextFile, {"encoding": "latin-1"}),
        (Path(write(tmp_path / "german.csv", "run;x;kind\n" + "".join(f"r{n};{n + t},5;{n % 2}\n" for n, t in steps))),
         SeriesCSV, {"inputs": ["x"], "id": "run", "label": "kind", "decimal": ","}),
        (Path(write_clips(tmp_path / "clips")), AudioFolder, {}),
    ]  # fmt: skip
    for path, cls, arguments in files:
        made = propose(path, "as written")
        found = {name: value for name, value in made.arguments.items() if name != "path"}
        if "group" not in arguments:
            found.pop("group", None)
        assert (made.cls, found) == (cls, arguments), path.name
        assert made.arguments["path"] == "as written"
        assert made.notes
        cls(**{**made.arguments, "path": str(path)}).prepare_data()


def test_what_cannot_be_proposed_is_told(tmp_path: Path) -> None:
    for name, content, why in (
        (
            "a.csv",
            "text\na warm film\nsome long film\n",
            "column 'text' holds texts, but no other column says what class",
        ),
        ("b.csv", "a,b\nx,y\nz,u\n", "no column of numbers that could be read as a series; it has 'a', 'b'"),
        ("c.csv", "a,b\n1\n", "line 2 has 1 fields, but the header has 2"),
        ("d.csv", "", "is empty"),
    ):
        with pytest.raises(RnnbenchError, match=re.escape(name) + ".*" + re.escape(why)):
            propose(Path(write(tmp_path / name, content)), name)


def test_check_names_what_is_wrong_in_files_of_ones_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "cell", "leaky"]) == 0
    write(Path("leaky/cell.py"), "raise ValueError('not yet')\n")
    card = yaml.safe_load(Path("leaky/leaky.yaml").read_text())
    Path("other.yaml").write_text(yaml.safe_dump({**card, "class_path": "rnnbench.architectures.CellModul"}))
    capsys.readouterr()
    assert main(["check", "leaky", "other.yaml"]) == 2
    said = capsys.readouterr()
    assert "ValueError: not yet (in leaky/cell.py, line 1)" in said.err
    assert "'CellModul'; did you mean 'CellModule'" in said.err
    assert "checked 1 grid, 2 architectures: 3 problems" in said.out


def test_the_cell_of_the_readmes_first_page_has_a_row_on_the_board(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = README.partition("\n## A cell of your own\n")[2].partition("\n## ")[0]
    (code,), (card,) = (re.findall(rf"```{language}\n(.*?)```", section, re.S) for language in ("python", "yaml"))
    (grid,) = [one for one in re.findall(r"```yaml\n(.*?)```", README, re.S) if "architectures:" in one]
    for text in (code, card):
        write(Path(text.splitlines()[0].removeprefix("# ")), text)
    short = yaml.safe_load(grid) | {
        "budget": {"steps": 4},
        "seeds": 1,
        "model": {"hidden_size": 4},
        "executor": "inline",
    }
    short["architectures"] = ["mine.yaml", "gru"]
    write(Path("my.yaml"), yaml.safe_dump(short))
    assert main(["run", "my.yaml", "--tasks", "adding"]) == 0
    assert re.search(r"mine +\d\.\d+", capsys.readouterr().out)
    records = RecordStore(Path("leaderboard")).read()[0]
    assert {record.spec.architecture.name: record.backend for record in records.values()} == {
        "mine": "native",
        "gru": "native",
    }
