"""Every recurrent layer: `Recurrent` around one cell, with that cell's options as keywords."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from rnnbench.nn.cells import differential, elman, gru, light, linear, lstm, matrix, modern
from rnnbench.nn.recurrent import Recurrent

Device = torch.device | str | None
DType = torch.dtype | None


class Elman(Recurrent):
    """Simple recurrent network; equation in `ElmanCell`, arguments as `torch.nn.RNN`, options in `Recurrent`."""

    cell_class = elman.ElmanCell

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        device: Device = None, dtype: DType = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            nonlinearity=nonlinearity, **options,
        )  # fmt: skip

    @property
    def nonlinearity(self) -> str:
        """`tanh` or `relu`."""
        return str(self.cell.nonlinearity)


class IRNN(Elman):
    """Elman network with ReLU, recurrent weights that start as the identity (Le, Jaitly & Hinton 2015)."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: Literal["tanh", "relu"] = "relu",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        device: Device = None, dtype: DType = None, **options: Any,
    ) -> None:  # fmt: skip
        options.setdefault("recurrent_init", "identity")
        super().__init__(
            input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional, device, dtype,
            **options,
        )  # fmt: skip

    def reset_parameters(self) -> None:
        """Identity recurrent weights, input weights from N(0, 0.001²), no bias."""
        super().reset_parameters()
        with torch.no_grad():
            for name, value in self.named_parameters():
                if name.startswith("bias"):
                    value.zero_()
                elif name.startswith("weight_ih"):
                    value.normal_(std=0.001)


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gate (Gers, Schmidhuber & Cummins 2000).

    Equation in `LSTMCell`, arguments as `torch.nn.LSTM`, options in `LSTMCell` and `Recurrent`.
    """

    cell_class = lstm.LSTMCell

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Device = None,
        dtype: DType = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            proj_size=proj_size, **options,
        )  # fmt: skip

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape of the cell state c for an input: `[L·D, B, H]`."""
        return self._expected_state_shapes(input, batch_sizes)[1]


class PeepholeLSTM(LSTM):
    """LSTM whose gates see the cell state (Gers & Schmidhuber 2000): the "vanilla" LSTM of Greff et al. 2015.

    `peephole="diagonal"` (`p ⊙ c`) or `"full"` (`W_c c`); equation in `LSTMCell`.
    """

    def __init__(self, *args: Any, peephole: Literal["diagonal", "full"] = "diagonal", **options: Any) -> None:
        super().__init__(*args, peephole=peephole, **options)


