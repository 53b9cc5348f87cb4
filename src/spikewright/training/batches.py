"""Batches of a split, shared out between processes, and what a split must offer."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.coding.spike_times import SpikeTimes, sample_count, take_samples
from spikewright.errors import DataError, SettingsError
from spikewright.learning import processes
from spikewright.learning.rule import Batch
from spikewright.training.fabric import Place
from spikewright.training.order import share
from spikewright.units import format_seconds


class Split(Protocol):
    """A part of a data set: samples that become spikes when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Feature shape of one time step."""
        ...

    def __len__(self) -> int: ...

    def batch(
        self, index: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor | SpikeTimes, Tensor]:
        """Samples ``index`` as x, (time, batch, *features) or `SpikeTimes`, and y.

        y is classes, (batch,), or for losses between signals (time, batch, *outputs).
        """
        ...


class Data(Protocol):
    """A data set as `fit` sees it; ``validation`` may be ``None``, other attributes are free."""

    @property
    def dt(self) -> float: ...

    @property
    def train(self) -> Split: ...

    @property
    def validation(self) -> Split | None: ...


def draw_batch(
    split: Split, index: Tensor, key: tuple[int, Any, int], place: Place
) -> Batch | None:
    """This process's part of one batch; ``None`` where the batch is too small to give it one.

    Every process encodes the whole batch with the same generator and keeps its part, so that
    the parts joined are what a single process would see.

    Args:
        split: what to draw from.
        index: samples of the whole batch.
        key: seed, epoch (or a word) and batch, which together seed the encoder.
        place: where the part goes.

    Raises:
        DataError: spike times of other features than the split's, or of another number of samples.
    """
    part = share(len(index), processes.rank(), processes.world_size())
    seed, epoch, step = key
    x, y = split.batch(index, seeding.generator(seed, "encode", epoch, step))
    if isinstance(x, SpikeTimes):
        _check_times(x, split, len(index))
    if part.start == part.stop:
        return None
    own = y[:, part] if _is_signal(x, y, split) else y[part]
    return Batch(place.to(take_samples(x, part)), place.to(own))


def _is_signal(x: Tensor | SpikeTimes, y: Tensor, split: Split) -> bool:
    """Whether y is (time, batch, ...), not (batch, ...)."""
    samples = sample_count(x)
    steps = getattr(split, "steps", None) if isinstance(x, SpikeTimes) else len(x)
    return y.ndim > 1 and y.shape[1] == samples and (len(y) != samples or steps == samples)


def _check_times(x: SpikeTimes, split: Split, samples: int) -> None:
    wanted, given = (samples, *split.shape), (x.batch, *x.shape)
    if given != wanted:
        raise DataError(
            f"fit: spike times of a batch must be (samples, *features) = {wanted}, got {given}. "
            "Correct the split's batch() or its shape."
        )


def check_data(network: Any, data: Data, batch_size: int) -> None:
    """Refuse data that is empty, of another dt, or that leaves a process without samples.

    Raises:
        DataError: empty training data, or of another dt.
        SettingsError: the last batch is smaller than the number of processes.
    """
    samples, world = len(data.train), processes.world_size()
    if samples == 0:
        raise DataError(
            "fit: training data must have at least one sample, got 0. Check how it was split."
        )
    dt = getattr(network, "dt", None)
    if dt is not None and not math.isclose(data.dt, dt, rel_tol=1e-9):
        raise DataError(
            f"fit: dt of the data must be the network's, {format_seconds(dt)}, got "
            f"{format_seconds(data.dt)}. "
            "Make both with the same dt."
        )
    smallest = samples % batch_size or batch_size
    if smallest < world:
        raise SettingsError(
            f"fit: every batch must have a sample for each of the {world} processes, got a last "
            f"batch of {smallest} ({samples} samples, batch_size={batch_size}). "
            "Choose another batch_size."
        )
