"""The sample of data that a module is calibrated and compared on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.compiler.calibration import SAMPLES
from spikewright.errors import CompileError


def module_sample(calibration: Any, seed: int) -> Tensor:
    """The calibration inputs, (samples, *features).

    Args:
        calibration: such a tensor; or a data set with a ``train`` split, or a split itself, whose
            first 256 samples are taken: they must have one time step, as `coding.Constant` of one
            step gives them.
        seed: of encoders that draw.

    Raises:
        CompileError: it is neither, is empty, not finite, or has several time steps.

    >>> module_sample(torch.rand(20, 1, 8, 8), 0).shape
    torch.Size([20, 1, 8, 8])
    """
    x = calibration if isinstance(calibration, Tensor) else _from_data(calibration, seed)
    if x.ndim < 2 or x.numel() == 0 or not bool(x.isfinite().all()):
        raise CompileError(
            "compile: calibration of a module must be (samples, *features), finite and not empty, "
            f"got shape {tuple(x.shape)}. Pass some typical inputs, or a data set."
        )
    return x.detach()


def _from_data(data: Any, seed: int) -> Tensor:
    split = getattr(data, "train", data)
    if not callable(getattr(split, "batch", None)):
        raise CompileError(
            "compile: calibration must be a tensor or a data set, got "
            f"{type(data).__name__}. Pass some typical inputs, (samples, *features)."
        )
    index = torch.arange(min(SAMPLES, len(split)))
    x, _ = split.batch(index, seeding.generator(seed, "calibration"))
    if not isinstance(x, Tensor) or len(x) != 1:
        steps = f"{len(x)} steps" if isinstance(x, Tensor) else type(x).__name__
        raise CompileError(
            f"compile: samples for a module must have one time step, got {steps}. Make the data "
            "set with coding.Constant(1, dt), or pass a tensor (samples, *features)."
        )
    return x[0]
