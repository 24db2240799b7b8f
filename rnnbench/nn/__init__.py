"""Recurrent layers on one engine: write a cell's equation, get a layer with torch's constructor, call and states.

`Cell` is what to write, `Recurrent` the layer around any cell; the rest are the layers of the literature. `WindowMLP`,
`CNN` and `TCN` are not recurrent: the baselines. `Decoder` makes the second half of an encoder–decoder of any layer.
"""

from rnnbench.nn.attention import BahdanauAttention, LuongAttention
from rnnbench.nn.cell import Cell, layer_norm, row_mean
from rnnbench.nn.checks import InputError, InputTypeError
from rnnbench.nn.compiler.scan import linear_recurrence
from rnnbench.nn.decoder import Decoder, Encoded
from rnnbench.nn.feedforward import CNN, TCN, WindowMLP
from rnnbench.nn.functional import activation_regularisation, mean_over_steps, run_padded, run_padded_to_states
from rnnbench.nn.layers import (
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
from rnnbench.nn.recurrent import Recurrent
from rnnbench.utils.allocator import keep_freed_memory

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
    "BahdanauAttention",
    "Cell",
    "CoupledLSTM",
    "Decoder",
    "Elman",
    "Encoded",
    "InputError",
    "InputTypeError",
    "LayerNormLSTM",
    "LuongAttention",
    "MinGRU",
    "MinLSTM",
    "MultiplicativeLSTM",
    "PeepholeLSTM",
    "Recurrent",
    "WindowMLP",
    "activation_regularisation",
    "keep_freed_memory",
    "layer_norm",
    "linear_recurrence",
    "mean_over_steps",
    "row_mean",
    "run_padded",
    "run_padded_to_states",
]
