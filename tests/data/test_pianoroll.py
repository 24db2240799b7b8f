"""Chorales as piano rolls: what a score sounds like in frames, what is asked, and how it is split."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from rnnbench.data import BachChorales
from rnnbench.data import musicxml as musicxml_module
from rnnbench.data.module import SPLITS
from rnnbench.data.musicxml import parse_xml, read_mxl, read_score
from rnnbench.data.pianoroll import frequency_scores, read_chorales, roll_of
from rnnbench.data.stand_ins.archives import wheel
from rnnbench.data.stand_ins.texts import mxl
from rnnbench.errors import RnnbenchError
from rnnbench.objectives import MultiLabelFrames

# --- scores


def frames(*parts: str) -> list[set[int]]:
    """MIDI numbers that sound at each quarter note."""
    score = "".join(f"<part>{part}</part>" for part in parts)
    roll = roll_of(read_mxl(mxl(f"<score-partwise>{score}</score-partwise>"), "here"), "here")
    return [{int(key) + 21 for key in np.flatnonzero(row)} for row in roll]


def note(name: str, duration: int | None, more: str = "") -> str:
    alter = f"<alter>{ {'#': 1, 'b': -1}[name[1]] }</alter>" if len(name) == 3 else ""
    pitch = f"<pitch><step>{name[0]}</step>{alter}<octave>{name[-1]}</octave></pitch>"
    return f"<note>{more}{pitch}{'' if duration is None else f'<duration>{duration}</duration>'}</note>"


def rest(duration: int) -> str:
    return f"<note><rest/><duration>{duration}</duration></note>"


def bar(content: str, divisions: int = 0) -> str:
    head = f"<attributes><divisions>{divisions}</divisions></attributes>" if divisions else ""
    return f"<measure>{head}{content}</measure>"


def test_a_note_sounds_in_each_quarter_that_begins_while_it_is_held() -> None:
    assert frames(bar(note("C4", 4) + note("D4", 2), divisions=2)) == [{60}, {60}, {62}]
    assert frames(bar(note("C4", 1) + note("D4", 1) + note("E4", 2), divisions=2)) == [{60}, {64}]
    assert frames(bar(note("C4", 3) + note("D4", 3), divisions=2)) == [{60}, {60}, {62}]


def test_divisions_may_change_and_need_not_divide_evenly() -> None:
    triplet = note("C4", 2) + note("D4", 2) + note("E4", 2)
    assert frames(bar(triplet, divisions=3) + bar(note("F4", 8) + note("G4", 4), divisions=4)) == [
        {60}, {62}, {65}, {65}, {67},
    ]  # fmt: skip


def test_a_tied_note_sounds_on_over_the_barline() -> None:
    tied = note("A4", 1, '<tie type="start"/>'), note("A4", 2, '<tie type="stop"/>')
    assert frames(bar(note("G4", 1) + tied[0], divisions=1) + bar(tied[1] + note("B4", 1))) == [
        {67}, {69}, {69}, {69}, {71},
    ]  # fmt: skip


def test_a_chord_sounds_together_and_a_second_voice_after_going_back() -> None:
    chord = note("C4", 1) + note("E4", 1, "<chord/>") + note("G4", 1, "<chord/>") + note("D4", 1)
    back = "<backup><duration>2</duration></backup><forward><duration>1</duration></forward>"
    assert frames(bar(chord + back + note("B3", 1), divisions=1)) == [{60, 64, 67}, {62, 59}]


def test_rests_grace_notes_and_cues_are_silent() -> None:
    grace = note("C5", None, "<grace/>")
    assert frames(bar(grace + note("C4", 1) + rest(1) + note("F4", 1, "<cue/>") + note("D4", 1), divisions=1)) == [
        {60}, set(), set(), {62},
    ]  # fmt: skip


def test_a_transposing_part_sounds_where_it_sounds() -> None:
    clarinet = "<attributes><transpose><chromatic>-2</chromatic></transpose></attributes>"
    bass = "<attributes><transpose><chromatic>0</chromatic><octave-change>-1</octave-change></transpose></attributes>"
    assert frames(bar(clarinet + note("C#4", 1), 1), bar(bass + note("Db4", 1), 1)) == [{59, 49}]


def test_parts_keep_step_when_a_measure_of_one_is_short_or_absent() -> None:
    upper = bar(note("C5", 1) + note("D5", 1), 1) + bar(note("E5", 1)) + bar(note("F5", 1))
    lower = bar(note("C4", 1), 1) + bar(note("E4", 1))
    assert frames(upper, lower) == [{72, 60}, {74}, {76, 64}, {77}]


def test_length_and_parts_are_those_of_the_score() -> None:
    score = read_score(parse_xml(f"<score-partwise><part>{bar(rest(3), 2)}</part></score-partwise>".encode(), "here"))
    assert (score.parts, score.notes, score.length) == (1, [], Fraction(3, 2))


def test_a_note_beyond_the_piano_is_named() -> None:
    with pytest.raises(RnnbenchError, match="here: a note must be a MIDI number from 21 to 108, got 120"):
        frames(bar(note("C9", 1), 1))


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'.encode("utf-16"),
        b'<!DOCTYPE x SYSTEM "x.dtd" [<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]><x/>',
    ],
)
def test_a_document_that_defines_entities_is_refused(content: bytes) -> None:
    with pytest.raises(RnnbenchError, match="here: a document type with definitions of its own is refused"):
        parse_xml(content, "here")


def test_an_external_document_type_is_not_fetched_and_text_that_is_no_xml_is_named() -> None:
    assert parse_xml(b'<!DOCTYPE x PUBLIC "-//X//EN" "http://nowhere.invalid/x.dtd"><x>1</x>', "here").text == "1"
    with pytest.raises(RnnbenchError, match="here is not well-formed XML"):
        parse_xml(b"<x>", "here")


def test_a_member_that_is_too_large_or_absent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(musicxml_module, "MAX_MEMBER_BYTES", 100)
    container = b"<container><rootfiles><rootfile full-path='a'/></rootfiles></container>"
    for members, told in (
        ({"META-INF/container.xml": b" " * 101}, "has 101 bytes, at most 100 are read"),
        ({"META-INF/container.xml": b"<container/>"}, "names no score"),
        ({"META-INF/container.xml": container}, "has no member 'a'"),
    ):
        with pytest.raises(RnnbenchError, match=told):
            read_mxl(wheel(members), "here")


# --- chorales


@pytest.mark.usefixtures("module_stand_ins")
def test_scores_in_four_voices_are_read_once() -> None:
    names = [name for name, _, _ in read_chorales(BachChorales.sources[0].path)]
    assert sorted(names) == sorted([*(f"bwv{number}.6" for number in range(1, 31)), "bwv3.6-a"])


@pytest.mark.usefixtures("module_stand_ins")
def test_scores_of_one_bwv_number_are_in_one_part_and_no_chorale_is_lost() -> None:
    for seed in range(5):
        data = BachChorales(16, data_seed=seed)
        names = {split: list(data.table(split)["name"]) for split in SPLITS}
        assert sum(len(some) for some in names.values()) == 31
        numbers = [{name.split(".")[0] for name in some} for some in names.values()]
        assert not numbers[0] & numbers[1] | numbers[0] & numbers[2] | numbers[1] & numbers[2]
        assert all(len(some) > 3 for some in names.values())


@pytest.mark.usefixtures("module_stand_ins")
def test_each_frame_predicts_the_next_and_padding_is_not_scored() -> None:
    data = BachChorales(16)
    data.setup("fit")
    store = data.stores["train"]
    inputs, targets, lengths = store.batch(range(len(store)))
    assert lengths is not None
    assert len(set(lengths.tolist())) > 1
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(inputs[row, 1:length], targets[row, : length - 1])
        assert set(targets[row, :length].flatten().tolist()) == {0.0, 1.0}
        assert targets[row, length:].isnan().all()
        assert (inputs[row, :length].sum(-1) <= 4).all()
    assert data.model_kwargs() == {
        "input_size": 88, "output_size": 88, "objective": "multi_label_frames", "input_kind": "features",
    }  # fmt: skip


@pytest.mark.usefixtures("module_stand_ins")
def test_frequencies_of_keys_score_the_stated_likelihood() -> None:
    data = BachChorales(16)
    train, test = ([np.reshape(row["targets"], (-1, 88)) for row in data.table(split)] for split in ("train", "test"))
    shares = (np.concatenate(train).sum(0) + 1) / (sum(map(len, train)) + 2)
    nats = [-math.log(p if on else 1 - p) for one in test for row in one for p, on in zip(shares, row, strict=True)]
    scores = data.metadata()["baseline_scores"]
    assert math.isclose(scores["nll"], sum(nats) / sum(map(len, test)), rel_tol=1e-9)
    assert data.metadata()["baseline"] == "frequencies of keys"


def test_frequencies_score_what_the_objective_computes_of_them() -> None:
    random = np.random.default_rng(0)
    chances = random.uniform(0, 1, 88)
    train, test = ((random.uniform(size=(n, 88)) < chances).astype(np.float32) for n in (60, 40))
    logits = torch.from_numpy((train.sum(0) + 1) / 62).logit().expand(40, 88)
    scores = frequency_scores(train, test)
    objective, metrics = MultiLabelFrames(2, 1, 88), MultiLabelFrames(2, 1, 88).metrics()
    pair = logits[None].float(), torch.from_numpy(test)[None]
    summed, count = objective.loss(*pair)
    metrics.update(*objective.scored(*pair))
    assert math.isclose(scores["nll"], summed / count, rel_tol=1e-5)
    assert math.isclose(scores["frame_accuracy"], metrics.compute()["frame_accuracy"], rel_tol=1e-6)


@pytest.mark.archive
@pytest.mark.usefixtures("users_cache")
def test_real_chorales_are_in_four_voices_within_the_range_of_a_choir() -> None:
    chorales = {name: roll for name, _, roll in read_chorales(BachChorales.sources[0].fetch())}
    assert len(chorales) == 362
    every = np.concatenate(list(chorales.values()))
    sounding = np.flatnonzero(every.any(0)) + 21
    assert (sounding.min(), sounding.max()) == (36, 81)
    assert every.sum(1).max() <= 4
    assert (every.sum(1) >= 3).mean() > 0.9  # two voices may meet on one key
    assert [sorted(np.flatnonzero(row) + 21) for row in chorales["bwv66.6"][:5]] == BEGINNING


BEGINNING = [[57, 64, 73], [54, 61, 66, 69], [56, 59, 64, 71], [57, 64, 73], [56, 59, 64, 76]]
"""MIDI numbers at the first quarter notes of BWV 66.6, by hand: upbeat and first measure."""
