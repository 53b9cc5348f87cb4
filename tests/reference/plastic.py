"""Plastic connections and winner-take-all in float64, synapse by synapse, written from the text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from spikewright.engine.plastic.description import (
    Expression,
    Number,
    Operation,
    Plasticity,
    Symbol,
    Updates,
)

Array = np.ndarray[Any, Any]


@dataclass
class Cells:
    """Adaptive leaky neurons that may have a refractory period and may compete; counts in steps."""

    count: int
    dt: float
    tau_mem: float = 20e-3
    v_threshold: float = 1.0
    v_reset: float = 0.0
    r: float = 1.0
    beta: float = 0.0
    tau_adapt: float = 1.0
    refractory: int = 0
    winners: int = 0
    clamp: int = 0
    v_inhibited: float = 0.0

    def __post_init__(self) -> None:
        self.v, self.a = np.zeros(self.count), np.zeros(self.count)
        self.waits = np.zeros(self.count, int)
        self.held = np.zeros(self.count, int)

    def step(self, x: Array, adapts: bool = True) -> Array:
        fires = np.zeros(self.count)
        decay = math.exp(-self.dt / self.tau_mem)
        v = [decay * self.v[n] + self.r * (1 - decay) * x[n] for n in range(self.count)]
        excess = [v[n] - self.v_threshold - self.beta * self.a[n] for n in range(self.count)]
        able = [n for n in range(self.count) if self.waits[n] == 0 and self.held[n] == 0]
        crossing = [n for n in able if excess[n] > 0]
        if self.winners:
            crossing.sort(key=lambda n: (-excess[n], n))
            crossing = crossing[: self.winners]
        fires[crossing] = 1
        for n in range(self.count):
            if self.waits[n] == 0 and self.held[n] == 0:
                self.v[n] = self.v_reset if fires[n] else v[n]
            self.waits[n] = self.refractory if fires[n] else max(self.waits[n] - 1, 0)
            self.held[n] = max(self.held[n] - 1, 0)
            if self.winners and crossing and not fires[n]:
                self.v[n], self.held[n] = self.v_inhibited, self.clamp
            if adapts:
                self.a[n] = math.exp(-self.dt / self.tau_adapt) * self.a[n] + fires[n]
        return fires


def value(term: Expression, known: dict[str, float]) -> float:
    """The value of an expression; what has none is NaN."""
    match term:
        case Number(number):
            return number
        case Symbol(name):
            return known[name]
        case Operation("-", (one,)):
            return -value(one, known)
        case Operation(name, terms):
            return _apply(name, [value(t, known) for t in terms])


def _apply(name: str, given: list[float]) -> float:
    with np.errstate(all="ignore"):
        values = [np.float64(v) for v in given]
        if len(values) == 1:
            return float(getattr(np, name)(values[0]))
        a, b = values
        match name:
            case "min":
                return float(np.minimum(a, b))
            case "max":
                return float(np.maximum(a, b))
            case "<" | "<=" | ">" | ">=" | "==":
                return float(
                    {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b}[name]
                )
            case "+":
                return float(a + b)
            case "-":
                return float(a - b)
            case "*":
                return float(a * b)
            case "/":
                return float(a / b)
            case _:
                return float(a**b)


@dataclass
class Synapses:
    """All synapses between two populations, (inputs, outputs)."""

    rule: Plasticity
    w: Array
    dt: float
    updates: int = 0
    skipped: int = 0
    traces: dict[str, Array] = field(default_factory=dict[str, Array])

    def __post_init__(self) -> None:
        inputs, outputs = self.w.shape
        sizes = {"x": inputs, "y": outputs}
        self.traces = {t.name: np.zeros(sizes[t.name[0]]) for t in self.rule.traces}
        self.e = np.zeros((inputs, outputs))

    def step(self, x: Array, y: Array, x_v: Array | None, y_v: Array, r: float) -> None:
        for trace in self.rule.traces:
            self.traces[trace.name] *= math.exp(-self.dt / trace.tau)
        if self.rule.eligibility is not None:
            self.e *= math.exp(-self.dt / self.rule.eligibility.tau)
        self.x, self.y, self.x_v, self.y_v, self.r = x, y, x_v, y_v, r
        inputs, outputs = range(len(x)), range(len(y))
        for i, j in product(np.repeat(inputs, x.astype(int)), outputs):
            self._event("pre", i, j, x0=1.0)
        self._jump("x", x)
        for j, i in product(np.repeat(outputs, y.astype(int)), inputs):
            self._event("post", i, j, y0=1.0)
        self._jump("y", y)
        for target in ("e", "w"):
            updates = self._updates(target)
            if updates is None or updates.step is None or (updates.modulated and r == 0):
                continue
            for i, j in product(inputs, outputs):
                self._add(target, updates.step, i, j, {})

    def _updates(self, target: str) -> Updates | None:
        if target == "w":
            return self.rule.updates
        return None if self.rule.eligibility is None else self.rule.eligibility.updates

    def _event(self, kind: str, i: int, j: int, **own: float) -> None:
        for target in ("e", "w"):
            updates = self._updates(target)
            term = None if updates is None else getattr(updates, kind)
            if term is not None:
                self._add(target, term, i, j, own)

    def _jump(self, side: str, spikes: Array) -> None:
        for trace in self.rule.traces:
            if trace.name[0] == side:
                z = self.traces[trace.name]
                for n in np.flatnonzero(spikes):
                    z[n] = trace.jump if trace.nearest else z[n] + trace.jump * spikes[n]

    def _add(self, target: str, term: Expression, i: int, j: int, own: dict[str, float]) -> None:
        known = {"x0": self.x[i], "y0": self.y[j], "r": self.r, "w": self.w[i, j]}
        known |= {"e": self.e[i, j], "y_v": self.y_v[j]}
        known |= {} if self.x_v is None else {"x_v": self.x_v[i]}
        for name, z in self.traces.items():
            known[name] = z[i] if name[0] == "x" else z[j]
        change = value(term, {**known, **own})
        if not math.isfinite(change):
            self.skipped += 1
        elif target == "w":
            self.w[i, j] = min(max(self.w[i, j] + change, self.rule.bounds[0]), self.rule.bounds[1])
        else:
            self.e[i, j] += change
        self.updates += target == "w"
