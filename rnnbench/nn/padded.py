"""Running a layer over sequences of different lengths, padded at the end."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def run_padded(layer: nn.RNNBase, inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """Hidden states of the top layer, `[B, T, D·H]`, zero beyond each sequence's length.

    `inputs` is `[B, T, I]`, `lengths` `[B]` (each at least 1) or None where nothing is padded; `layer` is
    `batch_first`. What stands in the padding has no influence on the result.

    A layer that only reads forwards never sees the padding before a sequence has ended, so it runs over the padded
    tensor, on a CPU 2–4 times as fast as over a `PackedSequence`; a bidirectional one has to be packed.
    """
    if lengths is None:
        return layer(inputs)[0]  # type: ignore[no-any-return]
    if layer.bidirectional:
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=inputs.shape[1])[0]
    beyond = torch.arange(inputs.shape[1], device=inputs.device) >= lengths.unsqueeze(1)
    # Zeroed on the way in as well: NaN in the padding would come back through the weights' gradient.
    clean = inputs.masked_fill(beyond.unsqueeze(-1), 0.0)
    return layer(clean)[0].masked_fill(beyond.unsqueeze(-1), 0.0)  # type: ignore[no-any-return]
