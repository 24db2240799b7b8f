"""The simple recurrent network as a LightningModule."""

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule


class Elman(SequenceModule):
    """Elman network (Elman 1990) on any objective; equations in `rnnbench.nn.Elman`, arguments in `SequenceModule`.

    `layer_options`: `nonlinearity` (`tanh` or `relu`), `bias`.
    """

    layer_class = nn.Elman
