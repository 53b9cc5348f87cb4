"""Last step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.coding.decoder import Decoder


@dataclass(frozen=True)
class Last(Decoder):
    """The output at the last step: output[T - 1].

    >>> import torch
    >>> Last()(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])).tolist()
    [[0.0, 1.0]]
    """

    name: ClassVar[str] = "last"

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes) of an output (time, batch, classes)."""
        self.check(output)
        return output[-1]
