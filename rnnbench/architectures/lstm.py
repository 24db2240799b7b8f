"""Long short-term memory and its relatives as LightningModules."""

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule


class LSTM(SequenceModule):
    """LSTM (Hochreiter & Schmidhuber 1997) on any objective. Equation in `rnnbench.nn.LSTM`,
    arguments in `SequenceModule`.

    `layer_options`: `forget_bias` (the forget gate's bias at the start), `proj_size` (Sak, Senior & Beaufays 2014;
    smaller than `hidden_size`), `peephole` (`diagonal` or `full`), `output_peek` (`new` or `previous`), `ablations` (a
    list of those of Greff et al. 2015), and those of every layer.
    """

    layer_class = nn.LSTM


class PeepholeLSTM(SequenceModule):
    """LSTM with peepholes (Gers & Schmidhuber 2000), the "vanilla" LSTM of Greff et al. 2015, on any objective.
    Equation in `rnnbench.nn.PeepholeLSTM`, arguments in `SequenceModule`.

    `layer_options`: `peephole` (`diagonal` or `full`), `output_peek` (the output gate sees the `new` or the `previous`
    cell state), `ablations` (a list of NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR, after Greff et al. 2015),
    `forget_bias`, `proj_size`, and those of every layer.
    """

    layer_class = nn.PeepholeLSTM


class CoupledLSTM(SequenceModule):
    """LSTM with coupled input and forget gates, `f = 1 − i` (Greff et al. 2015), on any objective. Equation in
    `rnnbench.nn.CoupledLSTM`, arguments in `SequenceModule`.

    `layer_options`: `peephole`, `output_peek`, `ablations`, `proj_size`, as of `LSTM`, and those of every layer.
    """

    layer_class = nn.CoupledLSTM


class LayerNormLSTM(SequenceModule):
    """LSTM with layer normalisation (Ba, Kiros & Hinton 2016) on any objective. Equation in
    `rnnbench.nn.LayerNormLSTM`, arguments in `SequenceModule`.

    `layer_options`: `forget_bias`, and those of every layer.
    """

    layer_class = nn.LayerNormLSTM


class MultiplicativeLSTM(SequenceModule):
    """Multiplicative LSTM (Krause, Lu, Murray & Renals 2016) on any objective. Equation in
    `rnnbench.nn.MultiplicativeLSTM`, arguments in `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.MultiplicativeLSTM


class SLSTM(SequenceModule):
    """sLSTM (Beck et al. 2024) on any objective: exponential gating, without the blocks around it in xLSTM. Equation in
    `rnnbench.nn.SLSTM`, arguments in `SequenceModule`.

    `layer_options`: `heads` (units of one head see each other only; divides `hidden_size`), and those of every layer.
    """

    layer_class = nn.SLSTM
