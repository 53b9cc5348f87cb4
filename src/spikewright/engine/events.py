"""Spikes as lists of events: which neurons of a row sent something, and how often.

A tensor of spikes may carry its events: whoever makes the spikes hands them over with `attach`,
and a product finds them with `events_of`, so a dense tensor is never searched twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from spikewright.engine.native import native
from spikewright.engine.threads import run_ranges

Array = np.ndarray[Any, Any]
NO_COUNTS = np.empty(0, np.uint8)


@dataclass(frozen=True, eq=False)
class Events:
    """Events of (time, batch) rows over ``features`` neurons.

    Args:
        indptr: (rows + 1,) int64; the events of row r are number ``indptr[r]`` to
            ``indptr[r + 1] - 1``.
        index: (n,) int32, the neuron of each event; ascending within a row.
        count: (n,) uint8, spikes of each event; empty if each is one spike.
        features: number of neurons.

    >>> events = events_in(torch.tensor([[[0.0, 1.0]], [[3.0, 0.0]]]))
    >>> events.indptr, events.index, events.count
    (array([0, 1, 2]), array([1, 0], dtype=int32), array([1, 3], dtype=uint8))
    """

    indptr: Array
    index: Array
    count: Array
    features: int

    @property
    def rows(self) -> int:
        return len(self.indptr) - 1

    @property
    def number(self) -> int:
        """How many events there are."""
        return len(self.index)

    @property
    def density(self) -> float:
        """Events as a share of all places."""
        return self.number / max(1, self.rows * self.features)


def events_in(x: Tensor) -> Events | None:
    """The events of a dense sequence, or ``None`` if it is not made of counts from 0 to 255.

    Args:
        x: (time, batch, *features), contiguous, float32 or float64 on the CPU.
    """
    steps, batch, size = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    flat: Array = x.detach().reshape(steps, batch * size).numpy()
    bits = np.empty((steps, -(-batch * size // 64)), np.uint64)
    graded = np.empty(steps, np.uint64)
    kernels = native("events", flat.dtype)
    run_ranges(lambda i, j: kernels.mark(i, j, flat, bits, graded), steps, flat.size)
    counted = flat.reshape(steps * batch, size) if graded.any() else None
    return list_events(bits, batch, size, counted)


def list_events(bits: Array, batch: int, size: int, values: Array | None) -> Events | None:
    """The events whose bits are set.

    Args:
        bits: (time, words) uint64: 64 neurons a word, all samples side by side.
        values: (time * batch, size), the counts; ``None`` if each event is one spike.

    Returns:
        ``None`` if a value is not a number from 1 to 255.
    """
    steps = len(bits)
    kernels = native("events", np.dtype(np.float32) if values is None else values.dtype)
    indptr = np.zeros(steps * batch + 1, np.int64)
    work = steps * batch * size // 16
    run_ranges(lambda i, j: kernels.count_rows(i, j, batch, size, bits, indptr), steps, work)
    np.cumsum(indptr, out=indptr)
    index = np.empty(indptr[-1], np.int32)
    run_ranges(lambda i, j: kernels.list_rows(i, j, batch, size, bits, indptr, index), steps, work)
    count = NO_COUNTS
    if values is not None:
        count = np.empty(len(index), np.uint8)
        if not kernels.read_counts(0, len(values), values, indptr, index, count):
            return None
    return Events(indptr, index, count, size)


_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def attach(x: Tensor, events: Events) -> None:
    """Let ``x`` carry its events for as long as it is not written to."""
    _known[x] = (events, x._version)


def events_of(x: Tensor) -> Events | None:
    """The events that ``x`` carries, or ``None``."""
    found = _known.get(x)
    if found is None or found[1] != x._version:
        return None
    return found[0]


def is_sequence_of_spikes(x: Tensor) -> bool:
    """Whether `events_in` can read ``x``."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
