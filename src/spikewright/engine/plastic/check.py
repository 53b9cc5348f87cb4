"""Whether a connection has all that its plasticity names."""

from __future__ import annotations

import math

from spikewright.engine.plastic.description import Plasticity, Updates
from spikewright.engine.plastic.lift import names
from spikewright.engine.plastic.wiring import WHERE, Ends
from spikewright.errors import RuleError, nearest


def check_plasticity(name: str, plasticity: Plasticity, ends: Ends) -> None:
    """Raise RuleError unless the connection ``name`` can see what the expressions name."""
    low, high = plasticity.bounds
    if not low < high:
        raise RuleError(
            f"{WHERE}: bounds of {name!r} must be increasing, got {plasticity.bounds}. "
            "Give the least weight first."
        )
    for trace in plasticity.traces:
        if (
            trace.name[:1] not in ("x", "y")
            or not trace.name[1:].isdigit()
            or trace.name[1:] == "0"
        ):
            raise RuleError(
                f"{WHERE}: a trace must be named x1, x2, ... or y1, y2, ..., got {trace.name!r} "
                f"for {name!r}. Rename it."
            )
        _check_tau(name, f"trace {trace.name}", trace.tau)
    known = {"x0", "y0", "w", "r", *(trace.name for trace in plasticity.traces)}
    known |= {"x_v"} if ends.x_v is not None else set()
    known |= {"y_v"} if ends.y_v is not None else set()
    if plasticity.eligibility is not None:
        _check_tau(name, "eligibility", plasticity.eligibility.tau)
        _check_names(name, plasticity.eligibility.updates, known)
        known.add("e")
    _check_names(name, plasticity.updates, known)


def _check_tau(name: str, what: str, tau: float) -> None:
    if not (math.isfinite(tau) and tau > 0):
        raise RuleError(
            f"{WHERE}: tau of the {what} of {name!r} must be a positive time in seconds, got "
            f"{tau!r}. Pass for example 20e-3."
        )


def _check_names(name: str, updates: Updates, known: set[str]) -> None:
    for term in (updates.pre, updates.post, updates.step):
        for symbol in sorted(names(term) - known):
            raise RuleError(
                f"{WHERE}: the rule of {name!r} must name what the connection has, got "
                f"{symbol!r}. {_way(symbol, known)}"
            )


def _way(symbol: str, known: set[str]) -> str:
    match symbol:
        case "x_v":
            return "Put neurons with a membrane v before the connection."
        case "y_v":
            return "Put neurons with a membrane v behind the connection."
        case "e":
            return "Give the plasticity an eligibility; what is added to it may not name e."
        case _:
            return nearest(symbol, sorted(known))
