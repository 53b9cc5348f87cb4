"""A rule given as text: sums of products of what a synapse sees."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from keyword import iskeyword

from spikewright.engine.plastic.description import (
    FUNCTIONS,
    SYMBOLS,
    Eligibility,
    Expression,
    Plasticity,
    Symbol,
    Trace,
    Updates,
)
from spikewright.errors import ParameterError, nearest
from spikewright.learning.plasticity.algebra import (
    MOST_PRODUCTS,
    NotFinite,
    Product,
    TooLarge,
    joined,
    products,
    symbols,
)
from spikewright.learning.plasticity.base import PlasticityRule
from spikewright.learning.plasticity.grammar import TRACE, Reader
from spikewright.learning.plasticity.printing import printed
from spikewright.learning.plasticity.source import WHERE, Place, Statement, statements

TARGETS = ("dw", "de")


@dataclass(frozen=True)
class Change:
    """One statement, read: the products whose sum is the change, and where its names stand."""

    statement: Statement
    terms: tuple[Product, ...]
    places: Mapping[str, Place]

    @property
    def names(self) -> set[str]:
        """What the terms that are not 0 name."""
        return {name for _, factors in self.terms for f in factors for name in symbols(f)}

    def updates(self) -> Updates:
        """The terms by the event that each belongs to."""
        by_event: dict[str, list[Product]] = {"pre": [], "post": [], "step": []}
        for coefficient, factors in self.terms:
            event, rest = self._event(factors)
            by_event[event].append((coefficient, rest))
        step = by_event["step"]
        modulated = bool(step) and all(Symbol("r") in factors for _, factors in step)
        return Updates(**{e: joined(terms) for e, terms in by_event.items()}, modulated=modulated)

    def _event(self, factors: tuple[Expression, ...]) -> tuple[str, tuple[Expression, ...]]:
        """The event of a term, and its factors without the spike that is the event."""
        for event, spikes in (("post", Symbol("y0")), ("pre", Symbol("x0"))):
            if spikes in factors:
                return event, tuple(f for f in factors if f != spikes)
        for name in ("x0", "y0"):
            if any(name in symbols(f) for f in factors):
                raise self.places[name].error(
                    f"{name} must be a factor of a term, got it inside another operation. "
                    "A spike is 0 or 1: multiply by it."
                )
        return "step", factors


@dataclass(frozen=True)
class SumOfProducts(PlasticityRule):
    """A rule of plasticity, as text.

    A statement ``dw = ...`` gives the change of the weight, ``de = ...`` that of the synapse's
    eligibility; they are separated by ``;`` or line ends. A term that has y0 as a factor acts at
    each spike of the postsynaptic neuron, one with x0 alone at each spike of the presynaptic
    neuron, and all others in each step. Names: x0, y0 spikes; x1, x2, ... and y1, y2, ... traces;
    w, e, r, x_v, y_v as in `spikewright.engine.plastic.description`; and those of ``constants``.
    A trace decays by exp(-dt / tau) and rises at each spike by its jump.
    Order within a step: see `spikewright.engine.plastic.description.Plasticity`.

    Args:
        text: the statements.
        tau: time constant of each trace that the text names, and of ``e``, s.
        constants: numbers that the text calls by name.
        jump: what a spike adds to a trace; 1 where left out.
        nearest: traces that a spike sets to their jump, so that only the last spike counts.
        bounds: least and greatest weight.

    Raises:
        ParameterError: the text cannot be read, and the message points at the column; or an
            option does not fit the text.

    The form is that of the learning engine of Loihi: Davies et al., IEEE Micro 38(1) (2018).

    >>> rule = SumOfProducts("dw = 2^-2 * x1*y0 - 2^-3 * y1*x0", tau={"x1": 20e-3, "y1": 20e-3})
    >>> print(rule)
    dw = 0.25 * x1 * y0 - 0.125 * y1 * x0
    >>> rule.plasticity().updates.step is None
    True
    """

    text: str
    tau: Mapping[str, float] = field(default_factory=dict[str, float])
    constants: Mapping[str, float] = field(default_factory=dict[str, float])
    jump: Mapping[str, float] = field(default_factory=dict[str, float])
    nearest: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        self.check_bounds(self.bounds)
        self._check_constants()
        self._check_eligibility()
        self._check_traces()
        self.plasticity()

    def __str__(self) -> str:
        lines = [
            f"{target} = {printed(total) if (total := joined(change.terms)) else 0}"
            for target, change in self._changes.items()
        ]
        return "\n".join(lines)

    def program(self) -> SumOfProducts:
        """The rule as text: itself."""
        return self

    @cached_property
    def _plasticity(self) -> Plasticity:
        weight = self._changes["dw"]
        kept = self._changes["de"] if "e" in weight.names else None
        used = sorted(weight.names | (kept.names if kept else set()))
        traces = [name for name in used if TRACE.fullmatch(name)]
        return Plasticity(
            updates=weight.updates(),
            traces=tuple(
                Trace(n, self.tau[n], self.jump.get(n, 1.0), n in self.nearest) for n in traces
            ),
            eligibility=Eligibility(self.tau["e"], kept.updates()) if kept else None,
            bounds=self.bounds,
        )

    @cached_property
    def _changes(self) -> dict[str, Change]:
        """The statements, read, by their targets; ``de`` comes first."""
        found: dict[str, Change] = {}
        for statement in statements(self.text):
            if statement.target not in TARGETS:
                raise statement.start.error(
                    f"what a statement gives must be dw or de, got {statement.target!r}. "
                    f"{nearest(statement.target, TARGETS)}"
                )
            if statement.target in found:
                raise statement.start.error(
                    f"{statement.target} must be given once, got it twice. Add the two."
                )
            found[statement.target] = self._read(statement)
        if "dw" not in found:
            raise ParameterError(
                f"{WHERE}: text must hold a statement dw = ..., got {self.text!r}. Add it."
            )
        return dict(sorted(found.items()))

    def _read(self, statement: Statement) -> Change:
        reader = Reader(statement, self.constants)
        try:
            terms = products(reader.read())
        except (TooLarge, RecursionError):
            raise statement.start.error(
                f"a change must be a sum of at most {MOST_PRODUCTS} products of moderate depth, "
                "got more. Leave out powers of sums that hold x0, y0 or r."
            ) from None
        except NotFinite as cause:
            raise statement.start.error(
                f"coefficients must be finite numbers, got {cause}. Change the numbers."
            ) from None
        return Change(statement, tuple(terms), reader.places)

    @property
    def _places(self) -> dict[str, Place]:
        """Where each name stands first."""
        return {n: p for change in self._changes.values() for n, p in change.places.items()}

    def _check_constants(self) -> None:
        for name, value in self.constants.items():
            taken = name in SYMBOLS or name in FUNCTIONS or TRACE.fullmatch(name)
            if taken or not name.isidentifier() or iskeyword(name):
                raise self.refused("a constant's name", "a word of no other meaning", repr(name))
            if not math.isfinite(value):
                raise self.refused(f"constant {name!r}", "a finite number", repr(value))
        for name in self.constants:
            if name not in self._places:
                raise self.refused(
                    "constants", "those that the text names", repr(name), "Leave it out."
                )

    def _check_eligibility(self) -> None:
        changes = self._changes
        weight, kept = changes["dw"], changes.get("de")
        if "e" in weight.places and kept is None:
            raise weight.places["e"].error("e must be given by a statement, got none. Add de = ...")
        if kept is None:
            return
        if "e" in kept.places:
            raise kept.places["e"].error(
                "de must not depend on e, got it there. It decays by tau['e'] on its own."
            )
        if "e" not in weight.places:
            raise kept.statement.start.error("e must be used by dw, got no use. Leave out de.")

    def _check_traces(self) -> None:
        places = self._places
        named = [n for n in places if TRACE.fullmatch(n)]
        decaying = [*named, "e"] if "e" in places else named
        for name in decaying:
            if name not in self.tau:
                raise places[name].error(
                    f"tau must be given for {name!r}, got none. Pass tau={{{name!r}: 20e-3, ...}}."
                )
        self._check_used("tau", self.tau, decaying)
        self._check_used("jump", self.jump, named)
        self._check_used("nearest", self.nearest, named)
        for name, value in self.tau.items():
            if not 0 < value < math.inf:
                raise self.refused(f"tau of {name!r}", "positive and finite, in s", repr(value))
        for name, value in self.jump.items():
            if not math.isfinite(value):
                raise self.refused(f"jump of {name!r}", "a finite number", repr(value))

    def _check_used(self, option: str, given: Iterable[str], used: list[str]) -> None:
        for name in given:
            if name not in used:
                raise self.refused(option, "of names in the text", repr(name), nearest(name, used))
