"""Codes of values in T steps: levels, spikes, errors and information, found by encoding.

Values are even in [0, 1]. Radix, phase (a period of half the steps, rounded up), evenly spaced
spikes and the time of one spike, with silence as 0, return a level each; their information is
log2 of the levels. A rate by chance returns a random count: its figures are means over draws,
worked out from binomials, and its information is what count and value have of each other.
"""

from __future__ import annotations

from collections.abc import Iterator

from spikewright.benches.core.codes import Held, even_values, hold, hold_by_chance
from spikewright.benches.core.figures import Figures
from spikewright.coding import Bernoulli, Deterministic, Invertible, Latency, Phase, Radix

STEPS = range(1, 9)
DT = 1e-3
CHANCE = "rate, by chance"


def codes(steps: int) -> dict[str, Invertible]:
    """The codes that return a level, by name."""
    period = (steps + 1) // 2
    return {
        "radix": Radix(steps, DT),
        f"phase, period {period}": Phase(steps, DT, period=period),
        "rate, evenly spaced": Deterministic(steps, DT),
        "time to first spike": Latency(steps, DT, time_of_zero=steps * DT),
    }


def rows() -> Iterator[Figures]:
    """Each code, for each number of steps."""
    values = even_values()
    for steps in STEPS:
        found = {name: hold(code, values) for name, code in codes(steps).items()}
        found[CHANCE] = hold_by_chance(Bernoulli(steps, DT), values)
        for name, held in found.items():
            yield Figures(f"T = {steps}, {name}", figures(held))


def figures(held: Held) -> dict[str, float]:
    """The columns of a code."""
    return {
        "levels": held.levels,
        "spikes a value": held.spikes,
        "greatest error": held.greatest,
        "rms error": held.rms,
        "bits a step": held.bits,
    }
