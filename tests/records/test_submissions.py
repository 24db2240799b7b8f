"""Records that people send: forged, hostile, broken, altered ones are told; honest ones are not."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from rnnbench.cli import main
from rnnbench.leaderboard.board import read_board
from rnnbench.leaderboard.render import write_markdown
from rnnbench.records.artefacts import Artefact, ArtefactStore
from rnnbench.records.record import MAX_RECORD_BYTES, Point, Record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import audit
from tests.fixtures.records import done, lost, spec, tampered

Content = dict[str, Any]


def content(record: Record) -> Content:
    return json.loads(record.model_dump_json(exclude_defaults=True))  # type: ignore[no-any-return]


def place(folder: Path, what: Content | str | bytes, record: Record | None = None) -> Path:
    """Put a record's file where `record` belongs, whatever it says."""
    path = folder / "records" / (record or done()).file
    path.parent.mkdir(parents=True, exist_ok=True)
    text = what if isinstance(what, str | bytes) else json.dumps(what)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(folder: Path) -> str:
    return "\n".join(audit(folder).problems)


def test_honest_records_have_no_problems(tmp_path: Path) -> None:
    curve = [Point(step=1, train_loss=0.3, score=0.2), Point(step=3, train_loss=None, score=0.1)]
    store = RecordStore(tmp_path)
    store.write(done(curve=curve, best_step=3, validation={"mse": 0.1}))
    store.write(lost(spec(seed=1)))
    store.write(lost(spec(seed=2), "infeasible"))
    found = audit(tmp_path)
    assert (found.records, found.problems) == (3, [])


def cost(**changes: Any) -> Content:
    return {**content(done())["cost"], **changes}


FORGED: list[tuple[Content, str]] = [
    ({"score": -0.5, "scores": {"mse": -0.5}}, "score -0.5 is better than the ceiling 0.0"),
    ({"scores": {"mse": 0.5, "mae": -1.0}}, "scores: mae is -1.0, which lies outside [0, inf]"),
    ({"scores": {"mse": 0.5, "token_accuracy": 1.5}}, "token_accuracy is 1.5"),
    ({"validation": {"perplexity": 0.5}}, "perplexity is 0.5"),
    ({"score": 1e200, "scores": {"mse": 1e200}}, "less than or equal to"),
    ({"parameters": -1}, "parameters"),
    ({"parameters": 10**25}, "parameters"),
    ({"cost": cost(train_seconds=-1.0)}, "train_seconds"),
    ({"cost": cost(train_seconds=100.0)}, "training took 100.0 s of 2.0 s in total"),
    ({"cost": cost(steps=4)}, "4 steps are more than the budget of 3"),
    ({"best_step": 9}, "goes to step 9 of 3"),
    ({"probe": {"losses": [1.0], "scores": {"mse": 1.0}}}, "the probe has 1 losses of the first 3 steps"),
    ({"probe": {"losses": [None] * 3}}, "the probe has no number"),
    ({"curve": [{"step": 2, "train_loss": None, "score": 1.0}] * 2}, "do not rise"),
    (
        {
            "curve": [{"step": 2, "train_loss": None, "score": 1.0}],
            "best_step": 2,
            "validation": {"mse": 0.1},
        },
        "the learning curve has 1.0 at step 2",
    ),
    ({"started": "yesterday"}, "started is no time"),
    ({"started": "2026-01-01T00:00:00"}, "no time zone"),
    ({"started": "2999-01-01T00:00:00+00:00"}, "in the future"),
    ({"started": "2026-W01-1T00:00:00+00:00"}, "started is not UTC as in"),
    ({"started": "2026-01-01T00:00:00-12:00"}, "started is not UTC as in"),
    ({"baseline_scores": {"mse": -0.1}}, "chance -0.1 is better than the ceiling 0.0"),
    ({"reason": "x" * 1001}, "1001 letters"),
    ({"backend": "abc\u061cdef"}, "backend: has characters that are not text"),
    ({"backend": "a\u00ad\U000e0041"}, "backend: has characters that are not text"),
    ({"backend": "\x1b[2J"}, "backend: has characters that are not text"),
    ({"backend": "abc\u202edef"}, "backend: has characters that are not text"),
    ({"environment": {**content(done())["environment"], "device": "a\nb"}}, "environment.device"),
    ({"baseline_scores": {"a\x00": 0.1}}, "a key of baseline_scores"),
    ({"log_tail": "x" * 10_001}, "log_tail: 10001 letters"),
    ({"code": {f"m{number}": "x" for number in range(501)}}, "code"),
]


