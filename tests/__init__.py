"""The tests. Where there is no GPU, Triton interprets its kernels on the CPU: it decides so when it is imported."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
