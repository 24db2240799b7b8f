"""Data: definitions of the tasks, splits that do not leak, batches that lose nothing."""

import json
import math
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from rnnbench.data import (
    Adding,
    BachChorales,
    CopyMemory,
    FolkABC,
    JapaneseVowels,
    MNIST5k,
    MovieSentiment,
    Parity,
    PianoRoll,
    PortugueseTags,
    SelectiveCopy,
    SequenceDataModule,
    Shakespeare,
    WeatherNYC,
)
from rnnbench.data import batches as batches_module
from rnnbench.data.batches import GlobalBatches, SequenceStore
from rnnbench.data.weather import read_stations

ALL: list[Any] = [
    lambda **more: Adding(8, 128, 16, **more),
    lambda **more: CopyMemory(5, 128, 16, **more),
    lambda **more: WeatherNYC(20, 8, 10, 16, **more),
    lambda **more: MovieSentiment(40, 16, 16, **more),
    lambda **more: SelectiveCopy(8, 128, 16, symbols=3, **more),
    lambda **more: Parity(5, 128, 16, **more),
    lambda **more: MNIST5k("rows", 16, **more),
    lambda **more: JapaneseVowels(16, **more),
    lambda **more: PortugueseTags(40, 16, **more),
    lambda **more: FolkABC(200, 16, **more),
    lambda **more: BachChorales(16, **more),
]


def test_adding_marks_one_step_of_each_half_and_asks_for_their_sum() -> None:
    data = Adding(9, 200, 16)
    data.setup()
    inputs, targets, lengths = data.stores["train"].batch(range(200))
    values, markers = inputs.unbind(-1)
    assert lengths is None
    assert torch.equal(markers[:, :4].sum(1), torch.ones(200))
    assert torch.equal(markers[:, 4:].sum(1), torch.ones(200))
    assert torch.allclose((values * markers).sum(1, keepdim=True), targets)
    assert 0 <= values.min() < 0.05 < 0.95 < values.max() <= 1


def test_always_answering_one_scores_the_stated_chance() -> None:
    data = Adding(8, 20_000, 16)
    data.setup()
    targets = data.stores["train"].targets
    assert math.isclose((targets - 1).square().mean(), data.metadata()["baseline_scores"]["mse"], rel_tol=0.03)


def test_copy_memory_asks_for_the_ten_symbols_after_the_delay() -> None:
    data = CopyMemory(7, 64, 16)
    data.setup()
    inputs, targets, _ = data.stores["train"].batch(range(64))
    assert inputs.shape == targets.shape == (64, 27)
    symbols = inputs[:, :10]
    assert torch.equal(targets[:, -10:], symbols)
    assert set(symbols.flatten().tolist()) == set(range(1, 9))
    assert (inputs[:, 16] == 9).all()
    assert not inputs[:, 10:16].any()
    assert not inputs[:, 17:].any()
    assert not targets[:, :17].any()


def test_the_best_guess_without_memory_scores_the_stated_chance() -> None:
    data = CopyMemory(7, 64, 16)
    data.setup("test")
    _, targets, _ = data.stores["test"].batch(range(100))
    share = torch.zeros(27, 9)
    share[:17, 0], share[17:, 1:] = 1.0, 1 / 8
    nats = -share.gather(1, targets.T).log().mean()
    assert math.isclose(nats, data.metadata()["baseline_scores"]["cross_entropy"], rel_tol=1e-6)


@pytest.mark.usefixtures("module_stand_ins")
def test_weather_is_standardised_by_the_training_part_alone() -> None:
    data = WeatherNYC(20, 8, 10)
    stations = [*read_stations(data.sources[0].path).values()]
    assert [len(station) for station in stations] == [1000] * 3
    train = pd.concat([station[:700] for station in stations])
    expected = ((stations[0][850:] - train.mean()) / train.std(ddof=0)).to_numpy(np.float32)
    data.setup("test")
    inputs, _, _ = data.stores["test"].batch([0])
    measured = ~np.isnan(expected[:20])
    assert torch.allclose(inputs[0][measured], torch.from_numpy(expected[:20][measured]), atol=1e-5)


