"""rnnbench: recurrent networks in PyTorch Lightning, and the benchmark that compares them.

`import rnnbench as rb` gives `rb.run`, `rb.load_records`, `rb.load_run` and `rb.compare` (see `rnnbench.api`), and
`rb.nn`, `rb.architectures` and `rb.data`. Each is imported when it is first used, so that the import of the package
takes no time and loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnbench.api import Board, Comparison, GridResult, compare, load_records, load_run, run
    from rnnbench.errors import RnnbenchError

__version__ = "0.2.0"
__all__ = ["Board", "Comparison", "GridResult", "RnnbenchError", "__version__", "compare", "load_records", "load_run",
           "run"]  # fmt: skip
_SUBPACKAGES = ("architectures", "data", "nn")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"rnnbench.{name}")
    if name in __all__:
        return getattr(import_module("rnnbench.errors" if name == "RnnbenchError" else "rnnbench.api"), name)
    raise AttributeError(f"module 'rnnbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_SUBPACKAGES])
