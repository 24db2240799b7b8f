"""The equations of all cells from their papers, in NumPy, gate by gate and step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Values = dict[str, Array]
States = tuple[Array, ...]
Step = Callable[[Array, States], tuple[States, Array]]
tanh = np.tanh


def sigmoid(value: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-value)))


def normal(value: Array) -> Array:
    """Each row with mean 0 and variance 1."""
    mean = value.mean(-1, keepdims=True)
    return np.asarray((value - mean) / np.sqrt(((value - mean) ** 2).mean(-1, keepdims=True) + 1e-5))


class Gates:
    """`W_k x + b_k` and `U_k h + c_k` of each gate."""

    def __init__(self, values: Values, gates: str, recurrent: str | None = None) -> None:
        self.values, self.gates, self.recurrent = values, gates, gates if recurrent is None else recurrent
        self.size = len(values["weight_ih"]) // len(gates)

    def _product(self, kind: str, gates: str, gate: str, value: Array) -> Array:
        rows = slice(gates.index(gate) * self.size, (gates.index(gate) + 1) * self.size)
        bias = self.values[f"bias_{kind}"][rows] if f"bias_{kind}" in self.values else 0.0
        return np.asarray(value @ self.values[f"weight_{kind}"][rows].T + bias)

    def x(self, gate: str, value: Array) -> Array:
        return self._product("ih", self.gates, gate, value)

    def h(self, gate: str, value: Array) -> Array:
        return self._product("hh", self.recurrent, gate, value)

    def __call__(self, gate: str, x: Array, h: Array) -> Array:
        return self.x(gate, x) + self.h(gate, h)


def run(step: Step, inputs: Array, states: States) -> tuple[Array, States]:
    """Outputs of all steps and the last states."""
    outputs = []
    for x in inputs:
        states, output = step(x, states)
        outputs.append(output)
    return np.stack(outputs), states


def elman(p: Values, nonlinearity: str = "tanh") -> Step:
    gates = Gates(p, "n")

    def step(x: Array, s: States) -> tuple[States, Array]:
        a = gates("n", x, s[0])
        h = tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)
        return (h,), h

    return step


def lstm(
    p: Values,
    peephole: str | None = None,
    output_peek: str = "new",
    ablations: tuple[str, ...] = (),
    proj_size: int = 0,
) -> Step:
    """Greff et al. 2015, section 2 and 4; Sak et al. 2014."""
    no_f, coupled = "NFG" in ablations or "CIFG" in ablations, "CIFG" in ablations
    names = "".join(k for k in "ifgo" if not {"i": "NIG" in ablations, "f": no_f}.get(k, False))
    names = names.replace("o", "") if "NOG" in ablations else names
    gates, full = Gates(p, names), "FGR" in ablations
    kept = [k for k in "ifo" if k in names]

    def gate(k: str, x: Array, s: States, c: Array) -> Array:
        a = gates(k, x, s[0])
        if peephole is not None and "NP" not in ablations:
            a = a + (p[f"peephole_{k}"] * c if peephole == "diagonal" else c @ p[f"weight_c{k}"].T)
        if full:
            for old, value in zip(kept, s[2:], strict=True):
                a = a + value @ p[f"weight_{old}{k}"].T
        return sigmoid(a)

    def step(x: Array, s: States) -> tuple[States, Array]:
        one = np.ones_like(s[1])
        i = gate("i", x, s, s[1]) if "i" in names else one
        f = gate("f", x, s, s[1]) if "f" in names else 1 - i if coupled else one
        a = gates("g", x, s[0])
        c = f * s[1] + i * (a if "NIAF" in ablations else tanh(a))
        o = gate("o", x, s, c if output_peek == "new" else s[1]) if "o" in names else one
        h = o * (c if "NOAF" in ablations else tanh(c))
        h = h @ p["weight_hr"].T if proj_size else h
        more = tuple({"i": i, "f": f, "o": o}[k] for k in kept) if full else ()
        return (h, c, *more), h

    return step


def layer_norm_lstm(p: Values) -> Step:
    """Ba et al. 2016, eq. 20–22."""
    gates = Gates(p, "ifgo")
    alpha, beta, shift = (
        np.concatenate([p[f"{name}_{k}"] for k in "ifgo"]) for name in ("gain_input", "gain_hidden", "shift")
    )

    def step(x: Array, s: States) -> tuple[States, Array]:
        from_x = np.concatenate([gates.x(k, x) for k in "ifgo"], -1)
        from_h = np.concatenate([gates.h(k, s[0]) for k in "ifgo"], -1)
        i, f, g, o = np.split(normal(from_x) * alpha + normal(from_h) * beta + shift, 4, -1)
        c = sigmoid(f) * s[1] + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(normal(c) * p["gain_cell"] + p["shift_cell"])
        return (h, c), h

    return step


def gru(p: Values, reset_gate: str = "after") -> Step:
    gates = Gates(p, "rzn")

    def step(x: Array, s: States) -> tuple[States, Array]:
        r, z = sigmoid(gates("r", x, s[0])), sigmoid(gates("z", x, s[0]))
        inner = r * gates.h("n", s[0]) if reset_gate == "after" else gates.h("n", r * s[0])
        h = (1 - z) * tanh(gates.x("n", x) + inner) + z * s[0]
        return (h,), h

    return step


def mgu(p: Values) -> Step:
    gates = Gates(p, "fn")

    def step(x: Array, s: States) -> tuple[States, Array]:
        f = sigmoid(gates("f", x, s[0]))
        h = (1 - f) * s[0] + f * tanh(gates("n", x, f * s[0]))
        return (h,), h

    return step


def janet(p: Values, beta: float = 1.0) -> Step:
    gates = Gates(p, "fn")

    def step(x: Array, s: States) -> tuple[States, Array]:
        a = gates("f", x, s[0])
        h = sigmoid(a) * s[0] + (1 - sigmoid(a - beta)) * tanh(gates("n", x, s[0]))
        return (h,), h

    return step


def ugrnn(p: Values) -> Step:
    gates = Gates(p, "gn")

    def step(x: Array, s: States) -> tuple[States, Array]:
        g = sigmoid(gates("g", x, s[0]))
        h = g * s[0] + (1 - g) * tanh(gates("n", x, s[0]))
        return (h,), h

    return step


def mut(p: Values, variant: int = 1) -> Step:
    gates = Gates(p, "zrn", "rn" if variant == 1 else "zrn")

    def step(x: Array, s: States) -> tuple[States, Array]:
        r, a = sigmoid(gates("r", x, s[0])), gates.x("z", x)
        if variant > 1:
            a = a + gates.h("z", s[0] if variant == 2 else tanh(s[0]))
        from_x = gates.x("n", x)
        n = tanh(gates.h("n", r * s[0]) + (tanh(from_x) if variant == 1 else from_x))
        h = n * sigmoid(a) + s[0] * (1 - sigmoid(a))
        return (h,), h

    return step


def multiplicative(p: Values) -> Step:
    gates = Gates(p, "mifgo")

    def step(x: Array, s: States) -> tuple[States, Array]:
        m = gates.x("m", x) * gates.h("m", s[0])
        i, f, o = (sigmoid(gates(k, x, m)) for k in "ifo")
        c = f * s[1] + i * tanh(gates("g", x, m))
        h = o * tanh(c)
        return (h, c), h

    return step


def slstm(p: Values, heads: int = 1) -> Step:
    """Beck et al. 2024, eq. 8–17; each head multiplies its own units."""
    size = p["weight_hh"].shape[1]
    blocked = np.zeros_like(p["weight_hh"])
    for row in range(len(blocked)):
        head = row % size // (size // heads)
        own = slice(head * (size // heads), (head + 1) * (size // heads))
        blocked[row, own] = p["weight_hh"][row, own]
    gates = Gates({**p, "weight_hh": blocked}, "ifgo")

    def step(x: Array, s: States) -> tuple[States, Array]:
        h, c, n, m = s
        a = {k: gates(k, x, h) for k in "ifgo"}
        log_f = np.log(sigmoid(a["f"]))
        new_m = np.maximum(log_f + m, a["i"])
        i, f = np.exp(a["i"] - new_m), np.exp(log_f + m - new_m)
        new_c, new_n = f * c + i * tanh(a["g"]), f * n + i
        h = sigmoid(a["o"]) * new_c / new_n
        return (h, new_c, new_n, new_m), h

    return step


def mingru(p: Values, positive: bool = False) -> Step:
    gates = Gates(p, "zn")

    def step(x: Array, s: States) -> tuple[States, Array]:
        z, n = sigmoid(gates.x("z", x)), gates.x("n", x)
        if positive:
            n = np.where(n >= 0, n + 0.5, sigmoid(n))
        h = (1 - z) * s[0] + z * n
        return (h,), h

    return step


def minlstm(p: Values) -> Step:
    gates = Gates(p, "fin")

    def step(x: Array, s: States) -> tuple[States, Array]:
        f, i = sigmoid(gates.x("f", x)), sigmoid(gates.x("i", x))
        h = f / (f + i) * s[0] + i / (f + i) * gates.x("n", x)
        return (h,), h

    return step


def lru(p: Values) -> Step:
    """Orvieto et al. 2023 with complex numbers."""
    decay = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    gates, size = Gates(p, "ri"), len(p["nu_log"])
    c = p["weight_c"][:, :size] + 1j * p["weight_c"][:, size:]

    def step(x: Array, s: States) -> tuple[States, Array]:
        state = decay * (s[0] + 1j * s[1]) + np.exp(p["gamma_log"]) * (gates.x("r", x) + 1j * gates.x("i", x))
        direct = p["weight_d"] * x if p["weight_d"].ndim == 1 else x @ p["weight_d"].T
        return (state.real, state.imag), (state @ c.T).real + direct

    return step


def sru(p: Values) -> Step:
    gates = Gates(p, "frn")

    def step(x: Array, s: States) -> tuple[States, Array]:
        f = sigmoid(gates.x("f", x) + p["peephole_f"] * s[0])
        r = sigmoid(gates.x("r", x) + p["peephole_r"] * s[0])
        c = f * s[0] + (1 - f) * gates.x("n", x)
        highway = x @ p["weight_highway"].T if "weight_highway" in p else x
        return (c, r), r * c + (1 - r) * np.sqrt(3) * highway

    return step


def qrnn(p: Values) -> Step:
    gates = Gates(p, "nfo")

    def step(x: Array, s: States) -> tuple[States, Array]:
        f, o = sigmoid(gates.x("f", x)), sigmoid(gates.x("o", x))
        c = f * s[1] + (1 - f) * tanh(gates.x("n", x))
        return (o * c, c), o * c

    return step
