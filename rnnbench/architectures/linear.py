"""Networks that are linear in their state as LightningModules."""

from rnnbench import nn
from rnnbench.architectures.module import SequenceModule


class MinGRU(SequenceModule):
    """minGRU (Feng et al. 2024) on any objective; equation in `rnnbench.nn.MinGRU`, arguments in `SequenceModule`.

    `layer_options`: `positive` (candidates kept positive, as in the paper's log space), and those of every layer.
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
