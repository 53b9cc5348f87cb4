"""Spikes as lists of events: which neurons of a row sent something, and how often.

A tensor of spikes may carry its events: whoever makes the spikes hands them over with `attach`,
and a product finds them with `events_of`, so a dense tensor is never searched twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
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
        scale: the value of one spike.

    >>> events = events_in(torch.tensor([[[0.0, 1.0]], [[3.0, 0.0]]]))
    >>> events.indptr, events.index, events.count
    (array([0, 1, 2]), array([1, 0], dtype=int32), array([1, 3], dtype=uint8))
    """

    indptr: Array
    index: Array
    count: Array
    features: int
    scale: float = 1.0

    @property
    def rows(self) -> int:
        return len(self.indptr) - 1

    @property
    def number(self) -> int:
        """How many events there are."""
        return len(self.index)

    def valued(self, sums: Array) -> Array:
        """Numbers worked out with spikes of value one, for their own value."""
        return sums if self.scale == 1 else sums * sums.dtype.type(self.scale)

    @property
    def density(self) -> float:
        """Events as a share of all places."""
        return self.number / max(1, self.rows * self.features)

    def part(self, first: int, last: int) -> Events:
        """The events of the rows from ``first`` to before ``last``."""
        start, end = self.indptr[first], self.indptr[last]
        indptr = self.indptr[first : last + 1] - start
        index, count = self.index[start:end], self.count[start:end]
        return replace(self, indptr=indptr, index=index, count=count)


