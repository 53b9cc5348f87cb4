"""Spikes at exact times, from event to event without a time grid."""

from __future__ import annotations

from spikewright.events.exact.solver import Exact

__all__ = ["Exact"]
