"""Chaotic series, generated and measured: what a forecast over a horizon can know, and for how long."""

import io
import math
import zipfile
from abc import abstractmethod

import numpy as np

from rnnbench.data.forecasts import HorizonObjective, SeriesForecast, Values
from rnnbench.data.module import check_amount
from rnnbench.data.splits import CUTS
from rnnbench.errors import RnnbenchError
from rnnbench.utils.download import Source


class GeneratedSeries(SeriesForecast):
    """Generated series, each from a start of its own, all drawn from `data_seed`.

    They are computed by +, −, × and ÷ alone, which every machine rounds alike: in chaos any other last digit would grow
    into another series.

    Args:
        window: see `SeriesForecast`.
        horizon: see `SeriesForecast`.
        stride: see `SeriesForecast`.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
        teacher_forcing: see `SeriesForecast`.
        objective: see `SeriesForecast`.
        count: series.
        steps: of each of them.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        window: int = 100,
        horizon: int = 50,
        stride: int = 10,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
        teacher_forcing: float = 1.0,
        objective: HorizonObjective = "horizon_forecast",
        count: int = 16,
        steps: int = 2000,
    ) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        least = math.ceil((window + 2) / (1 - CUTS[1]))
        if steps < least:
            raise ValueError(f"steps must be at least {least}, so that window={window} fits a test part, got {steps}")
        check_amount(count * steps, f"count={count} and steps={steps}")
        super().__init__(window, horizon, stride, batch_size, data_seed, shuffle_seed, teacher_forcing, objective)
        self.count, self.steps = count, steps

    def series(self) -> Values:  # noqa: D102
        return self.draw(np.random.default_rng(self.data_seed), self.count, self.steps)

    @abstractmethod
    def draw(self, random: np.random.Generator, count: int, steps: int) -> Values:
        """`count` series `[count, steps, O + K]`."""


class MackeyGlass(GeneratedSeries):
    """The Mackey–Glass equation (Mackey & Glass 1977, eq. 4b), a blood count that is regulated late.

        dx/dt = 0.2 x(t − 17) / (1 + x(t − 17)¹⁰) − 0.1 x(t)

    One step is one unit of time. See `mackey_glass` for the solver. Lyapunov time about 170 steps.

    Arguments as in `GeneratedSeries`.
    """

    channels = ("x",)

    def draw(self, random: np.random.Generator, count: int, steps: int) -> Values:  # noqa: D102
        return mackey_glass(0.5 + random.random(count), steps)[:, :, None]


SUBSTEPS = 10
"""Steps of the solver of `mackey_glass` in a unit of time."""
TRANSIENT = 1000
"""Units of time that are left out at the start."""


def mackey_glass(past: Values, steps: int, delay: int = 17) -> Values:
    """Solutions `[N, steps]` of the Mackey–Glass equation at whole units of time, from 1,000 on.

    Classical Runge–Kutta of fourth order with step 0.1. The delayed value half a step on is the cubic through its four
    neighbours. As long as the delayed values are known, which is for nearly `delay` units, the equation is linear in x:
    a step is x' = a x + b, and a whole stretch is computed at once.

    Args:
        past: x(t), constant for t ≤ 0, of each solution, `[N]`.
        steps: units of time.
        delay: τ, in units of time, at least 1.
    """
    lag, decay = delay * SUBSTEPS, 0.1 / SUBSTEPS
    factor = 1 - decay + decay**2 / 2 - decay**3 / 6 + decay**4 / 24
    first = 1 - decay + decay**2 / 2 - decay**3 / 4
    middle = 4 - 2 * decay + decay**2 / 2
    total = (TRANSIENT + steps) * SUBSTEPS
    x = np.empty((total + lag + 2, len(past)))
    x[: lag + 2] = past
    powers = np.cumprod(np.full(lag, factor))[:, None]
    here = lag + 1  # the last that is known; row `here - lag + k` is delayed by τ after k steps
    while here < len(x) - 1:
        size = min(lag - 2, len(x) - 1 - here)
        late = x[here - lag - 1 : here - lag + size + 2]
        between = (9 * (late[1:-2] + late[2:-1]) - (late[:-3] + late[3:])) / 16
        at, half = _production(late[1:-1]), _production(between)
        added = (first * at[:-1] + middle * half + at[1:]) / (6 * SUBSTEPS)
        x[here + 1 : here + size + 1] = powers[:size] * (x[here] + (added / powers[:size]).cumsum(axis=0))
        here += size
    return np.ascontiguousarray(x[lag + 1 + (TRANSIENT + 1) * SUBSTEPS :: SUBSTEPS].T)[:, :steps]


def _production(x: Values) -> Values:
    square = x * x
    fourth = square * square
    return 0.2 * x / (1 + fourth * fourth * square)


class Lorenz(GeneratedSeries):
    """The Lorenz system (Lorenz 1963, eq. 25–27), convection in three numbers.

        dx/dt = 10 (y − x)    dy/dt = x (28 − z) − y    dz/dt = x y − 8/3 z

    One step is 0.04 units of time, four steps of the classical Runge–Kutta method of fourth order, see `lorenz`. The
    Lyapunov time is about 1.1 units, 28 steps.

    Arguments as in `GeneratedSeries`.
    """

    channels = ("x", "y", "z")

    def draw(self, random: np.random.Generator, count: int, steps: int) -> Values:  # noqa: D102
        starts = np.array([0.0, 0.0, 25.0]) + 10 * (random.random((count, 3)) - 0.5)
        return lorenz(starts, steps)


def lorenz(starts: Values, steps: int, step: float = 0.01, every: int = 4, transient: int = 250) -> Values:
    """Solutions `[N, steps, 3]` of the Lorenz system, by Runge–Kutta of fourth order.

    Args:
        starts: x, y and z at the start, `[N, 3]`.
        steps: that are kept.
        step: of the solver, in units of time.
        every: steps of the solver in one that is kept.
        transient: steps that are left out at the start, each of them like one that is kept.
    """
    at, kept = np.ascontiguousarray(starts.T), np.empty((steps, 3, len(starts)))
    middle, k1, k2, k3, k4 = np.empty((5, *at.shape))
    at_xyz, middle_xyz, *slopes = [tuple(array) for array in (at, middle, k1, k2, k3, k4)]  # x, y and z, as views
    for number in range(-transient, steps):
        for _ in range(every):
            _convection(at_xyz, slopes[0])
            np.add(at, step / 2 * k1, out=middle)
            _convection(middle_xyz, slopes[1])
            np.add(at, step / 2 * k2, out=middle)
            _convection(middle_xyz, slopes[2])
            np.add(at, step * k3, out=middle)
            _convection(middle_xyz, slopes[3])
            at += step / 6 * (k1 + 2 * (k2 + k3) + k4)
        if number >= 0:
            kept[number] = at
    return np.ascontiguousarray(kept.transpose(2, 0, 1))


def _convection(at: tuple[Values, ...], slope: tuple[Values, ...]) -> None:
    """Write dx/dt, dy/dt and dz/dt at x, y and z into `slope`: new arrays would take a quarter of the time."""
    (x, y, z), (dx, dy, dz) = at, slope
    np.subtract(y, x, out=dx)
    dx *= 10
    np.subtract(28, z, out=dy)
    dy *= x
    dy -= y
    np.multiply(x, y, out=dz)
    dz -= 8 / 3 * z


class Narma10(GeneratedSeries):
    """NARMA of order ten (Atiya & Parlos 2000): a random force u, and a system that remembers ten steps of it.

        y(t+1) = 0.3 y(t) + 0.05 y(t) Σ_{i=0…9} y(t−i) + 1.5 u(t−9) u(t) + 0.1,    u(t) from U(0, 0.5)

    Inputs `[B, T, 2]`: y(t), and u(t), which is known in the horizon too. Without it the future is noise.

    Arguments as in `GeneratedSeries`.
    """

    channels = ("y",)
    known = ("u",)

    def draw(self, random: np.random.Generator, count: int, steps: int) -> Values:  # noqa: D102
        made, bounded = np.empty((0, steps, 2)), 0
        while bounded < count:
            drawn = narma(random.random((count, steps + WASHOUT)) / 2)[:, WASHOUT:]
            made = np.concatenate([made, drawn[(drawn[:, :, 0] < 2).all(axis=1)]])
            bounded = len(made)
        return made[:count]


WASHOUT = 200
"""Steps of `Narma10` that are left out at the start. Of a force for which the system diverges, none is kept."""


def narma(force: Values) -> Values:
    """y and u `[N, T, 2]` of the NARMA-10 system for forces u `[N, T]`; y is 0 in the first ten steps.

    A system that exceeds 10 stays there: it has diverged.
    """
    size, steps = force.shape
    u, y = np.ascontiguousarray(force.T), np.zeros((steps, size))
    for t in range(9, steps - 1):
        recent = y[t - 9]
        for i in range(t - 8, t + 1):
            recent = recent + y[i]
        y[t + 1] = np.minimum(0.3 * y[t] + 0.05 * y[t] * recent + 1.5 * u[t - 9] * u[t] + 0.1, 10)
    return np.stack([y.T, force], axis=2)


MEMBER = "reservoirpy/datasets/santafe_laser.npy"


class SantaFeLaser(SeriesForecast):
    """Data set A of the Santa Fe competition (Weigend & Gershenfeld 1994): the intensity of a far-infrared laser.

    Measured by Hübner, Abraham & Weiss (1989), 10,093 points from 0 to 255: pulsations that grow and collapse, close to
    the Lorenz system. The competition gave 1,000 points and sought the next 100; here are the longer record and a
    split in time of its own.

    Arguments as in `SeriesForecast`; `data_seed` is without influence, nothing is drawn.
    """

    channels = ("intensity",)
    sources = (
        Source(
            "reservoirpy",
            "0.4.2",
            "reservoirpy-0.4.2-py3-none-any.whl",
            "cb6f61b2a3b90986d4cc89e14aa0c0b92632711272ff6f7dcd94e0c973217432",
            "MIT (package); series: data of a public competition (Weigend & Gershenfeld 1994)",
        ),
    )

    def series(self) -> Values:
        """The series `[1, steps, 1]`.

        Raises:
            RnnbenchError: the archive does not hold a series of finite numbers.
        """
        with zipfile.ZipFile(self.sources[0].fetch()) as wheel:
            values = np.load(io.BytesIO(wheel.read(MEMBER)), allow_pickle=False)
        if values.ndim != 2 or values.shape[1] != 1 or not np.isfinite(values).all():
            raise RnnbenchError(f"{MEMBER} must hold numbers [steps, 1], got {values.dtype} {[*values.shape]}")
        return np.asarray(values[None], np.float64)