@pytest.mark.parametrize(("changes", "why"), FORGED, ids=[why for _, why in FORGED])
def test_values_that_cannot_be_are_told(changes: Content, why: str, tmp_path: Path) -> None:
    place(tmp_path, content(done()) | changes)
    assert why in told(tmp_path)


def test_a_chance_of_ones_own_making_is_told_and_other_data_is_noted(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    for seed in range(3):
        store.write(done(spec(seed=seed), 0.1 + seed / 100, baseline_scores={"mse": 0.17 + 1e-9 * (seed == 2)}))
    later = {"started": "2026-01-02T00:00:00+00:00"}
    store.write(done(spec("gru"), 0.2, **later, baseline_scores={"mse": 0.3}))
    assert [one.partition(": ")[2] for one in audit(tmp_path).problems] == [
        "its simple reference scores 0.3, that of others with the same data 0.17"
    ]
    store.write(done(spec("gru"), 0.2, **later, data_fingerprint="e"))
    found = audit(tmp_path)
    assert not found.problems
    assert f"{spec('gru').id}.json: the latest run of its task has other data than 3 before it" in "".join(found.notes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (tampered().replace('"score": 0.5', '"score": NaN'), "NaN is not a JSON number"),
        (tampered().replace('"score": 0.5', '"score": 1e999'), "finite number"),
        (tampered().replace('"score": 0.5', '"score": 0.1, "score": 0.5'), "key 'score' stands twice"),
        (tampered().replace('"d"', r'"\ud800"'), "not valid JSON"),
        (tampered().replace('"threads": 1', f'"threads": {"9" * 5000}'), "not valid JSON"),
        (tampered().encode("utf-16"), "not valid JSON"),
        (b"\xff\xfe" + tampered().encode(), "not valid JSON"),
        (tampered(spec__architecture__init_args={"width": 10**31}), "whole number beyond"),
        (tampered(id="../../x"), "one of them was changed"),
        ('{"a":' * 5000, "not valid JSON"),
        (" " * (MAX_RECORD_BYTES + 1), "are more than"),
    ],
)
def test_text_that_is_read_in_two_ways_or_not_at_all_is_told(text: str | bytes, why: str, tmp_path: Path) -> None:
    place(tmp_path, text)
    assert why in told(tmp_path)
    read_board(tmp_path)


def respelled(**changes: Any) -> Record:
    """A record whose spec was changed, with the id that goes with it."""
    run = spec()
    run = run.model_copy(update={name: getattr(run, name).model_copy(update=some) for name, some in changes.items()})
    return done(run)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (respelled(task={"version": 99}), "version 99 of task 'adding' does not exist"),
        (respelled(task={"fingerprint": "0" * 16}), "fingerprint is '0000000000000000', but its content has"),
        (respelled(task={"metric": "mae"}), "fingerprint"),
        (respelled(architecture={"class_path": "rnnbench.architectures.GRU"}), "architecture 'lstm' is a"),
    ],
)
def test_a_task_or_architecture_under_a_false_name_is_told(record: Record, why: str, tmp_path: Path) -> None:
    whole = content(record)
    whole["score"] = 0.5
    place(tmp_path, whole | {"scores": {record.spec.task.metric: 0.5}}, record)
    assert why in told(tmp_path)


