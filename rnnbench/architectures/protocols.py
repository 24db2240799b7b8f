"""What a `SequenceModule` asks of its data and of its layer."""

from typing import Any, Protocol


class HasFacts(Protocol):
    """Anything that states its sizes: `input_kind`, `input_size`, `output_size`, `objective`."""

    def facts(self) -> dict[str, Any]:
        """The facts, as keyword arguments of a `SequenceModule`; `objective_options` too, if the objective has any."""
        ...


class SequenceLayer(Protocol):
    """What a `SequenceModule` asks of its layer beside running it; every `Recurrent` has it."""

    @property
    def directions(self) -> int:
        """2 if the last half of an output is that of a stack that reads backwards, else 1: D."""
        ...

    @property
    def output_size(self) -> int:
        """Features of an output step, D·H."""
        ...

    @property
    def backend(self) -> str:
        """What computes it where its parameters are."""
        ...
