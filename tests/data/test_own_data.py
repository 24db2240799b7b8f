"""Data of the user by path and column: read as it is saved, wrong rows named by their line, no part in another."""

import gzip
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from scipy.io import wavfile

from rnnbench.architectures import GRU
from rnnbench.data import AudioFolder, HubDataset, ParallelText, SeriesCSV, TextCSV, TextFile
from rnnbench.data.module import SPLITS
from rnnbench.data.splits import complete_splits, stratified_group_splits
from rnnbench.data.tables import read_table
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import CACHE_VARIABLE
from tests.fixtures.quiet_trainer import trainer

WORDS = ("warm", "funny", "bright", "dull", "cold", "long")


def series_rows(count: int = 40) -> list[list[Any]]:
    """Series of 4 to 9 steps: machine, run, step, two inputs, their kind and load."""
    random = np.random.default_rng(0)
    return [
        [
            f"m{number // 4}",
            f"run {number}",
            step,
            *random.normal(number % 2, 1, 2).round(3),
            "ab"[number % 2],
            number / 10,
        ]
        for number in range(count)
        for step in range(int(random.integers(4, 10)))
    ]


HEADER = ["machine", "run", "step", "x", "y", "kind", "load"]


def csv_text(rows: Sequence[Sequence[Any]], header: Sequence[str] = HEADER, mark: str = ",") -> str:
    return "".join(mark.join(map(str, row)) + "\n" for row in [header, *rows])


def review_rows(count: int = 60) -> list[list[str]]:
    random = np.random.default_rng(0)
    return [
        [f"{random.choice(WORDS[3 * (number % 2) :][:3])} film number {number}", ("good", "bad")[number % 2]]
        for number in range(count)
    ]


def sentences(count: int = 40) -> tuple[list[str], list[str]]:
    return [f"see the {word} house" for word in words(count)], [f"mira la casa {word}" for word in words(count)]


def words(count: int) -> list[str]:
    return ["".join(chr(97 + int(letter)) for letter in f"{number:02}") + "x" for number in range(count)]


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def tone(pitch: float, seed: int = 0, rate: int = 8000) -> bytes:
    out, random = io.BytesIO(), np.random.default_rng(seed)
    sound = np.sin(np.arange(800) * pitch) + 0.1 * random.normal(size=800)
    wavfile.write(out, rate, (8000 * sound).astype(np.int16))
    return out.getvalue()


def write_clips(folder: Path, count: int = 8) -> str:
    for number in range(2 * count):
        kind = ("high", "low")[number % 2]
        write(folder / kind / f"speaker{number // 4}_{number}.wav", tone((0.9, 0.2)[number % 2], number))
    return str(folder)


def series(folder: Path, **options: Any) -> SeriesCSV:
    path = folder / "series.csv"
    if not path.exists():
        write(path, csv_text(series_rows()))
    return SeriesCSV(str(path), ["x", "y"], id="run", time="step", **options)


def reviews(folder: Path, **options: Any) -> TextCSV:
    return TextCSV(write(folder / "reviews.csv", csv_text(review_rows(), ["text", "mood"])), "text", "mood", **options)


def pairs(folder: Path) -> ParallelText:
    one, other = (write(folder / name, "\n".join(lines)) for name, lines in zip("ab", sentences(), strict=True))
    return ParallelText(one, other)


def hub_folder(folder: Path, make: Callable[[], dict[str, Any]], parts: Sequence[str] = SPLITS) -> str:
    """A data set as `save_to_disk` writes it, each part with the same columns."""
    datasets.DatasetDict({part: datasets.Dataset.from_dict(make()) for part in parts}).save_to_disk(str(folder / "set"))
    return str(folder / "set")


