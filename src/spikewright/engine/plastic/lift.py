"""The numbers of a plasticity taken out of it, so that one kernel serves all values of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from spikewright.engine.plastic.description import (
    Eligibility,
    Expression,
    Number,
    Operation,
    Plasticity,
    Symbol,
    Trace,
    Updates,
)


@dataclass
class Numbers:
    """Numbers that a kernel reads, in the order in which they were met."""

    values: list[float] = field(default_factory=list[float])

    def take(self, value: float) -> str:
        """Keep a number; return what the kernel calls it."""
        self.values.append(float(value))
        return f"k{len(self.values) - 1}"


@dataclass(frozen=True)
class LiftedTrace:
    """A `Trace` whose decay and jump are names of numbers."""

    name: str
    decay: str
    jump: str
    nearest: bool


@dataclass(frozen=True)
class Lifted:
    """A `Plasticity` whose numbers are names.

    Args:
        decay: of the eligibility, and ``traced`` its updates; ``None`` without one.
    """

    updates: Updates
    traces: tuple[LiftedTrace, ...]
    bounds: tuple[str, str]
    decay: str | None
    traced: Updates | None

    @property
    def all_updates(self) -> tuple[Updates, ...]:
        """Those of the weight, and of the eligibility if there is one."""
        return (self.updates,) if self.traced is None else (self.traced, self.updates)


def lift(plasticity: Plasticity, dt: float, numbers: Numbers) -> Lifted:
    """Add the numbers of a plasticity at the time step ``dt`` (s) to ``numbers``."""
    low, high = plasticity.bounds
    bounds = numbers.take(low), numbers.take(high)
    traces = tuple(_trace(trace, dt, numbers) for trace in plasticity.traces)
    memory: Eligibility | None = plasticity.eligibility
    decay = None if memory is None else numbers.take(math.exp(-dt / memory.tau))
    traced = None if memory is None else _updates(memory.updates, numbers)
    return Lifted(_updates(plasticity.updates, numbers), traces, bounds, decay, traced)


def _trace(trace: Trace, dt: float, numbers: Numbers) -> LiftedTrace:
    decay = numbers.take(math.exp(-dt / trace.tau))
    return LiftedTrace(trace.name, decay, numbers.take(trace.jump), trace.nearest)


def _updates(updates: Updates, numbers: Numbers) -> Updates:
    terms = {
        name: None if term is None else _expression(term, numbers)
        for name in ("pre", "post", "step")
        for term in (getattr(updates, name),)
    }
    return replace(updates, **terms)


def _expression(term: Expression, numbers: Numbers) -> Expression:
    match term:
        case Number():
            return Symbol(numbers.take(term.value))
        case Operation("**", (base, Number() as exponent)):
            return Operation("**", (_expression(base, numbers), exponent))
        case Operation():
            return Operation(term.name, tuple(_expression(a, numbers) for a in term.arguments))
        case _:
            return term


def names(term: Expression | None) -> set[str]:
    """The symbols that occur in an expression."""
    match term:
        case Symbol():
            return {term.name}
        case Operation():
            return set[str]().union(*map(names, term.arguments))
        case _:
            return set()
