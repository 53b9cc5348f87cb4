"""Mean over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.coding.skipping import SkippingDecoder


@dataclass(frozen=True)
class Mean(SkippingDecoder):
    """Spikes a step, or the mean of a membrane trace: the mean over t >= skip of output[t].

    Args:
        skip: leading steps that do not count, such as those of a sound before the one asked for.

    >>> import torch
    >>> Mean()(torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])).tolist()
    [[1.0, 0.5]]
    """

    name: ClassVar[str] = "mean"

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes), per step, of an output (time, batch, classes)."""
        return self.counted(output).mean(0)
