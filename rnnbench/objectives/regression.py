"""Real values: one vector for a sequence, or the next one at each step."""

from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection

from rnnbench.objectives.base import Objective, Reader, check_shape


class Regression(Objective):
    """One real vector for the whole sequence: targets `[B, O]`, NaN where unknown.

    Loss: mean squared error. Metrics: mean absolute error and root mean squared error, in the unit of the targets.
    """

    unknown = float("nan")
    loss_name = "mse"

    def known_targets(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """As in `Objective`; where there is one channel, targets without that dimension get it."""
        if self.output_size == 1 and targets.dim() == 1 + self.per_step:
            targets = targets.unsqueeze(-1)
        return super().known_targets(targets, lengths)

    def loss(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error over known targets, summed, and their number.

        Raises:
            RnnbenchError: targets of another shape than the predictions.
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
    """The next values at each step: targets `[B, T, O]`, NaN where nothing was measured. Causal."""

    causal: ClassVar[bool] = True
    per_step: ClassVar[bool] = True


class Forecasts(NamedTuple):
    """What is said of the steps of a window.

    `continuous` `[B, T, O]`: of each next step, every input measured. For the last h steps, the horizon, and None while
    training: `free` `[B, h, O]`, from inputs that are predictions after the first; `persistence` and `seasonal`
    `[B, h, O]`: the last value before the horizon, and the value one season before each.
    """

    continuous: Tensor
    free: Tensor | None = None
    persistence: Tensor | None = None
    seasonal: Tensor | None = None


class HorizonForecast(Forecast):
    """The next values at each step, and of the last `horizon` steps from no input after the first: as `Forecast`.

    Inputs `[B, T, O]` are the values that targets `[B, T, O]` are one step later. Two forecasts of the horizon, both
    scored where something was measured: *continuous*, each step reads the measured value before it; *autoregressive*
    (the metrics without a prefix), it reads what was predicted there. While training, a step of the horizon reads the
    measured value with probability `teacher_forcing`, else its own prediction (scheduled sampling, Bengio et al. 2015).

    Loss: mean squared error of the continuous forecast. Metrics, in the unit of the targets unless said:

        mae, rmse                         autoregressive, over all steps of the horizon and channels
        mase                              mean over channels of mae / scale, with scale the mean absolute error that
                                          the seasonal-naive forecast has within the training part (Hyndman & Koehler
                                          2006); below 1 is better than that
        skill_persistence, skill_seasonal 1 − rmse / that of the forecast that repeats the last value, or the value one
                                          season before; 0 is as good, 1 perfect
        continuous_mae, continuous_rmse   of the continuous forecast, over the same steps
        rmse_1 … rmse_h                   autoregressive, so many steps ahead

    Args:
        state_size: features of one direction's hidden state, H.
        directions: 1.
        output_size: channels, O.
        horizon: steps of the forecast, h.
        season: steps of a season, no more than a window has before its horizon.
        scales: of mase, one for each channel, above 0.
        teacher_forcing: of a model that does not say otherwise, 0 to 1.
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
    ) -> None:
        super().__init__(state_size, directions, output_size)
        self.horizon, self.season, self.scales = horizon, season, scales
        self.teacher_forcing = teacher_forcing

    @classmethod
    def example(cls) -> Self:
        """A small one, of 24 steps."""
        return cls(1, 1, 1, horizon=24, season=24, scales=[1.0])

    def unroll(
        self, read: Reader, inputs: Tensor, lengths: Tensor | None, targets: Tensor | None, teacher_forcing: float
    ) -> Forecasts:
        """Continuous forecasts, and unless training the autoregressive and the naive ones."""
        known = inputs.shape[1] - self.horizon + 1
        if self.training and teacher_forcing < 1:
            return Forecasts(self._run(read, inputs, known, teacher_forcing))
        hidden, _ = read(inputs)
        continuous = self.head(hidden)
        if self.training:
            return Forecasts(continuous)
        free = self._run(read, inputs, known, 0.0)[:, known - 1 :]
        persistence = inputs[:, known - 1 : known].expand_as(free)
        ahead = torch.arange(self.horizon, device=inputs.device)
        seasonal = inputs[:, known + ahead % self.season - self.season]
        return Forecasts(continuous, free, persistence, seasonal)

    def _run(self, read: Reader, inputs: Tensor, known: int, forcing: float) -> Tensor:
        """Predictions of all steps; from `known` on, inputs are measured with probability `forcing`, else predicted."""
        hidden, state = read(inputs[:, :known])
        said = [self.head(hidden)]
        for step in range(known, inputs.shape[1]):
            before, measured = said[-1][:, -1:], inputs[:, step : step + 1]
            forced = torch.rand(len(inputs), 1, 1, device=inputs.device) < forcing
            hidden, state = read(torch.where(forced, measured, before), None, state)
            said.append(self.head(hidden))
        return torch.cat(said, 1)

    def loss(self, predictions: Forecasts, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error of the continuous forecast over known targets, summed, and their number."""
        return super().loss(predictions.continuous, targets)

    def predict(self, outputs: Forecasts, lengths: Tensor | None) -> dict[str, Any]:
        """`autoregressive` `[B, h, O]`, the forecast of the horizon that reads itself, and `continuous` `[B, T, O]`."""
        return {"autoregressive": outputs.free, "continuous": outputs.continuous}

    def scored(self, predictions: Forecasts, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Values `[N]` and `[N]` of the known targets, continuous."""
        return super().scored(predictions.continuous, targets)

    def update(self, metrics: MetricCollection, predictions: Forecasts, targets: Tensor) -> None:
        """Take a batch into the metrics."""
        continuous, *others = predictions
        free, persistence, seasonal = (one for one in others if one is not None)  # made whenever not training
        forecasts = torch.stack([free, continuous[:, -self.horizon :], persistence, seasonal])
        metrics.update(forecasts, targets[:, -self.horizon :])

    def metrics(self) -> MetricCollection:
        """One metric that gives all."""
        return MetricCollection({"horizon": HorizonErrors(self.horizon, self.scales)})

    def score_names(self) -> list[str]:
        """Names of all scores."""
        own: Metric = HorizonErrors(self.horizon, self.scales)
        own.update(torch.zeros(4, 1, self.horizon, self.output_size), torch.zeros(1, self.horizon, self.output_size))
        return [self.loss_name, *own.compute()]


class HorizonErrors(Metric):
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
        errors = torch.where(known, forecasts - targets, 0.0).double()
        self.squared += errors.square().sum(1)
        self.absolute += errors.abs().sum(1)
        self.count += known.sum(0)

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
