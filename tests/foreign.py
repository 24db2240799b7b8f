"""A LightningModule of somebody else, who knows batches of `(inputs, targets, lengths)` and nothing of this project."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn


class Foreign(LightningModule):
    """A GRU of torch with one linear layer.

    `answer`: `sequence` (one class for all), `steps` (a class for each step), `words` (a bag of the target's tokens).
    """

    def __init__(self, answer: str, tokens: int = 0, channels: int = 8, classes: int = 2) -> None:
        super().__init__()
        self.answer = answer
        self.embedding = nn.Embedding(tokens, channels) if tokens else nn.Identity()
        self.gru, self.head = nn.GRU(channels, 16, batch_first=True), nn.Linear(16, classes)

    def training_step(self, batch: Any, _: int) -> Tensor:
        inputs, targets, lengths = batch
        states, _last = self.gru(self.embedding(inputs))
        if self.answer == "steps":
            return nn.functional.cross_entropy(self.head(states).flatten(0, 1), targets.flatten())
        ends = torch.full((len(inputs),), inputs.shape[1]) if lengths is None else lengths
        logits = self.head(states[torch.arange(len(inputs)), ends - 1])
        if self.answer == "words":
            logits = logits.unsqueeze(1).expand(-1, targets.shape[1], -1).flatten(0, 1)
        return nn.functional.cross_entropy(logits, targets.flatten(), ignore_index=-100)

    def test_step(self, batch: Any, number: int) -> None:
        self.log("test_loss", self.training_step(batch, number), batch_size=len(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-2)
