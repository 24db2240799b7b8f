"""Music that a model writes: tunes in ABC notation, and piano rolls that go on from a piece."""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from rnnbench.cli.console import print_json, save_chart, say_written
from rnnbench.data.abc_notation import NotATune, Note, draw_roll, engrave, notes_of, sounding_notes, write_midi
from rnnbench.errors import RnnbenchError
from rnnbench.utils.extras import check_extra
from rnnbench.utils.files import writable_folder, write_whole
from rnnbench.utils.text import clean

OF_TEXTS = {"prompt": [], "abc": False, "top_k": None, "top_p": None, "beam": 1, "sheet": None}
OF_ROLLS = {"piece": 0, "given": 16}
"""Options for one kind of model only, with their defaults."""


def check(options: Namespace) -> None:
    """Check that files can be written, before anything is generated.

    Raises:
        RnnbenchError: a file cannot be written, or its package is not installed.
    """
    if options.plot:
        from rnnbench.analysis.charts import check_plot

        check_plot(options.plot)
    if options.abc or options.midi:
        check_extra("music", "--abc" if options.abc else "--midi", "music21")
    if options.sheet:
        check_extra("music", "--sheet")
    if options.midi:
        writable_folder(options.midi, "MIDI files (--midi)")
    if options.sheet:
        writable_folder(options.sheet, "scores (--sheet)")


def refuse_options(options: Namespace, names: Mapping[str, Any], why: str) -> None:
    """Refuse options that would have no effect; `names` has their defaults.

    Raises:
        RnnbenchError: an option differs from its default.
    """
    for name, default in names.items():
        if options[name] != default:
            raise RnnbenchError(f"--{name.replace('_', '-')} {why}")


def print_tunes(texts: Sequence[str], options: Namespace, title: str) -> None:
    """Print tunes, whether each parses or why not, and the share that does; write their notes to files, if options say
    so.

    Raises:
        RnnbenchError: a file cannot be written, or the parser is not installed.
    """
    pieces: dict[str, Sequence[Note]] = {}
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(texts, 1):
        try:
            notes = sounding_notes(text)
            rows.append({"text": text, "parses": True, "notes": len(notes)})
            if notes:
                pieces[f"tune {number}"] = notes
        except NotATune as why:
            rows.append({"text": text, "parses": False, "why": str(why)})
    write_files(pieces, options, title, 0.0)
    if options.sheet:
        _engrave(rows, options.sheet)
        say_written("scores", options.sheet)
    rate = sum(row["parses"] for row in rows) / len(rows)
    if options.json:
        print_json({"parse_rate": rate, "tunes": rows})
        return
    console = Console(highlight=False)
    for number, row in enumerate(rows, 1):
        verdict = f"{row['notes']} notes" if row["parses"] else f"no tune: {clean(row['why'])}"
        console.rule(Text(f"{number} of {len(rows)} · {verdict}"), style="dim")
        console.print(Text("\n".join(map(clean, row["text"].split("\n")))), soft_wrap=True)
    console.rule(style="dim")
    console.print(f"{sum(row['parses'] for row in rows)} of {len(rows)} are tunes: parse rate {rate:.2f}")


def _engrave(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write the scores of tunes as SVG, and as PNG too if that can be made; warn of those that cannot be engraved."""
    for number, row in enumerate(rows, 1):
        if not row["parses"]:
            continue
        try:
            picture = engrave(row["text"])
        except RnnbenchError as why:
            print(f"rnnbench: tune {number}: {why}", file=sys.stderr)
            continue
        write_whole(folder / f"tune-{number}.svg", picture)
        if find_spec("vl_convert"):
            from rnnbench.analysis.charts import write_png

            write_png(folder / f"tune-{number}.png", picture)


def continue_piece(run: Any, options: Namespace) -> None:
    """Go on with a piece of the test part, and print the keys that sound in each frame.

    Raises:
        RnnbenchError: no such piece, too few frames, or a value out of its range.
    """
    import torch

    refuse_options(options, OF_TEXTS, "is for models of texts: this run writes piano rolls")
    table = run.data.table("test")
    if not 0 <= options.piece < len(table):
        raise RnnbenchError(f"--piece must be from 0 to {len(table) - 1}, got {options.piece}")
    row = table[options.piece]
    piece = torch.tensor(row["inputs"]).float().reshape(-1, run.model.hparams["input_size"])
    if not 1 <= options.given <= len(piece):
        raise RnnbenchError(
            f"--given must be from 1 to {len(piece)}, the frames of piece {options.piece}, got {options.given}"
        )
    given = piece[: options.given].unsqueeze(0)
    frames = given.repeat(options.count, 1, 1)
    settings = {name: options[name] for name in ("temperature", "greedy", "seed")}
    continuation = run.model.continue_frames(frames, options.length, **settings)
    whole = torch.cat([frames, continuation], 1).tolist()
    name = str(row.get("name", f"piece {options.piece}"))
    continuations = {f"{name}, {number}": notes_of(roll) for number, roll in enumerate(whole, 1)}
    pieces = {title: notes for title, notes in continuations.items() if notes}
    if not pieces:
        raise RnnbenchError("nothing sounds: neither in the frames given nor in what follows")
    write_files(pieces, options, run.name, float(options.given))
    rows = [
        {"piece": name, "given": options.given, "notes": [note._asdict() for note in notes]}
        for notes in pieces.values()
    ]
    if options.json:
        print_json(rows)
        return
    console = Console(highlight=False)
    for title, notes in pieces.items():
        console.print(Text(title, style="bold"))
        for line in draw_roll(notes, len(whole[0]), options.given):
            console.print(Text(line), soft_wrap=True)


def write_files(pieces: Mapping[str, Sequence[Note]], options: Namespace, title: str, given: float) -> None:
    """Write music as MIDI files and as a picture, where options say so.

    Raises:
        RnnbenchError: there is no music, or a file cannot be written.
    """
    if not pieces and (options.midi or options.plot):
        raise RnnbenchError(f"none of {options.count} texts is a tune: there is nothing to draw or to play")
    if options.midi:
        for name, notes in pieces.items():
            write_midi(notes, options.midi / f"{Path(name.replace(', ', '-').replace(' ', '-')).name}.mid")
        say_written("MIDI", options.midi)
    if options.plot:
        from rnnbench.analysis.charts import rolls_chart

        save_chart(rolls_chart(pieces, given, title), options.plot, title)
