"""Maximum over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.coding.decoder import Decoder
from spikewright.errors import ParameterError, ShapeError


@dataclass(frozen=True)
class Max(Decoder):
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

    skip: int = 0

    def __post_init__(self) -> None:
        if self.skip < 0:
            raise ParameterError(
                f"{self.where}: skip must be at least 0, got {self.skip!r}. "
                "Pass the number of leading steps to leave out."
            )

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes) of an output (time, batch, classes)."""
        self.check(output)
        if len(output) <= self.skip:
            raise ShapeError(
                f"{self.where}: output must have more than skip = {self.skip} time steps, got "
                f"{len(output)}. Lower skip or give the encoder more steps."
            )
        return output[self.skip :].amax(0)
