"""Networks and data of published comparisons that are of no use beside them, for `benchmarks.conformance`.

They read series of one length whole: what they say of a series is no function of its last steps alone, as that of a
recurrent network is.
"""

from pathlib import Path
from typing import Any

import datasets
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rnnbench.architectures.feedforward import FeedforwardModule
from rnnbench.data import MNIST1D, JapaneseVowels, UCRSeries
from rnnbench.data.module import Splits
from rnnbench.nn.feedforward import Feedforward

ACTIVATIONS: dict[str, Any] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


class WholeSeriesLayer(Feedforward):
    """A network that reads a series whole, zeros after its end, and gives every step the same output `[B, T, H]`.

    Args:
        input_size: channels of a step.
        hidden_size: units, or channels, of a hidden layer.
        num_layers: hidden layers.
        dropout: probability, on the output.
        steps: of the longest series.
    """

    causal = False
    network: nn.Module

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float, *, steps: int) -> None:
        super().__init__(input_size, hidden_size, num_layers, dropout, steps=steps)
        self.receptive_field = self.steps = steps
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The output `[B, T, H]`, the same at each step, of `input` `[B, T, I]` whose true `lengths` are `[B]`."""
        if lengths is not None:
            beyond = torch.arange(input.shape[1], device=input.device) >= lengths.to(input.device).unsqueeze(1)
            input = input.masked_fill(beyond.unsqueeze(2), 0)
        return self.compute(input.transpose(1, 2), None).transpose(1, 2)

    def compute(self, signal: Tensor, beyond: Tensor | None) -> Tensor:
        """The output `[B, H, T]` of `signal` `[B, I, T]`, which is zero past the end."""
        whole = F.pad(signal, (0, self.steps - signal.shape[-1]))
        output: Tensor = self.dropout(self.network(whole))
        return output.unsqueeze(-1).expand(-1, -1, signal.shape[-1])


def _hidden(before: int, size: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(before, size), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, input: Tensor) -> Tensor:
        return input + self.layer(input)  # type: ignore[no-any-return]


class WholeSeriesMLP(WholeSeriesLayer):
    """Hidden layers of ReLU on all values of a series at once (Wang, Yan & Oates 2017).

    Args:
        input_size: see `WholeSeriesLayer`.
        hidden_size: see `WholeSeriesLayer`.
        num_layers: see `WholeSeriesLayer`.
        dropout: see `WholeSeriesLayer`.
        steps: see `WholeSeriesLayer`.
        input_dropout: probability, on the values.
        hidden_dropout: probability, on the output of every layer but the last.
        residual: add what a layer reads to what it says, from the second on.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        *,
        steps: int,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, dropout, steps=steps)
        self.network = nn.Sequential(nn.Flatten(), _hidden(input_size * steps, hidden_size, input_dropout))
        for _ in range(num_layers - 1):
            layer = _hidden(hidden_size, hidden_size, hidden_dropout)
            self.network.append(_Residual(layer) if residual else layer)


class WholeSeriesCNN(WholeSeriesLayer):
    """Convolutions without padding at the ends but `padding`, whose outputs at all places go to the head.

    Args:
        input_size: see `WholeSeriesLayer`.
        hidden_size: see `WholeSeriesLayer`; without influence, `channels` has them.
        num_layers: see `WholeSeriesLayer`; without influence.
        dropout: see `WholeSeriesLayer`.
        steps: see `WholeSeriesLayer`.
        channels: of each convolution.
        kernel_sizes: of each convolution.
        stride: of all convolutions.
        padding: of all convolutions.
        pool: steps over which the mean is taken after each convolution; 1 for none.
        activation: `relu` or `sigmoid`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        *,
        steps: int,
        channels: tuple[int, ...],
        kernel_sizes: tuple[int, ...],
        stride: int = 1,
        padding: int = 0,
        pool: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, dropout, steps=steps)
        layers: list[nn.Module] = []
        before, left = input_size, steps
        for width, kernel in zip(channels, kernel_sizes, strict=True):
            layers += [nn.Conv1d(before, width, kernel, stride, padding), ACTIVATIONS[activation](), nn.AvgPool1d(pool)]
            before, left = width, ((left + 2 * padding - kernel) // stride + 1) // pool
        self.network = nn.Sequential(*layers, nn.Flatten())
        self.output_size = before * left


class WholeSeriesModule(FeedforwardModule):
    """A layer that reads a series whole, on a classification; its dropout is in the layer."""

    def _build(self) -> None:
        super()._build()
        self.dropout = nn.Identity()


class MLP(WholeSeriesModule):
    """`WholeSeriesMLP` on a classification."""

    layer_class = WholeSeriesMLP


class CNN(WholeSeriesModule):
    """`WholeSeriesCNN` on a classification."""

    layer_class = WholeSeriesCNN


def with_validation(splits: Splits) -> Splits:
    """The same, but validation trains, too, as with those who publish without one: it can then select nothing."""
    both: list[Any] = [splits.tables["train"], splits.tables["validation"]]
    splits.tables["train"] = datasets.concatenate_datasets(both)
    return splits


class AllOfMNIST1D(MNIST1D):
    """`MNIST1D` that trains on all 4,000 sequences."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        return with_validation(super().build_splits(folder))


class AllOfJapaneseVowels(JapaneseVowels):
    """`JapaneseVowels` that trains on all 270 utterances."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        return with_validation(super().build_splits(folder))


class AllOfUCRSeries(UCRSeries):
    """`UCRSeries` that trains on the whole training part."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        return with_validation(super().build_splits(folder))
