"""Language models on streams: state is carried within a part, and nowhere else."""

import math
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from rnnbench.architectures import GRU, LSTM
from rnnbench.data import Shakespeare
from rnnbench.data.batches import StreamStore
from rnnbench.objectives.batch import Batch


def model(cls: Any = LSTM, **settings: Any) -> Any:
    torch.manual_seed(0)
    return cls(30, 30, "character_model", "tokens", hidden_size=8, embedding_size=6, **settings)


@pytest.mark.parametrize("cls", [LSTM, GRU])
def test_pieces_with_carried_state_give_what_the_whole_stream_gives(cls: Any) -> None:
    one = model(cls, num_layers=2).double().eval()
    store = StreamStore(torch.randint(1, 30, (61,)), rows=3, steps=7, unknown=-100)
    whole = one(store.inputs)
    pieces = torch.cat([one.outputs("val", store.piece(k)) for k in range(store.pieces)], 1)
    assert torch.allclose(pieces, whole)


def test_gradients_end_where_a_piece_begins() -> None:
    one = model()
    store = StreamStore(torch.randint(1, 30, (41,)), rows=2, steps=10, unknown=-100)
    one.outputs("train", store.piece(0))
    carried = one._carried["train", 0]
    assert not any(state.requires_grad for state in carried)
    one.outputs("train", store.piece(1)).sum().backward()
    assert one.layer.weight_hh_l0.grad is not None


def test_validation_in_the_middle_of_training_leaves_the_training_state_alone() -> None:
    one = model().eval()
    store = StreamStore(torch.randint(1, 30, (61,)), rows=3, steps=5, unknown=-100)
    first, second = one.outputs("train", store.piece(0)), one.outputs("train", store.piece(1))
    one.outputs("train", store.piece(0))
    one.outputs("val", store.piece(0))
    one.outputs("val", store.piece(1))
    assert torch.equal(one.outputs("train", store.piece(1)), second)
    assert torch.equal(one.outputs("train", store.piece(0)), first)  # a stream that begins has no past


def test_triples_of_other_projects_are_sequences_by_themselves() -> None:
    one = model().eval()
    inputs = torch.randint(1, 30, (2, 5))
    assert torch.equal(one.outputs("val", (inputs, inputs, None)), one(inputs))
    assert torch.equal(one.outputs("val", Batch(inputs, inputs)), one(inputs))


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("level", ["characters", "words"])
def test_a_language_model_learns_a_stream_and_its_scores_do_not_depend_on_the_batch_size(level: Any) -> None:
    scores: list[Any] = []
    for batch_size in (4, 16):
        data = Shakespeare(level, 40, 20, batch_size)
        torch.manual_seed(0)
        one = LSTM.from_data(data, hidden_size=32, learning_rate=1e-2)
        quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
        trainer = Trainer(max_epochs=2, enable_model_summary=False, accelerator="cpu", **quiet)
        if not scores:
            trainer.fit(one, data)
            weights = one.state_dict()
        else:
            one.load_state_dict(weights)
        (found,) = trainer.test(one, data, verbose=False)
        scores.append(found)
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    assert scores[0]["test/cross_entropy"] < 0.9 * data.metadata()["baseline_scores"]["cross_entropy"]
    assert math.isclose(scores[0]["test/perplexity"], math.exp(scores[0]["test/loss"]), rel_tol=1e-4)
    assert ("test/bits_per_character" in scores[0]) == (level == "characters")