def test_one_run_under_two_names_is_told_and_counts_once(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(done())
    store.write(respelled(architecture={"name": "mine"}))
    assert "the same run as adding/lstm" in told(tmp_path)
    assert len(store.read()[0]) == 1


def test_a_result_copied_to_another_seed_is_told(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    for seed in (0, 1):
        store.write(done(spec(seed=seed)))
    assert "are those of adding/lstm" in told(tmp_path)


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


STRAYS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "file": (lambda records: (records / "README.md").write_text(""), "is no record: only"),
    "name": (lambda records: (records / "adding" / "lstm" / "x.txt").write_text(""), "is no record: only"),
    "shallow": (lambda records: (records / "x.json").write_text("{}"), "is no record: only"),
    "deep": (lambda records: (records / "adding" / "lstm" / "a").mkdir(), "a folder too deep"),
    "pipe": (lambda records: os.mkfifo(records / "adding" / "lstm" / "pipe.json"), "is no plain file"),
    "out": (lambda records: link(records / "adding" / "lstm" / "x.json", Path("/etc/passwd")), "is a link to /etc/pas"),
    "folder": (lambda records: link(records / "evil", Path("..")), "is a link to .."),
}


@pytest.mark.parametrize(("make", "why"), STRAYS.values(), ids=STRAYS)
def test_links_pipes_and_whatever_does_not_belong_is_told_and_never_read(
    make: Callable[[Path], Any], why: str, tmp_path: Path
) -> None:
    records = RecordStore(tmp_path).write(done()).parents[2]
    make(records)
    assert why in told(tmp_path)
    assert list(RecordStore(tmp_path).read()[0]) == [done().id]


def test_a_folder_of_records_that_is_a_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link(tmp_path / "board" / "records", tmp_path / "elsewhere")
    assert "is a link" in told(tmp_path / "board")


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "https://evil.example",
    "www.evil.example",
    "| a | b |\n|---|---|",
    "# heading\n\n- list",
    "`code` **bold** ~~gone~~ $x$",
    "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
    "\x1b[2J\x1b[31m",
    "abc\u202edef\u2066",
    "[bold red]x[/]",
    "&lt;script&gt;",
    "</td></tr></table>",
    "{{ 7 * 7 }} {% raw %}",
]


def hostile_board(folder: Path, text: str) -> str:
    """The page of a leaderboard that has a text in every field that holds one; its records are found there."""
    environment = content(done())["environment"] | {"processor": text}
    texts = {"backend": text, "baseline": text, "attempts": [text], "environment": environment}
    run = spec(seed=3)
    odd = run.model_copy(update={"architecture": run.architecture.model_copy(update={"init_args": {"x": text}})})
    place(folder, content(done()) | texts | {"baseline_scores": {"mse": 0.1}})
    for record in (lost(spec(seed=5), reason=text), lost(odd, "infeasible", text)):
        place(folder, content(record) | {"log_tail": text}, record)
    tables, problems = read_board(folder)
    assert not problems
    return write_markdown(folder, tables).read_text()


