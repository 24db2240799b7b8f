"""Architectures: LightningModules that train a recurrent stack, or a baseline without recurrence, on any objective."""

from rnnbench.architectures.any_cell import AnyCell
from rnnbench.architectures.convolution import CNN, TCN, WindowMLP
from rnnbench.architectures.elman import IRNN, Elman
from rnnbench.architectures.gru import GRU, JANET, MGU, MUT, UGRNN
from rnnbench.architectures.linear import LRU, QRNN, SRU, MinGRU, MinLSTM
from rnnbench.architectures.lstm import (
    LSTM,
    SLSTM,
    CoupledLSTM,
    LayerNormLSTM,
    MultiplicativeLSTM,
    PeepholeLSTM,
)
from rnnbench.architectures.module import SequenceModule

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
