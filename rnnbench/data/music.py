"""Music as text."""

import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import datasets

from rnnbench.data.abc_notation import has_parser, parse_rate
from rnnbench.data.module import Split, Splits
from rnnbench.data.splits import connected_groups, grouped_splits
from rnnbench.data.tokens import TokenDataModule, character_tokenizer, unigram_cross_entropy
from rnnbench.utils.download import Source

MUSIC21 = Source(
    "music21",
    "10.5.1",
    "music21-10.5.1-py3-none-any.whl",
    "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
    "BSD-3-Clause; music traditional or in the public domain",
)
BOOKS = re.compile(r"music21/corpus/(airdsAirs|oneills1850|ryansMammoth|miscFolk)/.*\.abc")
FIELD = re.compile(r"([A-Za-z]):(.*)")
SAMPLED = 100
"""Tunes that a model writes to be judged."""
KEPT = "MLK"
"""Fields of a tune that are read: metre, unit of length, key."""
ORNAMENT = re.compile(r'"[^"]*"|![^!]*!|\{[^}]*\}|[^A-Ga-g]')
"""Chords, marks and grace notes, and whatever is no letter of a note."""
INCIPIT = 24
"""Notes by which a tune is known."""


class FolkABC(TokenDataModule):
    """Tunes of Ireland and Scotland in ABC notation, character by character, each from its start to its end.

    Inputs `[B, T]`: `<s>` and the characters of a tune: its metre (`M:`), unit of length (`L:`), key (`K:`) and notes;
    0 is `<pad>`, 1 is `<unk>`. Targets `[B, T]`: the characters, and `</s>`. Tunes of the same title, and tunes that
    begin with the same notes, whatever their titles, are in one part: so are most settings of the same tune;
    70 : 15 : 15, drawn from `data_seed`; a tune that stands twice is used once.

    Args:
        max_length: characters; longer tunes are left out.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `max_length` is too small.
    """

    objective = "character_model"
    per_step = True
    unknown = -100
    sources = (MUSIC21,)

    def __init__(self, max_length: int = 600, batch_size: int = 64, data_seed: int = 0, shuffle_seed: int = 0) -> None:
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.max_length = max_length

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        tunes = read_tunes(self.sources[0].fetch())
        some = [(text, title) for text, title in tunes.items() if len(text) <= self.max_length]
        rows = grouped_splits(connected_groups([(title, incipit(text)) for text, title in some]), self.data_seed)
        parts = {split: [some[row][0] for row in chosen] for split, chosen in rows.items()}
        tokenizer = character_tokenizer(parts["train"])
        tokenizer.save(str(folder / "tokenizer.json"))
        ids = {split: [one.ids for one in tokenizer.encode_batch(texts)] for split, texts in parts.items()}
        tables: dict[Split, datasets.Dataset] = {
            split: datasets.Dataset.from_dict(
                {
                    "text": parts[split],
                    "inputs": [one[:-1] for one in tunes_ids],
                    "targets": [one[1:] for one in tunes_ids],
                }
            )
            for split, tunes_ids in ids.items()
        }
        nats = unigram_cross_entropy(ids["train"], ids["test"], tokenizer.get_vocab_size())
        scores = {
            "cross_entropy": nats,
            "perplexity": math.exp(nats),
            "bits_per_character": nats / math.log(2),
        }
        size = tokenizer.get_vocab_size()
        return Splits(tables, size, size, "frequencies of characters", scores)

    def sampled_scores(self, sample: Callable[[int, int], list[str]]) -> dict[str, float]:
        """`parse_rate`: share of `SAMPLED` texts that a model writes by itself that are tunes, in [0, 1].

        Nothing without music21. `sample` gives so many texts of at most so many characters.
        """
        if not has_parser():
            print("no parse_rate: it needs music21 (pip install 'rnnbench[music]')")
            return {}
        return {"parse_rate": parse_rate(sample(SAMPLED, self.max_length))}


def read_tunes(archive: Path) -> dict[str, str]:
    """Title of each tune, by its text: each text once, in the order of the books."""
    tunes: dict[str, str] = {}
    with zipfile.ZipFile(archive) as wheel:
        for member in sorted(filter(BOOKS.fullmatch, wheel.namelist())):
            for number, piece in enumerate(re.split(r"^X:", _decoded(wheel.read(member)), flags=re.MULTILINE)[1:]):
                text, title = _tune(piece)
                if text:
                    tunes.setdefault(text, title or f"{member} {number}")
    return tunes


def _tune(piece: str) -> tuple[str, str]:
    """Text of a tune, empty if it has no notes, and its title, in small letters and digits alone."""
    fields: dict[str, str] = {}
    notes: list[str] = []
    title = ""
    for line in piece.splitlines()[1:]:
        line = line.partition("%")[0].strip()
        if match := FIELD.match(line):
            name, value = match[1], match[2].strip()
            if name == "T" and not title:
                title = re.sub(r"[^a-z0-9]", "", value.lower())
            elif name in KEPT and not notes:
                fields[name] = value
        elif line and "K" in fields:
            notes.append(line)
    if not notes:
        return "", title
    return "\n".join([*(f"{name}:{fields[name]}" for name in KEPT if name in fields), *notes]), title


def incipit(text: str) -> str:
    """The first notes of a tune, by which catalogues tell tunes apart: letters alone, whatever their octave or length.

    A setting in another key has others.
    """
    notes = "".join(line for line in text.splitlines() if not FIELD.match(line))
    return ORNAMENT.sub("", notes).lower()[:INCIPIT]


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
