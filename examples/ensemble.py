"""An ensemble of LSTMs trained as one model: `python examples/ensemble.py`.

`torch.func` stacks the weights of all members, one call runs them all by the compiled engine, and one optimiser trains
them. The task: the sign of the sum of a sequence of noise. Members begin at weights of their own and see the same
batches; the mean of their probabilities is the forecast of the ensemble, their disagreement says how sure it is.
"""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from rnnbench.nn import LSTM

MEMBERS, STEPS, BATCH, LENGTH = 4, 150, 32, 20


class Classifier(nn.Module):
    """One member: logits `[B]` of a positive sum, for sequences `[B, T, 1]`."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = LSTM(1, 16, batch_first=True)
        self.head = nn.Linear(16, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        output, _ = self.layer(inputs)
        return self.head(output[:, -1]).squeeze(-1)  # type: ignore[no-any-return]


def draw(random: torch.Generator, batch: int) -> tuple[Tensor, Tensor]:
    """Sequences `[B, T, 1]`, and whether their sums are positive."""
    inputs = torch.randn(batch, LENGTH, 1, generator=random)
    return inputs, (inputs.sum((1, 2)) > 0).float()


def train(members: int = MEMBERS, steps: int = STEPS) -> tuple[list[float], float]:
    """Train; accuracies of the members on new sequences, and that of the ensemble."""
    torch.manual_seed(0)
    models = [Classifier() for _ in range(members)]
    parameters, buffers = stack_module_state(models)  # type: ignore[arg-type]
    skeleton = copy.deepcopy(models[0]).to("meta")  # its structure alone

    def logits(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(skeleton, (parameters, buffers), (inputs,))  # type: ignore[no-any-return]

    together = vmap(logits, in_dims=(0, 0, None))
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        inputs, targets = draw(random, BATCH)
        predictions = together(parameters, buffers, inputs)  # [members, B]
        loss = nn.functional.binary_cross_entropy_with_logits(
            predictions, targets.expand_as(predictions), reduction="none"
        )
        optimizer.zero_grad()
        loss.mean(1).sum().backward()  # every member has its own loss, and thus its own gradient
        optimizer.step()
    inputs, targets = draw(random, 1000)
    with torch.no_grad():
        probabilities = together(parameters, buffers, inputs).sigmoid()
    right = ((probabilities > 0.5) == (targets > 0.5)).float().mean(1)
    return right.tolist(), float(((probabilities.mean(0) > 0.5) == (targets > 0.5)).float().mean())


if __name__ == "__main__":
    accuracies, ensemble = train()
    print("members: ", ", ".join(f"{accuracy:.3f}" for accuracy in accuracies))
    print(f"ensemble: {ensemble:.3f}")
