"""What each trained run generates, translates or forecasts: the field `artefacts` of a grid."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from rnnbench.config.schema import StrictModel, short_repr
from rnnbench.errors import RnnbenchError, unknown


class SampleConfig(StrictModel):
    """What every run of a grid answers when it is trained.

    Args:
        texts: beginnings to go on with (language models), or sentences to translate or classify; by default those of
            the test part.
        examples: how many of the test part, of which the answer is known.
        length: the most tokens, or frames, that are added to a beginning.
        temperature: of what is drawn.
        seed: of what is drawn.
    """

    texts: list[str] = Field([], max_length=20)
    examples: int = Field(5, ge=1, le=20)
    length: int = Field(200, ge=1, le=2000)
    temperature: float = Field(0.8, gt=0)
    seed: int = Field(0, ge=0, lt=2**31)


def _samples(value: Any) -> Any:
    """What `artefacts` may be, with an error about the alternative that was meant."""
    try:
        if isinstance(value, dict):
            return SampleConfig.read(value, "settings")
        if isinstance(value, str):
            if value != "default":
                raise unknown("artefacts", value, ("default",))
            return SampleConfig()
        if not isinstance(value, SampleConfig | None):
            raise RnnbenchError(f"give default, or settings of questions, got {short_repr(value)}")
    except RnnbenchError as error:
        raise ValueError(str(error)) from None
    return value


SamplesField = Annotated[SampleConfig | Literal["default"] | None, BeforeValidator(_samples)]
"""`default`, or settings of `SampleConfig`."""
