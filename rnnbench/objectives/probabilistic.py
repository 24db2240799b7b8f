"""Forecasts of a distribution: quantiles of each next value, or a Gaussian; scores that reward honest ones."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torchmetrics import MetricCollection

from rnnbench.objectives.base import StatefulModel, check_shape
from rnnbench.objectives.double import DoubleMetric, to_double
from rnnbench.objectives.regression import Forecast, HorizonForecast, HorizonPredictions

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Of the quantiles that are forecast; the outermost bound the central interval that holds 80 %."""
PATHS = 40
"""Sample paths of a window. A multiple of 20, so that each of `LEVELS` lies between two neighbouring samples."""
LEAST_DEVIATION = 1e-3
"""Of a Gaussian head, in standard deviations of the data: without one, a series without noise has no best density."""


class Distribution(ABC):
    """A distribution of each of O values, given by P numbers of a head, `[…, O, P]`."""

    size: ClassVar[int]
    """P."""

    @abstractmethod
    def loss(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """What is minimised, for each target `[…, O]`: least on average for the true distribution."""

    @abstractmethod
    def quantiles(self, numbers: Tensor, levels: Tensor) -> Tensor:
        """Values `[…, O]` below which lie the shares `levels`, between 0 and 1 and of a shape that fits `[…, O]`."""

    @abstractmethod
    def point(self, numbers: Tensor) -> Tensor:
        """One value for each distribution, `[…, O]`."""

    @abstractmethod
    def crps(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """Continuous ranked probability score of each target, `[…, O]`."""


class Quantiles(Distribution):
    """The quantiles of `LEVELS`; between them, and beyond the outermost, straight lines through the nearest two.

    The head's numbers are sorted wherever a distribution is read from them (Chernozhukov, Fernández-Val & Galichon
    2010), as a network may let them cross.
    """

    size = len(LEVELS)

    def loss(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """Mean pinball loss over the levels."""
        return pinball(numbers, targets, numbers.new_tensor(LEVELS)).mean(-1)

    def quantiles(self, numbers: Tensor, levels: Tensor) -> Tensor:  # noqa: D102
        place = levels * (self.size + 1) - 1
        left = place.floor().clamp(0, self.size - 2).long()
        left = torch.broadcast_to(left, numbers.shape[:-1])
        ordered = numbers.sort(-1).values
        below, above = (ordered.gather(-1, (left + step).unsqueeze(-1)).squeeze(-1) for step in (0, 1))
        return below + (place - left) * (above - below)

    def point(self, numbers: Tensor) -> Tensor:
        """The median."""
        return numbers.sort(-1).values[..., self.size // 2]

    def crps(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """Twice the mean pinball loss over the levels, which approximates it (Gneiting & Ranjan 2011)."""
        return 2 * self.loss(numbers.sort(-1).values, targets)


class Gaussian(Distribution):
    """A Gaussian: its mean, and a number s with standard deviation softplus(s) + `LEAST_DEVIATION`."""

    size = 2

    def loss(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """Negative log density, in nats."""
        mean, deviation = self._moments(numbers)
        density: Tensor = 0.5 * ((targets - mean) / deviation).square() + deviation.log() + 0.5 * math.log(2 * math.pi)
        return density

    def quantiles(self, numbers: Tensor, levels: Tensor) -> Tensor:  # noqa: D102
        mean, deviation = self._moments(numbers)
        values: Tensor = mean + deviation * torch.special.ndtri(levels)
        return values

    def point(self, numbers: Tensor) -> Tensor:
        """The mean."""
        return numbers[..., 0]

    def crps(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """σ (z (2 Φ(z) − 1) + 2 φ(z) − 1/√π) with z = (y − μ) / σ (Gneiting & Raftery 2007, §4.2)."""
        mean, deviation = self._moments(numbers)
        z = (targets - mean) / deviation
        density = (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)
        score: Tensor = deviation * (z * (2 * torch.special.ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
        return score

    @staticmethod
    def _moments(numbers: Tensor) -> tuple[Tensor, Tensor]:
        return numbers[..., 0], F.softplus(numbers[..., 1]) + LEAST_DEVIATION


DistributionName = Literal["quantiles", "gaussian"]
DISTRIBUTIONS: dict[DistributionName, Distribution] = {"quantiles": Quantiles(), "gaussian": Gaussian()}


class DistributionHead(nn.Linear):
    """The P numbers of O distributions, `[…, O, P]`, from states `[…, H]`."""

    def __init__(self, state_size: int, output_size: int, numbers: int) -> None:
        super().__init__(state_size, output_size * numbers)
        self.numbers = numbers

    def forward(self, states: Tensor) -> Tensor:  # noqa: D102
        numbers = super().forward(states)
        numbers = numbers.reshape(*numbers.shape[:-1], -1, self.numbers)
        return numbers.to(torch.promote_types(numbers.dtype, torch.float32))  # densities need more than 16 bits


def pinball(quantiles: Tensor, targets: Tensor, levels: Tensor) -> Tensor:
    """Pinball loss `max(q (y − ŷ), (q − 1)(y − ŷ))` of quantiles `[…, L]` of levels q `[L]` for targets y `[…]`
    (Koenker & Bassett 1978).
    """
    error = targets.unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error)


def fan(distribution: Distribution, numbers: Tensor) -> Tensor:
    """Quantiles of `LEVELS`, `[…, O, 9]`."""
    return torch.stack([distribution.quantiles(numbers, numbers.new_tensor(level)) for level in LEVELS], -1)


def fan_of_paths(paths: Tensor) -> Tensor:
    """Quantiles of `LEVELS` `[…, 9]` of samples `[…, S]`: each is the mean of the two samples that it lies between."""
    ordered = paths.sort(-1).values
    place = [round(level * paths.shape[-1]) for level in LEVELS]
    return (ordered[..., [k - 1 for k in place]] + ordered[..., place]) / 2


def crps_of_paths(paths: Tensor, targets: Tensor) -> Tensor:
    """CRPS of the distribution of samples `[…, S]` for targets `[…]`: E|X − y| − ½ E|X − X'| (Gneiting & Raftery 2007,
    §4.2), by way of its quantiles (twice the mean pinball loss of the sorted samples).
    """
    size = paths.shape[-1]
    levels = (torch.arange(size, dtype=paths.dtype, device=paths.device) + 0.5) / size
    return 2 * pinball(paths.sort(-1).values, targets, levels).mean(-1)


def even_levels(steps: int, channels: int) -> Tensor:
    """Levels `[S, steps, channels]` at which paths are drawn: at each step and channel all of (s + ½) / S, in an order
    that is drawn (a Latin hypercube, McKay, Beckman & Conover 1979), the same in every call.
    """
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(PATHS, steps, channels, generator=generator).argsort(0)
    return (order.float() + 0.5) / PATHS


def sample_paths(model: StatefulModel, objective: Any, inputs: Tensor, horizon: int) -> Tensor:
    """Futures `[B, h, O, S]` that a forecaster of distributions draws: each step reads the draw of the step before it
    (Salinas et al. 2020, §3). The same for a window in any batch.

    Args:
        model: the network without its head.
        objective: one of this file.
        inputs: windows `[B, T, O + K]`; measured values of the last h − 1 steps are not read.
        horizon: h.
    """
    known, rows = inputs.shape[1] - horizon + 1, len(inputs)
    hidden, state = model(inputs[:, :known])
    levels = even_levels(horizon, objective.output_size).to(inputs)
    numbers = objective.head(hidden[:, -1]).repeat_interleave(PATHS, 0)
    state = tree_map(lambda part: part.repeat_interleave(PATHS, objective.state_rows_dim), state)
    drawn = [objective.distribution.quantiles(numbers, levels[:, 0].repeat(rows, 1))]
    for step in range(1, horizon):
        measured = inputs[:, known + step - 1 : known + step].repeat_interleave(PATHS, 0)
        hidden, state = model(objective.next_inputs(drawn[-1].unsqueeze(1), measured), None, state)
        drawn.append(objective.distribution.quantiles(objective.head(hidden[:, -1]), levels[:, step].repeat(rows, 1)))
    return torch.stack(drawn, 1).reshape(rows, PATHS, horizon, -1).permute(0, 2, 3, 1)


class FanScores(DoubleMetric):
    """Means of scores of single targets.

    Args:
        names: of the scores; a name `rmse` stands for the root of the mean.
    """

    full_state_update = False
    summed: Tensor
    count: Tensor

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.add_state("summed", torch.zeros(len(names), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, scores: Tensor) -> None:
        """Add scores `[names, N]`."""
        self.summed += to_double(scores).sum(1)
        self.count += scores.shape[1]

    def compute(self) -> dict[str, Tensor]:
        """All scores by name."""
        means = (self.summed / self.count).float()
        return {name: mean.sqrt() if name == "rmse" else mean for name, mean in zip(self.names, means, strict=True)}


def fan_scores(quantiles: Tensor, targets: Tensor) -> list[Tensor]:
    """Mean pinball loss over `LEVELS`, and whether the central interval of 80 % holds the target (1 or 0), `[…]` each,
    of quantiles `[…, 9]`.
    """
    inside = (quantiles[..., 0] <= targets) & (targets <= quantiles[..., -1])
    return [pinball(quantiles, targets, quantiles.new_tensor(LEVELS)).mean(-1), inside.to(quantiles)]


class QuantileForecast(Forecast):
    """As `Forecast`, with nine quantiles of each next value, those of `LEVELS`: outputs `[B, T, O, 9]`.

    Loss: pinball loss, the mean over levels. Metrics, in the unit of the targets unless said:

        mae, rmse    of the median (of a Gaussian, of the mean)
        crps         continuous ranked probability score; of a forecast without spread it is the absolute error
        pinball      mean over the nine levels
        coverage_80  share of targets between the quantiles 0.1 and 0.9: 0.8, if the forecast is honest

    Arguments as in `Forecast`.
    """

    description: ClassVar[str] = "a forecaster of distributions"
    loss_name = "pinball_loss"
    distribution: ClassVar[Distribution] = DISTRIBUTIONS["quantiles"]

    def __init__(self, state_size: int, directions: int, output_size: int, *, known_inputs: int = 0) -> None:
        super().__init__(state_size, directions, output_size, known_inputs=known_inputs)
        self.head = DistributionHead(state_size * directions, output_size, self.distribution.size)

    def point(self, outputs: Tensor) -> Tensor:
        """The forecast values `[…, O]` of what the head gives."""
        return self.distribution.point(outputs)

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss over known targets, summed, and their number.

        Raises:
            RnnbenchError: the shapes of targets and predictions differ.
        """
        return summed_loss(self.distribution, predictions, targets)

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """`values` `[B, T, O]` and `quantiles` `[B, T, O, 9]`, NaN beyond the end, in the unit of the targets."""
        values, quantiles = self.point(outputs), fan(self.distribution, outputs)
        return {name: self.known_targets(one, lengths) for name, one in (("values", values), ("quantiles", quantiles))}

    def update(self, metrics: MetricCollection, predictions: Tensor, targets: Tensor) -> None:
        """Update the metrics with a batch."""
        known = ~targets.isnan()
        numbers, true = predictions[known], targets[known]
        error = self.distribution.point(numbers) - true
        scores = [error.abs(), error.square(), self.distribution.crps(numbers, true)]
        metrics.update(torch.stack([*scores, *fan_scores(fan(self.distribution, numbers), true)]))

    def metrics(self) -> MetricCollection:
        """A single metric that computes all scores."""
        return MetricCollection({"fan": FanScores("mae", "rmse", "crps", "pinball", "coverage_80")})

    def score_names(self) -> list[str]:
        """Names of all scores."""
        return [self.loss_name, "mae", "rmse", "crps", "pinball", "coverage_80"]


class GaussianForecast(QuantileForecast):
    """As `QuantileForecast`, with a Gaussian for each next value: outputs `[B, T, O, 2]`, see `Gaussian`.

    Loss: negative log density (`nll`), in nats a value.

    Arguments as in `Forecast`.
    """

    loss_name = "nll"
    distribution: ClassVar[Distribution] = DISTRIBUTIONS["gaussian"]


class QuantileHorizonForecast(HorizonForecast):
    """As `HorizonForecast`, with nine quantiles of each next value, and a fan of the horizon from sampled futures.

    The autoregressive forecast is a set of futures, `PATHS` of them, each of which reads its own draws, see
    `sample_paths`; its point forecast is their mean, its quantiles are theirs. While training, a step that does not
    read what was measured reads a draw.

    Loss: that of `QuantileForecast`, of the continuous forecast. Metrics: those of `HorizonForecast`, and

        crps, pinball, coverage_80  as in `QuantileForecast`, of the autoregressive forecast
        continuous_crps             of the continuous one, over the same steps

    Arguments as in `HorizonForecast`.
    """

    description: ClassVar[str] = "a forecaster of distributions"
    loss_name = "pinball_loss"
    distribution: ClassVar[Distribution] = DISTRIBUTIONS["quantiles"]
    added: ClassVar[tuple[str, ...]] = ("crps", "pinball", "coverage_80", "continuous_crps")

    def __init__(self, state_size: int, directions: int, output_size: int, **options: Any) -> None:
        super().__init__(state_size, directions, output_size, **options)
        self.head = DistributionHead(state_size * directions, output_size, self.distribution.size)

    def point(self, outputs: Tensor) -> Tensor:
        """The forecast values `[…, O]` of what the head gives."""
        return self.distribution.point(outputs)

    def free_point(self, free: Tensor) -> Tensor:
        """The mean of futures `[B, h, O, S]`."""
        return free.mean(-1)

    def fed_back(self, outputs: Tensor) -> Tensor:
        """A draw `[B, 1, O]`."""
        levels = torch.rand(outputs.shape[:-1], device=outputs.device).clamp(1e-4, 1 - 1e-4)
        return self.distribution.quantiles(outputs, levels)

    def run_free(self, model: StatefulModel, inputs: Tensor, known: int) -> Tensor:
        """Futures `[B, h, O, S]`."""
        return sample_paths(model, self, inputs, self.horizon)

    def loss(self, predictions: HorizonPredictions, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the continuous forecast over known targets, summed, and their number."""
        return summed_loss(self.distribution, predictions.continuous, targets)

    def scored(self, predictions: HorizonPredictions, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Values `[N]` and `[N]` of the known targets, continuous."""
        return super().scored(predictions._replace(continuous=self.point(predictions.continuous)), targets)

    def predict(self, outputs: HorizonPredictions, lengths: Tensor | None) -> dict[str, Any]:
        """`autoregressive` `[B, h, O]` and its `quantiles` `[B, h, O, 9]`, and `continuous` `[B, T, O]` with its
        `continuous_quantiles` `[B, T, O, 9]`.
        """
        assert outputs.free is not None  # set unless training
        return {
            "autoregressive": self.free_point(outputs.free),
            "quantiles": fan_of_paths(outputs.free),
            "continuous": self.point(outputs.continuous),
            "continuous_quantiles": fan(self.distribution, outputs.continuous),
        }

    def update(self, metrics: MetricCollection, predictions: HorizonPredictions, targets: Tensor) -> None:
        """Update the metrics with a batch."""
        ends = targets[:, -self.horizon :]
        known = ~ends.isnan()
        assert predictions.free is not None  # set unless training
        numbers, paths, true = predictions.continuous[:, -self.horizon :][known], predictions.free[known], ends[known]
        scores = [crps_of_paths(paths, true), *fan_scores(fan_of_paths(paths), true)]
        metrics["horizon"].update(self._points(predictions), ends)
        metrics["fan"].update(torch.stack([*scores, self.distribution.crps(numbers, true)]))

    def metrics(self) -> MetricCollection:
        """Two metrics that compute all scores."""
        return MetricCollection({"horizon": self._errors(), "fan": FanScores(*self.added)}, compute_groups=False)

    def score_names(self) -> list[str]:
        """Names of all scores."""
        return [*super().score_names(), *self.added]


class GaussianHorizonForecast(QuantileHorizonForecast):
    """As `QuantileHorizonForecast`, with a Gaussian for each next value, see `Gaussian`.

    Loss: negative log density (`nll`), in nats a value.

    Arguments as in `HorizonForecast`.
    """

    loss_name = "nll"
    distribution: ClassVar[Distribution] = DISTRIBUTIONS["gaussian"]


def summed_loss(distribution: Distribution, numbers: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of distributions `[B, T, O, P]` over known targets `[B, T, O]`, summed, and their number.

    Raises:
        RnnbenchError: the shapes differ.
    """
    check_shape(targets, numbers.shape[:-1])
    known = ~targets.isnan()
    true = torch.where(known, targets, 0.0)
    return torch.where(known, distribution.loss(numbers, true), 0.0).sum(), known.sum()