def columns(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> dict[str, Any]:
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def hub_series(folder: Path) -> Any:
    name = hub_folder(folder, lambda: columns(series_rows(), HEADER), ["train"])
    return HubDataset(name, inputs=["x", "y"], id="run", time="step", label="kind")


def hub_clips(folder: Path) -> Any:
    rows = [(tone((0.9, 0.2)[number % 2], number), ("high", "low")[number % 2]) for number in range(16)]
    made = {"audio": [{"bytes": content, "path": None} for content, _ in rows], "kind": [kind for _, kind in rows]}
    return HubDataset(hub_folder(folder, lambda: made, ["train"]), audio="audio", label="kind")


def hub_pairs(folder: Path) -> Any:
    name = hub_folder(folder, lambda: dict(zip(("en", "es"), sentences(), strict=True)))
    return HubDataset(name, source="en", target="es")


def hub_texts(folder: Path) -> Any:
    name = hub_folder(folder, lambda: columns(review_rows(), ["text", "mood"]), ["train", "test"])
    return HubDataset(name, text="text", label="mood")


ALL: dict[str, tuple[Callable[[Path], Any], str]] = {
    "series with a class": (lambda folder: series(folder, label="kind"), "classification"),
    "series with a value": (lambda folder: series(folder, target="load"), "regression"),
    "series to forecast": (
        lambda folder: SeriesCSV(write(folder / "one.csv", csv_text(
            [[step, np.sin(step / 5) + step % 3] for step in range(200)], ["hour", "x"])), ["x"], horizon=4),
        "horizon_forecast",
    ),
    "a text": (lambda folder: TextFile(write(folder / "text.txt", "the end of the line\n" * 60)), "character_model"),
    "texts": (reviews, "classification"),
    "texts in an order": (lambda folder: reviews(folder, ordered=True), "ordinal_classification"),
    "pairs": (pairs, "sequence_to_sequence"),
    "clips": (lambda folder: AudioFolder(write_clips(folder / "clips")), "classification"),
    "series of a hub": (hub_series, "classification"),
    "clips of a hub": (hub_clips, "classification"),
    "pairs of a hub": (hub_pairs, "sequence_to_sequence"),
    "texts of a hub": (hub_texts, "classification"),
    "a text of a hub": (
        lambda folder: HubDataset(hub_folder(folder, lambda: {"line": ["the end", "", "is here"] * 20}), text="line"),
        "language_model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALL)
def test_a_plain_trainer_trains_on_own_data_without_a_class_of_ones_own(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))  # other tests prepare data of the same content
    make, objective = ALL[kind]
    data = make(tmp_path)
    assert data.objective == objective  # known before anything is read
    assert not data.prepared
    model = GRU.from_data(data, hidden_size=4, layer_options={"engine": "reference"})
    runs = trainer(tmp_path, max_steps=2, limit_val_batches=1, limit_test_batches=1)
    runs.fit(model, datamodule=data)
    scores = runs.test(model, datamodule=data, verbose=False)[0]
    assert np.isfinite(scores["test/loss"])
    assert set(data.metadata()["baseline_scores"]) <= {name.removeprefix("test/") for name in scores} | {"unk_rate"}
    again = make(tmp_path)
    assert again.prepared
    assert again.metadata() == data.metadata()


def used(data: Any, column: str) -> dict[str, set[Any]]:
    return {split: {str(value) for value in data.table(split)[column][:]} for split in SPLITS}


def assert_apart(parts: dict[str, set[Any]]) -> None:
    assert all(parts.values())
    assert not parts["train"] & parts["validation"]
    assert not parts["train"] & parts["test"]
    assert not parts["validation"] & parts["test"]


def test_no_group_and_nothing_that_stands_twice_is_in_two_parts(tmp_path: Path) -> None:
    rows = series_rows(80)
    twins = [[*row[:1], f"twin of {row[1]}", *row[2:]] for row in rows]
    lines = csv_text(rows + [["other", *row[1:]] for row in twins])
    machine = dict(enumerate([""] + [line.split(",")[0] for line in lines.splitlines()]))
    data = SeriesCSV(write(tmp_path / "a.csv", lines), ["x", "y"], id="run", time="step", label="kind")
    assert_apart(used(data, "inputs"))
    data = SeriesCSV(write(tmp_path / "b.csv", csv_text(rows)), ["x", "y"], "run", label="kind", group="machine")
    data.prepare_data()
    begins = {split: {int(where.rsplit(" ", 1)[1]) for where in data.table(split)["where"][:]} for split in SPLITS}
    assert_apart({split: {machine[line] for line in some} for split, some in begins.items()})

    texts = [*review_rows(60), *([text.upper(), mood] for text, mood in review_rows(60))]
    read = TextCSV(write(tmp_path / "c.csv", csv_text(texts, ["text", "mood"])), "text", "mood")
    assert_apart({split: {text.lower() for text in some} for split, some in used(read, "text").items()})

    clips = write_clips(tmp_path / "clips", 20)
    for number in range(0, 40, 5):
        kind = ("high", "low")[number % 2]
        copied = (tmp_path / "clips" / kind / f"speaker{number // 4}_{number}.wav").read_bytes()
        write(tmp_path / "clips" / kind / f"copy{number}.wav", copied)
    assert_apart(used(AudioFolder(clips), "inputs"))

    ours, theirs = sentences(60)
    paths = [write(tmp_path / name, "\n".join(lines * 2)) for name, lines in (("en", ours), ("es", theirs))]
    assert_apart(used(ParallelText(paths[0], paths[1]), "source"))


def test_a_forecast_is_cut_at_moments_and_series_by_time_do_not_overlap(tmp_path: Path) -> None:
    rows = [[name, f"2024-01-{1 + step // 24:02} {step % 24:02}:00", step + 1000 * (name == "b")]
            for name in "ab" for step in range(100 * (name == "b"), 400)]  # fmt: skip
    path = write(tmp_path / "a.csv", csv_text(rows, ["id", "time", "x"]))
    data = SeriesCSV(path, ["x"], id="id", time="time", horizon=2, window=5, stride=1)
    data.prepare_data()
    _, (mean,), (deviation,) = data.units()
    steps = {split: {round(value * deviation + mean) % 1000 for one in data.table(split)["inputs"][:] for value in one}
             for split in SPLITS}  # fmt: skip
    assert max(steps["train"]) < min(steps["validation"]) <= max(steps["validation"]) < min(steps["test"])

    rows = [
        [f"s{number}", 10 * number + step, number % 2, "ab"[number % 2]] for number in range(40) for step in range(8)
    ]
    path = write(tmp_path / "b.csv", csv_text(rows, ["id", "time", "x", "kind"]))
    data = SeriesCSV(path, ["x"], id="id", time="time", label="kind", split="time")
    data.prepare_data()
    lines = {split: [int(where.rsplit(" ", 1)[1]) for where in data.table(split)["where"][:]] for split in SPLITS}
    assert max(lines["train"]) < min(lines["validation"]) <= max(lines["validation"]) < min(lines["test"])
    assert [len(lines[split]) for split in SPLITS] == [28, 6, 6]


def test_a_column_may_say_which_part_a_row_is_in(tmp_path: Path) -> None:
    rows = [[*row, ("train", "train", "valid", "test")[int(row[1][4:]) % 4]] for row in series_rows()]
    path = write(tmp_path / "a.csv", csv_text(rows, [*HEADER, "part"]))
    data = SeriesCSV(path, ["x"], "run", target=["load"], split="part")
    data.prepare_data()
    assert [len(data.table(split)) for split in SPLITS] == [20, 10, 10]
    with pytest.raises(RnnbenchError, match=r"a\.csv, line 2: column 'kind' is 'a', allowed are train, validation and"):
        SeriesCSV(path, ["x"], "run", target=["load"], split="kind").prepare_data()


def test_inputs_are_standardised_by_the_training_part_alone(tmp_path: Path) -> None:
    data = series(tmp_path, label="kind")
    data.setup()
    train = np.concatenate([np.reshape(one, (-1, 2)) for one in data.table("train")["inputs"][:]])
    assert train.mean(0) == pytest.approx([0, 0], abs=1e-6)
    assert train.std(0) == pytest.approx([1, 1], abs=1e-6)
    lines = csv_text([row[3:5] for row in series_rows() if row[1] == "run 0"], ["x", "y"])
    asked = data.inputs_of(Path(write(tmp_path / "one.csv", lines)))
    every = [one for split in SPLITS for one in data.table(split)["inputs"][:] if len(one) == asked.size]
    assert any(np.allclose(asked.ravel(), one) for one in every)
    assert list(data.all_inputs_of(tmp_path / "one.csv")) == [""]
    found = data.all_inputs_of(tmp_path / "series.csv")
    assert len(found) == sum(len(data.table(split)) for split in SPLITS)
    np.testing.assert_array_equal(found["run 0"], asked)
    with pytest.raises(RnnbenchError, match=rf"holds {len(found)} series, by its column 'run'; give one"):
        data.inputs_of(tmp_path / "series.csv")


def test_what_is_missing_is_refused_or_read_forward_and_never_a_target(tmp_path: Path) -> None:
    rows = [["" if step in (40, 190) else np.sin(step), step % 7] for step in range(200)]
    path = write(tmp_path / "a.csv", csv_text(rows, ["x", "y"]))
    with pytest.raises(
        RnnbenchError, match=r"a.csv, line 42: column 'x' has no value \(2 missing in all\); with missing"
    ):
        SeriesCSV(path, ["x", "y"], horizon=3).prepare_data()
    data = SeriesCSV(path, ["x", "y"], horizon=3, missing="forward", stride=1)
    data.prepare_data()
    targets = np.array(data.table("train")["targets"][:]).reshape(-1, 2)
    assert np.isnan(targets[:, 0]).any()
    assert not np.isnan(targets[:, 1]).any()
    assert np.isfinite(np.array(data.table("train")["inputs"][:])).all()
    assert all(np.isfinite(value) for value in data.metadata()["baseline_scores"].values())


def german(content: str) -> str:
    return content.replace(",", ";").replace(".", ",")


SAVED: dict[str, tuple[Callable[[str], bytes], dict[str, Any]]] = {
    "tabs": (lambda text: text.replace(",", "\t").encode(), {}),
    "gzip": (lambda text: gzip.compress(text.encode()), {}),
    "semicolons and decimal commas": (lambda text: german(text).encode(), {"decimal": ","}),
    "Latin-1": (lambda text: text.replace("kind", "kînd").encode("latin-1"), {"encoding": "latin-1", "label": "kînd"}),
    "UTF-16": (lambda text: text.encode("utf-16"), {"encoding": "utf-16"}),
    "lines of Windows": (lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(), {}),
}  # fmt: skip


@pytest.mark.parametrize("state", SAVED)
def test_a_table_is_the_same_however_it_was_saved(state: str, tmp_path: Path) -> None:
    change, options = SAVED[state]
    plain = series(tmp_path, label="kind").metadata()
    path = write(tmp_path / "changed.csv", change(csv_text(series_rows())))
    data = SeriesCSV(path, ["x", "y"], id="run", time="step", **{"label": "kind", **options})
    assert data.metadata() == plain


def test_a_parquet_file_is_the_same_as_a_csv_file(tmp_path: Path) -> None:
    plain = series(tmp_path, label="kind").metadata()
    datasets.Dataset.from_dict(columns(series_rows(), HEADER)).to_parquet(str(tmp_path / "a.parquet"))
    data = SeriesCSV(str(tmp_path / "a.parquet"), ["x", "y"], id="run", time="step", label="kind")
    assert data.metadata() == plain


def test_quoted_fields_have_delimiters_and_ends_of_lines_and_lines_are_counted_right(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, 'text,mood\n"one, two\nthree ""four""",good\n\nfive,bad\n')
    table = read_table(path)
    assert table.columns == {"text": ['one, two\nthree "four"', "five"], "mood": ["good", "bad"]}
    assert table.lines == [2, 5]


BROKEN: list[tuple[bytes, str]] = [
    (b"x,kind,run\n1,a,1\n2,a\n", "line 3 has 2 fields, but the header has 3"),
    (b"x,kind,run\n1,a,1\n2,a,1,4\n", "line 3 has 4 fields, but the header has 3"),
    (b'x,kind,run\n1,a,1\n"2,a,1\n3,a,1\n', "line 3: unexpected end of data"),
    (b"x,kind,run\n1,a,1\nbig,a,1\n", "line 3: column 'x' is 'big', not a finite number"),
    (b"x,kind,run\n1,a,1\ninf,a,1\n", "line 3: column 'x' is 'inf', not a finite number"),
    (b"x,kind,run\n1,a,1\n2,b,1\n", "line 3: 'kind' is 'b', but 'a' in .*line 2 of the same series"),
    (b"x,kind,run\n1,a,1\n2,,2\n", "line 3: the series that begins here has no 'kind'"),
    (b"x,kind,run\n1,a,1\n2,b,\n", "line 3: column 'run' is empty"),
    (b"x,kind,x\n1,a,1\n", "line 1: two columns are named 'x'"),
    (b"x,kin,run\n1,a,1\n", "unknown column 'kind'; did you mean 'kin'"),
    (b"x,kind,run\n", "has no rows"),
    (b"", "is empty"),
    (b"x,kind,run\n1,caf\xe9,1\n", "line 2, byte 6: not UTF-8 .*or set encoding"),
    (gzip.compress(b"x,kind,run\n1,a,1\n", mtime=0)[:-9], "is damaged"),
    (b"x,kind,run\n1,a,1\n2,b,2\n", "the validation part has no series"),
]


@pytest.mark.parametrize(("content", "why"), BROKEN)
def test_a_wrong_row_is_named_by_file_and_line(content: bytes, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(RnnbenchError, match=rf"a\.csv.*{why}"):
        SeriesCSV(path, ["x"], "run", label="kind").prepare_data()


def test_times_are_checked_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,when,x,y\na,2024-01-01,1,1\na,2024-01-01,1,1\nb,31.12.2024,1,2\n")
    with pytest.raises(
        RnnbenchError, match=r"line 4: column 'when' is '31\.12\.2024', not a number or a date such as 2024"
    ):
        SeriesCSV(path, ["x"], "id", time="when", target="y").prepare_data()
    with pytest.raises(RnnbenchError, match="line 2: column 'when' is '2024-01-01', not a date of the format"):
        SeriesCSV(path, ["x"], "id", time="when", target="y", time_format="%d.%m.%Y").prepare_data()
    path = write(tmp_path / "b.csv", "id,when,x,y\na,2024-01-01,1,1\na,2024-01-01,1,1\n")
    with pytest.raises(RnnbenchError, match=r"b\.csv, line 3: the same time in 'when' as .*b\.csv, line 2"):
        SeriesCSV(path, ["x"], "id", time="when", target="y").prepare_data()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "give one of label .*, target .* and horizon .*, got none of them"),
        ({"label": "a", "horizon": 3}, "got label and horizon"),
        ({"label": "a"}, "label needs id"),
        ({"label": "x", "id": "run"}, "column 'x' is named twice: an answer may not be an input"),
        ({"label": "a", "id": "run", "known": ["b"]}, "known are columns that are known ahead in a forecast"),
        ({"label": "a", "id": "run", "split": "time"}, "split 'time' needs time"),
        ({"horizon": 3, "window": 3}, "horizon must be at least 1 and less than window=3, got 3"),
        ({"horizon": 3, "stride": 0}, "stride must be at least 1"),
        ({"horizon": 3, "encoding": "utf8x"}, "encoding 'utf8x' is not known"),
        ({"horizon": 3, "delimiter": "::"}, "delimiter must be a single character"),
        ({"horizon": 3, "missing": "drop"}, "missing must be 'refuse' or 'forward'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_a_file_is_read(options: dict[str, Any], why: str) -> None:
    with pytest.raises(RnnbenchError, match=why):
        SeriesCSV("nowhere.csv", ["x"], **options)


def test_texts_and_pairs_that_are_wrong_are_named_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", csv_text([["a text", "good"], ["another", ""]], ["text", "mood"]))
    with pytest.raises(RnnbenchError, match=r"a\.csv, line 3: column 'mood' is empty"):
        TextCSV(path, "text", "mood").prepare_data()
    one, other = write(tmp_path / "en", "a\nb\n\nd\n"), write(tmp_path / "es", "a\nb\nc\n")
    with pytest.raises(RnnbenchError, match="en, line 3 is empty"):
        ParallelText(one, other).prepare_data()
    write(tmp_path / "en", "a\nb\nc\nd\n")
    with pytest.raises(RnnbenchError, match=r"en has 4 lines, .*es 3: line by line"):
        ParallelText(one, other).prepare_data()


def test_recordings_that_are_wrong_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    write_clips(folder)
    with pytest.raises(RnnbenchError, match=r"high/speaker0_0\.wav: its name has no group, nothing in it matches"):
        AudioFolder(str(folder), group="voice").prepare_data()
    write(folder / "low" / "z.mp3", b"")
    with pytest.raises(RnnbenchError, match=r"z\.mp3 is not a WAV file: convert it"):
        AudioFolder(str(folder)).prepare_data()
    (folder / "low" / "z.mp3").unlink()
    write(folder / "low" / "z.wav", tone(1, rate=4000))
    with pytest.raises(RnnbenchError, match=r"z\.wav has 4000 samples|has 8000 samples a second, those before it 4000"):
        AudioFolder(str(folder)).prepare_data()
    with pytest.raises(RnnbenchError, match="must have a sub-folder for each of at least two classes, has none"):
        AudioFolder(str(folder / "low")).prepare_data()


def test_a_folder_of_recordings_may_have_its_own_parts(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("test", 3)):
        write_clips(tmp_path / part, count)
    data = AudioFolder(str(tmp_path))
    data.prepare_data()
    assert [len(data.table(split)) for split in SPLITS] == [10, 2, 6]
    assert data.classes == ("high", "low")


def test_a_hub_dataset_is_what_its_columns_say(tmp_path: Path) -> None:
    for options, why in (
        ({}, "HubDataset: no columns named: name text; text and label;"),
        ({"text": "a", "audio": "b"}, "audio, text named"),
        ({"text": "a", "horizon": 3}, "horizon, text named"),
        ({"text": "a", "max_length": 3}, "unknown argument of HubDataset with text 'max_length'"),
        ({"inputs": ["a"], "id": "b"}, "got none of them"),
    ):
        with pytest.raises(RnnbenchError, match=why):
            HubDataset("some/set", **options)
    name = hub_folder(tmp_path, lambda: columns(review_rows(), ["text", "mood"]), ["train"])
    with pytest.raises(RnnbenchError, match="split 'train': unknown column 'words'"):
        HubDataset(name, text="words", label="mood").prepare_data()
    data: Any = HubDataset(name, text="text", label="mood")
    assert data.classes == ("bad", "good")


def test_prepared_data_is_known_by_its_content(tmp_path: Path) -> None:
    data = reviews(tmp_path)
    before = data.folder
    moved = TextCSV(write(tmp_path / "elsewhere" / "moved.csv", Path(data.path).read_bytes()), "text", "mood")
    assert moved.folder == before
    write(Path(data.path), Path(data.path).read_text() + "one more,good\n")
    assert data.folder != before


def test_a_home_folder_is_expanded_and_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = "~/a.csv"
    for data in (SeriesCSV(path, ["x"], horizon=1), TextFile(path), TextCSV(path, "a", "b"), AudioFolder(path)):
        assert data.path == str(tmp_path / "a.csv")
        assert data.hparams["path"] == "~/a.csv"
    assert ParallelText("~/a", "~/b").target == str(tmp_path / "b")


def divided(some: Any, cuts: tuple[float, float], labels: list[str], seed: int) -> Any:
    return stratified_group_splits(some, labels, seed, cuts)


def test_parts_are_completed_and_every_class_is_trained_on() -> None:
    labels = ["a"] * 20 + ["b"] * 3 + ["c"]
    for seed in range(5):
        rows = stratified_group_splits(range(24), labels, seed)
        assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(24))
        assert {labels[row] for row in rows["train"]} == {"a", "b", "c"}
        for lacking in (["validation"], ["test"], ["validation", "test"]):
            parts: Any = {
                split: list(range(24)) if split == "train" else [99] for split in SPLITS if split not in lacking
            }
            divide: Any = partial(divided, labels=labels, seed=seed)
            done = complete_splits(parts, divide)
            drawn = [item for split in ("train", *lacking) for item in done[split]]  # type: ignore[index]
            assert sorted(drawn) == list(range(24))
            assert all(len(done[split]) for split in lacking)  # type: ignore[index]
