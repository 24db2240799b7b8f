"""The verbs that ask trained runs, on the command line."""

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rnnbench.cli import main
from rnnbench.harness.load_run import load_run
from rnnbench.harness.paths import Folders
from tests.fixtures.trained import train

Ask = Callable[..., tuple[int, str, str]]
TASKS = (
    *("sentiment-movies", "pos-tagging", "translate-numbers", "caption-emoji", "speech-prompts", "weather-nyc-24h"),
    *("shakespeare-char", "shakespeare-word", "g2p-cmudict-ctc"),
)

LM = ["transcribe", "speech-prompts/elman", "a.wav", "--lm", "shakespeare-char/elman"]


@pytest.fixture(scope="module")
def place(module_stand_ins: None, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folder = tmp_path_factory.mktemp("place")
    folders = Folders(folder / "leaderboard", folder / "runs")
    for task in TASKS:
        train(folders, task)
    return folders


@pytest.fixture
def ask(place: Folders, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a verb on the runs of this file: exit code, and what is said on both channels."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--leaderboard", str(place.leaderboard), "--runs", str(place.runs)])
        out, error = capsys.readouterr()
        return code, out, error

    return run


def test_classify_names_classes_and_unknown_words(ask: Ask) -> None:
    code, out, told = ask("classify", "sentiment-movies/elman", "A good film", "xyzzy", "--json")
    assert code == 0
    assert "'xyzzy'" in told
    first, second = json.loads(out)
    assert first["input"] == "A good film"
    assert {one["class"] for one in first["classes"]} == {one["class"] for one in second["classes"]}
    assert "very negative" in {one["class"] for one in first["classes"]}
    assert sum(one["probability"] for one in first["classes"]) == pytest.approx(1.0)
    assert "%" in ask("classify", "sentiment-movies/elman", "A good film")[1]
    test = json.loads(ask("classify", "sentiment-movies/elman", "--test", "3", "--json")[1])
    classes = {one["class"] for one in first["classes"]}
    assert [one["reference"] in classes for one in test] == [True] * 3
    assert ask("classify", "sentiment-movies/elman", "--test", "3")[1].count("(truly ") == 3
    code, _, told = ask("classify", "sentiment-movies/elman", "a film", "--test", "3")
    assert code == 2
    assert "--test asks the test part alone" in told


def test_classify_tags_every_word(ask: Ask) -> None:
    _, out, _ = ask("classify", "pos-tagging/elman", "Eu n1", "--json")
    (found,) = json.loads(out)
    assert [one["token"] for one in found["classes"]] == ["Eu", "n1"]
    assert all(one["class"].isupper() for one in found["classes"])


def test_translate_gives_the_best_n_and_scores_them_against_references(ask: Ask) -> None:
    words = ("translate", "translate-numbers/elman", "forty-two", "seven", "--beam", "3", "--n-best", "2")
    code, out, _ = ask(*words, "--reference", "cuarenta y dos", "--reference", "siete", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found["scores"]) == {"bleu", "chrf", "exact_match"}
    assert [len(one["answers"]) for one in found["answers"]] == [2, 2]
    assert found["answers"][0]["reference"] == "cuarenta y dos"
    code, out, _ = ask("translate", "translate-numbers/elman", "--test", "3", "--beam", "1")
    assert "exact_match" in out
    assert out.count("= ") == 3


