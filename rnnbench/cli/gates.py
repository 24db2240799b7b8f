"""`rnnbench gates`."""

from typing import TYPE_CHECKING, Any, NamedTuple

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli.opening import check_encodable, print_json, warn_unknown
from rnnbench.errors import RnnbenchError
from rnnbench.utils.text import clean

if TYPE_CHECKING:
    from torch import Tensor

    from rnnbench.analysis.charts import Panel
    from rnnbench.analysis.gates import Trace

SHADES = " ░▒▓█"
SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥"}


class Read(NamedTuple):
    """What a network reads: `[1, T]` or `[1, T, C]`, and what each step is called."""

    inputs: "Tensor"
    names: list[str]


def gates(options: Namespace) -> None:
    """Print what gates and states do over a sequence, and draw them.

    Raises:
        RnnbenchError: no such run or sequence, a run that reads no text or has no gates, a picture that cannot be
            written.
    """
    from rnnbench.analysis.charts import check_plot, gates_chart, save
    from rnnbench.analysis.gates import trace
    from rnnbench.analysis.gradients import recurrent_layer
    from rnnbench.harness.load_run import load_run

    for name in ("steps", "units"):
        if options[name] < 1:
            raise RnnbenchError(f"--{name} must be at least 1, got {options[name]}")
    if options.plot is not None:
        check_plot(options.plot)
    run = load_run(options.run, options.leaderboard, options.runs)
    layer = recurrent_layer(run.model)
    read = of_validation(run, options.sequence) if options.text is None else of_text(run.model, options.text)
    length, read = len(read.names), Read(read.inputs[:, : options.steps], read.names[: options.steps])
    with run.model.inference_mode():
        traces = trace(layer, lambda: run.model.hidden_states(read.inputs, None))
    if options.plot is not None:
        about = f"{run.name}: units whose hidden state varies most; activations of gates, states after each step"
        chart = gates_chart([panel for one in traces for panel in panels(one, layer, options.units)], read.names,
                            "Gates and states over a sequence", about)  # fmt: skip
        save(chart, options.plot, f"Gates: {run.name}")
    if options.json:
        print_json(content(traces, read.names))
    else:
        show(traces, read.names, Console(highlight=False))
        if length > options.steps:
            print(f"the first {options.steps} of {length} steps; --steps shows more")


def of_text(model: Any, text: str) -> Read:
    """A text as the model reads it.

    Raises:
        RnnbenchError: it is empty, or the model reads no text.
    """
    import torch

    from rnnbench.analysis.capabilities import abilities
    from rnnbench.analysis.text_codec import START_ID, Script, told_unknown

    check_encodable([text])
    if model.tokenizer is None:
        raise RnnbenchError("this run reads no text: leave the text out to see a sequence of its validation part")
    encoded = Script(model.tokenizer).encode(text)
    if not encoded.ids:
        raise RnnbenchError("the text is empty: there is nothing to read")
    warn_unknown(told_unknown([encoded]))
    names = [_name(one) for one in encoded.pieces]
    if "score" in abilities(model)[1]:  # a language model begins a text so
        return Read(torch.tensor([[START_ID, *encoded.ids]]), ["<s>", *names])
    ids = model.inference.require_tokenizer().encode(text).ids  # what a translator reads has an end
    return Read(torch.tensor([ids]), [*names, *["</s>"] * (len(ids) - len(names))])


def of_validation(run: Any, number: int) -> Read:
    """A sequence of the run's validation part.

    Raises:
        RnnbenchError: there is none of that number in the part's first batch.
    """
    from rnnbench.analysis.gradients import alone

    run.data.prepare_data()
    run.data.setup("validate")
    batch = next(iter(run.data.val_dataloader()))
    if not 0 <= number < len(batch[0]):
        raise RnnbenchError(f"--sequence must be 0 to {len(batch[0]) - 1}, got {number}")
    rows = [row for one in alone(batch, number + 1, type(run.model.objective)) for row in one.inputs]
    inputs = rows[number].unsqueeze(0)
    tokenizer = run.model.tokenizer
    if inputs.ndim == 2 and tokenizer is not None:
        return Read(inputs, [_name(tokenizer.id_to_token(one) or "?") for one in inputs[0].tolist()])
    return Read(inputs, [str(step) for step in range(inputs.shape[1])])


def _name(piece: str) -> str:
    return clean("".join(SIGNS.get(one, one) for one in piece))


def panels(one: "Trace", layer: Any, most: int) -> "list[Panel]":
    """Heat maps of a layer in one direction, the same units in each: those whose hidden state varies most."""
    from rnnbench.analysis.charts import Panel
    from rnnbench.analysis.gates import most_varied

    def panel(name: str, values: "Tensor", of: "Tensor") -> Panel:
        units = most_varied((of if of.shape == values.shape else values)[:, 0], most)
        return Panel(f"{where(one, layer)}{name}", values[:, 0, units].tolist(), units)

    hidden = next(iter(one.states.values()))
    gates = [panel(f"gate {name} ({one.functions[name]})", values, hidden) for name, values in one.gates.items()]
    return gates + [panel(f"state {name}", values, hidden) for name, values in one.states.items()]


def where(one: "Trace", layer: Any) -> str:
    """Which layer and direction, if there are several."""
    number = f"layer {one.layer + 1}, " if layer.num_layers > 1 else ""
    return number + (("backwards, " if one.reverse else "forwards, ") if layer.bidirectional else "")


def show(traces: "list[Trace]", names: list[str], console: Console) -> None:
    """A table for each layer and direction: of gates between 0 and 1 the mean over units, of all else the root mean
    square.
    """
    for one in traces:
        columns = {f"{name}\n{one.functions[name]}": values for name, values in one.gates.items()}
        columns |= {f"{name}\nstate": values for name, values in one.states.items()}
        title = f"layer {one.layer + 1}" + (", backwards" if one.reverse else "")
        table = Table("step", title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)
        for name in columns:
            table.add_column(name, no_wrap=True)
        means = [_means(values) for values in columns.values()]
        for t, name in enumerate(names):
            table.add_row(Text(name), *(_cell(values[t], max(values)) for values in means))
        console.print(table)
    console.print(Text("sigmoid gates: mean over units; all else: root mean square over units", style="dim"))


def _means(values: "Tensor") -> list[float]:
    share = bool(((values >= 0) & (values <= 1)).all())
    means: list[float] = (values.mean(-1) if share else values.square().mean(-1).sqrt())[:, 0].tolist()
    return means


def _cell(value: float, most: float) -> str:
    share = value if most <= 1 else value / most
    return f"{SHADES[max(0, min(4, round(share * 4)))]} {value:.2f}"


def content(traces: "list[Trace]", names: list[str]) -> dict[str, Any]:
    """All values, as JSON has them."""
    return {
        "steps": names,
        "layers": [
            {
                "layer": one.layer, "reverse": one.reverse, "functions": one.functions,
                "gates": {name: values[:, 0].tolist() for name, values in one.gates.items()},
                "states": {name: values[:, 0].tolist() for name, values in one.states.items()},
            }
            for one in traces
        ],
    }  # fmt: skip
