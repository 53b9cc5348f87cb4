"""Events on a time grid: the engine's steps forward, the adjoint of the exact events backward."""

from __future__ import annotations

from spikewright.events.grid.solver import Grid

__all__ = ["Grid"]
