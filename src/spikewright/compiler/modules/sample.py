"""The sample of data that a module is calibrated and compared on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from spikewright import seeding
from spikewright.compiler.calibration import SAMPLES
from spikewright.errors import CompileError


def module_sample(calibration: Any, seed: int) -> Tensor:
    """The calibration inputs, (samples, *features).

    Args:
        calibration: such a tensor or array; or a data set with a ``train`` split, or a split
            itself, whose first 256 samples are taken: they must have one time step, as
            `coding.Constant` of one step gives them; or a `torch.utils.data.DataLoader` or a list
            of batches, of inputs or of inputs and labels, whose batches are taken until there are
            256 samples.
        seed: of encoders that draw.

    Raises:
        CompileError: it is none of them, is empty, not finite, or has several time steps.

    >>> module_sample(torch.rand(20, 1, 8, 8), 0).shape
    torch.Size([20, 1, 8, 8])
    >>> module_sample([torch.rand(4, 3), torch.rand(2, 3)], 0).shape
    torch.Size([6, 3])
    """
    x = _inputs(calibration, seed)
    others = int((~x.isfinite()).sum())
    if x.ndim < 2 or x.numel() == 0 or others:
        found = f"{others:,} values that are NaN or infinite" if others else tuple(x.shape)
        raise CompileError(
            "compile: calibration of a module must be (samples, *features), finite and not empty, "
            f"got {found}. Pass some typical inputs, or a data set."
        )
    return x.detach()


def _inputs(given: Any, seed: int) -> Tensor:
    if isinstance(given, Tensor):
        return given
    if isinstance(given, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(given))
    split = getattr(given, "train", given)
    if callable(getattr(split, "batch", None)):
        return _from_data(split, seed)
    if isinstance(given, list | tuple | DataLoader):
        return _from_batches(cast(Iterable[Any], given))
    raise CompileError(
        "compile: calibration must be a tensor, a data set or a DataLoader, got "
        f"{type(given).__name__}. Pass some typical inputs, (samples, *features), or "
        "torch.utils.data.DataLoader(dataset, 256)."
    )


def _from_batches(batches: Iterable[Any]) -> Tensor:
    found: list[Tensor] = []
    for batch in batches:
        x = batch[0] if isinstance(batch, list | tuple) and batch else batch
        if not isinstance(x, Tensor) or (found and x.shape[1:] != found[0].shape[1:]):
            one = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise CompileError(
                "compile: batches of calibration must be tensors of one shape, or begin with one, "
                f"got {one}. Pass inputs, (samples, *features)."
            )
        found.append(x)
        if sum(map(len, found)) >= SAMPLES:
            break
    return torch.cat(found) if found else torch.empty(0)


def _from_data(split: Any, seed: int) -> Tensor:
    index = torch.arange(min(SAMPLES, len(split)))
    x, _ = split.batch(index, seeding.generator(seed, "calibration"))
    if not isinstance(x, Tensor) or len(x) != 1:
        steps = f"{len(x)} steps" if isinstance(x, Tensor) else type(x).__name__
        raise CompileError(
            f"compile: samples for a module must have one time step, got {steps}. Make the data "
            "set with coding.Constant(1, dt), or pass a tensor (samples, *features)."
        )
    return x[0]
