"""Bad input of a layer: what is wrong, what was received, what is allowed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnbench.nn.compiler.torch_mode import is_autocast

ENGINES = ("native", "triton", "function", "reference", "torch")


class InputError(ValueError, RuntimeError):
    """A value that does not fit: a `RuntimeError` as well, which `torch.nn`'s layers raise for shapes."""


class InputTypeError(InputError, TypeError):
    """A type, dtype or device that does not fit: `torch.nn`'s layers raise a `ValueError` or a `RuntimeError`."""


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the constructor arguments of a recurrent layer, by name.

    Raises:
        ValueError: a value out of range.
        TypeError: a value of another type.
    """
    for name in ("input_size", "hidden_size", "num_layers", "chrono", "checkpoint_steps", "bptt"):
        value = settings[name]
        if value is None and name in ("chrono", "checkpoint_steps", "bptt"):
            continue
        check_whole(name, value, least=2 if name == "chrono" else 1)
    for name in ("dropout", "variational_dropout", "weight_dropout"):
        share = settings[name]
        if not _is_real(share) or not 0 <= share <= 1 or (name != "dropout" and share == 1):
            raise ValueError(f"{name} must be a probability (0 to 1), got {share!r}")
    if (radius := settings["spectral_radius"]) is not None:
        check_number("spectral_radius", radius)
        if radius <= 0:
            raise ValueError(f"spectral_radius must be greater than 0, got {radius}")
    for name in ("bias", "batch_first", "bidirectional"):
        check_flag(name, settings[name])
    for name, allowed in (
        ("connections", ("plain", "residual", "skip")),
        ("recurrent_init", ("torch", "orthogonal", "identity")),
        ("engine", (None, *ENGINES)),
    ):
        if settings[name] not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {settings[name]!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    """Whether it is a real number of any library, as those of NumPy are."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int = 1) -> None:
    """Check a size.

    Raises:
        ValueError: it is less than `least`.
        TypeError: it is not a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_flag(name: str, value: Any) -> None:
    """Check a switch.

    Raises:
        TypeError: it is neither True nor False.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def check_number(name: str, value: Any) -> None:
    """Check a number.

    Raises:
        ValueError: it is infinite or NaN.
        TypeError: it is not a number.
    """
    if not _is_number(value):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def check_zoneout(zoneout: Any, states: tuple[str, ...]) -> tuple[float, ...]:
    """A probability for each state, from one for all or one for each.

    Raises:
        ValueError: a probability out of range, or not as many as states.
    """
    shares = tuple(zoneout) if isinstance(zoneout, (tuple, list)) else (zoneout,) * len(states)
    if len(shares) != len(states) or not all(_is_real(share) and 0 <= share < 1 for share in shares):
        raise ValueError(
            f"zoneout must be a probability less than 1, or one for each of the states {', '.join(states)}, "
            f"got {zoneout!r}"
        )
    return tuple(map(float, shares))


def check_dtype(dtype: Any) -> None:
    """Check the type of parameters.

    Raises:
        InputTypeError: it is not a floating-point type.
    """
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise InputTypeError(f"dtype must be a floating-point type of torch, got {dtype!r}")


def check_padded(input_size: int, data: Any, lengths: Tensor | None) -> None:
    """Check a padded batch.

    Raises:
        InputError: rank, feature size, no step at all, or lengths that do not fit.
        InputTypeError: no tensor.
    """
    if not isinstance(data, Tensor):
        raise InputTypeError(f"input must be a tensor, got {type(data).__name__}")
    if data.ndim != 3:
        raise InputError(f"input must be [B, T, I], got shape {list(data.shape)}")
    batch, steps, features = data.shape
    if features != input_size:
        raise InputError(f"input must have {input_size} features (input_size), got shape {list(data.shape)}")
    if steps == 0:
        raise InputError(f"input must have at least one step, got shape {list(data.shape)}")
    if lengths is None or torch.compiler.is_exporting():  # values that nobody knows yet
        return
    if lengths.shape != (batch,):
        raise InputError(f"lengths must have shape [{batch}], one for each sequence, got {list(lengths.shape)}")
    if not bool(((lengths >= 1) & (lengths <= steps)).all()):
        raise InputError(f"lengths must be 1 to {steps}, the steps of the input, got {lengths.tolist()}")


