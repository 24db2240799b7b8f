"""The first of a test part, as a model reads it and as a person does."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.analysis.forecast import errors_by_step
from rnnbench.analysis.text_codec import readable
from rnnbench.config.sampling import SampleConfig
from rnnbench.data.abc_notation import drawn, has_parser, is_tune, notes_of
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.objectives.base import OutputKind
from rnnbench.records.artefacts import LONGEST, Artefact


class Examples(NamedTuple):
    """Sequences of a test part.

    `shown` is what a person sees of each; `inputs` are as the model reads them, `[T]` or `[T, C]`; `references` are
    true answers, empty if the data has none in words.
    """

    shown: list[str]
    inputs: list[Tensor]
    references: list[str]


def examples(model: Any, data: Any, count: int) -> Examples:
    """The first `count` of the test part, or all if there are fewer."""
    table, size = data.table("test"), model.hparams["input_size"]
    rows = table.select(range(min(count, len(table))))
    inputs = [torch.tensor(one) for one in rows["inputs"][:]]
    if model.hparams["input_kind"] == "features":
        inputs = [one.float().reshape(-1, size) for one in inputs]
    numbers = [f"test {number}" for number in range(len(rows))]
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
    """A window of the test part in the unit of the data, one channel of it: what was measured and foreseen, by step.

    `measured` is None where nothing was; errors are over all windows and channels of the test part, standardised.
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


