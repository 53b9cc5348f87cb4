"""What training and reports ask of a data set: three splits that hand out batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ParameterError, ShapeError

Arrays = tuple[Tensor, Tensor]
"""Samples, first axis the sample, and their classes (samples,) int64."""

Sequences = Tensor | SpikeTimes
"""A batch on a time grid, (time, batch, *features), or as spikes at exact times."""


class DataSet(Protocol):
    """A named data set on a time grid of ``dt`` seconds."""

    name: str
    dt: float
    classes: tuple[str, ...]

    @property
    def train(self) -> Split: ...
    @property
    def validation(self) -> Split: ...
    @property
    def test(self) -> Split: ...


class Split(ABC):
    """Samples held in memory, encoded batch by batch; loaded when first asked for.

    Args:
        load: called once, returns the samples and their classes.
        steps: time steps of every batch.
        shape: feature shape of every batch, without time and batch.
    """

    def __init__(self, load: Callable[[], Arrays], steps: int, shape: tuple[int, ...]) -> None:
        self._load = load
        self._steps = steps
        self._shape = shape

    @cached_property
    def _arrays(self) -> Arrays:
        return self._load()

    @property
    def steps(self) -> int:
        """Time steps of every batch."""
        return self._steps

    @property
    def shape(self) -> tuple[int, ...]:
        """Feature shape of a batch, without time and batch."""
        return self._shape

    @property
    def values(self) -> Tensor:
        """The samples as they are kept, first axis the sample."""
        return self._arrays[0]

    @property
    def targets(self) -> Tensor:
        """The class of each sample, (samples,) int64."""
        return self._arrays[1]

    def __len__(self) -> int:
        return len(self.targets)

    def batch(
        self, index: Tensor | Sequence[int], generator: torch.Generator | None = None
    ) -> tuple[Sequences, Tensor]:
        """Encode the samples named by ``index``.

        Args:
            index: (batch,) integers from 0 to ``len(self) - 1``, in any order, repeats allowed.
            generator: random stream of encoders that draw; ``None`` is torch's own.

        Returns:
            x of (time, batch, *features) float32, or as `SpikeTimes` where the data set hands out
            exact times, and their classes, (batch,) int64.

        Raises:
            ShapeError: the index is empty, not of one axis, not whole numbers or out of range.
        """
        index = self._checked(torch.as_tensor(index))
        return self._encode(index, generator), self.targets[index]

    @abstractmethod
    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Sequences:
        """The samples ``index`` as (time, batch, *features) or as exact times."""

    def _checked(self, index: Tensor) -> Tensor:
        whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
        if index.ndim != 1 or len(index) == 0 or not whole:
            raise ShapeError(
                f"{type(self).__name__}.batch: index must be one axis of at least one integer, got "
                f"shape {tuple(index.shape)} of {index.dtype}. Pass sample numbers, (batch,) int64."
            )
        if len(self) == 0:
            raise ShapeError(
                f"{type(self).__name__}.batch: the split must hold samples, got none. "
                "Hold some out, or use another split."
            )
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= len(self):
            raise ShapeError(
                f"{type(self).__name__}.batch: index must lie in 0 to {len(self) - 1}, got "
                f"{low if low < 0 else high}. Pass numbers of samples in this split."
            )
        return index.long()


def checked_count(where: str, what: str, value: int | None, least: int = 1) -> int | None:
    """Return ``value`` if it is ``None`` or a whole number from ``least`` on."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(
            f"{where}: {what} must be a whole number from {least} on, got {value!r}. "
            f"Pass for example {what}={max(least, 10)}."
        )
    return value


def hold_out(where: str, count: int, validation: int) -> int:
    """How many of ``count`` training samples stay when the last ``validation`` are held out."""
    if validation >= count:
        raise ParameterError(
            f"{where}: validation must be below the {count} training samples, got {validation}. "
            "Hold out fewer samples."
        )
    return count - validation


def limited(arrays: Arrays, limit: int | None) -> Arrays:
    """The first ``limit`` samples; all of them for ``None``."""
    return arrays if limit is None else (arrays[0][:limit], arrays[1][:limit])
