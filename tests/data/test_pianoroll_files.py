"""Piano rolls in files of the user: what is read, what is refused, and by what prepared data is known."""

import math
import pickle
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from rnnbench.cli import main
from rnnbench.config.cards import TaskCard
from rnnbench.data import PianoRoll
from rnnbench.data import pianoroll_files as matfile
from rnnbench.data.module import SPLITS
from rnnbench.data.pianoroll_files import UnreadVariable, read_mat, read_rolls
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.objectives import MultiLabelFrames

SEQUENCES: dict[str, list[list[list[int]]]] = {
    "train": [[[60, 64], [], [21, 108]], [[62], [62, 65]]],
    "valid": [[[50], [51], [52], [53]]],
    "test": [[[60, 64], [60]], [[30], [], []]],
}


def matrices(sequences: list[list[list[int]]]) -> np.ndarray:
    cells = np.empty((1, len(sequences)), object)
    for place, sequence in enumerate(sequences):
        cells[0, place] = np.zeros((len(sequence), 88))
        for step, notes in enumerate(sequence):
            cells[0, place][step, [note - 21 for note in notes]] = 1
    return cells


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """Writes a pickle with parts laid over good ones, and gives its path."""

    def write(name: str = "jsb.pickle", **parts: Any) -> str:
        (tmp_path / name).write_bytes(pickle.dumps({**SEQUENCES, **parts}))
        return str(tmp_path / name)

    return write


@pytest.fixture
def matlab(tmp_path: Path) -> Callable[..., str]:
    """Writes a MATLAB file with parts laid over good ones, and gives its path."""

    def write(**parts: Any) -> str:
        whole = {f"{part}data": matrices(some) for part, some in SEQUENCES.items()}
        path = str(tmp_path / "jsb.mat")
        savemat(path, {**whole, **parts})
        return path

    return write


def test_both_layouts_give_the_frames_that_were_written(
    written: Callable[..., str], matlab: Callable[..., str]
) -> None:
    modules = [PianoRoll(written()), PianoRoll(matlab())]
    for data in modules:
        data.setup()
    for split, part in zip(SPLITS, SEQUENCES, strict=True):
        one, other = (data.stores[split] for data in modules)
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
        assert torch.equal(one.offsets, other.offsets)
        steps = [pair for sequence in SEQUENCES[part] for pair in pairwise(sequence)]
        for values, place in ((one.inputs, 0), (one.targets, 1)):
            found = [sorted((row.nonzero().flatten() + 21).tolist()) for row in values.reshape(-1, 88)]
            assert found == [pair[place] for pair in steps]
    assert modules[0].metadata() == modules[1].metadata()


def test_prepared_data_is_known_by_the_content_of_its_file(written: Callable[..., str], tmp_path: Path) -> None:
    path = Path(written())
    folder = PianoRoll(str(path)).folder
    moved = path.rename(tmp_path / "other.pickle")
    assert PianoRoll(str(moved), batch_size=3).folder == folder
    changed = written("other.pickle", valid=[[[60], [61]]])
    assert PianoRoll(changed).folder != folder


def test_a_file_that_changes_while_it_is_being_prepared_is_refused(written: Callable[..., str]) -> None:
    data = PianoRoll(written(valid=[[[60], [66]]]))
    assert not data.prepared
    written(valid=[[[60], [67]]])
    with pytest.raises(RnnbenchError, match="has changed while it was being prepared"):
        data.prepare_data()


def test_without_a_path_it_says_which_argument_to_set() -> None:
    data = PianoRoll()
    assert not data.prepared
    with pytest.raises(DataUnavailable, match=r"set path to a file that ends in \.pickle, \.pkl, \.mat"):
        data.prepare_data()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RnnbenchError, match=r"cannot read .*absent\.pkl: No such file"):
        PianoRoll(str(tmp_path / "absent.pkl")).prepare_data()


