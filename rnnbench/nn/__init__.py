"""Recurrent layers: drop-in for `torch.nn.RNN`, `torch.nn.LSTM` and `torch.nn.GRU`.

Torch's constructor, call, shapes, states and `state_dict`, plus settings that torch lacks.
"""

from rnnbench.nn.elman import Elman
from rnnbench.nn.gru import GRU
from rnnbench.nn.lstm import LSTM
from rnnbench.nn.padded import run_padded

__all__ = ["GRU", "LSTM", "Elman", "run_padded"]
