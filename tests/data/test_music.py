"""Music: what is a tune, notes of piano rolls, MIDI files, and the verbs that write music."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from rnnbench.architectures import LSTM
from rnnbench.cli import main
from rnnbench.data import BachChorales, FolkABC
from rnnbench.data.abc_notation import (
    SVG,
    NotATune,
    Note,
    engrave,
    notes_of,
    parse,
    parse_rate,
    sanitise_svg,
    sounding_notes,
    write_midi,
)
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.records.store import RecordStore
from tests.fixtures.trained import train

HEAD = "M:4/4\nL:1/8\nK:D\n"


def test_notes_of_a_tune_are_those_that_are_written() -> None:
    notes = parse(f"{HEAD}A2 F4 [Df]2|c2 z2 d4|")  # K:D has F♯ and C♯
    assert notes == [
        Note(0.0, 1.0, 69),
        Note(1.0, 2.0, 66),
        Note(3.0, 1.0, 62),
        Note(3.0, 1.0, 78),
        Note(4.0, 1.0, 73),
        Note(6.0, 2.0, 74),
    ]


@pytest.mark.parametrize(
    ("tune", "sounds"),
    [
        ('"D"A2 {gf}F4 z2|"A7"c8|', [Note(0.0, 1.0, 69), Note(1.0, 2.0, 66), Note(4.0, 4.0, 73)]),
        ("A4-A4-|A4 A4|", [Note(0.0, 6.0, 69), Note(6.0, 2.0, 69)]),
        ("A4 B99999999999999999999 c4|", [Note(0.0, 2.0, 69), Note(2.0, 9998.0, 71)]),
    ],
)
def test_what_sounds_has_a_length_and_tied_notes_are_one(tune: str, sounds: list[Note], tmp_path: Path) -> None:
    assert sounding_notes(f"{HEAD}{tune}") == sounds
    write_midi(sounds, tmp_path / "tune.mid")
    from music21 import midi

    file = midi.MidiFile()
    file.open(str(tmp_path / "tune.mid"))
    file.read()
    file.close()
    struck = [event.pitch for track in file.tracks for event in track.events if event.isNoteOn()]
    assert sorted(struck) == sorted(note.pitch for note in sounds)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hello world", "no key"),
        (HEAD, "no note"),
        (f"{HEAD}||||", "no note"),
        ("M:4/4\nL:1/8\nABc", "no key"),
        (f"{HEAD}ABcd|[ceg", "closing bracket"),
        ("M:x/y\nL:1/8\nK:D\nABC", "ValueError"),
        ("", "no key"),
    ],
)
def test_what_is_no_tune_is_told_why(text: str, why: str) -> None:
    with pytest.raises(NotATune, match=why):
        parse(text)


def test_the_parse_rate_is_the_share_of_tunes() -> None:
    assert parse_rate([f"{HEAD}ABc", "junk", f"{HEAD}|", f"{HEAD}d4|"]) == 0.5


def test_keys_of_a_roll_that_sound_on_are_one_note(tmp_path: Path) -> None:
    roll = torch.zeros(4, 88)
    roll[0:2, 39] = 1  # C4 for two frames
    roll[1:4, 43] = 1  # E4 for three, to the end
    roll[3, 39] = 1
    notes = notes_of(roll.tolist())
    assert notes == [Note(0.0, 2.0, 60), Note(1.0, 3.0, 64), Note(3.0, 1.0, 60)]
    write_midi(notes, tmp_path / "c.mid")
    from music21 import converter

    score = converter.parse(tmp_path / "c.mid")
    found = sorted(
        (float(one.offset), float(one.quarterLength), p.midi) for one in score.flatten().notes for p in one.pitches
    )
    assert found == [(0.0, 2.0, 60), (1.0, 3.0, 64), (3.0, 1.0, 60)]
    with pytest.raises(RnnbenchError, match="cannot write"):
        write_midi(notes, tmp_path / "absent" / "c.mid")


@pytest.fixture(scope="module")
def place(module_stand_ins: None, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folder = tmp_path_factory.mktemp("place")
    folders = Folders(folder / "leaderboard", folder / "runs")
    for task in ("folk-abc", "bach-chorales"):
        train(folders, task)
    return folders


def ask(place: Folders, *words: str) -> int:
    return main([*words, "--leaderboard", str(place.leaderboard), "--runs", str(place.runs)])


def test_a_run_on_tunes_has_the_parse_rate_of_what_it_writes(place: Folders) -> None:
    (record,) = [one for one in RecordStore(place.leaderboard).read()[0].values() if one.spec.task.name == "folk-abc"]
    assert 0 <= record.scores["parse_rate"] <= 1
    data = FolkABC()
    assert data.sampled_scores(lambda count, length: [f"{HEAD}ABc"] * count) == {"parse_rate": 1.0}


def test_tunes_are_parsed_drawn_and_written_as_midi(
    place: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{HEAD}ABc", "K:D\n|", f"{HEAD}d4|"]
    monkeypatch.setattr("rnnbench.architectures.SequenceModule.generate", lambda *_, **__: texts)
    words = ("generate", "folk-abc/elman", "--abc", "--count", "3", "--midi", str(tmp_path), "--sheet", str(tmp_path),
             "--plot")  # fmt: skip
    assert ask(place, *words, str(tmp_path / "tunes.svg"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parse_rate"] == pytest.approx(2 / 3)
    assert [row["parses"] for row in found["tunes"]] == [True, False, True]
    assert sorted(path.name for path in tmp_path.glob("*.mid")) == ["tune-1.mid", "tune-3.mid"]
    assert "tune 3" in (tmp_path / "tunes.svg").read_text()
    assert sorted(path.name for path in tmp_path.glob("tune-*.svg")) == ["tune-1.svg", "tune-3.svg"]
    assert (tmp_path / "tune-3.png").read_bytes().startswith(b"\x89PNG")
    assert ask(place, *words, str(tmp_path / "tunes.png")) == 0
    said = capsys.readouterr().out
    assert "no tune: it has no note" in said
    assert "2 of 3 are tunes: parse rate 0.67" in said
    assert (tmp_path / "tunes.png").read_bytes().startswith(b"\x89PNG")


def test_a_tune_is_engraved_with_all_its_notes_the_same_each_time() -> None:
    picture = engrave(f'{HEAD}"D"A2 F4 z2|c8|')
    root = ElementTree.fromstring(picture)
    kinds = [one.get("class", "").split() for one in root.iter()]
    assert sum("note" in one for one in kinds) == 3
    assert sum("rest" in one for one in kinds) == 1
    accidentals = [one for one in root.iter() if one.get("class", "").split()[:1] == ["accid"]]
    assert not any(len(one) for one in accidentals)  # F and C are sharp by the key
    assert not any("placeholder" in one for one in kinds)
    assert sum("keyAccid" in one for one in kinds) == 2
    assert engrave(f'{HEAD}"D"A2 F4 z2|c8|') == picture


def test_nothing_in_a_score_runs_or_loads() -> None:
    ink = '<path d="M0 0" onclick="a()" style="fill: url(http://a)"/><use href="http://a"/><use href="#b"/>'
    bad = "<script>a()</script><style>@import 'a'</style><image href='a'/><foreignObject/><a href='b'>c</a>"
    picture = sanitise_svg(f'<svg xmlns="{SVG}" onload="a()"><g>{ink}{bad}<text>&lt;script&gt;</text></g></svg>')
    root = ElementTree.fromstring(picture)
    assert [one.tag.removeprefix(f"{{{SVG}}}") for one in root.iter()] == [
        "svg", "rect", "g", "path", "use", "use", "text",
    ]  # fmt: skip
    assert {name for one in root.iter() for name in one.attrib} == {"width", "height", "fill", "d", "stroke", "href"}
    assert "http" not in picture.replace(SVG, "")
    assert "<script" not in picture


def test_a_tune_without_an_end_is_not_engraved() -> None:
    with pytest.raises(RnnbenchError, match="longer than 2000 quarter notes"):
        engrave(f"{HEAD}A4 B99999999999999999999|")


def test_the_words_of_a_tune_are_only_words_in_its_score() -> None:
    picture = engrave(f'{HEAD}"<script>alert(1)</script>"A2 "^<b onload=a()>"F4|')
    assert not any(one.tag.endswith("script") for one in ElementTree.fromstring(picture).iter())
    assert "<b " not in picture


def test_keys_are_drawn_with_their_probabilities_and_the_seed_repeats_them(module_stand_ins: None) -> None:
    data = BachChorales()
    model = LSTM.from_data(data, hidden_size=4)
    with torch.no_grad():
        model.objective.head.weight.zero_()
        model.objective.head.bias.fill_(-2.0)
        model.objective.head.bias[40] = 1.0
    frames = torch.zeros(400, 2, 88)
    said = model.continue_frames(frames, 5, seed=1)
    shares = said.mean((0, 1))
    assert float(shares[40]) == pytest.approx(torch.tensor(1.0).sigmoid().item(), abs=0.04)
    assert float(shares[39]) == pytest.approx(torch.tensor(-2.0).sigmoid().item(), abs=0.03)
    assert torch.equal(said, model.continue_frames(frames, 5, seed=1))
    assert not torch.equal(said, model.continue_frames(frames, 5, seed=2))
    greedy = model.continue_frames(frames[:1], 3, greedy=True)
    assert greedy.sum(-1).tolist() == [[1.0, 1.0, 1.0]]
    assert bool((greedy[..., 40] == 1).all())
    with pytest.raises(RnnbenchError, match="temperature must be greater than 0"):
        model.continue_frames(frames, 5, temperature=0.0)


def test_a_chorale_is_gone_on_with(place: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("generate", "bach-chorales/elman", "--length", "8", "--given", "4")
    assert ask(place, *words, "--midi", str(tmp_path), "--plot", str(tmp_path / "roll.html"), "--count", "2") == 0
    assert "│" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.mid"))) == 2
    assert "<script" in (tmp_path / "roll.html").read_text()
    for wrong, said in (
        (["--abc"], "--abc is for models of texts"),
        (["--prompt", "K:D"], "--prompt is for models of texts"),
        (["--sheet", "scores"], "--sheet is for models of texts"),
        (["--top-k", "3"], "--top-k is for models of texts"),
        (["--top-p", "0.5"], "--top-p is for models of texts"),
        (["--beam", "2"], "--beam is for models of texts"),
        (["--piece", "999"], "--piece must be from 0 to"),
        (["--given", "0"], "--given must be from 1 to"),
        (["--plot", "roll.doc"], "unknown format of a picture"),
    ):
        assert ask(place, *words, *wrong) == 2
        assert said in capsys.readouterr().err