class Marks:
    """A bit for each spike of a sequence, from which `events` makes lists.

    Args:
        steps, batch, size: of the sequence; ``size`` is the number of neurons.
        parts: number of flags in ``graded``.

    Attributes:
        bits: (steps, words) uint64: 64 neurons a word, all samples side by side.
        graded: (parts,) uint64; all zero if each value is 0 or 1.
    """

    def __init__(self, steps: int, batch: int, size: int, parts: int) -> None:
        self.batch, self.size = batch, size
        self.bits: Array = np.empty((steps, -(-batch * size // 64)), np.uint64)
        self.graded: Array = np.zeros(parts, np.uint64)

    @property
    def density(self) -> float:
        """Marked places as a share of all."""
        places = len(self.bits) * self.batch * self.size
        return int(np.bitwise_count(self.bits).sum()) / max(1, places)

    def events(self, values: Array) -> Events | None:
        """The marked places as lists.

        Args:
            values: the sequence itself, read only where it is not all 0 and 1.

        Returns:
            ``None`` if a value is not a number from 0 to 255.
        """
        steps, batch, size = len(self.bits), self.batch, self.size
        kernels = native("spikewright.engine", "events", values.dtype)
        starts, indptr = np.zeros(steps + 1, np.int64), np.zeros(steps * batch + 1, np.int64)
        kernels.count_steps(0, steps, self.bits, starts)
        np.cumsum(starts, out=starts)
        index = np.empty(starts[-1], np.int32)
        lists = (batch, size, self.bits, starts, indptr, index)
        work = 5 * self.bits.size + len(index)
        run_ranges(lambda i, j: kernels.list_rows(i, j, *lists), steps, work)
        if not self.graded.any():
            return Events(indptr, index, NO_COUNTS, size)
        count, rows = np.empty(len(index), np.uint8), values.reshape(steps * batch, size)
        whole = kernels.read_counts(0, len(rows), rows, indptr, index, count)
        return Events(indptr, index, count, size) if whole else None


def events_in(x: Tensor) -> Events | None:
    """The events of a dense sequence, or ``None`` if it is not made of counts from 0 to 255.

    Args:
        x: (time, batch, *features), float32 or float64 on the CPU.
    """
    steps, batch, size = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    values = np.ascontiguousarray(x.detach().reshape(steps, batch * size).numpy())
    marks = Marks(steps, batch, size, steps)
    kernels = native("spikewright.engine", "events", values.dtype)
    run_ranges(
        lambda i, j: kernels.mark(i, j, values, marks.bits, marks.graded), steps, values.size
    )
    return marks.events(values)


@dataclass(eq=False)
class _Carried:
    """What a tensor of spikes carries, as of a version of its values; marks are listed once."""

    version: int
    spikes: Events | Marks | None
    active: Events | Marks | None = None


_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
_passing: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""Of tensors of inference mode, whose writes nobody counts; forgotten after a run."""
_wanted: ContextVar[bool] = ContextVar("events wanted", default=False)


def attach(x: Tensor, spikes: Events | Marks | None, active: Events | Marks | None = None) -> None:
    """Let ``x`` carry its events for as long as it is not written to.

    Args:
        spikes: the events, or bits from which they are listed when somebody asks; ``None`` if
            there are known to be none, as the values are no counts.
        active: the only places where a gradient of ``x`` is of use; ``None`` for all.
    """
    _table(x)[x] = _Carried(_version(x), spikes, active)


def events_of(x: Tensor) -> Events | None:
    """The events that ``x`` carries, or ``None``."""
    carried = _carried(x)
    if carried is None:
        return None
    carried.spikes = _listed(carried.spikes, x)
    return carried.spikes


def carries_spikes(x: Tensor) -> bool:
    """Whether ``x`` carries events, listed or still to be listed."""
    carried = _carried(x)
    return carried is not None and carried.spikes is not None


def look_for_events(x: Tensor) -> Events | None:
    """The events that ``x`` carries, else those found in it, which it carries from then on."""
    if _carried(x) is None:
        if x.is_inference():
            return events_in(x)
        attach(x, events_in(x))
    return events_of(x)


def pass_on(x: Tensor, part: Tensor, first: int) -> Tensor:
    """``part``, which is some steps of ``x`` from ``first`` on, with the events ``x`` carries."""
    if _carried(x) is not None:
        events, batch = events_of(x), x.shape[1]
        rows = first * batch, (first + len(part)) * batch
        attach(part, events.part(*rows) if events else None)
    return part


def active_of(x: Tensor) -> Events | None:
    """The only places where a gradient of ``x`` is of use; ``None`` for all."""
    carried = _carried(x)
    if carried is None:
        return None
    carried.active = _listed(carried.active, x)
    return carried.active


def active_share(x: Tensor) -> float | None:
    """The share of places where a gradient of ``x`` is of use; ``None`` where that is unknown."""
    carried = _carried(x)
    return None if carried is None or carried.active is None else carried.active.density


def hand_on(x: Tensor, leaf: Tensor) -> Tensor:
    """``leaf``, which has the values of ``x``, with all that ``x`` carries."""
    carried = _carried(x)
    if carried is not None:
        attach(leaf, carried.spikes, carried.active)
    return leaf


def _listed(spikes: Events | Marks | None, x: Tensor) -> Events | None:
    return spikes.events(x.detach().numpy()) if isinstance(spikes, Marks) else spikes


def forget_inference() -> None:
    """Let tensors of inference mode, whose writes nobody counts, carry nothing any more."""
    _passing.clear()


def _carried(x: Tensor) -> _Carried | None:
    found: _Carried | None = _table(x).get(x)
    return found if found is not None and found.version == _version(x) else None


def _table(x: Tensor) -> WeakTensorKeyDictionary:
    return _passing if x.is_inference() else _known


def _version(x: Tensor) -> int:
    return -1 if x.is_inference() else x._version


@contextmanager
def events_for(reader: bool) -> Iterator[None]:
    """Say whether somebody reads the events of the spikes that are made inside."""
    token = _wanted.set(reader)
    try:
        yield
    finally:
        _wanted.reset(token)


def events_wanted() -> bool:
    """Whether the spikes made now should carry their events."""
    return _wanted.get()


def is_sequence_of_spikes(x: Tensor) -> bool:
    """Whether `events_in` can read ``x``."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
