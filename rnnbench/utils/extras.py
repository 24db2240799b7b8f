"""Optional packages: what each extra brings, and one sentence where something is missing."""

from importlib.util import find_spec

from rnnbench.errors import RnnbenchError

EXTRAS: dict[str, tuple[str, ...]] = {
    "board": ("altair", "itables", "jinja2", "scikit_posthocs", "vl_convert"),
    "export": ("onnx", "onnxscript", "onnxruntime", "safetensors"),
    "music": ("music21", "verovio"),
    "plots": ("altair", "vl_convert"),
    "ray": ("ray",),
    "slurm": ("submitit",),
    "tensorboard": ("tensorboard",),
    "tune": ("optuna", "sklearn"),
    "vectors": ("gensim",),
}
"""The modules of each extra that a verb or an option needs."""


def lacking(extra: str, *modules: str) -> list[str]:
    """Those of the modules of an extra (or of some of them) that are not installed."""
    return [module for module in modules or EXTRAS[extra] if find_spec(module) is None]


def check_extra(extra: str, what: str, *modules: str) -> None:
    """Check that an extra is installed, before any work that needs it.

    Args:
        extra: a key of `EXTRAS`.
        what: what needs it, as the sentence begins.
        modules: those of the extra that are needed (default: all).

    Raises:
        RnnbenchError: one is missing.
    """
    if missing := lacking(extra, *modules):
        raise RnnbenchError(f"{what} needs {' and '.join(missing)}: pip install 'rnnbench[{extra}]'")
