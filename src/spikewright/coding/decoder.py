"""What every decoder is: a network's output in, one score a class out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spikewright.errors import ShapeError


@dataclass(frozen=True)
class Decoder:
    """Turns an output (time, batch, classes) into scores (batch, classes), larger is likelier."""

    name: ClassVar[str] = ""

    def __call__(self, output: Tensor) -> Tensor:
        """Scores (batch, classes) of an output (time, batch, classes).

        Raises:
            ShapeError: an output of another rank or without time steps.
        """
        raise NotImplementedError

    @property
    def where(self) -> str:
        return f"coding.{type(self).__name__}"

    def check(self, output: Tensor) -> None:
        """Raise ShapeError unless ``output`` is (time, batch, classes) with a step and a class."""
        if output.ndim != 3:
            raise ShapeError(
                f"{self.where}: output must be (time, batch, classes), got {tuple(output.shape)}. "
                "End the network in one neuron a class; a Flatten joins several feature axes."
            )
        if len(output) == 0 or output.shape[2] == 0:
            raise ShapeError(
                f"{self.where}: output must have at least one time step and one class, got "
                f"{tuple(output.shape)}. Give the encoder or data set more steps."
            )
