"""Runs and boards go to a hub and come back, by a stand-in for its server; what is not as it should be is refused."""

import copy
import hashlib
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
import yaml

from rnnbench.cli import main
from rnnbench.harness import packed_run
from rnnbench.harness.load_run import checkpoint_of, load_run
from rnnbench.harness.model_card import model_card
from rnnbench.harness.packed_run import pack_run
from rnnbench.harness.paths import Folders
from rnnbench.records import packed
from rnnbench.records.artefacts import Artefact, ArtefactStore
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Provenance, Record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import audit
from tests.fixtures.hub_server import TOKEN, HubServer, hub_server
from tests.fixtures.records import certificate, done, lost, spec
from tests.fixtures.trained import train
from tests.fixtures.trials import trial

# huggingface_hub's own, about its HTTP client
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")
TUNES = "hf://ada/tunes"
BOARD = "hf://datasets/ada/board"
HOSTILE = "<script>alert(1)</script> [a](http://x) | ``` \u202e"


@pytest.fixture(scope="module")
def place(module_stand_ins: None, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Where a run lies that goes on with tunes."""
    folder = tmp_path_factory.mktemp("place")
    folders = Folders(folder / "leaderboard", folder / "runs")
    train(folders, "folk-abc")
    return folders


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A server, to which this process is logged in; the working folder is an empty one."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # which would need a second server
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a verb: its code, and what it says on both channels."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words])
        said = capsys.readouterr()
        print(said.out, said.err)  # shown when a test fails
        return code, said.out, said.err

    return run


def at(folders: Folders) -> list[str]:
    return ["--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs)]


def one(folders: Folders) -> Record:
    (record,) = RecordStore(folders.leaderboard).read()[0].values()
    return record


HERE = Folders(Path("leaderboard"), Path("runs"))


# --- checkpoints


def test_a_run_comes_back_as_it_went(hub: HubServer, place: Folders, ask: Any) -> None:
    code, said, _ = ask("push", "folk-abc/elman", TUNES, "--license", "cc-by-4.0", "--by", "Ada", *at(place))
    assert code == 0
    assert "rnnbench pull hf://ada/tunes" in said
    assert set(hub.model("ada/tunes").files) == {"README.md", "model.ckpt", "record.json", "rnnbench.json"}
    code, said, _ = ask("pull", TUNES)
    assert code == 0
    before, after = one(place), one(HERE)
    assert f"rnnbench show {after.id}" in said
    assert after.provenance is not None
    assert after.provenance.by == "Ada"
    assert after.model_copy(update={"provenance": None}) == before
    sent, back = (load_run("folk-abc/elman", some.leaderboard, some.runs).model for some in (place, HERE))
    assert sent.generate("K:D", 8, greedy=True) == back.generate("K:D", 8, greedy=True)
    assert ask("generate", "folk-abc/elman", "--prompt", "K:D", "--length", "4")[0] == 0
    assert ask("pull", TUNES)[0] == 0  # a second time


def test_what_is_pushed_has_nothing_of_this_machine(hub: HubServer, place: Folders, ask: Any) -> None:
    content = torch.load(checkpoint_of(one(place), place.runs), weights_only=True)
    content |= {"callbacks": {"ModelCheckpoint": {"dirpath": "/home/ada"}}, "optimizer_states": [1]}
    here = Path("runs", "mine", one(place).id, "checkpoints", "best.ckpt")
    here.parent.mkdir(parents=True)
    torch.save(content, here)
    assert ask("push", "folk-abc/elman", TUNES, "--leaderboard", str(place.leaderboard))[0] == 0
    sent = torch.load(io.BytesIO(hub.model("ada/tunes").files["model.ckpt"]), weights_only=True)
    assert "datamodule_hyper_parameters" in content
    assert not {"callbacks", "optimizer_states", "datamodule_hyper_parameters"} & set(sent)
    assert {"state_dict", "hyper_parameters", "class_path"} <= set(sent)


def test_a_card_has_scores_grid_data_licence_and_how_to_load(hub: HubServer, place: Folders, ask: Any) -> None:
    assert ask("push", "folk-abc/elman", TUNES, "--license", "mit", "--private", *at(place))[0] == 0
    assert hub.model("ada/tunes").private
    _, head, card = hub.model("ada/tunes").files["README.md"].decode().split("---\n", 2)
    content, record = yaml.safe_load(head), one(place)
    assert (content["library_name"], content["license"]) == ("rnnbench", "mit")
    ((name, result),) = [(one["name"], one["results"][0]) for one in content["model-index"]]
    assert name == "elman on folk-abc"
    assert {one["type"]: one["value"] for one in result["metrics"]} == record.scores
    for text in ("## Scores", f"rnnbench pull {TUNES}", f"rnnbench generate {record.id}", "architectures:\n- elman\n",
                 f"rnnbench verify {record.id}", "licence:", "Weights: <code>mit</code>"):  # fmt: skip
        assert text in card


def test_all_text_of_a_card_is_escaped(place: Folders) -> None:
    run = load_run("folk-abc/elman", place.leaderboard, place.runs)
    record = one(place)
    assert record.environment is not None
    changes = {
        "baseline": HOSTILE,
        "backend": HOSTILE,
        "environment": record.environment.model_copy(update={"processor": HOSTILE}),
        "provenance": Provenance(version="1", commit="", clean=None, published="", by=HOSTILE, needs=[HOSTILE]),
        "scores": record.scores | {HOSTILE: 0.5},
        "spec": record.spec.model_copy(
            update={"architecture": record.spec.architecture.model_copy(update={"init_args": {"note": HOSTILE}})}
        ),
    }
    card = model_card(run, record.model_copy(update=changes), TUNES, "")
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["model-index"][0]["results"][0]["metrics"][-1]["type"] == HOSTILE
    fences = body.split("By this grid:\n\n")[1].split("\n\n| | |")[0].splitlines()
    assert fences[0] == "````yaml"
    assert fences[-1] == "````"
    outside = body.replace("\n".join(fences), "")
    assert outside.count("&lt;script&gt;") == 6
    assert "<script" not in outside
    assert "\u202e" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)  # a link
    assert len([line for line in outside.splitlines() if "```" in line]) == 4  # fences of the card itself


def test_what_is_no_run_that_can_be_pushed_is_told(hub: HubServer, place: Folders, ask: Any) -> None:
    store = RecordStore(Path("leaderboard"))
    failed = lost(spec(), reason="it broke")
    store.write(failed)
    bare = Path("bare.ckpt")
    bare.write_bytes(checkpoint_of(one(place), place.runs).read_bytes())
    for words, why in (
        (["push", failed.id, TUNES], "is failed, it left no model"),
        (["push", "nothing", TUNES], "unknown run 'nothing'"),
        (["push", str(bare), TUNES], "no record here is of its run"),
        (["push", "leaderboard", TUNES], "a board goes to the address of a data set: hf://datasets/ada/tunes"),
        (["push", "adding/lstm", BOARD], "there is no folder 'adding/lstm'; a run goes to the address of a model"),
        (["push", "adding/lstm", "ada/tunes"], "'ada/tunes' is not the address of a repository; allowed: hf://user"),
        (["push", "adding/lstm", "hf://ada/../x"], "is not the address of a repository"),
        (["push", "adding/lstm", "hf://ada/a--b"], "is not the address of a repository"),
        (["push", "adding/lstm", TUNES, "--license", "MIT\nx: y"], "--license is a short name such as"),
        (["pull", "https://ada/tunes"], "is not the address of a repository"),
    ):
        code, _, said = ask(*words)
        assert (code, why in said) == (2, True), said
    assert not [request for request in hub.requests if "create" in request]


# --- the server says no, or nothing


def test_what_a_server_refuses_is_told(hub: HubServer, place: Folders, ask: Any, monkeypatch: Any) -> None:
    push = ["push", "folk-abc/elman", *at(place)]
    code, _, said = ask(*push, "hf://eve/tunes")
    assert code == 2
    assert "the token may not do this: you have no right to create eve/tunes" in said
    code, _, said = ask(*push, f"{TUNES}@main")
    assert code == 2
    assert "only the main branch can be pushed to: leave out @main" in said
    assert ask(*push, TUNES, "--private")[0] == 0
    code, _, said = ask("pull", f"{TUNES}@v9")
    assert code == 2
    assert "the repository has no such revision" in said
    for address in ("hf://ada/none", BOARD):
        code, _, said = ask("pull", address)
        assert code == 2
        assert "there is no such repository, or it is private" in said
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    for words in ([*push, TUNES], ["pull", TUNES]):
        code, _, said = ask(*words)
        assert code == 2
        assert "is not accepted: Invalid credentials" in said
    monkeypatch.delenv("HF_TOKEN")
    code, _, said = ask(*push, TUNES)
    assert code == 2
    assert "needs a token: run `hf auth login`, or set HF_TOKEN" in said
    code, _, said = ask("pull", TUNES)
    assert code == 2
    assert "there is no such repository, or it is private" in said


def test_without_a_network_both_say_so(hub: HubServer, place: Folders, ask: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    for words in (["push", "folk-abc/elman", TUNES, *at(place)], ["pull", TUNES]):
        code, _, said = ask(*words)
        assert code == 2
        assert "the hub at http://127.0.0.1:1 cannot be reached, or fails" in said
        assert len(said.splitlines()) == 1
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, _, said = ask("pull", TUNES)
    assert code == 2
    assert "the hub is not asked, since HF_HUB_OFFLINE is set" in said
    assert not Path("leaderboard").exists()


def test_a_revision_is_pulled_as_it_was(hub: HubServer, place: Folders, ask: Any) -> None:
    assert ask("push", "folk-abc/elman", TUNES, *at(place))[0] == 0
    repository = hub.model("ada/tunes")
    commit = repository.commit_of(len(repository.commits) - 1)
    repository.put(record__json=b"{}")
    assert ask("pull", TUNES)[0] == 2
    assert ask("pull", f"{TUNES}@{commit}")[0] == 0
    assert one(HERE).id == one(place).id


# --- what is pulled is not trusted


class Code:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


def sealed(files: dict[str, bytes], kind: str = "checkpoint", **names: str) -> dict[str, bytes]:
    """Files with a manifest that fits, and `names` beside."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "README.md"}
    manifest = {"schema_version": 1, "kind": kind, "files": {**sums, **names}}
    return {**files, "rnnbench.json": json.dumps(manifest).encode()}


@pytest.fixture
def files(place: Folders, tmp_path: Path) -> dict[str, bytes]:
    """What a run is pushed as, without its manifest."""
    record = one(place)
    names = pack_run(checkpoint_of(record, place.runs), record, tmp_path)
    return {name: (tmp_path / name).read_bytes() for name in names}


def changed_checkpoint(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    content = copy.deepcopy(torch.load(io.BytesIO(files["model.ckpt"]), weights_only=True))
    content["hyper_parameters"] |= changes.pop("arguments", {})
    out = io.BytesIO()
    torch.save({**content, **changes}, out)
    return {**files, "model.ckpt": out.getvalue()}


def changed_record(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    return {**files, "record.json": json.dumps({**json.loads(files["record.json"]), **changes}).encode()}


def bomb(files: dict[str, bytes]) -> dict[str, bytes]:
    """A checkpoint that unpacks to more than it has."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", b"\0" * 600_000)
    return {**files, "model.ckpt": out.getvalue()}


def without_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"README.md": b"mine"}


STRANGE: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "no manifest": (without_manifest, "has no rnnbench.json: nothing was pushed there by `rnnbench push`"),
    "another hash": (lambda files: {**sealed(files), "model.ckpt": b"1"}, "model.ckpt has sha256 "),
    "a path": (lambda files: sealed(files, **{"../x": "0" * 64}), "rnnbench.json names '../x'; allowed: model.ckpt"),
    "a file missing": (lambda files: sealed({"record.json": files["record.json"]}), "has no model.ckpt"),
    "of another kind": (lambda files: sealed(files, "board"), "has a board, not a checkpoint"),
    "a pickle": (lambda files: sealed({**files, "model.ckpt": pickle.dumps(Code())}), "is cut off or no checkpoint"),
    "code": (lambda files: sealed(changed_checkpoint(files, code=Code())), "is cut off or no checkpoint"),
    "a bomb": (lambda files: sealed(bomb(files)), "model.ckpt unpacks to 600,000 bytes, at most 100,000 are read"),
    "too large": (lambda files: sealed({**files, "model.ckpt": b"1" * 100_001}), "has 100001 bytes, at most 100,000"),
    "a cell": (
        lambda files: sealed(changed_checkpoint(files, arguments={"cell": "antigravity.Cell"})),
        "would run antigravity.Cell, which is not code of rnnbench: read it, then say --trust",
    ),
    "an objective": (
        lambda files: sealed(changed_checkpoint(files, arguments={"objective": "antigravity.Mean"})),
        "would run antigravity.Mean",
    ),
    "an instantiator": (
        lambda files: sealed(changed_checkpoint(files, arguments={"_instantiator": "os.system"})),
        "hyper-parameters that rnnbench does not write: _instantiator",
    ),
    "former arguments": (
        lambda files: sealed(changed_checkpoint(files, hparams={"cell": "antigravity.Cell"})),
        "would run antigravity.Cell",
    ),
    "a file of vectors": (
        lambda files: sealed(changed_checkpoint(files, arguments={"embedding": "/etc/passwd"})),
        "would read word vectors from '/etc/passwd'",
    ),
    "other weights": (
        lambda files: sealed(changed_checkpoint(files, arguments={"hidden_size": 9})),
        "is no checkpoint of a Elman",
    ),
    "another record": (lambda files: sealed(changed_record(files, id="0" * 12)), "but its spec hashes to"),
    "an unknown key": (lambda files: sealed(changed_record(files, extra=1)), "unknown key 'extra'"),
    "no score": (
        lambda files: sealed(changed_record(files, status="failed", reason="x", score=None)),
        "it is not of a run that is done",
    ),
    "another size": (lambda files: sealed(changed_record(files, parameters=3)), "parameters, its record 3"),
    "letters that draw": (lambda files: sealed(changed_record(files, backend="\u202e")), "characters that are not"),
    "no time": (lambda files: sealed(changed_record(files, started="2999-01-01T00:00:00+00:00")), "in the future"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_run_is_refused_and_nothing_is_written(
    name: str, hub: HubServer, files: dict[str, bytes], ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fixtures.hub_server import Repository

    monkeypatch.setitem(packed_run.LIMITS, "model.ckpt", 100_000)
    change, why = STRANGE[name]
    hub.repositories["models", "ada/tunes"] = Repository(False, [change(files)])
    code, _, said = ask("pull", TUNES)
    assert (code, why in said) == (2, True), said
    assert not [*Path().iterdir()]


def test_only_files_that_belong_are_fetched(hub: HubServer, files: dict[str, bytes], ask: Any) -> None:
    from tests.fixtures.hub_server import Repository

    more = {"../../x": b"1", "setup.py": b"1", "/etc/x": b"1", "README.md": b"1"}
    hub.repositories["models", "ada/tunes"] = Repository(False, [{**sealed(files), **more}])
    assert ask("pull", TUNES)[0] == 0
    read = {request.rpartition("/")[2] for request in hub.requests if "/resolve/" in request}
    assert read == {"rnnbench.json", "model.ckpt", "record.json"}


def test_what_is_here_already_stays_as_it_is(hub: HubServer, place: Folders, ask: Any) -> None:
    assert ask("push", "folk-abc/elman", TUNES, *at(place))[0] == 0
    code, _, said = ask("pull", TUNES, *at(place))
    assert code == 2
    assert "has a checkpoint here already" in said
    record = one(place)
    RecordStore(HERE.leaderboard).write(record.model_copy(update={"backend": "another"}))
    code, _, said = ask("pull", TUNES)
    assert code == 2
    assert "is there with another outcome" in said
    assert one(HERE).backend == "another"
    assert not HERE.runs.exists()


# --- boards


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A leaderboard with all that one may hold."""
    folder = tmp_path / "board"
    store = RecordStore(folder)
    for seed, score in enumerate((0.5, 0.49)):
        store.write(done(spec(seed=seed), score, parameters=10 + seed))
    store.write(lost(spec("gru")))
    store.fold([trial(run, 0.5 + index / 8) for index, run in enumerate(tuned())])
    ArtefactStore(folder).write(spec(), [Artefact(title="a sample", text="b\nc")])
    Certificates(folder).add([certificate(done())])
    return folder


def tuned() -> list[Any]:
    from rnnbench.config.grid import GridSpec

    content = {"name": "g", "architectures": ["gru"], "tasks": ["adding"], "budget": {"steps": 3}}
    runs = GridSpec.read({**content, "tune": {"trials": 2, "space": "core"}}, "test").expand()
    return [run for run in runs if run.trial]


def content_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_board_comes_back_to_the_bit(hub: HubServer, board: Path, ask: Any, tmp_path: Path) -> None:
    code, said, _ = ask("push", str(board), BOARD, "--license", "cc0-1.0")
    assert code == 0
    assert "5 records" in said
    sent = hub.dataset("ada/board").files
    assert set(sent) == {"README.md", "rnnbench.json", "results.parquet", "records.jsonl", "trials.jsonl",
                         "artefacts.jsonl", "certificates.json"}  # fmt: skip
    rows = pandas.read_parquet(io.BytesIO(sent["results.parquet"]))
    assert sorted(rows[rows.score.notna()].score) == [0.49, 0.5]
    _, head, card = sent["README.md"].decode().split("---\n", 2)
    meta = yaml.safe_load(head)
    assert meta["license"] == "cc0-1.0"
    assert meta["configs"][0]["data_files"][0]["path"] == "results.parquet"
    assert f"rnnbench pull {BOARD}" in card
    assert "| lstm |" in card
    code, said, _ = ask("pull", BOARD)
    assert code == 0
    assert "5 records, 5 of them new in leaderboard" in said
    assert content_of(Path("leaderboard")) == content_of(board)
    assert not audit(Path("leaderboard")).problems
    assert "5 records, 0 of them new" in ask("pull", BOARD)[1]
    assert content_of(Path("leaderboard")) == content_of(board)


def test_a_board_joins_what_is_here_or_leaves_it_alone(hub: HubServer, board: Path, ask: Any) -> None:
    assert ask("push", str(board), BOARD)[0] == 0
    store = RecordStore(Path("leaderboard"))
    store.write(done(spec("elman"), 0.3))
    assert "5 of them new" in ask("pull", BOARD)[1]
    assert len(store.read()[0]) == 6
    store.write(done(spec(), 0.1))
    before = content_of(Path("leaderboard"))
    code, _, said = ask("pull", BOARD)
    assert code == 2
    assert f"run {spec().id} (adding/lstm/0) is there with another outcome" in said
    assert content_of(Path("leaderboard")) == before


def test_certificates_of_own_records_stay_own(hub: HubServer, board: Path, ask: Any) -> None:
    assert ask("push", str(board), BOARD)[0] == 0
    RecordStore(Path("leaderboard")).write(done())
    Certificates(Path("leaderboard")).add([certificate(done(), why="loss of step 1")])
    assert ask("pull", BOARD)[0] == 0
    (kept,) = Certificates(Path("leaderboard")).all.values()
    assert kept.why == "loss of step 1"


def test_a_board_that_a_pull_would_refuse_is_not_pushed(hub: HubServer, board: Path, ask: Any) -> None:
    RecordStore(board).write(done(spec("elman"), started="2999-01-01T00:00:00+00:00"))
    code, _, said = ask("push", str(board), BOARD)
    assert code == 2
    assert "started in the future" in said
    code, _, said = ask("push", ".", BOARD)
    assert code == 2
    assert "no records in ." in said
    assert not hub.requests


def lines_of(files: dict[str, bytes], name: str = "records.jsonl") -> list[Any]:
    return [json.loads(line) for line in files[name].splitlines()]


def with_lines(files: dict[str, bytes], lines: list[Any], name: str = "records.jsonl") -> dict[str, bytes]:
    return {**files, name: b"".join(json.dumps(line).encode() + b"\n" for line in lines)}


def first_changed(files: dict[str, bytes], change: Callable[[Any], Any]) -> dict[str, bytes]:
    first, *others = lines_of(files)
    return with_lines(files, [change(first), *others])


def renamed(record: Any) -> Any:
    record["spec"]["task"]["name"] = "../../x"
    return record


ODD: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "not JSON": (lambda files: {**files, "records.jsonl": b"{\n"}, "records.jsonl, line 1 is not valid JSON"),
    "a path": (lambda files: first_changed(files, renamed), "spec.task.name: string should match pattern"),
    "a key too many": (lambda files: first_changed(files, lambda one: one | {"x": 1}), "unknown key 'x'"),
    "a key twice": (
        lambda files: {**files, "records.jsonl": files["records.jsonl"].replace(b'"id"', b'"id":"0","id"', 1)},
        "key 'id' stands twice",
    ),
    "a record twice": (lambda files: with_lines(files, lines_of(files) * 2), "stands twice"),
    "a score beyond": (
        lambda files: first_changed(files, lambda one: one | {"scores": {"accuracy": 2.0}}),
        "accuracy is 2.0, which lies outside",
    ),
    "a long line": (lambda files: {**files, "records.jsonl": b" " * 60_001}, "line 1: it has more than 60,000 bytes"),
    "no records": (
        lambda files: {**files, "records.jsonl": b"", "trials.jsonl": b"", "artefacts.jsonl": b""},
        "has no",
    ),
    "artefacts of nobody": (
        lambda files: with_lines(files, [{"schema_version": 1, "id": "x", "items": []}], "artefacts.jsonl"),
        "artefacts of run 'x', which has no record there",
    ),
    "a broken certificate": (lambda files: {**files, "certificates.json": b"{"}, "certificates.json is not valid"),
    "trials of no study": (
        lambda files: with_lines(files, [{"schema_version": 1}], "trials.jsonl"),
        "trials.jsonl, line 1: missing field",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_strange_board_is_refused_and_nothing_is_written(
    name: str, hub: HubServer, board: Path, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.fixtures.hub_server import Repository

    monkeypatch.setitem(packed.MAX_LINE_BYTES, "records.jsonl", 60_000)
    names = packed.pack(board, RecordStore(board).read()[0], tmp_path)
    change, why = ODD[name]
    files = change({name: (tmp_path / name).read_bytes() for name in names})
    hub.repositories["datasets", "ada/board"] = Repository(False, [sealed(files, "board")])
    code, _, said = ask("pull", BOARD)
    assert (code, why in said) == (2, True), said
    assert not [*Path().iterdir()]
