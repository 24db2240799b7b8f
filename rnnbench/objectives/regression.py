"""Real values: a vector for a sequence, the next value at each step, or all values up to a horizon."""

from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection

from rnnbench.objectives.base import Objective, OutputKind, StatefulModel, check_shape
from rnnbench.objectives.double import DoubleMetric, to_double


class Regression(Objective):
    """A real vector for the whole sequence: targets `[B, O]`, NaN where unknown.

    Loss: mean squared error. Metrics: mean absolute error and root mean squared error, in the unit of the targets.
    """

    unknown = float("nan")
    loss_name = "mse"
    description: ClassVar[str] = "a model of values"
    output_kind: ClassVar[OutputKind | None] = "values"

    def known_targets(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """As in `Objective`; with a single channel, targets may lack the dimension of channels."""
        if self.output_size == 1 and targets.dim() == 1 + self.per_step:
            targets = targets.unsqueeze(-1)
        return super().known_targets(targets, lengths)

    def loss(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error over known targets, summed, and their number.

        Raises:
            RnnbenchError: the shapes of targets and predictions differ.
        """
        check_shape(targets, predictions.shape)
        known = ~targets.isnan()
        return torch.where(known, predictions - targets, 0.0).square().sum(), known.sum()

    def predict(self, outputs: Any, lengths: Tensor | None) -> dict[str, Any]:
        """`values` `[B, O]`, or `[B, T, O]` with NaN beyond the end, in the unit of the targets."""
        return {"values": self.known_targets(outputs, lengths)}

    def scored(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Values `[N]` and `[N]` of known targets."""
        known = ~targets.isnan()
        return predictions[known], targets[known]

    def metrics(self) -> MetricCollection:
        """Mean absolute error and root mean squared error."""
        return MetricCollection({"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False)})


class Forecast(Regression):
    """The next values at each step: targets `[B, T, O]`, NaN where nothing was measured. Causal.

    Args:
        state_size: features of one direction's hidden state, H.
        directions: 1.
        output_size: channels, O.
        known_inputs: channels of the input behind the O that are forecast, K, whose future is known: a calendar, a
            force that acts on a system. A forecast that reads itself still reads these.
    """

    causal: ClassVar[bool] = True
    per_step: ClassVar[bool] = True
    description: ClassVar[str] = "a forecaster"
    output_kind: ClassVar[OutputKind | None] = "forecasts"
    verbs: ClassVar[tuple[str, ...]] = ("forecast",)

    def __init__(self, state_size: int, directions: int, output_size: int, *, known_inputs: int = 0) -> None:
        super().__init__(state_size, directions, output_size)
        self.known_inputs = known_inputs

    def point(self, outputs: Tensor) -> Tensor:
        """The forecast values `[…, O]` of what the head gives."""
        return outputs

    def next_inputs(self, values: Tensor, inputs: Tensor) -> Tensor:
        """Inputs `[B, 1, O + K]` of a step: forecast values `[B, 1, O]`, and what is known in `inputs` of that step."""
        return torch.cat([values, inputs[..., self.output_size :]], -1) if self.known_inputs else values


class HorizonPredictions(NamedTuple):
    """Predictions of a `HorizonForecast` for a window.

    `continuous` `[B, T, O]` predicts each next step from measured inputs. The others, None while training, are of the
    horizon, the last h steps: `free` `[B, h, O]` reads its own predictions after the first step; `persistence` and
    `seasonal` `[B, h, O]` repeat the last value before the horizon, and the value one season before each step.
    """

    continuous: Tensor
    free: Tensor | None = None
    persistence: Tensor | None = None
    seasonal: Tensor | None = None


class HorizonForecast(Forecast):
    """As `Forecast`, and the last `horizon` steps also without measured inputs after the first.

    Inputs `[B, T, O + K]` are the values that targets `[B, T, O]` are one step later, and `known_inputs`, K channels
    that are always read. There are two forecasts of the horizon, both scored where values were measured: in the
    *continuous*, each step reads the measured value before it; in the *autoregressive* (the metrics without a prefix),
    the prediction for it. While training, a step of the horizon reads the measured value with probability
    `teacher_forcing`, else its own prediction (scheduled sampling, Bengio et al. 2015).

    Loss: mean squared error of the continuous forecast. Metrics, in the unit of the targets unless said:

        mae, rmse                         autoregressive, over all steps of the horizon and channels
        mase                              mean over channels of mae / scale, with scale the mean absolute error that
                                          the seasonal-naive forecast has within the training part (Hyndman & Koehler
                                          2006); below 1 is better than that
        skill_persistence, skill_seasonal 1 − rmse / that of the forecast that repeats the last value, or the value one
                                          season before; 0 is as good, 1 perfect
        continuous_mae, continuous_rmse   of the continuous forecast, over the same steps
        rmse_1 … rmse_h                   autoregressive, so many steps ahead

    and where `means` and `deviations` are given:

        smape                             autoregressive; mean of 200 |y − ŷ| / (|y| + |ŷ|), in per cent, of values in
                                          the unit of the data (Makridakis 1993); 0 where both are 0
        nrmse, continuous_nrmse           square root of the mean over channels of the mean squared error over the
                                          variance of the same targets; the mean of the targets would score 1

    Args:
        state_size: features of one direction's hidden state, H.
        directions: 1.
        output_size: channels, O.
        horizon: steps of the forecast, h.
        season: steps of a season, no more than a window has before its horizon.
        scales: of mase, one for each channel, above 0.
        teacher_forcing: 0 to 1, where the model has none of its own.
        known_inputs: see `Forecast`.
        means: by which each channel was standardised, in the unit of the data; with `deviations`.
        deviations: by which each channel was divided.
    """

    unrolls: ClassVar[bool] = True

    def __init__(
        self,
        state_size: int,
        directions: int,
        output_size: int,
        *,
        horizon: int,
        season: int,
        scales: list[float],
        teacher_forcing: float = 1.0,
        known_inputs: int = 0,
        means: list[float] | None = None,
        deviations: list[float] | None = None,
    ) -> None:
        super().__init__(state_size, directions, output_size, known_inputs=known_inputs)
        self.horizon, self.season, self.scales = horizon, season, scales
        self.moments = None if means is None or deviations is None else (means, deviations)
        self.teacher_forcing = teacher_forcing

    @classmethod
    def example(cls) -> Self:
        """A small instance, of 24 steps."""
        return cls(1, 1, 1, horizon=24, season=24, scales=[1.0], means=[0.0], deviations=[1.0])

    def unroll(
        self,
        model: StatefulModel,
        inputs: Tensor,
        lengths: Tensor | None,
        targets: Tensor | None,
        teacher_forcing: float,
    ) -> HorizonPredictions:
        """The continuous forecast and, unless training, the autoregressive and the naive forecasts."""
        known = inputs.shape[1] - self.horizon + 1
        if self.training and teacher_forcing < 1:
            return HorizonPredictions(self._run(model, inputs, known, teacher_forcing))
        hidden, _ = model(inputs)
        continuous = self.head(hidden)
        if self.training:
            return HorizonPredictions(continuous)
        free = self.run_free(model, inputs, known)
        measured = inputs[..., : self.output_size]
        persistence = measured[:, known - 1 : known].expand(-1, self.horizon, -1)
        ahead = torch.arange(self.horizon, device=inputs.device)
        seasonal = measured[:, known + ahead % self.season - self.season]
        return HorizonPredictions(continuous, free, persistence, seasonal)

    def run_free(self, model: StatefulModel, inputs: Tensor, known: int) -> Tensor:
        """The forecast of the horizon from the first `known` inputs, for `HorizonPredictions.free`."""
        return self._run(model, inputs, known, 0.0)[:, known - 1 :]

    def fed_back(self, outputs: Tensor) -> Tensor:
        """The values `[B, 1, O]` that a step of training reads in place of measured ones, from the head's outputs."""
        return outputs

    def _run(self, model: StatefulModel, inputs: Tensor, known: int, forcing: float) -> Tensor:
        """Predictions of all steps; from `known` on, inputs are measured with probability `forcing`, else predicted."""
        hidden, state = model(inputs[:, :known])
        predicted = [self.head(hidden)]
        for step in range(known, inputs.shape[1]):
            measured = inputs[:, step : step + 1]
            before = self.next_inputs(self.fed_back(predicted[-1][:, -1:]), measured)
            forced = torch.rand(len(inputs), 1, 1, device=inputs.device) < forcing
            hidden, state = model(torch.where(forced, measured, before), None, state)
            predicted.append(self.head(hidden))
        return torch.cat(predicted, 1)

    def loss(self, predictions: HorizonPredictions, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error of the continuous forecast over known targets, summed, and their number."""
        return super().loss(predictions.continuous, targets)

    def predict(self, outputs: HorizonPredictions, lengths: Tensor | None) -> dict[str, Any]:
        """`autoregressive` `[B, h, O]`, the forecast of the horizon that reads itself, and `continuous` `[B, T, O]`."""
        return {"autoregressive": outputs.free, "continuous": outputs.continuous}

    def scored(self, predictions: HorizonPredictions, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Values `[N]` and `[N]` of the known targets, continuous."""
        return super().scored(predictions.continuous, targets)

    def update(self, metrics: MetricCollection, predictions: HorizonPredictions, targets: Tensor) -> None:
        """Update the metrics with a batch."""
        metrics.update(self._points(predictions), targets[:, -self.horizon :])

    def _points(self, predictions: HorizonPredictions) -> Tensor:
        """Values `[4, B, h, O]`: autoregressive, continuous, persistence, seasonal."""
        continuous, *others = predictions
        free, persistence, seasonal = (
            forecast for forecast in others if forecast is not None
        )  # all set unless training
        return torch.stack([self.free_point(free), self.point(continuous[:, -self.horizon :]), persistence, seasonal])

    def free_point(self, free: Tensor) -> Tensor:
        """The values `[B, h, O]` of what `run_free` gives."""
        return free

    def metrics(self) -> MetricCollection:
        """A single metric that computes all scores."""
        return MetricCollection({"horizon": self._errors()})

    def _errors(self) -> "HorizonErrors":
        if self.moments is None:
            return HorizonErrors(self.horizon, self.scales)
        return RelativeHorizonErrors(self.horizon, self.scales, *self.moments)

    def score_names(self) -> list[str]:
        """Names of all scores."""
        own: Metric = self._errors()
        own.update(torch.zeros(4, 1, self.horizon, self.output_size), torch.zeros(1, self.horizon, self.output_size))
        return [self.loss_name, *own.compute()]


class HorizonErrors(DoubleMetric):
    """Errors of forecasts by step, summed over windows; see `HorizonForecast`.

    Args:
        horizon: steps, h.
        scales: one for each channel, O.
    """

    full_state_update = False
    squared: Tensor
    absolute: Tensor
    count: Tensor

    def __init__(self, horizon: int, scales: list[float]) -> None:
        super().__init__()
        self.scales = scales
        shape = horizon, len(scales)
        for name, size in (("squared", (4, *shape)), ("absolute", (4, *shape)), ("count", shape)):
            self.add_state(name, torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, forecasts: Tensor, targets: Tensor) -> None:
        """Add errors of `[4, B, h, O]`: free, continuous, persistence, seasonal; targets are `[B, h, O]`."""
        known = ~targets.isnan()
        errors = to_double(torch.where(known, forecasts - targets, 0.0))
        self.squared += errors.square().sum(1)
        self.absolute += errors.abs().sum(1)
        self.count += to_double(known.sum(0))

    def compute(self) -> dict[str, Tensor]:
        """All scores by name."""
        mse, mae = (error.sum((1, 2)) / self.count.sum() for error in (self.squared, self.absolute))
        rmse = mse.sqrt()
        channels = self.absolute[0].sum(0) / self.count.sum(0)
        by_step = (self.squared[0].sum(1) / self.count.sum(1)).sqrt()
        scores = {
            "mae": mae[0],
            "rmse": rmse[0],
            "mase": (channels / channels.new_tensor(self.scales)).nanmean(),
            "skill_persistence": 1 - rmse[0] / rmse[2],
            "skill_seasonal": 1 - rmse[0] / rmse[3],
            "continuous_mae": mae[1],
            "continuous_rmse": rmse[1],
        }
        scores |= {f"rmse_{step + 1}": value for step, value in enumerate(by_step)}
        return {name: value.float() for name, value in scores.items()}


class RelativeHorizonErrors(HorizonErrors):
    """As `HorizonErrors`, with errors relative to the values: `smape`, `nrmse`, `continuous_nrmse`.

    Args:
        horizon: steps, h.
        scales: one for each channel, O.
        means: one for each channel.
        deviations: one for each channel.
    """

    percentage: Tensor
    targets_summed: Tensor
    targets_squared: Tensor

    def __init__(self, horizon: int, scales: list[float], means: list[float], deviations: list[float]) -> None:
        super().__init__(horizon, scales)
        self.moments = means, deviations
        for name in ("percentage", "targets_summed", "targets_squared"):
            self.add_state(name, torch.zeros(len(scales), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, forecasts: Tensor, targets: Tensor) -> None:
        """As in `HorizonErrors`."""
        super().update(forecasts, targets)
        known = ~targets.isnan()
        true = to_double(torch.where(known, targets, 0.0))
        mean, deviation = (true.new_tensor(values) for values in self.moments)
        said, real = (to_double(values) * deviation + mean for values in (forecasts[0], true))
        size = said.abs() + real.abs()
        share = torch.where(known.to(size.device) & (size > 0), 200 * (said - real).abs() / size.clamp(min=1e-300), 0.0)
        self.percentage += share.sum((0, 1))
        self.targets_summed += true.sum((0, 1))
        self.targets_squared += true.square().sum((0, 1))

    def compute(self) -> dict[str, Tensor]:
        """All scores by name."""
        count = self.count.sum(0)
        variance = self.targets_squared / count - (self.targets_summed / count).square()
        free, continuous = ((self.squared[way].sum(0) / count / variance).nanmean().sqrt() for way in (0, 1))
        scores = {"smape": self.percentage.sum() / count.sum(), "nrmse": free, "continuous_nrmse": continuous}
        return {**super().compute(), **{name: value.float() for name, value in scores.items()}}
