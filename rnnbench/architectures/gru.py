"""The gated recurrent unit and its simplifications as LightningModules."""

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule


class GRU(SequenceModule):
    """GRU (Cho et al. 2014) on any objective; equation in `rnnbench.nn.GRU`, arguments in `SequenceModule`.

    `layer_options`: `reset_gate` (`after` the recurrent product as in torch, or `before` it as in the paper), and those
    of every layer.
    """

    layer_class = nn.GRU


class MGU(SequenceModule):
    """Minimal gated unit (Zhou, Wu, Zhang & Zhou 2016) on any objective; equation in `rnnbench.nn.MGU`, arguments in
    `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.MGU


class JANET(SequenceModule):
    """JANET (van der Westhuizen & Lasenby 2018) on any objective: an LSTM with only a forget gate. Equation in
    `rnnbench.nn.JANET`, arguments in `SequenceModule`.

    `layer_options`: `beta` (how much less is taken in than forgotten), and those of every layer; the paper's biases are
    those of `chrono`.
    """

    layer_class = nn.JANET


class UGRNN(SequenceModule):
    """Update gate RNN (Collins, Sohl-Dickstein & Sussillo 2017) on any objective; equation in `rnnbench.nn.UGRNN`,
    arguments in `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.UGRNN


class MUT(SequenceModule):
    """The evolved cells MUT1 to MUT3 (Jozefowicz, Zaremba & Sutskever 2015) on any objective; equations in
    `rnnbench.nn.MUT`, arguments in `SequenceModule`.

    `layer_options`: `variant` (1, 2 or 3), and those of every layer.
    """

    layer_class = nn.MUT
