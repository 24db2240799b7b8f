"""Embeddings of token ids: one-hot, learned with the task, or pre-trained."""

from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from tokenizers import Tokenizer
from torch import Tensor, nn

from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.objectives.special_tokens import FIRST_WORD_ID
from rnnbench.utils.word_vectors import check_vectors, read_vectors

LEARNED, ONE_HOT = "learned", "one-hot"


class WordEmbedding(nn.Embedding):
    """A vector for each id, zero for padding (id 0).

    `coverage` is the share of the vocabulary, without special tokens, that has pre-trained vectors; None if the
    embedding is learned.
    """

    coverage: float | None = None


class OneHot(nn.Module):
    """Ids `[…]` to `[…, V]`: 1 at the id, 0 elsewhere; all 0 for padding (id 0)."""

    zero: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding_dim = size
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # moves with the module to its device and dtype

    def forward(self, ids: Tensor) -> Tensor:
        """One-hot vectors of ids."""
        places = ids.unsqueeze(-1)
        known = (places > 0).to(self.zero.dtype)
        return self.zero.new_zeros(*ids.shape, self.embedding_dim).scatter_(-1, places, known)


def check_embedding(name: str) -> None:
    """Check the name of an embedding, before there is any data.

    Raises:
        RnnbenchError: an unknown name, no such file, or a file of another format.
    """
    if name not in (LEARNED, ONE_HOT):
        check_vectors(name, (LEARNED, ONE_HOT))


def make_embedding(p: Any) -> tuple[nn.Module, int]:
    """The embedding of a `SequenceModule` with the arguments `p`, and its number of features.

    Raises:
        Infeasible: inputs that are not tokens, or pre-trained vectors without a tokenizer.
        RnnbenchError: vectors that cannot be read, or that contain no token of the vocabulary.
    """
    if p.input_kind != "tokens":
        if p.embedding != LEARNED:
            raise Infeasible(f"embedding {p.embedding!r} is of tokens: these inputs are features")
        return nn.Identity(), p.input_size
    if p.embedding == ONE_HOT:
        return OneHot(p.input_size), p.input_size
    if p.embedding == LEARNED:
        embedding = WordEmbedding(p.input_size, p.embedding_size, padding_idx=0)
    else:
        embedding = _pretrained(p.embedding, p.input_size, p.tokenizer)
    embedding.weight.requires_grad_(not p.freeze_embedding)
    return embedding, embedding.embedding_dim


def _pretrained(name: str, size: int, tokenizer: str | None) -> WordEmbedding:
    """Vectors of a file or archive; tokens that it lacks get random vectors of the same mean and deviation.

    A token is looked up as it is written, then in lower case.
    """
    if tokenizer is None:
        raise Infeasible(f"embedding {name!r} is of words: the data has no tokenizer that would name its tokens")
    vocabulary = Tokenizer.from_str(tokenizer).get_vocab()
    rows, matrix = read_vectors(name)
    row_of = {number: rows.get(token, rows.get(token.lower(), -1)) for token, number in vocabulary.items()}
    known = sorted(number for number, row in row_of.items() if row >= 0 and FIRST_WORD_ID <= number < size)
    if not known:
        examples = ", ".join(
            repr(token) for token, number in sorted(vocabulary.items(), key=lambda item: item[1])[FIRST_WORD_ID:8]
        )
        raise RnnbenchError(f"{name} knows no token of the vocabulary ({examples}, …)")
    vectors = torch.from_numpy(matrix[[row_of[number] for number in known]]).to(torch.get_default_dtype())
    weight = vectors.mean() + vectors.std(unbiased=False) * torch.randn(size, vectors.shape[1])
    weight[torch.tensor(known)] = vectors
    weight[0] = 0
    embedding = WordEmbedding(size, vectors.shape[1], padding_idx=0, _weight=weight)
    embedding.coverage = len(known) / max(1, size - FIRST_WORD_ID)
    rank_zero_info(f"{name}: vectors for {len(known)} of {size - FIRST_WORD_ID} tokens ({embedding.coverage:.1%})")
    return embedding
