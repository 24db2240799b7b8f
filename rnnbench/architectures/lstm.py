"""Long short-term memory as a LightningModule."""

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule


class LSTM(SequenceModule):
    """LSTM (Hochreiter & Schmidhuber 1997) on any objective. Equations in `rnnbench.nn.LSTM`,
    arguments in `SequenceModule`.

    `layer_options`: `forget_bias` (the forget gate's bias at the start), `proj_size`, `bias`.
    """

    layer_class = nn.LSTM
