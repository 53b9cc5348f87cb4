"""Mean over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.coding.decoder import Decoder


@dataclass(frozen=True)
class Mean(Decoder):
    """Spikes a step, or the mean of a membrane trace: (1 / T) sum_t output[t].

    >>> import torch
    >>> Mean()(torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])).tolist()
    [[1.0, 0.5]]
    """

    name: ClassVar[str] = "mean"

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes), per step, of an output (time, batch, classes)."""
        self.check(output)
        return output.mean(0)
