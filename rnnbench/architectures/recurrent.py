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


class MLSTM(SequenceModule):
    """mLSTM (Beck et al. 2024) on any objective: exponential gating and a matrix as memory, without the blocks around
    it in xLSTM. Equation in `rnnbench.nn.MLSTM`, arguments in `SequenceModule`.

    `layer_options`: `heads` (each with a matrix of its own; divides `hidden_size`), and those of every layer.
    """

    layer_class = nn.MLSTM


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


class MinGRU(SequenceModule):
    """minGRU (Feng et al. 2024) on any objective; equation in `rnnbench.nn.MinGRU`, arguments in `SequenceModule`.

    `layer_options`: `positive` (candidates kept positive, as in the paper's log space), `negative_eigenvalues` (Grazzi
    et al. 2025), and those of every layer.
    """

    layer_class = nn.MinGRU


class MinLSTM(SequenceModule):
    """minLSTM (Feng et al. 2024) on any objective; equation in `rnnbench.nn.MinLSTM`, arguments in `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.MinLSTM


class LRU(SequenceModule):
    """Linear recurrent unit (Orvieto et al. 2023) on any objective, without the paper's blocks of MLPs around it;
    equation in `rnnbench.nn.LRU`, arguments in `SequenceModule`.

    `layer_options`: `r_min`, `r_max` (ring of the eigenvalues at the start), `max_phase` (largest angle, in radians),
    and those of every layer.
    """

    layer_class = nn.LRU


class SRU(SequenceModule):
    """Simple recurrent unit (Lei et al. 2018) on any objective; equation in `rnnbench.nn.SRU`, arguments in
    `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.SRU


class QRNN(SequenceModule):
    """Quasi-recurrent network (Bradbury et al. 2017), fo-pooling and windows of one step, on any objective; equation in
    `rnnbench.nn.QRNN`, arguments in `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.QRNN


class IndRNN(SequenceModule):
    """Independently recurrent network (Li et al. 2018) on any objective; equation in `rnnbench.nn.IndRNN`, arguments in
    `SequenceModule`.

    `layer_options`: `nonlinearity` (`relu` or `tanh`), and those of every layer.
    """

    layer_class = nn.IndRNN


class RHN(SequenceModule):
    """Recurrent highway network (Zilly et al. 2017) on any objective; equation in `rnnbench.nn.RHN`, arguments in
    `SequenceModule`.

    `layer_options`: `depth` (highway layers a step), `transform_bias` (of the gates at the start), and those of
    every layer.
    """

    layer_class = nn.RHN


class FastGRNN(SequenceModule):
    """FastGRNN (Kusupati et al. 2018) on any objective; equation in `rnnbench.nn.FastGRNN`, arguments in
    `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.FastGRNN


class CFN(SequenceModule):
    """Chaos-free network (Laurent & von Brecht 2017) on any objective; equation in `rnnbench.nn.CFN`, arguments in
    `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.CFN


class RAN(SequenceModule):
    """Recurrent additive network (Lee, Levy & Zettlemoyer 2017) on any objective; equation in `rnnbench.nn.RAN`,
    arguments in `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.RAN


class LiGRU(SequenceModule):
    """Light GRU (Ravanelli et al. 2018) on any objective; equation in `rnnbench.nn.LiGRU`, arguments in
    `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.LiGRU


class MinimalRNN(SequenceModule):
    """MinimalRNN (Chen 2017) on any objective; equation in `rnnbench.nn.MinimalRNN`, arguments in `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.MinimalRNN


class SCRN(SequenceModule):
    """Structurally constrained recurrent network (Mikolov et al. 2015) on any objective; equation in
    `rnnbench.nn.SCRN`, arguments in `SequenceModule`.

    `layer_options`: `alpha` (share of the context that is kept), and those of every layer.
    """

    layer_class = nn.SCRN


class BRC(SequenceModule):
    """Bistable recurrent cell (Vecoven, Ernst & Drion 2021) on any objective; equation in `rnnbench.nn.BRC`, arguments
    in `SequenceModule`.

    `layer_options`: `neuromodulated` (the nBRC), and those of every layer.
    """

    layer_class = nn.BRC


class AntisymmetricRNN(SequenceModule):
    """AntisymmetricRNN (Chang et al. 2019) on any objective; equation in `rnnbench.nn.AntisymmetricRNN`, arguments in
    `SequenceModule`.

    `layer_options`: `step_size`, `diffusion`, `gated`, and those of every layer.
    """

    layer_class = nn.AntisymmetricRNN


class CoRNN(SequenceModule):
    """Coupled oscillatory RNN (Rusch & Mishra 2021) on any objective; equation in `rnnbench.nn.CoRNN`, arguments in
    `SequenceModule`.

    `layer_options`: `step_size`, `gamma`, `epsilon`, and those of every layer.
    """

    layer_class = nn.CoRNN


class UnICORNN(SequenceModule):
    """Undamped independent controlled oscillatory RNN (Rusch & Mishra 2021b) on any objective; equation in
    `rnnbench.nn.UnICORNN`, arguments in `SequenceModule`.

    `layer_options`: `step_size`, `alpha`, and those of every layer.
    """

    layer_class = nn.UnICORNN


class LEM(SequenceModule):
    """Long expressive memory (Rusch et al. 2022) on any objective; equation in `rnnbench.nn.LEM`, arguments in
    `SequenceModule`.

    `layer_options`: `step_size`, and those of every layer.
    """

    layer_class = nn.LEM


class RGLRU(SequenceModule):
    """Real-gated linear recurrent unit (De et al. 2024) on any objective; equation in `rnnbench.nn.RGLRU`, arguments in
    `SequenceModule`.

    `layer_options`: those of every layer.
    """

    layer_class = nn.RGLRU
