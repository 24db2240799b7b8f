"""Runs layers whose kernels are built with sanitizers; started by `test_nn_sanitized` in a process of its own."""

import ctypes
import sys
from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench.nn import Recurrent
from rnnbench.nn.engine.build import load
from tests.nn_layers import draw, draw_states, flat, make

CASES = ("lstm", "lstm-proj", "gru-before", "layer-norm")
BROKEN = """
#include <stdlib.h>
__attribute__((noipa)) volatile char *make(void) { return malloc(8); }
long reach(long k) { volatile char *p = make(); p[k] = 1; return p[k]; }
"""


def exercise(layer: Recurrent, inputs: Any, batch: int) -> None:
    """A call with and without states and gradients, and a step."""
    states = draw_states(layer, batch)
    hx = states if len(states) > 1 else states[0]
    for state in (None, hx):
        torch.autograd.backward([torch.as_tensor(sum(one.square().sum() for one in flat(layer(inputs, state))))])
        with torch.no_grad():
            layer(inputs, state)
    if isinstance(inputs, torch.Tensor) and not layer.bidirectional:
        with torch.no_grad():
            layer.step(inputs[0], hx)


def main() -> None:
    if sys.argv[1:] == ["broken"]:
        library: Any = load(BROKEN)
        library.reach.argtypes = [ctypes.c_long]
        library.reach(8)
        return
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for case in CASES:
            for steps, batch, features, units in ((3, 1, 1, 4), (4, 9, 3, 19), (2, 17, 5, 33)):
                for both in (False, True):
                    layer = make(case, features, units, bidirectional=both)
                    assert layer.backend == "native"
                    exercise(layer, draw(steps, batch, features).requires_grad_(), batch)
            layer = make(case, 3, 13, num_layers=2, bidirectional=True, bias=False)
            lengths = torch.tensor([5, 4, 4, 1, 1, 1, 1, 1, 1])
            exercise(layer, pack_padded_sequence(draw(5, 9, 3), lengths), 9)
    print("clean")


if __name__ == "__main__":
    main()
