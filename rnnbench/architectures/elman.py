"""Simple recurrent networks as LightningModules."""

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule


class Elman(SequenceModule):
    """Elman network (Elman 1990) on any objective; equation in `rnnbench.nn.Elman`, arguments in `SequenceModule`.

    `layer_options`: `nonlinearity` (`tanh` or `relu`), and those of every layer.
    """

    layer_class = nn.Elman


class IRNN(SequenceModule):
    """IRNN (Le, Jaitly & Hinton 2015) on any objective: an Elman network with ReLU whose recurrent weights start as the
    identity; `rnnbench.nn.IRNN`, arguments in `SequenceModule`.

    `layer_options`: `nonlinearity` (`relu` or `tanh`), and those of every layer.
    """

    layer_class = nn.IRNN
