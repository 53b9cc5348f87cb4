"""Maximum over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.coding.skipping import SkippingDecoder


@dataclass(frozen=True)
class Max(SkippingDecoder):
    """The peak of a membrane trace: max over t >= skip of output[t].

    The gradient goes to the step of the peak, in equal shares where several steps tie. A trace
    that starts at its resting value and then stays below has its peak, and a gradient of zero,
    at the start: ``skip=1`` leaves that step out.

    Args:
        skip: leading steps that do not count.

    >>> import torch
    >>> Max()(torch.tensor([[[0.0, 0.5]], [[-1.0, 1.0]]])).tolist()
    [[0.0, 1.0]]
    >>> Max(skip=1)(torch.tensor([[[0.0, 0.5]], [[-1.0, 1.0]]])).tolist()
    [[-1.0, 1.0]]
    """

    name: ClassVar[str] = "max"

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes) of an output (time, batch, classes)."""
        return self.counted(output).amax(0)