@pytest.mark.parametrize("evil", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_every_field_is_inert_on_every_board(
    evil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = hostile_board(tmp_path / "evil", evil)
    assert rendered(page) == rendered(hostile_board(tmp_path / "good", "text"))
    assert not any(link in page for link in ("https://evil", "www.evil"))
    for verb in (["board"], *(["show", run] for run in RecordStore(tmp_path / "evil").read()[0])):
        assert main([*verb, "--leaderboard", str(tmp_path / "evil")]) == 0
    for text in (page, capsys.readouterr().out):
        assert not set(text) & set("\x1b\x07\u202e\u2066")


def rendered(page: str) -> Counter[str]:
    """What Markdown makes of a page, without its words."""
    tokens = MarkdownIt("gfm-like").disable("linkify").parse(page)
    return Counter(token.type for one in tokens for token in [one, *(one.children or [])] if token.type != "text")


def test_artefacts_are_checked_beside_the_records(tmp_path: Path) -> None:
    RecordStore(tmp_path).write(done())
    store = ArtefactStore(tmp_path)
    path = store.write(spec(), [Artefact(title="a", text="b\n" * 9)])
    assert not audit(tmp_path).problems
    store.write(spec(seed=5), [])
    assert "artefacts of no record" in told(tmp_path)
    (store.folder / done(spec(seed=5)).file).unlink()
    path.write_text(path.read_text().replace(done().id, "0" * 12))
    assert "artefacts of run 000000000000" in told(tmp_path)
    path.unlink()
    (tmp_path / "secret.json").write_text('{"token": "abc"}')
    path.symlink_to(tmp_path / "secret.json")
    assert "is a link to" in told(tmp_path)
    assert "it is a link" in store.of(done())[0]["text"]
    assert "token" not in str(store.of(done()))


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., str]:
    """A repository with one record committed on main, and a branch; what it returns commits all changes since."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(message: str = "more") -> str:
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", message)
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "main")
    RecordStore(tmp_path / "board").write(done())
    commit("first")
    git("checkout", "-q", "-b", "change")
    return commit


def again(**changes: Any) -> Record:
    """The record of a later run of the same spec."""
    return done(**{"score": 0.4, "started": "2026-02-01T00:00:00+00:00", **changes})


REWRITTEN: list[tuple[Record | None, str]] = [
    (done(score=0.1), "altered after the fact: score 0.5 -> 0.1"),
    (done(parameters=5), "altered after the fact: parameters 10 -> 5"),
    (again(), "was run again, though neither its code nor its data has changed"),
    (again(started="2020-01-01T00:00:00+00:00", data_fingerprint="e"), "altered after the fact"),
    (None, "a score was removed that still counts"),
    (lost(), "altered after the fact"),
    (again(data_fingerprint="e"), ""),
    (again(code_version="f" * 12), "was run again, though neither its code nor its data has changed"),
    (done(), ""),
]


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(("after", "why"), REWRITTEN)
def test_a_record_altered_after_the_fact_is_told_and_a_new_run_is_not(
    after: Record | None, why: str, committed: bool, repository: Callable[..., str], tmp_path: Path
) -> None:
    board = tmp_path / "board"
    if after is None:
        (board / "records" / done().file).unlink()
    else:
        place(board, content(after))
    if committed:
        repository()
    found = [one for one in audit(board).problems if "board/records" in one]
    assert len(found) == bool(why)
    assert why in "".join(found)
    if committed:
        assert not audit(board, "HEAD").problems


def test_records_are_compared_with_those_of_any_revision(repository: Callable[..., str], tmp_path: Path) -> None:
    place(tmp_path / "board", content(done(score=0.1)))
    repository()
    repository("nothing more")
    assert audit(tmp_path / "board", "HEAD~2").problems
    assert not audit(tmp_path / "board", "HEAD~1").problems


def test_a_run_of_older_code_may_be_run_again(repository: Callable[..., str], tmp_path: Path) -> None:
    store, run = RecordStore(tmp_path / "board"), spec(seed=1)
    store.write(done(run, code_version="0" * 12))
    store.write(first := done(spec("gru"), schema_version=1, code_version=None, probe=None))
    repository()
    store.write(done(run, 0.4, started="2026-02-01T00:00:00+00:00"))
    store.write(first.model_copy(update={"started": "2026-02-01T00:00:00+00:00", "score": 0.3, "scores": {"mse": 0.3}}))
    assert not audit(tmp_path / "board", "HEAD").problems


def test_a_record_that_gave_no_score_may_be_run_again(repository: Callable[..., str], tmp_path: Path) -> None:
    failed = lost(spec(seed=4))
    place(tmp_path / "board", content(failed), failed)
    repository()
    place(tmp_path / "board", content(done(spec(seed=4), 0.3)), failed)
    assert not audit(tmp_path / "board", "HEAD").problems
    repository()
    assert not audit(tmp_path / "board").problems


def test_what_was_removed_and_put_back_is_no_problem(repository: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "board" / "records" / done().file).unlink()
    repository()
    assert "a score was removed" in told(tmp_path / "board")
    place(tmp_path / "board", content(done()))
    assert not audit(tmp_path / "board").problems


def test_check_tells_all_and_exits_with_2(
    repository: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = tmp_path / "board"
    assert main(["check", str(board)]) == 0
    assert capsys.readouterr().out == "checked 1 record: no problems\n"
    (board / "records" / "bad\x1b[31m").write_text("")
    assert main(["check", str(board)]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.err + said.out
    assert "1 problem" in said.out
    assert main(["check", str(board), "--base=--output=x"]) == 2
    assert main(["check", str(board), "--base", "nowhere"]) == 2
    assert "git knows no revision 'nowhere'" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "nothing")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_scores_of_a_task_without_a_card_here_are_held_against_what_its_records_say(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    for seed, margin, score in ((0, 0.05, 0.1), (1, 0.0, -0.5)):
        run = spec(seed=seed)
        chance = run.task.scoring.chance.model_copy(update={"margin": margin})  # type: ignore[union-attr]
        scoring = run.task.scoring.model_copy(update={"chance": chance})  # type: ignore[union-attr]
        task = run.task.model_copy(update={"name": "mine", "scoring": scoring})
        store.write(done(run.model_copy(update={"task": task}), score))
    found = audit(tmp_path)
    assert "score -0.5 is better than the ceiling 0.0 of task 'mine'" in "\n".join(found.problems)
