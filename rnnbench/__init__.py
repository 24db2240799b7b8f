"""rnnbench: recurrent networks in PyTorch Lightning, and the benchmark that compares them.

Importing this package imports nothing heavy; `rnnbench.nn`, `rnnbench.architectures` and `rnnbench.data` do.
"""

__version__ = "0.1.0"
