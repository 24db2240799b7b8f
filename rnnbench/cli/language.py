"""`rnnbench generate` and `rnnbench score`."""

from typing import Any

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli import music
from rnnbench.cli.opening import asked, check_encodable, open_run, print_json, warn_unknown
from rnnbench.errors import RnnbenchError
from rnnbench.utils.extras import check_extra
from rnnbench.utils.text import clean

SETTINGS = ("temperature", "top_k", "top_p", "greedy", "beam", "seed")


def generate(options: Namespace) -> None:
    """Print texts that go on from prompts, or from nothing.

    Raises:
        RnnbenchError: no such run, one of another objective, or a value out of its range.
    """
    if options.count < 1:
        raise RnnbenchError(f"--count must be at least 1, got {options.count}")
    check_encodable(options.prompt)
    music.check(options)
    run = open_run(options, "generate")
    if run.model.hparams["input_kind"] == "features":
        music.go_on(run, options)
        return
    music.refuse(options, music.OF_ROLLS, "is for models of piano rolls: this run writes texts")
    if options.plot:  # of a text it is drawn what sounds in it
        check_extra("music", "--plot of a tune", "music21")
    prompts = [prompt for prompt in options.prompt or [""] for _ in range(options.count)]
    said = continued(run.model, prompts, options)
    if options.abc or options.midi or options.plot:
        music.tunes([prompt + text for prompt, text in zip(prompts, said, strict=True)], options, run.name)
        return
    if options.json:
        print_json([{"prompt": prompt, "text": text} for prompt, text in zip(prompts, said, strict=True)])
        return
    console = Console(highlight=False)
    for number, (prompt, text) in enumerate(zip(prompts, said, strict=True), 1):
        if len(said) > 1:
            console.rule(f"{number} of {len(said)}", style="dim")
        between = " " if prompt and run.model.inference.text_codec().of_words else ""
        console.print(Text(_shown(prompt), style="bold"), Text(between + _shown(text)), sep="", soft_wrap=True)


def continued(model: Any, prompts: list[str], options: Namespace) -> list[str]:
    """What a model adds to prompts; warns of what it cannot read in them."""
    from rnnbench.analysis.text_codec import told_unknown

    warn_unknown(told_unknown(model.inference.text_codec().encode(prompt) for prompt in dict.fromkeys(prompts)))
    return list(model.generate(prompts, options.length, **{name: options[name] for name in SETTINGS}))


def score(options: Namespace) -> None:
    """Print how likely texts are, the likeliest named if there are several.

    Raises:
        RnnbenchError: no such run, one of another objective, or a text without any token.
    """
    from rnnbench.analysis.text_codec import told_unknown

    check_encodable([options.context])
    run = open_run(options, "score")
    texts = asked(options.texts, options.file, "score")
    warn_unknown(told_unknown(run.model.inference.text_codec().encode(one) for one in (options.context, *texts)))
    scored = run.model.score(texts, options.context, options.end)
    if options.json:
        print_json([one.content() for one in scored])
        return
    console = Console(highlight=False)
    console.print(_table(scored))
    if options.tokens:
        for one in scored:
            console.print(_surprises(one))
    if len(scored) > 1:
        best, second = sorted(scored, key=lambda one: -one.total)[:2]
        console.print(f"likeliest: {clean(best.text)!r}, e^{best.total - second.total:.2f} times as likely as the next",
                      soft_wrap=True)  # fmt: skip


def _table(scored: list[Any]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("text", overflow="fold")
    for name in ("tokens", "ln p", "bits a token", "perplexity"):
        table.add_column(name, justify="right")
    best = max(one.total for one in scored)
    for one in scored:
        style = "bold" if one.total == best and len(scored) > 1 else ""
        numbers = (f"{one.total:.2f}", f"{one.bits:.3f}", f"{one.perplexity:.2f}")
        table.add_row(Text(clean(one.text)), str(len(one.pieces)), *numbers, style=style)
    return table


def _surprises(one: Any) -> Table:
    """Bits of every token of a text, with a bar."""
    table = Table("token", title=Text(clean(one.text)), title_justify="left", box=None, pad_edge=False)
    table.add_column("bits", justify="right")
    table.add_column("")
    for piece, value in zip(one.pieces, one.log_probs, strict=True):
        bits = -value / 0.6931471805599453
        table.add_row(Text(repr(piece)[1:-1]), f"{bits:.2f}", Text("▇" * round(2 * bits), style="cyan"))
    return table


def _shown(text: str) -> str:
    """A text without letters that a terminal would obey."""
    return "\n".join(map(clean, text.split("\n")))