def check_inputs(data: Any, packed: PackedSequence | None, input_size: int, batch_first: bool, weight: Tensor) -> None:
    """Check the input of a call of a recurrent layer, one of whose parameters is `weight`.

    Raises:
        InputError: rank, feature size, or no step at all.
        InputTypeError: not a tensor, or of another dtype or device than the parameters.
    """
    if not isinstance(data, Tensor):
        raise InputTypeError(f"input must be a tensor or a PackedSequence, got {type(data).__name__}")
    check_dense(data, "input")
    order = "[B, T, I]" if batch_first else "[T, B, I]"
    if packed is None and data.ndim not in (2, 3):
        raise InputError(f"input must be {order} or, without a batch, [T, I]; got shape {list(data.shape)}")
    check_features(data, input_size)
    if packed is None and data.shape[1 if batch_first and data.ndim == 3 else 0] == 0:
        raise InputError(f"input must have at least one step, got shape {list(data.shape)}")
    if packed is not None and not torch.compiler.is_compiling():
        check_packed(packed)
    check_like(data, weight, "input")


def check_features(data: Tensor, input_size: int) -> None:
    """Check the features of an input.

    Raises:
        InputError: there are not `input_size` of them.
    """
    if data.shape[-1] != input_size:
        raise InputError(f"input must have {input_size} features (input_size), got shape {list(data.shape)}")


def check_dense(data: Tensor, what: str) -> None:
    """Check that a tensor has a number in every place.

    Raises:
        InputTypeError: it is sparse, nested, or of another library's making.
    """
    if data.layout != torch.strided or data.is_nested:
        raise InputTypeError(f"{what} must be a dense tensor, got a nested one or one of layout {data.layout}")


def check_packed(packed: PackedSequence) -> None:
    """Check that a `PackedSequence`, which anybody can put together, is one.

    Raises:
        InputError: its batch sizes and its data do not fit together.
    """
    sizes, rows = packed.batch_sizes, len(packed.data)
    if sizes.ndim != 1 or sizes.dtype != torch.int64 or sizes.device.type != "cpu":
        raise InputError(
            f"batch_sizes must be [T], int64 on the CPU, got {sizes.dtype} {list(sizes.shape)} on {sizes.device}"
        )
    counts = sizes.tolist()
    if not counts or min(counts) < 1 or counts != sorted(counts, reverse=True):
        raise InputError(f"batch_sizes must be at least 1 and never grow, got {counts[:20]}")
    if sum(counts) != rows:
        raise InputError(f"batch_sizes add up to {sum(counts)}, but data has {rows} rows")


def check_like(data: Tensor, weight: Tensor, what: str) -> None:
    """Check dtype and device against those of a parameter.

    Raises:
        InputTypeError: one of them differs.
    """
    if data.device != weight.device:
        raise InputTypeError(f"{what} is on {data.device}, the layer on {weight.device}: move one of them")
    if data.dtype != weight.dtype and not (is_autocast(data.device) and data.is_floating_point()):
        raise InputTypeError(f"{what} is {data.dtype}, the layer {weight.dtype}: convert one of them")


def check_weights(
    weights: Mapping[str, Tensor | None], shapes: Mapping[str, tuple[int, ...]], layer: int, data: Tensor
) -> None:
    """Check the weights of layer number `layer` of a stack: a kernel would read beyond the memory of another size or
    type.

    Raises:
        InputError: a shape.
        InputTypeError: a dtype or device that is not that of `data`.
    """
    for name, weight in weights.items():
        if weight is None:
            continue
        if weight.shape != (shape := shapes[name]):
            raise InputError(f"{name} of layer {layer} must have shape {list(shape)}, got {list(weight.shape)}")
        if weight.dtype != data.dtype or weight.device != data.device:
            raise InputTypeError(
                f"{name} of layer {layer} is {weight.dtype} on {weight.device}, its input {data.dtype} on {data.device}"
            )


def check_states(
    hx: Any, names: tuple[str, ...], shapes: Sequence[tuple[int, int, int]], unbatched: bool, weight: Tensor
) -> tuple[Tensor, ...]:
    """The initial states as a tuple in the order of `names`, of `shapes` `[L·D, B, W]`.

    Without a batch they are `[L·D, W]` in `hx`.

    Raises:
        InputError: number or shape of the states.
        InputTypeError: dtype or device of a state.
    """
    expected = f"hx must be {len(names)} state{'s' * (len(names) > 1)} ({', '.join(names)})"
    if not isinstance(hx, (Tensor, tuple, list)):
        raise InputTypeError(f"{expected}, got {type(hx).__name__}")
    states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    if len(states) != len(names):
        raise InputError(f"{expected}, got {len(states)}")
    for name, state, (count, batch, width) in zip(names, states, shapes, strict=True):
        if not isinstance(state, Tensor):
            raise InputTypeError(f"state {name} must be a tensor, got {type(state).__name__}")
        check_dense(state, f"state {name}")
        shape = [count, width] if unbatched else [count, batch, width]
        if list(state.shape) != shape:
            raise InputError(f"state {name} must have shape {shape}, got {list(state.shape)}")
        check_like(state, weight, f"state {name}")
    return tuple(state.unsqueeze(1) for state in states) if unbatched else states
