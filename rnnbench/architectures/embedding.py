"""What ids of tokens become before a layer reads them: one-hot, vectors learned with the task, or pre-trained."""

from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from tokenizers import Tokenizer
from torch import Tensor, nn

from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.utils.word_vectors import check_vectors, read_vectors

LEARNED, ONE_HOT = "learned", "one-hot"
SPECIALS = 4
"""Ids below are of special tokens, which no file of vectors has."""


class WordEmbedding(nn.Embedding):
    """A vector for each id, zero for padding (id 0).

    `coverage` is the share of the vocabulary, special tokens apart, whose vectors are pre-trained; None if none were
    looked for.
    """

    coverage: float | None = None


class OneHot(nn.Module):
    """Ids `[…]` to `[…, V]`: 1 at the id, 0 elsewhere; all 0 for padding (id 0)."""

    zero: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding_dim = size
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # knows device and precision

    def forward(self, ids: Tensor) -> Tensor:
        """One-hot vectors of ids."""
        places = ids.unsqueeze(-1)
        known = (places > 0).to(self.zero.dtype)
        return self.zero.new_zeros(*ids.shape, self.embedding_dim).scatter_(-1, places, known)


def check_embedding(name: str) -> None:
    """Refuse an input that cannot be made, before there is any data.

    Raises:
        RnnbenchError: an unknown name, no such file, or a file of another layout.
    """
    if name not in (LEARNED, ONE_HOT):
        check_vectors(name, (LEARNED, ONE_HOT))


def make_embedding(p: Any) -> tuple[nn.Module, int]:
    """The input of a `SequenceModule` with the arguments `p`, and how many features it gives a step.

    Raises:
        Infeasible: an embedding of what are no tokens, or vectors of tokens that have no names.
        RnnbenchError: vectors that cannot be read, or know no token of the vocabulary.
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
    """Vectors of a file or archive; a token without one gets one drawn from their mean and deviation.

    A token is looked up as it is written, then in small letters.
    """
    if tokenizer is None:
        raise Infeasible(f"embedding {name!r} is of words: the data has no tokenizer that would name its tokens")
    vocabulary = Tokenizer.from_str(tokenizer).get_vocab()
    rows, matrix = read_vectors(name)
    found = {number: rows.get(token, rows.get(token.lower(), -1)) for token, number in vocabulary.items()}
    known = sorted(number for number, row in found.items() if row >= 0 and SPECIALS <= number < size)
    if not known:
        some = ", ".join(repr(token) for token, number in sorted(vocabulary.items(), key=lambda one: one[1])[4:8])
        raise RnnbenchError(f"{name} knows no token of the vocabulary ({some}, …)")
    vectors = torch.from_numpy(matrix[[found[number] for number in known]]).to(torch.get_default_dtype())
    weight = vectors.mean() + vectors.std(unbiased=False) * torch.randn(size, vectors.shape[1])
    weight[torch.tensor(known)] = vectors
    weight[0] = 0
    embedding = WordEmbedding(size, vectors.shape[1], padding_idx=0, _weight=weight)
    embedding.coverage = len(known) / max(1, size - SPECIALS)
    rank_zero_info(f"{name}: vectors for {len(known)} of {size - SPECIALS} tokens ({embedding.coverage:.1%})")
    return embedding