class CoupledLSTM(LSTM):
    """LSTM with coupled input and forget gates, `f = 1 − i` (Greff et al. 2015); equation in `LSTMCell`."""

    def __init__(self, *args: Any, ablations: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(*args, ablations=tuple({"CIFG": 0} | dict.fromkeys(ablations, 0)), **options)


class LayerNormLSTM(Recurrent):
    """LSTM with layer normalisation (Ba, Kiros & Hinton 2016); equation in `LayerNormLSTMCell`."""

    cell_class = lstm.LayerNormLSTMCell


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014), reset gate applied after the recurrent product as in torch, or
    `reset_gate="before"`; equation in `GRUCell`.
    """

    cell_class = gru.GRUCell


class MGU(Recurrent):
    """Minimal gated unit (Zhou et al. 2016); equation in `MGUCell`."""

    cell_class = gru.MGUCell


class JANET(Recurrent):
    """LSTM with only a forget gate (van der Westhuizen & Lasenby 2018); equation in `JANETCell`."""

    cell_class = gru.JANETCell


class UGRNN(Recurrent):
    """Update gate RNN (Collins et al. 2017); equation in `UGRNNCell`."""

    cell_class = gru.UGRNNCell


class MUT(Recurrent):
    """The evolved cells MUT1 to MUT3 (Jozefowicz et al. 2015), by `variant`; equations in `MUTCell`."""

    cell_class = gru.MUTCell


class MultiplicativeLSTM(Recurrent):
    """Multiplicative LSTM (Krause et al. 2016); equation in `MultiplicativeLSTMCell`."""

    cell_class = modern.MultiplicativeLSTMCell


class SLSTM(Recurrent):
    """sLSTM (Beck et al. 2024), exponential gating; equation in `ScalarLSTMCell`."""

    cell_class = modern.ScalarLSTMCell


class MLSTM(Recurrent):
    """mLSTM (Beck et al. 2024), a matrix as memory; equation in `MatrixLSTMCell`."""

    cell_class = matrix.MatrixLSTMCell


class MinGRU(Recurrent):
    """minGRU (Feng et al. 2024); equation in `MinGRUCell`."""

    cell_class = linear.MinGRUCell


class MinLSTM(Recurrent):
    """minLSTM (Feng et al. 2024); equation in `MinLSTMCell`."""

    cell_class = linear.MinLSTMCell


class LRU(Recurrent):
    """Linear recurrent unit (Orvieto et al. 2023); equation in `LRUCell`."""

    cell_class = linear.LRUCell


class SRU(Recurrent):
    """Simple recurrent unit (Lei et al. 2018); equation in `SRUCell`."""

    cell_class = linear.SRUCell


class QRNN(Recurrent):
    """Quasi-recurrent network (Bradbury et al. 2017); equation in `QRNNCell`."""

    cell_class = linear.QRNNCell


class IndRNN(Recurrent):
    """Independently recurrent network (Li et al. 2018); equation in `IndRNNCell`."""

    cell_class = light.IndRNNCell


class RHN(Recurrent):
    """Recurrent highway network (Zilly et al. 2017); equation in `RHNCell`."""

    cell_class = light.RHNCell


class FastGRNN(Recurrent):
    """FastGRNN (Kusupati et al. 2018); equation in `FastGRNNCell`."""

    cell_class = light.FastGRNNCell


class CFN(Recurrent):
    """Chaos-free network (Laurent & von Brecht 2017); equation in `CFNCell`."""

    cell_class = light.CFNCell


class RAN(Recurrent):
    """Recurrent additive network (Lee, Levy & Zettlemoyer 2017); equation in `RANCell`."""

    cell_class = light.RANCell


class LiGRU(Recurrent):
    """Light GRU (Ravanelli et al. 2018); equation in `LiGRUCell`."""

    cell_class = light.LiGRUCell


class MinimalRNN(Recurrent):
    """MinimalRNN (Chen 2017); equation in `MinimalRNNCell`."""

    cell_class = light.MinimalRNNCell


class SCRN(Recurrent):
    """Structurally constrained recurrent network (Mikolov et al. 2015); equation in `SCRNCell`."""

    cell_class = light.SCRNCell


class BRC(Recurrent):
    """Bistable recurrent cell (Vecoven, Ernst & Drion 2021); equation in `BRCCell`."""

    cell_class = light.BRCCell


class AntisymmetricRNN(Recurrent):
    """AntisymmetricRNN (Chang et al. 2019); equation in `AntisymmetricRNNCell`."""

    cell_class = differential.AntisymmetricRNNCell


class CoRNN(Recurrent):
    """Coupled oscillatory RNN (Rusch & Mishra 2021); equation in `CoRNNCell`."""

    cell_class = differential.CoRNNCell


class UnICORNN(Recurrent):
    """Undamped independent controlled oscillatory RNN (Rusch & Mishra 2021b); equation in `UnICORNNCell`."""

    cell_class = differential.UnICORNNCell


class LEM(Recurrent):
    """Long expressive memory (Rusch et al. 2022); equation in `LEMCell`."""

    cell_class = differential.LEMCell


class RGLRU(Recurrent):
    """Real-gated linear recurrent unit (De et al. 2024); equation in `RGLRUCell`."""

    cell_class = linear.RGLRUCell
