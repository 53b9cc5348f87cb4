"""Expressions, and synapses that follow them, worked out by NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engine.plastic.description import (
    Expression,
    Number,
    Plasticity,
    Side,
    Symbol,
    Updates,
)

Values = NDArray[np.float64]

ACTIONS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "min": np.minimum,
    "max": np.maximum,
}
"""What each operator of two arguments and each function does."""


def evaluate(expression: Expression, values: Mapping[str, Any]) -> Any:
    """The value of an expression; a comparison is 1.0 or 0.0.

    Args:
        expression: of the names in ``values``.
        values: numbers or arrays that broadcast against each other.

    >>> from spikewright.engine.plastic.description import Operation
    >>> evaluate(Operation("<", (Symbol("w"), Number(0.5))), {"w": np.array([0.0, 1.0])})
    array([1., 0.])
    """
    if isinstance(expression, Number):
        return np.float64(expression.value)
    if isinstance(expression, Symbol):
        return np.asarray(values[expression.name], np.float64)[()]
    return apply(expression.name, *(evaluate(a, values) for a in expression.arguments))


def apply(name: str, *arguments: Any) -> Any:
    """An operator or a function of numbers or arrays, in float64."""
    if name == "-" and len(arguments) == 1:
        return -arguments[0]
    return np.asarray(ACTIONS[name](*arguments), np.float64)[()]


class Synapses:
    """Synapses without common neurons that follow a rule step by step, in float64.

    ``values`` holds the weights ``w``, the traces and ``e``, each (size,).

    Args:
        plasticity: what they follow.
        w: their weights before.
        size: how many.
        dt: time step, s.
    """

    def __init__(self, plasticity: Plasticity, w: float, size: int, dt: float) -> None:
        self._plasticity, self._kept = plasticity, plasticity.eligibility
        self._decays = {trace.name: np.exp(-dt / trace.tau) for trace in plasticity.traces}
        if self._kept is not None:
            self._decays["e"] = np.exp(-dt / self._kept.tau)
        self.values = {name: np.zeros(size) for name in self._decays}
        self.values["w"] = np.full(size, float(w))

    def step(self, seen: dict[str, Values]) -> None:
        """One time step, in the order of `spikewright.engine.plastic.description.Plasticity`.

        Args:
            seen: ``x0`` and ``y0``, and what else the rule names: ``r``, ``x_v``, ``y_v``; (size,).
        """
        self.values.update(seen)
        for name, decay in self._decays.items():
            self.values[name] = self.values[name] * decay
        self._change("pre", seen["x0"])
        self._jump("pre", seen["x0"])
        self._change("post", seen["y0"])
        self._jump("post", seen["y0"])
        self._change("step", np.ones_like(seen["x0"]))

    def _change(self, event: str, happens: Values) -> None:
        plasticity, values = self._plasticity, self.values
        if self._kept is not None:
            values["e"] = values["e"] + happens * self._value(self._kept.updates, event)
        changed = values["w"] + happens * self._value(plasticity.updates, event)
        values["w"] = np.clip(changed, *plasticity.bounds)

    def _value(self, updates: Updates, event: str) -> Any:
        expression: Expression | None = getattr(updates, event)
        return 0.0 if expression is None else evaluate(expression, self.values)

    def _jump(self, side: Side, happens: Values) -> None:
        for trace in self._plasticity.traces:
            if trace.side == side:
                before = self.values[trace.name]
                after = trace.jump + (0.0 if trace.nearest else before)
                self.values[trace.name] = np.where(happens > 0, after, before)
