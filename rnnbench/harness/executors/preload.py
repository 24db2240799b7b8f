"""Imported once by the server that workers are forked from, so that none of them has to import anything.

Nothing here may start a thread or touch a device: neither survives a fork.
"""

import sys

import datasets  # noqa: F401
import lightning.pytorch  # noqa: F401
import torch

import rnnbench.architectures
import rnnbench.data
import rnnbench.harness.execute
import rnnbench.harness.executors.worker  # noqa: F401
from rnnbench.utils.fingerprint import imported_modules, source_digest

source_digest("rnnbench")  # of the code that was just imported, even if somebody edits it while the grid runs
for _name in [name for name in sys.modules if name.startswith("rnnbench.data.")]:
    imported_modules(_name)  # where prepared data lies depends on them; reading them takes longer than a short run

# The first optimiser imports a large part of torch's compiler.
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))]).zero_grad()