class Malicious:
    """What runs code when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_unrun(protocol: int, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "bad.pickle"
    path.write_bytes(pickle.dumps({**SEQUENCES, "more": Malicious(mark)}, protocol))
    with pytest.raises(RnnbenchError, match=r"bad\.pickle cannot be read as a pickle: it asks for .* but only lists"):
        PianoRoll(str(path)).prepare_data()
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # so the file was no blank


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_of_every_protocol_are_read(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps({part: tuple(map(tuple, some)) for part, some in SEQUENCES.items()}, protocol))
    PianoRoll(str(path)).prepare_data()


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"valid": [[[60], [20]]]}, "valid, sequence 1, frame 2: a note must be a MIDI number from 21 to 108, got 20"),
        ({"test": [[[60], [60]], [[109], []]]}, "test, sequence 2, frame 1: a note must be .* got 109"),
        ({"train": [[[60.5], []]]}, "got 60.5"),
        ({"train": [[[True], []]]}, "got True"),
        ({"train": [[["60"], []]]}, "got '60'"),
        ({"train": [[[60], [61]], []]}, "train, sequence 2 must have at least 2 frames, .* got 0"),
        ({"train": [[[60]]]}, "train, sequence 1 must have at least 2 frames, .* got 1"),
        ({"train": []}, "train must be sequences, at least one, got an empty list"),
        ({"train": {"a": 1}}, "train must be sequences, at least one, got dict"),
        ({"train": [7]}, "train, sequence 1 must be a list of frames, got int"),
        ({"train": [[[60], 61]]}, "train, sequence 1, frame 2 must be a list of MIDI numbers, got int"),
    ],
)
def test_what_is_wrong_in_a_pickle_is_named_with_its_place(
    parts: dict[str, Any], told: str, written: Callable[..., str]
) -> None:
    with pytest.raises(RnnbenchError, match=rf"jsb\.pickle: {told}|jsb\.pickle: .*{told}"):
        PianoRoll(written(**parts)).prepare_data()


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            {"testdata": np.zeros((2, 88))},
            r"testdata must be sequences, at least one, got ndarray \[2, 88\] of float64",
        ),
        ({"traindata": matrices([[[60]]])}, "traindata, sequence 1 must have at least 2 frames"),
        (
            {"traindata": np.array([[np.zeros((3, 87)), 1]], object)},
            r"sequence 1 must be a matrix \[T, 88\] of numbers",
        ),
        (
            {"validdata": np.array([[np.full((3, 88), 0.5), 1]], object)},
            "sequence 1 must be 0 or 1 everywhere, got 0.5",
        ),
    ],
)
def test_what_is_wrong_in_a_matlab_file_is_named_with_its_place(
    parts: dict[str, Any], told: str, matlab: Callable[..., str]
) -> None:
    with pytest.raises(RnnbenchError, match=rf"jsb\.mat: .*{told}|jsb\.mat: {told}"):
        PianoRoll(matlab(**parts)).prepare_data()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.pkl", pickle.dumps([1]), "has no 'train' .found: list"),
        ("a.pkl", pickle.dumps({"train": []}), "must be sequences"),
        ("a.pkl", pickle.dumps({"valid": []}), r"has no 'train' \(found: \['valid'\]\)"),
        ("a.pkl", b"not a pickle", "cannot be read as a pickle"),
        ("a.pkl", b"", "a.pkl is empty"),
        ("a.mat", b"not a matrix" * 20, "cannot be read as a MATLAB file"),
    ],
)
def test_a_file_of_another_layout_is_refused(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RnnbenchError, match=told):
        PianoRoll(str(tmp_path / name)).prepare_data()


@pytest.mark.parametrize(
    "content", [{**SEQUENCES, "train": [[[10**5000]]]}, {10**5000: 1}, {"train": [[["x" * 9999], []]]}]
)
def test_whatever_a_pickle_holds_is_told_briefly(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(RnnbenchError) as caught:
        PianoRoll(str(path)).prepare_data()
    assert len(str(caught.value)) < 200 + len(str(path))


def test_a_few_bytes_that_would_take_gigabytes_are_refused() -> None:
    content = b"\x80\x02]r\xff\xff\xff\x3f."  # keeps an empty list as object 2³⁰ − 1, in a table of that size
    with pytest.raises(
        RnnbenchError, match=r"a\.pickle cannot be read as a pickle: byte 4: object 1073741823 of 9 bytes"
    ):
        read_rolls(content, "a.pickle")


# --- MATLAB files


def saved(packed: bool = False, **variables: Any) -> bytes:
    file = BytesIO()
    savemat(file, variables, do_compression=packed)  # type: ignore[arg-type]  # it takes an open file too
    return file.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i2", "i8", "f4", "f8", "?"])
def test_matrices_and_cells_are_read_as_they_were_saved(kind: str, packed: bool) -> None:
    matrix = (np.arange(12).reshape(4, 3) % 2).astype(kind)
    cells = np.empty((1, 3), object)
    cells[0, :] = [matrix, matrix[:1], np.zeros((0, 0))]
    found = read_mat(saved(matrix=matrix, cells=cells, text="abc", record={"a": 1}, packed=packed))
    assert list(found) == ["matrix", "cells", "text", "record"]
    for one, other in zip([matrix, *cells[0]], [found["matrix"], *found["cells"]], strict=True):
        assert np.array_equal(one, other)
    assert (found["text"], found["record"]) == (UnreadVariable("text"), UnreadVariable("struct"))


def test_a_damaged_matlab_file_is_refused_whatever_is_wrong_with_it() -> None:
    cells = np.empty((1, 2), object)
    cells[0, :] = [np.eye(5, 88), np.eye(3, 88)]
    random = np.random.default_rng(0)
    for packed in (False, True):
        content = saved(traindata=cells, validdata=cells, testdata=cells, packed=packed)
        whole = read_rolls(content, "a.mat")
        refused = 0
        for _ in range(300):
            damaged = bytearray(content)
            for place in random.integers(124, len(content), 3):
                damaged[place] = random.integers(256)
            try:
                rolls = read_rolls(bytes(damaged[: random.integers(1, len(content) + 1)]), "a.mat")
            except RnnbenchError:
                refused += 1
            else:
                assert rolls.keys() == whole.keys()
        assert refused > 250


def test_a_variable_that_unpacks_to_more_than_memory_should_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matfile, "MAX_VARIABLE_BYTES", 10_000)
    content = saved(traindata=np.zeros((1000, 88)), packed=True)
    assert len(content) < 2000
    with pytest.raises(RnnbenchError, match=r"a\.mat cannot be read as a MATLAB file: a variable has more than 10000"):
        read_rolls(content, "a.mat")


def test_the_chance_on_the_card_holds_for_any_file(written: Callable[..., str]) -> None:
    data, objective = PianoRoll(written()), MultiLabelFrames(2, 1, 88)
    data.setup("test")
    targets = data.stores["test"].targets.reshape(1, -1, 88)
    summed, count = objective.loss(torch.zeros_like(targets), targets)
    chance = TaskCard.load("piano-roll").chance.value
    assert chance == 88 * math.log(2)
    assert math.isclose(summed / count, chance, rel_tol=1e-6)


def test_data_that_only_the_user_has_is_listed_and_left_out_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["data", "list"]) == 0
    assert "a file of yours (path)" in capsys.readouterr().out
    assert main(["data", "fetch", "piano-roll"]) == 2
    assert "set path to a file that ends in" in capsys.readouterr().err
    monkeypatch.setattr("rnnbench.cli.data.catalogue", lambda kind: {"piano-roll": Path()})
    assert main(["data", "fetch"]) == 0
    assert "piano-roll: left out, its data comes from where you say (path)" in capsys.readouterr().out
