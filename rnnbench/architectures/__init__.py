"""Architectures: LightningModules that train a recurrent stack on any objective."""

from rnnbench.architectures.elman import Elman
from rnnbench.architectures.gru import GRU
from rnnbench.architectures.lstm import LSTM
from rnnbench.architectures.module import SequenceModule

__all__ = ["GRU", "LSTM", "Elman", "SequenceModule"]
