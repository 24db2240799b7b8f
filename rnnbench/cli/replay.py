"""`rnnbench replay`."""

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli.opening import print_json
from rnnbench.config.sampling import SampleConfig
from rnnbench.harness.load_run import load_run, snapshots_of
from rnnbench.harness.samples import make_artefacts
from rnnbench.utils.text import clean


def replay(options: Namespace) -> None:
    """Print what a run answers to the same questions at each step that was kept.

    Raises:
        RnnbenchError: no such run, no step was kept, or a question that it cannot read.
    """
    names = ("length", "temperature", "seed", "examples")
    asked = SampleConfig.read({"texts": options.prompt, **{name: options[name] for name in names}}, "replay")
    run = load_run(options.run, options.leaderboard, options.runs)
    found = [(name, make_artefacts(model, run.data, asked)) for name, model in snapshots_of(run)]
    if options.json:
        print_json([{"step": name, "answers": [one.model_dump() for one in made]} for name, made in found])
        return
    console = Console(highlight=False)
    for name, made in found:
        console.rule(Text(name, style="bold"), align="left")
        for one in made:
            console.print(Text(clean(one.title), style="dim"))
            console.print(Text("\n".join(map(clean, one.text.split("\n")))), soft_wrap=True)