@pytest.mark.usefixtures("module_stand_ins")
def test_weather_is_filled_forward_only_and_missing_targets_are_not_scored() -> None:
    data = WeatherNYC(20, 8, 10)
    data.setup("fit")
    inputs, targets, _ = data.stores["train"].batch([0])
    assert torch.equal(inputs[0, 7, 5], inputs[0, 6, 5])
    assert targets[0, 6, 5].isnan()
    assert inputs[0, 0, 5] == 0  # nothing measured yet: the training mean
    assert not inputs.isnan().any()
    assert torch.equal(inputs[0, 1:, 0], targets[0, :-1, 0])


@pytest.mark.usefixtures("module_stand_ins")
def test_a_test_window_of_the_weather_has_an_airport_and_hours() -> None:
    data = WeatherNYC(20, 8, 10)
    data.setup("test")
    windows = len(data.stores["test"]) // 3
    archive = read_stations(data.sources[0].path)
    for number, airport, first in ((0, "EWR", 850), (windows + 2, "JFK", 850 + 2 * 12), (3 * windows - 1, "LGA", None)):
        place, hours = data.window_origin(number)
        assert (place, len(hours)) == (airport, 20)
        if first is not None:
            assert hours == list(archive[airport].index[first + 1 : first + 21])
        measured = archive[airport]["temp"].reindex(pd.DatetimeIndex(hours[8:])).to_numpy()
        mean, deviation = (values[0] for values in data.units()[1:])
        targets = data.stores["test"].batch([number])[1][0, 8:, 0].numpy()
        known = ~np.isnan(measured)
        assert np.allclose(targets[known] * deviation + mean, measured[known], atol=1e-3)
    assert len(data.channel_units()) == len(data.units()[0])


@pytest.mark.usefixtures("module_stand_ins")
def test_the_impossible_wind_and_the_missing_hour_are_missing() -> None:
    station = read_stations(WeatherNYC.sources[0].path)["EWR"]
    assert math.isnan(station["wind_speed"].iloc[60])
    assert station.iloc[50].isna().all()


