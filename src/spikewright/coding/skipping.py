"""What decoders share that leave out the first steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikewright.coding.decoder import Decoder
from spikewright.errors import ParameterError, ShapeError


@dataclass(frozen=True)
class SkippingDecoder(Decoder):
    """A decoder of the steps from ``skip`` on."""

    skip: int = 0

    def __post_init__(self) -> None:
        if type(self.skip) is not int or self.skip < 0:
            raise ParameterError(
                f"{self.where}: skip must be a whole number from 0 on, got {self.skip!r}. "
                "Pass the number of leading steps to leave out."
            )

    def counted(self, output: Tensor) -> Tensor:
        """The steps that count, of an output (time, batch, classes).

        Raises:
            ShapeError: another shape, or none are left.
        """
        self.check(output)
        if len(output) <= self.skip:
            raise ShapeError(
                f"{self.where}: output must have more than skip = {self.skip} time steps, got "
                f"{len(output)}. Lower skip or give the encoder more steps."
            )
        return output[self.skip :]
