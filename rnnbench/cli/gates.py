"""`rnnbench gates`."""

from typing import TYPE_CHECKING, Any, NamedTuple

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import print_json, save_chart
from rnnbench.cli.inference import check_encodable, warn_unknown
from rnnbench.cli.parser import RUN, Parser, add_plot
from rnnbench.errors import RnnbenchError
from rnnbench.utils.text import clean

if TYPE_CHECKING:
    from torch import Tensor

    from rnnbench.analysis.charts import Panel
    from rnnbench.analysis.gates import GateTrace

SHADES = " ░▒▓█"
SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥"}


class Sequence(NamedTuple):
    """Inputs of a network, `[1, T]` or `[1, T, C]`, and a name for each step."""

    inputs: "Tensor"
    names: list[str]


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("run", type=str, help=RUN)
    parser.add_argument("text", nargs="?", type=str, help="a text to read (default: a sequence of the validation part)")
    parser.add_argument("--sequence", type=int, default=0, help="which of the validation part, if there is no text")
    parser.add_argument("--steps", type=int, default=80, help="most steps that are shown")
    parser.add_argument("--units", type=int, default=24, help="units in a picture: those that change most")
    add_plot(parser)


def run(options: Namespace) -> None:
    """Print what gates and states do over a sequence, and draw them.

    Raises:
        RnnbenchError: no such run or sequence, a run that reads no text or has no gates, a picture that cannot be
            written.
    """
    from rnnbench.analysis.charts import check_plot, gates_chart
    from rnnbench.analysis.gates import trace_gates
    from rnnbench.analysis.gradients import recurrent_layer
    from rnnbench.harness.load_run import load_run

    for name in ("steps", "units"):
        if options[name] < 1:
            raise RnnbenchError(f"--{name} must be at least 1, got {options[name]}")
    if options.plot is not None:
        check_plot(options.plot)
    trained = load_run(options.run, options.leaderboard, options.runs)
    layer = recurrent_layer(trained.model)
    if options.text is None:
        sequence = validation_sequence(trained, options.sequence)
    else:
        sequence = text_sequence(trained.model, options.text)
    length = len(sequence.names)
    sequence = Sequence(sequence.inputs[:, : options.steps], sequence.names[: options.steps])
    with trained.model.inference_mode():
        traces = trace_gates(layer, lambda: trained.model.hidden_states(sequence.inputs, None))
    if options.plot is not None:
        subtitle = f"{trained.name}: units whose hidden state varies most; activations of gates, states after each step"
        heat_maps = [panel for trace in traces for panel in panels(trace, layer, options.units)]
        chart = gates_chart(heat_maps, sequence.names, "Gates and states over a sequence", subtitle)
        save_chart(chart, options.plot, f"Gates: {trained.name}")
    if options.json:
        print_json(content(traces, sequence.names))
    else:
        print_tables(traces, sequence.names, Console(highlight=False))
        if length > options.steps:
            print(f"the first {options.steps} of {length} steps; --steps shows more")


def text_sequence(model: Any, text: str) -> Sequence:
    """A text as the model reads it.

    Raises:
        RnnbenchError: it is empty, or the model reads no text.
    """
    import torch

    from rnnbench.analysis.text_codec import TextCodec

    check_encodable([text])
    if model.tokenizer is None:
        raise RnnbenchError("this run reads no text: leave the text out to see a sequence of its validation part")
    codec = TextCodec(model.tokenizer)
    encoded = codec.encode(text)
    if not encoded.ids:
        raise RnnbenchError("the text is empty: there is nothing to read")
    warn_unknown(codec, [text])
    names = [_step_name(piece) for piece in encoded.pieces]
    if "score" in model.objective.verbs:  # a language model begins a text with <s>
        return Sequence(torch.tensor([[codec.start, *encoded.ids]]), ["<s>", *names])
    ids = model.inference.require_tokenizer().encode(text).ids  # inputs of a translator end with </s>
    return Sequence(torch.tensor([ids]), [*names, *["</s>"] * (len(ids) - len(names))])


