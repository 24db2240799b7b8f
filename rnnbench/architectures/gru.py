"""The gated recurrent unit as a LightningModule."""

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule


class GRU(SequenceModule):
    """GRU (Cho et al. 2014) on any objective; equations in `rnnbench.nn.GRU`, arguments in `SequenceModule`.

    `layer_options`: `bias`.
    """

    layer_class = nn.GRU
