"""Which share of the neurons a backward pass visits, noted by layer while a network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

from spikewright.engine.products.events import active_share


class Activity:
    """Shares of active places by layer, over all that ran while it was noted."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def note(self, name: str, spikes: Tensor) -> None:
        """Add the active places of some steps of a layer, if its spikes carry a list of them."""
        share = active_share(spikes)
        if share is not None:
            active, places = self._sums.get(name, (0.0, 0))
            self._sums[name] = (active + share * spikes.numel(), places + spikes.numel())

    def shares(self) -> dict[str, float]:
        """Active places as a share of all, by layer."""
        return {name: active / places for name, (active, places) in self._sums.items()}


_noted: ContextVar[Activity | None] = ContextVar("activity", default=None)


@contextmanager
def noting(activity: Activity | None) -> Iterator[None]:
    """Let networks that run inside note what is active; all spiking layers then list it."""
    token = _noted.set(activity)
    try:
        yield
    finally:
        _noted.reset(token)


def activity_noted() -> Activity | None:
    """Where a network notes what is active, or ``None``."""
    return _noted.get()
