"""Timing of several things side by side, so that a slow moment of the machine hits them all."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from spikewright.errors import ParameterError


@dataclass(frozen=True)
class Timing:
    """Seconds of each call, in the order they were taken."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one, s."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median.

        >>> Timing((1.0, 2.0, 3.0, 2.0)).spread
        0.125
        """
        if len(self.samples) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return (high - low) / 2 / self.median


def interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int = 15, warm_up: int = 2
) -> dict[str, Timing]:
    """Time each call ``rounds`` times, taking turns; every other round goes backwards.

    Garbage is collected before each round and never during a call.

    Args:
        calls: what to time, by name.
        rounds: timed calls of each.
        warm_up: calls of each before that, which compile and fill caches.

    Raises:
        ParameterError: nothing to time, or no rounds.

    >>> sorted(interleaved({"sum": lambda: sum(range(100)), "pass": int}, rounds=3))
    ['pass', 'sum']
    """
    if not calls or rounds < 1:
        raise ParameterError(
            f"benches.interleaved: there must be calls and rounds, got {len(calls)} and {rounds}. "
            "Pass at least one of each."
        )
    for call in calls.values():
        for _ in range(warm_up):
            call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        order = list(calls) if number % 2 == 0 else list(calls)[::-1]
        with no_collection():
            for name in order:
                taken[name].append(seconds(calls[name]))
    return {name: Timing(tuple(samples)) for name, samples in taken.items()}


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes, s."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage now and not again until the end of the block."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
