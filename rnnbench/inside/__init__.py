"""The former name of `rnnbench.analysis`, kept for one release."""

import sys
import warnings
from importlib import import_module

warnings.warn(
    "rnnbench.inside is now rnnbench.analysis, and inside.during is analysis.callbacks", DeprecationWarning, 2
)

for _old, _new in {"gradients": "gradients", "gates": "gates", "during": "callbacks"}.items():
    globals()[_old] = sys.modules[f"{__name__}.{_old}"] = import_module(f"rnnbench.analysis.{_new}")
