"""Samples of a trained model: what it answers to the first sequences of the test part, and its forecasts."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.analysis.forecast import errors_by_step
from rnnbench.analysis.text_codec import readable
from rnnbench.config.sampling import SampleConfig
from rnnbench.data.abc_notation import draw_roll, has_parser, is_tune, notes_of
from rnnbench.data.module import Split
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.objectives.base import OutputKind
from rnnbench.records.artefacts import MAX_TEXT, Artefact


class Examples(NamedTuple):
    """Sequences of a part.

    `shown` is what a person sees of each; `inputs` are as the model reads them, `[T]` or `[T, C]`; `references` are
    true answers, empty if the data has none in words.
    """

    shown: list[str]
    inputs: list[Tensor]
    references: list[str]


def examples(model: Any, data: Any, count: int | None = None, split: Split = "test") -> Examples:
    """The first `count` of a part, or all if there are fewer or `count` is None."""
    table, size = data.table(split), model.hparams["input_size"]
    rows = table.select(range(len(table) if count is None else min(count, len(table))))
    inputs = [torch.tensor(one) for one in rows["inputs"][:]]
    if model.hparams["input_kind"] == "features":
        inputs = [one.float().reshape(-1, size) for one in inputs]
    numbers = [f"{split} {number}" for number in range(len(rows))]
    if "classification" in model.hparams["objective"]:
        names = class_names(model, data)
        return Examples(_column(rows, ("text",), numbers), inputs, [names[int(one)] for one in rows["targets"][:]])
    return Examples(_column(rows, ("source", "name"), numbers), inputs, _column(rows, ("target", "text"), []))


def _column(rows: Any, names: tuple[str, ...], default: list[str]) -> list[str]:
    """The first of some columns that a table has."""
    return next((list(rows[name][:]) for name in names if name in rows.column_names), default)


def class_names(model: Any, data: Any) -> list[str]:
    """Names of the classes; numbers, if the data has none."""
    count = int(model.hparams["output_size"])
    names = list(getattr(data, "classes", ()))
    return [str(name) for name in names] if len(names) == count else [str(number) for number in range(count)]


class Window(NamedTuple):
    """A window of the test part in the unit of the data, one channel of it: measured values and forecasts by step.

    `measured` is None where a value is missing; errors are over all windows and channels, standardised. Of a forecaster
    of distributions, `fan` has the quantiles 0.1 to 0.9 of the forecast `free`, nine a step; else it is None. Of data
    that says where and when it was measured, `place` and the `times` of the forecast steps; else None.
    """

    channel: str
    unit: str
    past: list[float]
    measured: list[float | None]
    continuous: list[float]
    free: list[float]
    continuous_error: list[float]
    free_error: list[float]
    persistence_error: list[float]
    fan: list[list[float]] | None = None
    place: str | None = None
    times: list[str] | None = None


def begin(window: Window) -> str:
    """Where a window was measured, and the time of its first forecast step; empty of data that does not say."""
    return f"{window.place} from {window.times[0]} UTC" if window.times else ""


class ForecastWindows:
    """All windows of a test part, with forecasts of their ends.

    Args:
        model: a forecaster.
        data: that it was trained on.
        horizon: steps of each end.

    Raises:
        RnnbenchError: a horizon that is not scored.
    """

    def __init__(self, model: Any, data: Any, horizon: int) -> None:
        data.prepare_data()
        data.setup("test")
        batches = [batch[:2] for batch in data.test_dataloader()]
        self.inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
        self.forecasts = model.forecast(self.inputs, horizon)
        self.ends = targets[:, -horizon:]
        if not bool((~self.ends.isnan()).any(0).any(-1).all()):
            scored = int((~targets.isnan()).any(0).any(-1).sum())
            raise RnnbenchError(
                f"horizon must be at most {scored}, the steps of a window that are scored, got {horizon}"
            )
        measured = self.inputs[..., : targets.shape[-1]]
        self.names, self.mean, self.deviation = _units(data, measured.shape[-1])
        without = "the unit of the data" if hasattr(data, "units") else "standard deviations"
        self.units = [*data.channel_units()] if hasattr(data, "channel_units") else [without] * len(self.names)
        self.data = data
        self.known = self.inputs.shape[1] - horizon + 1
        persistence = measured[:, self.known - 1 : self.known].expand_as(self.ends)
        every = (self.forecasts.continuous, self.forecasts.free, persistence)
        self.errors = [errors_by_step(forecast, self.ends) for forecast in every]

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, number: int, channel: str | None = None) -> Window:
        """One window and channel.

        Raises:
            RnnbenchError: there is none of that number or name.
        """
        if not 0 <= number < len(self):
            raise RnnbenchError(f"window must be from 0 to {len(self) - 1}, got {number}")
        index = self.index_of(channel)

        def real(values: Any) -> Any:
            return (values[number, :, index] * self.deviation[index] + self.mean[index]).tolist()

        measured = [None if math.isnan(value) else value for value in real(self.ends)]
        continuous, free = map(real, (self.forecasts.continuous, self.forecasts.free))
        fan = None if self.forecasts.fan is None else real(self.forecasts.fan)
        past = real(self.inputs[:, : self.known])
        first, second, third = self.errors
        place, times = None, None
        if hasattr(self.data, "window_origin"):
            place, hours = self.data.window_origin(number)
            times = [f"{hour:%Y-%m-%d %H:%M}" for hour in hours[-len(free) :]]
        unit = self.units[index]
        return Window(
            self.names[index], unit, past, measured, continuous, free, first, second, third, fan, place, times
        )

    def index_of(self, channel: str | None) -> int:
        """The place of a channel, by its name or number; without either the first.

        Raises:
            RnnbenchError: there is none of that name.
        """
        if channel is None:
            return 0
        if channel.isdigit() and int(channel) < len(self.names):
            return int(channel)
        if channel not in self.names:
            raise unknown("channel", channel, self.names)
        return self.names.index(channel)


def _units(data: Any, channels: int) -> tuple[list[str], list[float], list[float]]:
    """Names, means and deviations of the channels; numbers and standard deviations where the data does not say."""
    if hasattr(data, "units"):
        return data.units()  # type: ignore[no-any-return]
    return [str(number) for number in range(channels)], [0.0] * channels, [1.0] * channels


BEAM = 4
PROMPT_FRAMES = 16
"""Frames of a piece that the model goes on with."""
START = 40
"""Tokens of the test part that a language model goes on with."""
WINDOWS, HORIZON = 7, 24
"""Windows that are forecast, and steps of each unless the objective has a horizon: a week of hours."""
CHANNELS = 12
"""Channels of a forecast that are shown at most."""


def make_artefacts(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    """Samples of a model; none if it is not one of rnnbench, or its objective has none.

    Raises:
        RnnbenchError: an input that it cannot read.
    """
    if not hasattr(model, "inference"):
        return []
    make = MAKERS.get(model.objective.output_kind)
    return make(model, data, config) if make else []


def _samples(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    """Texts that go on from beginnings; of short texts such as tunes, whole ones."""
    prompts = config.texts or _beginnings(model, data, config.examples)
    said = model.generate(prompts, config.length, temperature=config.temperature, seed=config.seed)
    judged = hasattr(data, "sampled_scores") and has_parser()
    between = " " if model.inference.text_codec().of_words else ""
    made = []
    for number, (prompt, text) in enumerate(zip(prompts, said, strict=True), 1):
        whole = f"{prompt}{between}{text}" if prompt else text
        verdict = (", a tune" if is_tune(whole) else ", no tune") if judged else ""
        how = f"after {prompt[:40]!r}" if prompt else "from the beginning"
        made.append(_artefact(f"sample {number}, {how}, temperature {config.temperature:g}{verdict}", whole))
    return made


def _beginnings(model: Any, data: Any, count: int) -> list[str]:
    if hasattr(data, "sampled_scores"):
        return [""] * count
    ids = data.table("test")[0]["inputs"][1 : START + 1]
    return ["", model.inference.text_codec().decode(ids)]


def _sentences(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    """What a decoder says of sentences, or of the first of the test part with what is true."""
    if config.texts and model.hparams["input_kind"] == "tokens":
        shown, references, title = config.texts, list[str](), "translations"
        said = [one[0].text for one in model.translate(shown, beam=BEAM)]
    else:
        shown, inputs, references = examples(model, data, config.examples)
        said = [model.inference.decode(one.unsqueeze(0), beam=BEAM)[0][0].text for one in inputs]
        title = f"answers to the first {len(shown)} of the test part"
    return [_artefact(f"{title}, beam {BEAM}", _beside(shown, map(readable, said), references))]


def _transcripts(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    shown, inputs, references = examples(model, data, config.examples)
    said = [model.transcribe(one.unsqueeze(0))[0][0].text for one in inputs]
    return [
        _artefact(f"transcripts of the first {len(shown)} of the test part, greedy", _beside(shown, said, references))
    ]


def _classes(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    names = class_names(model, data)
    if config.texts and model.hparams["input_kind"] == "tokens":
        shown, inputs, references = (
            config.texts,
            [model.inference.ids([text])[0][0] for text in config.texts],
            list[str](),
        )
    else:
        shown, inputs, references = examples(model, data, config.examples)
    best = [model.classify(sequence.unsqueeze(0))[0].max(-1) for sequence in inputs]
    answers = [f"{names[int(label)]} ({float(share):.0%})" for share, label in best]
    return [_artefact(f"classes of {len(shown)} inputs", _beside(shown, answers, references))]


def _tags(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    if model.tokenizer is None:
        return []
    names, lines = class_names(model, data), []
    texts = config.texts or [" ".join(words) for words in data.table("test").select(range(config.examples))["words"][:]]
    for text in texts:
        offsets = model.inference.require_tokenizer().encode(text).offsets
        tags = model.classify([text])[0].argmax(-1).tolist()
        lines.append(
            " ".join(f"{text[start:end]}/{names[tag]}" for (start, end), tag in zip(offsets, tags, strict=True))
        )
    return [_artefact(f"tags of {len(texts)} sentences", "\n\n".join(lines))]


def _forecasts(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    """The first windows of the test part, one after the other, an artefact for each of the first channels."""
    horizon = getattr(model.objective, "horizon", HORIZON)
    test = ForecastWindows(model, data, horizon)
    numbers = range(min(WINDOWS, len(test)))
    return [
        _forecast([test.window(number, str(channel)) for number in numbers], horizon)
        for channel in range(min(CHANNELS, len(test.names)))
    ]


def _forecast(windows: list[Window], horizon: int) -> Artefact:
    """Windows of one channel, one after the other: measured, continuous, autoregressive."""
    lines, step = [f"{'step':>5} {'measured':>10} {'continuous':>11} {'on its own':>11}"], 0
    where = f", {begin(windows[0])}" if windows[0].times else ""
    title = f"forecasts of {len(windows)} windows, {horizon} steps each: {windows[0].channel}, {windows[0].unit}{where}"
    for window in windows:
        for measured, continuous, free in zip(window.measured, window.continuous, window.free, strict=True):
            step += 1
            first = "–" if measured is None else f"{measured:.2f}"
            lines.append(f"{step:>5} {first:>10} {continuous:>11.2f} {free:>11.2f}")
    return _artefact(title, "\n".join(lines))


def _music(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    row = data.table("test")[0]
    piece = torch.tensor(row["inputs"]).float().reshape(1, -1, model.hparams["input_size"])[:, :PROMPT_FRAMES]
    said = model.continue_frames(piece, min(config.length, 64), temperature=config.temperature, seed=config.seed)
    whole = torch.cat([piece, said], 1)[0].tolist()
    notes, given = notes_of(whole), piece.shape[1]
    name = row.get("name", "the first piece of the test part")
    return [_artefact(f"{name}, gone on with after {given} frames", "\n".join(draw_roll(notes, len(whole), given)))]


def _symbols(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    """The first strings of the test part, and at each step the legal next symbols beside those that are predicted."""
    alphabet = getattr(data, "symbols", "") or [f" {number}" for number in range(model.hparams["output_size"])]
    table = data.table("test")
    _, inputs, _ = examples(model, data, config.examples)
    lines = []
    for string, targets in zip(inputs, table.select(range(len(inputs)))["targets"][:], strict=True):
        with model.inference_mode():
            predicted = model(string.unsqueeze(0))[0] > 0
        legal = torch.tensor(targets).reshape(predicted.shape) > 0
        lines.append(f"{'symbol':>6}  {'legal next':<12} predicted")
        for token, *sets in zip(string.tolist(), legal.tolist(), predicted.tolist(), strict=True):
            true, said = ("".join(name for name, some in zip(alphabet, one, strict=True) if some) for one in sets)
            symbol = alphabet[token - 1].strip() if token else "–"
            lines.append(f"{symbol:>6}  {true:<12} {said}{'' if true == said else '  ← wrong'}".rstrip())
        lines.append("")
    return [_artefact(f"symbols that may come next in {len(inputs)} strings of the test part", "\n".join(lines[:-1]))]


def _values(model: Any, data: Any, config: SampleConfig) -> list[Artefact]:
    """Values of the first of the test part, beside the true ones."""
    shown, inputs, _ = examples(model, data, config.examples)
    true = data.table("test").select(range(len(shown)))["targets"][:]
    with model.inference_mode():
        said = [model(one.unsqueeze(0))[0].tolist() for one in inputs]
    numbers = [[f"{value:.4g}" for value in (row if isinstance(row, list) else [row])] for row in (*said, *true)]
    words = [", ".join(row) for row in numbers]
    return [
        _artefact(
            f"values of the first {len(shown)} of the test part", _beside(shown, words[: len(said)], words[len(said) :])
        )
    ]


MAKERS: dict[OutputKind | None, Callable[[Any, Any, SampleConfig], list[Artefact]]] = {
    "text": _samples,
    "frames": _music,
    "tags": _tags,
    "classes": _classes,
    "sequences": _sentences,
    "transcripts": _transcripts,
    "forecasts": _forecasts,
    "values": _values,
    "symbols": _symbols,
}
"""What is made of each kind of output."""


def _beside(inputs: Iterable[str], answers: Iterable[str], references: list[str]) -> str:
    """Each input, `→` the answer, `=` the reference if there is one."""
    pairs = [f"{text}\n→ {answer or '(nothing)'}" for text, answer in zip(inputs, answers, strict=True)]
    return (
        "\n\n".join(f"{pair}\n= {reference}" for pair, reference in zip(pairs, references, strict=True))
        if references
        else "\n\n".join(pairs)
    )


def _artefact(title: str, text: str) -> Artefact:
    """An artefact, its text cut to the most letters that are allowed."""
    return Artefact(title=title[:200], text=text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…")
