"""`rnnbench replay`."""

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli.console import print_json
from rnnbench.cli.parser import Parser, add_json, add_run, add_several
from rnnbench.config.sampling import SampleConfig
from rnnbench.harness.load_run import load_run, snapshots_of
from rnnbench.harness.samples import make_artefacts
from rnnbench.utils.text import clean


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_run(parser)
    add_several(parser, "--prompt", "a text instead of those of the test part")
    parser.add_argument("--length", type=int, default=80, help="most tokens to add to a text")
    parser.add_argument("--temperature", type=float, default=0.8, help="below 1 safer, above 1 more varied")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--examples", type=int, default=3, help="how many of the test part")
    add_json(parser)


def run(options: Namespace) -> None:
    """Print samples of a run at each step that was kept, from the same prompts.

    Raises:
        RnnbenchError: no such run, a run that kept no steps, or a prompt that it cannot read.
    """
    names = ("length", "temperature", "seed", "examples")
    config = SampleConfig.read({"texts": options.prompt, **{name: options[name] for name in names}}, "replay")
    trained = load_run(options.run, options.leaderboard, options.runs)
    samples = [(name, make_artefacts(model, trained.data, config)) for name, model in snapshots_of(trained)]
    if options.json:
        print_json(
            [
                {"step": name, "answers": [artefact.model_dump() for artefact in artefacts]}
                for name, artefacts in samples
            ]
        )
        return
    console = Console(highlight=False)
    for name, artefacts in samples:
        console.rule(Text(name, style="bold"), align="left")
        for artefact in artefacts:
            console.print(Text(clean(artefact.title), style="dim"))
            console.print(Text("\n".join(map(clean, artefact.text.split("\n")))), soft_wrap=True)