class TestWindows:
    """All windows of a test part, their ends foreseen.

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
        every = [batch[:2] for batch in data.test_dataloader()]
        self.inputs, targets = (torch.cat(some) for some in zip(*every, strict=True))
        self.foreseen = model.forecast(self.inputs, horizon)
        self.ends = targets[:, -horizon:]
        if not bool((~self.ends.isnan()).any(0).any(-1).all()):
            scored = int((~targets.isnan()).any(0).any(-1).sum())
            raise RnnbenchError(
                f"horizon must be at most {scored}, the steps of a window that are scored, got {horizon}"
            )
        self.names, self.mean, self.deviation = _units(data, self.inputs.shape[-1])
        self.unit = "the unit of the data" if hasattr(data, "units") else "standard deviations"
        self.known = self.inputs.shape[1] - horizon + 1
        persistence = self.inputs[:, self.known - 1 : self.known].expand_as(self.ends)
        self.errors = [errors_by_step(one, self.ends) for one in (*self.foreseen, persistence)]

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, number: int, channel: str | None = None) -> Window:
        """One window and channel.

        Raises:
            RnnbenchError: there is none of that number or name.
        """
        if not 0 <= number < len(self):
            raise RnnbenchError(f"window must be from 0 to {len(self) - 1}, got {number}")
        place = _place(channel, self.names)

        def real(values: Any) -> list[float]:
            return [float(one) for one in values[number, :, place] * self.deviation[place] + self.mean[place]]

        measured = [None if math.isnan(one) else one for one in real(self.ends)]
        continuous, free = map(real, self.foreseen)
        past = real(self.inputs[:, : self.known])
        return Window(self.names[place], self.unit, past, measured, continuous, free, *self.errors)


def _units(data: Any, channels: int) -> tuple[list[str], list[float], list[float]]:
    """Names, means and deviations of the channels; numbers and standard deviations where the data does not say."""
    if hasattr(data, "units"):
        return data.units()  # type: ignore[no-any-return]
    return [str(number) for number in range(channels)], [0.0] * channels, [1.0] * channels


def _place(channel: str | None, names: list[str]) -> int:
    if channel is None:
        return 0
    if channel.isdigit() and int(channel) < len(names):
        return int(channel)
    if channel not in names:
        raise unknown("channel", channel, names)
    return names.index(channel)


BEAM = 4
GIVEN = 16
"""Frames of a piece that are given."""
START = 40
"""Tokens of the test part that a language model goes on with."""
WINDOWS, HORIZON = 7, 24
"""Windows that are foreseen, and steps of each unless the objective has a horizon: a week of hours."""
CHANNELS = 12
"""Channels of a forecast that are shown at most."""


def make_artefacts(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    """What a model answers; nothing, if it is of somebody else or its objective has no answers.

    Raises:
        RnnbenchError: a question that it cannot read.
    """
    if not hasattr(model, "inference"):
        return []
    make = MAKERS.get(model.objective.output_kind)
    return make(model, data, asked) if make else []


def _samples(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    """Texts that go on from beginnings; of short texts such as tunes, whole ones."""
    prompts = asked.texts or _beginnings(model, data, asked.examples)
    said = model.generate(prompts, asked.length, temperature=asked.temperature, seed=asked.seed)
    judged = hasattr(data, "sampled_scores") and has_parser()
    between = " " if model.inference.text_codec().of_words else ""
    made = []
    for number, (prompt, text) in enumerate(zip(prompts, said, strict=True), 1):
        whole = f"{prompt}{between}{text}" if prompt else text
        verdict = (", a tune" if is_tune(whole) else ", no tune") if judged else ""
        how = f"after {prompt[:40]!r}" if prompt else "from the beginning"
        made.append(_artefact(f"sample {number}, {how}, temperature {asked.temperature:g}{verdict}", whole))
    return made


def _beginnings(model: Any, data: Any, count: int) -> list[str]:
    if hasattr(data, "sampled_scores"):
        return [""] * count
    ids = data.table("test")[0]["inputs"][1 : START + 1]
    return ["", model.inference.text_codec().decode(ids)]


def _sentences(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    """What a decoder says of sentences, or of the first of the test part with what is true."""
    if asked.texts and model.hparams["input_kind"] == "tokens":
        shown, references, title = asked.texts, list[str](), "translations"
        said = [one[0].text for one in model.translate(shown, beam=BEAM)]
    else:
        shown, inputs, references = examples(model, data, asked.examples)
        said = [model.inference.decode(one.unsqueeze(0), beam=BEAM)[0][0].text for one in inputs]
        title = f"answers to the first {len(shown)} of the test part"
    return [_artefact(f"{title}, beam {BEAM}", _beside(shown, map(readable, said), references))]


def _transcripts(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    shown, inputs, references = examples(model, data, asked.examples)
    said = [model.transcribe(one.unsqueeze(0))[0][0].text for one in inputs]
    return [
        _artefact(f"transcripts of the first {len(shown)} of the test part, greedy", _beside(shown, said, references))
    ]


def _classes(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    names = class_names(model, data)
    if asked.texts and model.hparams["input_kind"] == "tokens":
        shown, inputs, references = (
            asked.texts,
            [model.inference.ids([text])[0][0] for text in asked.texts],
            list[str](),
        )
    else:
        shown, inputs, references = examples(model, data, asked.examples)
    found = [model.classify(one.unsqueeze(0))[0].max(-1) for one in inputs]
    said = [f"{names[int(best)]} ({float(value):.0%})" for value, best in found]
    return [_artefact(f"classes of {len(shown)} inputs", _beside(shown, said, references))]


def _tags(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    if model.tokenizer is None:
        return []
    names, lines = class_names(model, data), []
    texts = asked.texts or [" ".join(words) for words in data.table("test").select(range(asked.examples))["words"][:]]
    for text in texts:
        offsets = model.inference.require_tokenizer().encode(text).offsets
        tags = model.classify([text])[0].argmax(-1).tolist()
        lines.append(
            " ".join(f"{text[start:end]}/{names[tag]}" for (start, end), tag in zip(offsets, tags, strict=True))
        )
    return [_artefact(f"tags of {len(texts)} sentences", "\n\n".join(lines))]


def _forecasts(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    """The first windows of the test part, one after the other, an artefact for each of the first channels."""
    horizon = getattr(model.objective, "horizon", HORIZON)
    test = TestWindows(model, data, horizon)
    numbers = range(min(WINDOWS, len(test)))
    return [
        _forecast([test.window(number, str(channel)) for number in numbers], horizon)
        for channel in range(min(CHANNELS, len(test.names)))
    ]


def _forecast(windows: list[Window], horizon: int) -> Artefact:
    """Windows of one channel, one after the other: measured, continuous, autoregressive."""
    lines, step = [f"{'step':>5} {'measured':>10} {'continuous':>11} {'on its own':>11}"], 0
    title = f"forecasts of {len(windows)} windows, {horizon} steps each: {windows[0].channel}, {windows[0].unit}"
    for window in windows:
        for measured, continuous, free in zip(window.measured, window.continuous, window.free, strict=True):
            step += 1
            first = "–" if measured is None else f"{measured:.2f}"
            lines.append(f"{step:>5} {first:>10} {continuous:>11.2f} {free:>11.2f}")
    return _artefact(title, "\n".join(lines))


def _music(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    row = data.table("test")[0]
    piece = torch.tensor(row["inputs"]).float().reshape(1, -1, model.hparams["input_size"])[:, :GIVEN]
    said = model.continue_frames(piece, min(asked.length, 64), temperature=asked.temperature, seed=asked.seed)
    whole = torch.cat([piece, said], 1)[0].tolist()
    notes, given = notes_of(whole), piece.shape[1]
    name = row.get("name", "the first piece of the test part")
    return [_artefact(f"{name}, gone on with after {given} frames", "\n".join(drawn(notes, len(whole), given)))]


def _values(model: Any, data: Any, asked: SampleConfig) -> list[Artefact]:
    """Values of the first of the test part, beside the true ones."""
    shown, inputs, _ = examples(model, data, asked.examples)
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
}
"""What is made of each kind of output."""


def _beside(shown: Iterable[str], said: Iterable[str], references: list[str]) -> str:
    """What was asked, `→` what was said, `=` what is true."""
    pairs = [f"{one}\n→ {other or '(nothing)'}" for one, other in zip(shown, said, strict=True)]
    return (
        "\n\n".join(f"{one}\n= {true}" for one, true in zip(pairs, references, strict=True))
        if references
        else "\n\n".join(pairs)
    )


def _artefact(title: str, text: str) -> Artefact:
    """An artefact, cut to what one may have."""
    return Artefact(title=title[:200], text=text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")
