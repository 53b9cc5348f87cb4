"""Sum over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.coding.decoder import Decoder


@dataclass(frozen=True)
class Count(Decoder):
    """Spikes in the whole sequence, or the sum of a membrane trace: sum_t output[t].

    >>> import torch
    >>> Count()(torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])).tolist()
    [[2.0, 1.0]]
    """

    name: ClassVar[str] = "count"

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes), spikes, of an output (time, batch, classes)."""
        self.check(output)
        return output.sum(0)