def validation_sequence(run: Any, number: int) -> Sequence:
    """A sequence of the run's validation part.

    Raises:
        RnnbenchError: the first batch of the part has no sequence of that number.
    """
    from rnnbench.analysis.gradients import unpadded

    run.data.prepare_data()
    run.data.setup("validate")
    batch = next(iter(run.data.val_dataloader()))
    if not 0 <= number < len(batch[0]):
        raise RnnbenchError(f"--sequence must be 0 to {len(batch[0]) - 1}, got {number}")
    rows = [row for batch in unpadded(batch, number + 1, type(run.model.objective)) for row in batch.inputs]
    inputs = rows[number].unsqueeze(0)
    tokenizer = run.model.tokenizer
    if inputs.ndim == 2 and tokenizer is not None:
        return Sequence(inputs, [_step_name(tokenizer.id_to_token(number) or "?") for number in inputs[0].tolist()])
    return Sequence(inputs, [str(step) for step in range(inputs.shape[1])])


def _step_name(piece: str) -> str:
    return clean("".join(SIGNS.get(letter, letter) for letter in piece))


def panels(trace: "GateTrace", layer: Any, count: int) -> "list[Panel]":
    """Heat maps of a layer in one direction, the same units in each: those whose hidden state varies most."""
    from rnnbench.analysis.charts import Panel
    from rnnbench.analysis.gates import most_varied

    def panel(name: str, values: "Tensor", of: "Tensor") -> Panel:
        units = most_varied((of if of.shape == values.shape else values)[:, 0], count)
        return Panel(f"{place_of(trace, layer)}{name}", values[:, 0, units].tolist(), units)

    hidden = next(iter(trace.states.values()))
    gates = [panel(f"gate {name} ({trace.functions[name]})", values, hidden) for name, values in trace.gates.items()]
    return gates + [panel(f"state {name}", values, hidden) for name, values in trace.states.items()]


def place_of(trace: "GateTrace", layer: Any) -> str:
    """Which layer and direction, if there are several."""
    number = f"layer {trace.layer + 1}, " if layer.num_layers > 1 else ""
    return number + (("backwards, " if trace.reverse else "forwards, ") if layer.bidirectional else "")


def print_tables(traces: "list[GateTrace]", names: list[str], console: Console) -> None:
    """A table for each layer and direction: of gates between 0 and 1 the mean over units, of all else the root mean
    square.
    """
    for trace in traces:
        columns = {f"{name}\n{trace.functions[name]}": values for name, values in trace.gates.items()}
        columns |= {f"{name}\nstate": values for name, values in trace.states.items()}
        title = f"layer {trace.layer + 1}" + (", backwards" if trace.reverse else "")
        table = Table("step", title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)
        for name in columns:
            table.add_column(name, no_wrap=True)
        means = [_means(values) for values in columns.values()]
        for t, name in enumerate(names):
            table.add_row(Text(name), *(_shaded(values[t], max(values)) for values in means))
        console.print(table)
    console.print(Text("sigmoid gates: mean over units; all else: root mean square over units", style="dim"))


def _means(values: "Tensor") -> list[float]:
    share = bool(((values >= 0) & (values <= 1)).all())
    means: list[float] = (values.mean(-1) if share else values.square().mean(-1).sqrt())[:, 0].tolist()
    return means


def _shaded(value: float, largest: float) -> str:
    share = value if largest <= 1 else value / largest
    return f"{SHADES[max(0, min(4, round(share * 4)))]} {value:.2f}"


def content(traces: "list[GateTrace]", names: list[str]) -> dict[str, Any]:
    """All values, as JSON has them."""
    return {
        "steps": names,
        "layers": [
            {
                "layer": trace.layer, "reverse": trace.reverse, "functions": trace.functions,
                "gates": {name: values[:, 0].tolist() for name, values in trace.gates.items()},
                "states": {name: values[:, 0].tolist() for name, values in trace.states.items()},
            }
            for trace in traces
        ],
    }  # fmt: skip
