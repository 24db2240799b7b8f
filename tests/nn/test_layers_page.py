"""What the page of the layers says of them."""

import re
from pathlib import Path

import rnnbench.nn
from rnnbench.nn import Recurrent, RecurrentCell

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "layers.md").read_text()
LAYERS = [
    layer
    for layer in (getattr(rnnbench.nn, name) for name in rnnbench.nn.__all__)
    if isinstance(layer, type)
    and issubclass(layer, Recurrent)
    and layer is not Recurrent
    and not issubclass(layer, RecurrentCell)
]


def rows() -> dict[str, str]:
    section = PAGE.partition("\n## All layers\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    return {name: line for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_table_has_every_layer_and_its_options() -> None:
    table = rows()
    assert {layer.__name__ for layer in LAYERS} == set(table)
    for layer in LAYERS:
        family = [one for one in LAYERS if issubclass(one, layer) or issubclass(layer, one)]
        said = " ".join(table[one.__name__] for one in family)
        for option in layer.cell_options():
            assert f"`{option}`" in said, f"{layer.__name__}: {option}"
