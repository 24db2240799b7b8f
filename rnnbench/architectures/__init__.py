"""Architectures: LightningModules that train a recurrent stack, or a baseline without recurrence, on any objective."""

from rnnbench.architectures.cell_module import AnyCell, CellModule
from rnnbench.architectures.feedforward import CNN, TCN, WindowMLP
from rnnbench.architectures.module import SequenceModule
from rnnbench.architectures.recurrent import (
    GRU,
    IRNN,
    JANET,
    LRU,
    LSTM,
    MGU,
    MUT,
    QRNN,
    SLSTM,
    SRU,
    UGRNN,
    CoupledLSTM,
    Elman,
    LayerNormLSTM,
    MinGRU,
    MinLSTM,
    MultiplicativeLSTM,
    PeepholeLSTM,
)

__all__ = [
    "CNN",
    "GRU",
    "IRNN",
    "JANET",
    "LRU",
    "LSTM",
    "MGU",
    "MUT",
    "QRNN",
    "SLSTM",
    "SRU",
    "TCN",
    "UGRNN",
    "AnyCell",
    "CellModule",
    "CoupledLSTM",
    "Elman",
    "LayerNormLSTM",
    "MinGRU",
    "MinLSTM",
    "MultiplicativeLSTM",
    "PeepholeLSTM",
    "SequenceModule",
    "WindowMLP",
]