@pytest.mark.usefixtures("module_stand_ins")
def test_every_hour_of_a_test_is_scored_once_and_never_without_its_context() -> None:
    data = WeatherNYC(20, 8, 10)
    data.setup("test")
    store = data.stores["test"]
    _, targets, _ = store.batch(range(len(store)))
    assert targets[:, :8].isnan().all()
    per_station = targets[: len(store) // 3, 8:, 0].flatten()
    station = read_stations(data.sources[0].path)["EWR"][850:]
    expected = station["temp"].to_numpy(np.float32)[9 : 9 + len(per_station)]
    known = ~np.isnan(expected)
    assert torch.equal(per_station.isnan(), torch.from_numpy(~known))
    slope = np.polyfit(expected[known], per_station.numpy()[known], 1, full=True)
    assert slope[1].sum() < 1e-6  # the same hours in the same order, up to the standardisation


@pytest.mark.usefixtures("module_stand_ins")
def test_persistence_is_what_the_last_measured_value_scores() -> None:
    data = WeatherNYC(20, 8, 10)
    data.setup("test")
    inputs, targets, _ = data.stores["test"].batch(range(len(data.stores["test"])))
    errors = (inputs - targets)[~targets.isnan()]
    scores = data.metadata()["baseline_scores"]
    assert math.isclose(errors.square().mean().sqrt(), scores["rmse"], rel_tol=1e-5)
    assert math.isclose(errors.abs().mean(), scores["mae"], rel_tol=1e-5)


@pytest.mark.usefixtures("module_stand_ins")
def test_a_vocabulary_has_the_most_frequent_words_of_the_training_part() -> None:
    data = MovieSentiment(40, 16, 16)
    words = [data.tokenizer.id_to_token(index) for index in range(40)]
    assert words[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    counted = Counter(" ".join(data.table("train")["text"]).lower().replace(",", " , ").split())
    assert data.model_kwargs()["input_size"] == 40
    assert min(counted[word or ""] for word in words[4:]) >= max(counted[word] for word in set(counted) - set(words))
    assert "film" in words


@pytest.mark.usefixtures("module_stand_ins")
def test_sentences_are_lower_cased_and_unknown_words_are_marked() -> None:
    data = MovieSentiment(12, 16, 16)
    assert data.tokenizer.token_to_id("a") is not None
    assert data.tokenizer.token_to_id("A") is None
    assert 1 in {index for row in data.table("test") for index in row["inputs"]}
    assert 0 not in {index for row in data.table("test") for index in row["inputs"]}


@pytest.mark.usefixtures("module_stand_ins")
def test_a_sentence_that_stands_twice_is_used_once_and_splits_share_none() -> None:
    data = MovieSentiment(40, 16, 16)
    texts = {split: list(data.table(split)["text"]) for split in ("train", "validation", "test")}
    every = [text for some in texts.values() for text in some]
    assert len(every) == len(set(every)) == 400
    assert [len(some) for some in texts.values()] == [280, 60, 60]


@pytest.mark.usefixtures("module_stand_ins")
def test_the_majority_class_scores_what_is_stated() -> None:
    data = MovieSentiment(40, 16, 16)
    train, test = (np.array(data.table(split)["targets"]) for split in ("train", "test"))
    majority = np.bincount(train).argmax()
    scores = data.metadata()["baseline_scores"]
    assert scores["accuracy"] == (test == majority).mean()
    precision, recall = (test == majority).mean(), 1.0
    assert math.isclose(scores["macro_f1"], 2 * precision * recall / (precision + recall) / 5)


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("make", ALL)
def test_data_is_the_same_again_and_changes_with_its_seed_alone(make: Any) -> None:
    first = make().metadata()["fingerprint"]
    assert make(shuffle_seed=5).metadata()["fingerprint"] == first
    changed = make(data_seed=5)
    assert (changed.metadata()["fingerprint"] != first) == (not isinstance(changed, WeatherNYC))


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("make", ALL)
def test_an_epoch_reads_every_training_sequence_once_in_a_new_order(make: Any) -> None:
    data = make()
    data.setup("fit")
    loader = data.train_dataloader()
    orders = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        orders.append([index for batch in loader.batch_sampler for index in batch])
        assert list(loader.sampler) == orders[-1]
        assert len(list(loader.batch_sampler)) == len(loader)
        assert sorted(orders[-1]) == list(range(len(data.stores["train"])))
    assert orders[0] != orders[1]


def test_more_training_sequences_leave_the_test_as_it_is() -> None:
    few, many = Adding(8, 100, 16), Adding(8, 300, 16)
    for data in (few, many):
        data.setup("test")
    assert torch.equal(few.stores["test"].inputs, many.stores["test"].inputs)


def test_padded_batches_hold_each_sequence_and_its_length() -> None:
    inputs, targets = torch.arange(1, 7), torch.arange(11, 17)
    store = SequenceStore(inputs, torch.tensor([0, 3, 4, 6]), targets, per_step=True, unknown=-100)
    batch = store.batch([2, 0])
    assert batch.inputs.tolist() == [[5, 6, 0], [1, 2, 3]]
    assert batch.targets.tolist() == [[15, 16, -100], [11, 12, 13]]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [2, 3]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_processes_share_each_batch_and_read_a_test_exactly_once(
    world: int, shuffle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = torch.tensor([3, 1, 2, 5, 4, 2, 7])
    whole = [batch.tolist() for batch in GlobalBatches(lengths, 3, shuffle).all_batches()]
    shares = []
    for rank in range(world):
        monkeypatch.setattr(batches_module, "_process", lambda rank=rank: (rank, world))
        sampler = GlobalBatches(lengths, 3, shuffle)
        shares.append(list(sampler.batches()))
        assert len(shares[-1]) == sampler.number_of_batches()
        assert list(sampler) == [index for batch in shares[-1] for index in batch]
    if shuffle:
        assert len({len(share) for share in shares}) == 1
    else:
        assert sorted(index for share in shares for batch in share for index in batch) == list(range(7))
    for number, batch in enumerate(whole[:2]):
        if all(len(share) > number for share in shares):
            assert sorted(index for share in shares for index in share[number]) == sorted(batch) or shuffle


def test_sequences_of_similar_length_are_batched_together() -> None:
    lengths = torch.from_numpy(np.random.default_rng(0).integers(1, 50, 640))
    spreads = [np.ptp(lengths[batch].numpy()) for batch in GlobalBatches(lengths, 32, shuffle=True).batches()]
    assert np.mean(spreads) < 10


def test_two_at_once_prepare_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    build_splits = Adding.build_splits

    def count(self: Adding, folder: Path) -> Any:
        made.append(folder)
        return build_splits(self, folder)

    monkeypatch.setattr(Adding, "build_splits", count)
    modules = [Adding(7, 333, 16) for _ in range(4)]
    threads = [threading.Thread(target=module.prepare_data) for module in modules]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all(module.metadata()["output_size"] == 1 for module in modules)


def test_what_fails_while_being_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Adding(7, 334, 16)

    def fail(self: Any, folder: Path) -> Any:
        (folder / "half").write_text("")
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Adding, "build_splits", fail)
        with pytest.raises(RuntimeError, match="no"):
            data.prepare_data()
    assert not data.folder.exists()
    assert not list(data.folder.parent.glob(f".{data.folder.name}*"))
    data.prepare_data()
    assert json.loads((data.folder / "metadata.json").read_text())["input_size"] == 2


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Adding(length=1), "length must be at least 2, got 1"),
        (lambda: Adding(train_size=0), "train_size"),
        (lambda: CopyMemory(length=0), "length"),
        (lambda: WeatherNYC(window=5, context=5), "context"),
        (lambda: WeatherNYC(stride=0), "stride"),
        (lambda: MovieSentiment(vocabulary_size=4), "vocabulary_size"),
        (lambda: MovieSentiment(max_length=0), "max_length"),
        (lambda: Adding(batch_size=0), "batch_size"),
        (lambda: SelectiveCopy(length=5, symbols=6), "symbols must be at least 1 and at most length=5, got 6"),
        (lambda: Parity(length=0), "length"),
        (lambda: MNIST5k("columns"), "order must be 'rows', 'pixels' or 'permuted', got 'columns'"),  # type: ignore[arg-type]
        (lambda: PortugueseTags(vocabulary_size=4), "vocabulary_size"),
        (lambda: FolkABC(max_length=0), "max_length"),
        (lambda: Shakespeare(vocabulary_size=4), "vocabulary_size"),
        (lambda: Shakespeare(bptt=0), "bptt"),
        (lambda: PianoRoll("jsb.npz"), "path must end in one of .pickle, .pkl, .mat, got .jsb.npz"),
    ],
)
def test_an_argument_out_of_range_is_refused_before_any_work(make: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


def test_the_base_alone_is_no_data() -> None:
    with pytest.raises(TypeError):
        SequenceDataModule()  # type: ignore[abstract]


@pytest.mark.parametrize("name", ["train/data-00000-of-00001.arrow", "metadata.json", "sums.json"])
def test_prepared_data_of_which_one_bit_flipped_is_prepared_again(name: str) -> None:
    data = Adding(7, 336, 16)
    data.setup()
    damaged = bytearray((data.folder / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (data.folder / name).write_bytes(damaged)
    again = Adding(7, 336, 16)
    assert not again.prepared
    again.setup()
    assert torch.equal(again.stores["train"].inputs, data.stores["train"].inputs)
    assert again.metadata() == data.metadata()


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"metadata.json": 3}', '{"../x": "y"}'])
def test_a_list_of_prepared_files_that_is_none_is_no_error(content: str) -> None:
    data = Adding(7, 337, 16)
    data.prepare_data()
    (data.folder / "sums.json").write_text(content)
    assert not data.prepared
    data.prepare_data()
    assert data.prepared


@pytest.mark.parametrize("name", ["train/data-00000-of-00001.arrow", "metadata.json"])
def test_prepared_data_that_lost_a_part_is_prepared_again(name: str) -> None:
    data = Adding(7, 335, 16)
    data.prepare_data()
    whole = (data.folder / name).read_bytes()
    (data.folder / name).write_bytes(whole[: len(whole) // 2])
    again = Adding(7, 335, 16)
    assert not again.prepared
    again.setup()
    assert len(again.stores["train"]) == 335
    assert again.metadata()["fingerprint"] == Adding(7, 335, 16).metadata()["fingerprint"]