def test_caption_and_transcribe_read_files(ask: Ask, tmp_path: Path) -> None:
    Image.new("RGBA", (30, 20), (255, 0, 0, 128)).save(tmp_path / "red.png")
    code, out, _ = ask("caption", "caption-emoji/elman", str(tmp_path / "red.png"), "--json")
    assert code == 0
    assert json.loads(out)["answers"][0]["input"].endswith("red.png")
    with wave.open(str(tmp_path / "still.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    code, out, _ = ask("transcribe", "speech-prompts/elman", str(tmp_path / "still.wav"), "--json")
    assert code == 0
    code, out, _ = ask("transcribe", "speech-prompts/elman", "--test", "2", "--beam", "2", "--json")
    assert set(json.loads(out)["scores"]) == {"wer", "cer"}


def test_transcripts_are_scored_with_and_without_a_language_model(ask: Ask, place: Folders) -> None:
    words = ("transcribe", "speech-prompts/elman", "--lm", "shakespeare-char/elman", "--beam", "2")
    code, out, told = ask(*words, "--test", "2", "--n-best", "2", "--lm-weight", "0.3", "--json")
    assert code == 0
    assert "of the recogniser's 28 characters, and reads them as <unk>" in told  # the stand-in has few letters
    found = json.loads(out)
    assert set(found["scores"]) == set(found["scores_without_lm"]) == {"wer", "cer"}
    assert all(len(one["answers"]) == 2 for one in found["answers"])
    code, out, _ = ask(*words, "--test", "1")
    assert "over 1 input, without language model" in out
    code, out, told = ask(*words, "--score", "--tune-lm", "--json")
    assert code == 0
    run = load_run("speech-prompts/elman", place.leaderboard, place.runs)
    assert f"of 19 settings the best on the {len(run.data.table('validation'))} recordings of the validation" in told
    found = json.loads(out)
    greedy, search, fused = found["decodings"]
    assert (greedy["decoding"], search["decoding"], fused["lm_mode"]) == ("greedy", "beam 2", "fusion")
    assert all(set(one["scores"]) == {"wer", "cer"} for one in found["decodings"])
    assert found["recordings"] == len(run.data.table("test"))
    assert run.record
    assert greedy["scores"] == pytest.approx({name: run.record.scores[name] for name in ("wer", "cer")})
    code, out, _ = ask("transcribe", "g2p-cmudict-ctc/elman", "abba", "--json")  # letters in, phonemes out
    assert code == 0
    assert json.loads(out)["answers"][0]["input"] == "abba"
    code, out, _ = ask("transcribe", "speech-prompts/elman", "--lm", "shakespeare-word/elman", "--score")
    assert code == 0
    assert "beam 16, rescoring with shakespeare-word/elman" in out
    assert "greedy" in out


def test_forecast_shows_both_ways_and_errors_by_step(ask: Ask) -> None:
    code, out, _ = ask("forecast", "weather-nyc-24h/elman", "--channel", "temp", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["channel"] == "temp"
    assert {len(found[name]) for name in ("measured", "continuous", "free", "free_error", "continuous_error")} == {24}
    assert found["free"][0] == pytest.approx(found["continuous"][0], abs=1e-3)
    assert found["free_error"][0] == pytest.approx(found["continuous_error"][0], rel=1e-4)
    assert (found["unit"], found["place"], len(found["times"])) == ("°F", "EWR", 24)
    _, out, _ = ask("forecast", "weather-nyc-24h/elman", "--horizon", "3", "--channel", "pressure")
    assert f"pressure, in hPa; EWR from {found['times'][-3]} UTC" in out
    assert found["times"][-2].split()[1] in out
    assert all(head in out for head in ("measured", "continuous", "on its own", "persistence"))


def test_a_forecast_is_drawn_channel_by_channel_unless_one_is_asked_for(ask: Ask, tmp_path: Path) -> None:
    words = ("forecast", "weather-nyc-24h/elman", "--plot", str(tmp_path / "f.json"))
    for channel, names in (([], ["temp", "dewp", "humid"]), (["--channel", "dewp"], ["dewp"])):
        code, _, told = ask(*words, *channel)
        assert (code, told) == (0, f"rnnbench: picture written to {tmp_path / 'f.json'}\n")
        spec = json.loads((tmp_path / "f.json").read_text())
        assert spec["title"]["subtitle"].startswith("EWR from 2013-")
        above, below = spec["vconcat"]
        assert [panel["title"] for panel in above["concat"]][:3] == names
        first = above["concat"][0].get("data", above.get("data"))["name"]  # of one panel it stands a level higher
        measured = [row for row in spec["datasets"][first] if row["what"] == "measured"]
        assert [row["step"] for row in measured] == list(range(-48, 25))
        assert {row["what"][:4] for row in spec["datasets"][below["data"]["name"]]} == {"cont", "auto", "pers"}


def test_a_forecast_is_asked_beyond_the_range_of_training(ask: Ask, tmp_path: Path) -> None:
    words = ("forecast", "weather-nyc-24h/elman", "--range", "--channel", "dewp")
    code, out, _ = ask(*words, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["channel"] == "dewp"
    assert max(found["free_error"]) > found["free_error"][len(found["offsets"]) // 2]  # one step of training: levels
    code, out, _ = ask(*words, "--plot", str(tmp_path / "r.json"))
    assert code == 0
    assert "outside the range" in out
    above, below = json.loads((tmp_path / "r.json").read_text())["vconcat"]
    assert above["hconcat"][0]["title"]["text"] == "as measured"
    assert below["title"]["text"] == "errors over the whole test part"
    assert "unknown channel 'dew'; did you mean 'dewp'" in ask("forecast", words[1], "--range", "--channel", "dew")[2]


def test_gates_read_what_the_translator_reads(ask: Ask, place: Folders) -> None:
    code, out, _ = ask("gates", "translate-numbers/elman", "one two", "--json")
    assert code == 0
    found = json.loads(out)
    model = load_run("translate-numbers/elman", place.leaderboard, place.runs).model
    assert found["steps"] == ["one", "two", "</s>"]
    with model.inference_mode():
        hidden = model.hidden_states(*model.inference.ids(["one two"]))[0]
    assert torch.tensor(found["layers"][0]["states"]["h"]).allclose(hidden, atol=1e-5)


@pytest.mark.parametrize("words", [("--lm-weight", "nan"), ("--insertion-bonus", "inf"), ("--lm-mode", "fuse")])
def test_options_of_a_language_model_are_read_strictly(words: tuple[str, str], ask: Ask, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        ask(*LM, *words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["translate", "translate-numbers/elman", ""], "text 1 of 1 is empty"),
        (["translate", "translate-numbers/elman"], "nothing to translate"),
        (["translate", "translate-numbers/elman", "one", "--n-best", "9"], "n_best must be at least 1 and at most"),
        (["translate", "translate-numbers/elman", "one", "--beam", "0"], "beam must be at least 1"),
        (
            ["translate", "translate-numbers/elman", "one", "--reference", "a", "--reference", "b"],
            "one for each of 1 inputs, got 2",
        ),
        (["translate", "translate-numbers/elman", "--test", "-1"], "--test must be at least 1"),
        (["caption", "caption-emoji/elman", "absent.png"], "cannot read absent.png"),
        (["caption", "translate-numbers/elman", "a.png"], "this run is a translator; it can: translate, gates"),
        (["translate", "translate-numbers/elman", "one", "--test", "1"], "--test asks the test part alone"),
        (
            ["translate", "translate-numbers/elman", "--reference", "a", "--test", "1"],
            "--test asks the test part alone",
        ),
        (["translate", "translate-numbers/elman", "--file", "-", "--test", "1"], "--test asks the test part alone"),
        (["transcribe", "speech-prompts/elman", "a.wav", "--lm", "speech-prompts/elman"], "is a transcriber"),
        (["transcribe", "speech-prompts/elman", "a.wav", "--lm", "shakspeare-char/elman"], "did you mean 'shakesp"),
        (["transcribe", "speech-prompts/elman", "a.wav", "--lm-weight", "1"], "--lm-weight is for a language model"),
        (["transcribe", "speech-prompts/elman", "a.wav", "--tune-lm"], "--tune-lm is for a language model"),
        ([*LM, "--lm-weight", "-1"], "--lm-weight must be at least 0, got -1.0"),
        ([*LM, "--lm-weight", "1", "--tune-lm"], "--tune-lm chooses --lm-weight and --insertion-bonus"),
        ([*LM, "--beam", "1"], "--beam must be at least 2, got 1"),
        ([*LM, "--n-best", "17"], "n_best must be at least 1 and at most the beam of 16"),
        ([*LM, "--score"], "--score asks the whole test part"),
        (
            ["transcribe", "speech-prompts/elman", "a.wav", "--lm", "shakespeare-word/elman", "--lm-mode", "fusion"],
            "shallow fusion needs a language model of characters",
        ),
        (["forecast", "weather-nyc-24h/elman", "--horizon", "72"], "horizon must be from 1 to 71"),
        (["forecast", "weather-nyc-24h/elman", "--horizon", "30"], "horizon must be at most 24"),
        (["forecast", "weather-nyc-24h/elman", "--window", "9999"], "window must be from 0 to"),
        (["forecast", "weather-nyc-24h/elman", "--channel", "tmp"], "did you mean 'temp'"),
    ],
)
def test_wrong_questions_get_a_sentence(words: list[str], said: str, ask: Ask) -> None:
    code, _, told = ask(*words)
    assert code == 2
    assert said in told
