"""Learning by local rules, weights changing at each spike: against simulators that can, an image.

One thread each. Poisson spikes are drawn within the time that is measured.
"""

from __future__ import annotations

from collections.abc import Iterator

from spikewright.benches.core.compare import OURS, Entry, measure
from spikewright.benches.core.contender import Contender
from spikewright.benches.core.row import Row
from spikewright.benches.core.unsupervised import stdp_task

ROUNDS = 9
MODULE, PEERS = "spikewright.benches.core.unsupervised", "spikewright.benches.peers"
ALONE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
COMPILERS = 600.0
"""Seconds that a peer may take to compile what it runs the first time."""


def rows() -> Iterator[Row]:
    """Milliseconds an image of each peer."""
    task = stdp_task()
    found = [Entry("this package", OURS, _contender(MODULE, "spikewright"))]
    found += [Entry(name, "peer", _contender(f"{PEERS}.{name}", "torch")) for name in _NAMES]
    measure(task, found, ROUNDS)
    ours, *others = found
    for other in others:
        yield Row(
            task.label,
            ours.median,
            other.median,
            other.label,
            "ms",
            note="; ".join(filter(None, (ours.reason, other.reason or _spikes(ours, other)))),
            kind=other.kind,
            spread=(ours.timing.spread, other.timing.spread),
        )


_NAMES = ("brian2", "bindsnet")


def _contender(module: str, first: str) -> Contender:
    return Contender(module, first=first, variables=ALONE, patience=COMPILERS)


def _spikes(*entries: Entry) -> str:
    """Output spikes an image, ours first: the work is alike if they are."""
    task = stdp_task()
    counts = [entry.rates[0] * task.sizes[1] * task.steps for entry in entries]
    return "output spikes: " + " and ".join(f"{count:.0f}" for count in counts)
