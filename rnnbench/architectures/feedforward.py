"""Networks without recurrence as LightningModules: the baselines of recurrent networks."""

from typing import Any, ClassVar

from torch import Tensor
from torch import nn as torch_nn

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule
from rnnbench.architectures.options import as_arguments
from rnnbench.nn.feedforward import Feedforward
from rnnbench.objectives import Objective


class FeedforwardModule(SequenceModule):
    """A layer without recurrence on any objective; arguments in `SequenceModule`.

    Raises:
        ValueError: bidirectional.
    """

    layer_class: ClassVar[type[Feedforward]]
    stateful = False
    layer: Feedforward

    @property
    def causal(self) -> bool:
        """Whether no output step depends on a later input."""
        return self.layer_class.causal

    def hidden_states(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        """Outputs of the layer at every step, `[B, T, H]`, zero beyond each sequence's length."""
        return self.layer(self.embedding(inputs), lengths)  # type: ignore[no-any-return]

    def make_layer(self, input_size: int, **_: Any) -> Feedforward:
        """The layer, which has no options for the order of dimensions and the direction."""
        p: Any = self.hparams
        make: Any = self.layer_class
        options = as_arguments(p.layer_options)
        return make(input_size, p.hidden_size, p.num_layers, p.dropout, **options)  # type: ignore[no-any-return]

    def _check_settings(self) -> None:
        if self.hparams["bidirectional"]:
            raise ValueError(f"bidirectional must be False for {type(self).__name__}, which is not recurrent, got True")
        super()._check_settings()


class WindowMLP(FeedforwardModule):
    """An MLP over the last steps on any objective, the same MLP at every step; equation in `rnnbench.nn.WindowMLP`,
    arguments in `SequenceModule`.

    `num_layers` is the number of hidden layers; with 0, the head is linear or logistic regression on the window.

    `layer_options`: `window` (steps seen at once; those before the start are zero), `residual` (hidden layers from the
    second on add their inputs to their outputs).
    """

    layer_class = nn.WindowMLP
    least_layers = 0


class CNN(FeedforwardModule):
    """Convolutions over time, which look ahead, on any objective that is not causal; equation in `rnnbench.nn.CNN`,
    arguments in `SequenceModule`. A single output for a sequence is read from the mean over its steps.

    `layer_options`: `kernel_size` (steps that a convolution sees, odd).
    """

    layer_class = nn.CNN

    def make_objective(self, objective: type[Objective]) -> Objective:
        """Head, loss and metrics, over the mean of all steps: none of them has seen the whole sequence."""
        made = super().make_objective(objective)
        made.pool = nn.mean_over_steps
        return made


class TCN(FeedforwardModule):
    """Temporal convolutional network (Bai, Kolter & Koltun 2018) on any objective; equation in `rnnbench.nn.TCN`,
    arguments in `SequenceModule`.

    `num_layers` is the number of residual blocks; `dropout` is in them, after each convolution, not before the head.

    `layer_options`: `kernel_size` (taps of a convolution).
    """

    layer_class = nn.TCN

    def _build(self) -> None:
        super()._build()
        self.dropout = torch_nn.Identity()
