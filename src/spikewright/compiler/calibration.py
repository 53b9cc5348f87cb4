"""The sample of data that a program is calibrated and compared on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import CompileError
from spikewright.network import Network
from spikewright.units import format_seconds

SAMPLES = 256


def calibration_sample(calibration: Any, network: Network, seed: int) -> Tensor:
    """The calibration input, (time, batch, *features).

    Args:
        calibration: such a tensor, or spike times; or a data set with a ``train`` split, or a
            split itself, whose first 256 samples are taken.
        network: that it is for; a data set has to have its dt.
        seed: of encoders that draw.

    Raises:
        CompileError: it is neither, is empty, or of another dt.
    """
    if not isinstance(calibration, Tensor | SpikeTimes):
        calibration = _from_data(calibration, network.dt, seed)
    x = network.to_floating(calibration).detach()
    if x.ndim < 3 or x.numel() == 0:
        raise CompileError(
            "compile: calibration must be (time, batch, *features) and not empty, got shape "
            f"{tuple(x.shape)}. Pass some typical inputs, or a data set."
        )
    return x


def _from_data(data: Any, dt: float, seed: int) -> Tensor | SpikeTimes:
    split = getattr(data, "train", data)
    if not callable(getattr(split, "batch", None)):
        raise CompileError(
            "compile: calibration must be a tensor or a data set, got "
            f"{type(data).__name__}. Pass some typical inputs, (time, batch, *features)."
        )
    other = getattr(data, "dt", dt)
    if abs(other - dt) > 1e-6 * dt:
        raise CompileError(
            f"compile: dt of the calibration data must be the network's, {format_seconds(dt)}, got "
            f"{format_seconds(other)}. Make the data set with dt={dt:g}."
        )
    index = torch.arange(min(SAMPLES, len(split)))
    x, _ = split.batch(index, seeding.generator(seed, "calibration"))
    return x
