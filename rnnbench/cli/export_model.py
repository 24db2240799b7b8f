"""`rnnbench export-model`: a trained network as a file for other programs."""

from pathlib import Path

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser, add_run
from rnnbench.errors import RnnbenchError


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument(
        "--format", choices=["onnx", "torch-export", "safetensors"], required=True, help="of the model's file"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to (default: exported/RUN)")


def run(options: Namespace) -> None:
    """Write the model, its tokenizer and a card.

    Raises:
        RnnbenchError: no such run, a package that is missing, or a model that cannot be exported.
    """
    from rnnbench.harness.load_run import load_run

    trained = load_run(options.run, options.leaderboard, options.runs)
    if not hasattr(trained.model, "inference"):
        raise RnnbenchError(
            f"a {type(trained.model).__name__} is no SequenceModule: use torch.export or torch.onnx on it"
        )
    folder = options.out or Path("exported") / (trained.record.id if trained.record else trained.checkpoint.stem)
    if folder.exists() and not folder.is_dir():
        raise RnnbenchError(f"--out must be a folder, {folder} is a file")
    print(trained.model.inference.export(options.format, folder, trained.name))
