"""From spikes on a network's grid to events for the chip."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.errors import ShapeError
from spikewright.targets.brainscales2.chip import Stimulus
from spikewright.targets.brainscales2.lowering.timing import Clock


def check_counts(x: Tensor) -> None:
    """Raise ShapeError unless every number is a whole number of spikes."""
    good = (x >= 0) & (x == x.floor()) & x.isfinite()
    if not bool(good.all()):
        raise ShapeError(
            "brainscales2.run: the input must be whole numbers of spikes, zero or more, got "
            f"{float(x[~good].flatten()[0]):.6g}. Encode values as spikes first, see "
            "spikewright.coding."
        )


def stimulus(
    spikes: Mapping[str, Tensor],
    addresses: Mapping[str, NDArray[np.int64]],
    sent: Mapping[str, float],
    clock: Clock,
    seconds: float,
    seed: int,
) -> Stimulus:
    """The events of all samples; those of step n are sent at ``sent + n dt``.

    Args:
        spikes: by source, (time, batch, channels), how many in each step.
        addresses: by source, those of its channels.
        sent: by source, when those of its first step are sent, s of the chip's time.
    """
    samples = next(iter(spikes.values())).shape[1]
    parts = [
        _events(spikes[name], address, sent[name], clock.dt) for name, address in addresses.items()
    ]
    sample, time, address = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(parts) > 1:
        order = np.lexsort((time, sample))
        sample, time, address = sample[order], time[order], address[order]
    return Stimulus(
        time,
        address.astype(np.int32),
        sample.astype(np.int32),
        samples,
        seconds,
        seed,
    )


def _events(
    spikes: Tensor, addresses: NDArray[np.int64], sent: float, dt: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Sample, time and address of each spike, the samples in ascending order."""
    by_sample = spikes.transpose(0, 1)
    where = by_sample.nonzero()
    counts = by_sample[where.unbind(1)].to(torch.int64).numpy()
    sample, step, channel = (column.numpy() for column in where.unbind(1))
    if counts.size and counts.max() > 1:
        sample, step, channel = (np.repeat(it, counts) for it in (sample, step, channel))
    return sample, sent + step * dt, addresses[channel]
