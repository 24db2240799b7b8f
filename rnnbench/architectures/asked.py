"""What all ways of asking a trained module share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rnnbench.architectures.embedding import TokenSteps
from rnnbench.errors import RnnbenchError
from rnnbench.objectives import Objective


class Asked(TokenSteps):
    """A module that can be asked when it is trained.

    All is done without dropout and without gradients, whatever mode the module is in, and leaves it in that mode.
    """

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Name the class: a checkpoint can then be opened by itself."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["class_path"] = f"{type(self).__module__}.{type(self).__qualname__}"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Within it nothing is dropped and no gradient kept."""
        trains = self.training
        if trains:
            self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            if trains:
                self.train()

    def read(self, inputs: Tensor, lengths: Tensor | None = None, state: Any = None) -> tuple[Tensor, Any]:
        """Hidden states of the top layer `[B, T, D·H]` of inputs read from `state` on, and the state after them."""
        raise NotImplementedError(f"{type(self).__name__} does not read")

    def require(self, *objectives: type[Objective]) -> None:
        """Refuse a question that the module was not trained on.

        Raises:
            RnnbenchError: its objective is none of these.
        """
        if not isinstance(self.objective, objectives):
            allowed = " or ".join(one.__name__ for one in objectives)
            raise RnnbenchError(f"objective {self.hparams['objective']!r} is no {allowed}")

    def require_tokenizer(self) -> Tokenizer:
        """Texts to ids of the input and back.

        Raises:
            RnnbenchError: the module has none.
        """
        if self.tokenizer is None:
            raise RnnbenchError("the model has no tokenizer: it does not read texts, or was trained without one")
        return self.tokenizer

    def padded(self, ids: list[list[int]]) -> tuple[Tensor, Tensor | None]:
        """Sequences as one tensor `[B, T]`, padded at the end, and their lengths where they differ."""
        lengths = torch.tensor([len(one) for one in ids])
        tokens = pad_sequence([torch.tensor(one) for one in ids], batch_first=True).to(self.device)
        return tokens, None if bool((lengths == lengths[0]).all()) else lengths
