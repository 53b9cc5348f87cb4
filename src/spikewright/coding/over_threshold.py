"""Whether one output exceeds a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.decoder import Decoder
from spikewright.errors import ParameterError, ShapeError


@dataclass(frozen=True)
class OverThreshold(Decoder):
    """Yes (class 1) where a single output peaks above a threshold: scores threshold, max_t output.

    Args:
        threshold: in the units of the output.

    >>> import torch
    >>> OverThreshold(0.5)(torch.tensor([[[0.0], [0.2]], [[1.0], [0.1]]])).argmax(-1).tolist()
    [1, 0]
    """

    name: ClassVar[str] = "over_threshold"

    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ParameterError(
                f"{self.where}: threshold must be finite, got {self.threshold!r}. "
                "Pass for example threshold=0.5, half of what the loss aims at."
            )

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, 2) of an output (time, batch, 1)."""
        self.check(output)
        if output.shape[2] != 1:
            raise ShapeError(
                f"{self.where}: output must have one neuron, got {output.shape[2]}. "
                "Use Max for one neuron a class."
            )
        peak = output[:, :, 0].amax(0)
        return torch.stack([torch.full_like(peak, self.threshold), peak], -1)
