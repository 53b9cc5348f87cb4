"""Encoders one after another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder
from spikewright.errors import ParameterError, ShapeError
from spikewright.units import format_seconds


@dataclass(frozen=True)
class Chain:
    """What one encoder makes of values is what the next one encodes.

    Args:
        encoders: the first takes the values, each other the sequence of the one before.

    Raises:
        ParameterError: there is none, or they differ in dt.

    >>> from spikewright.coding import Crossing, Cue, Serial
    >>> dt = 1e-3
    >>> code = Chain((Serial(3, dt), Crossing(3, dt, thresholds=(0.5,)), Cue(4, dt)))
    >>> code(torch.tensor([[0.0, 1.0, 0.0]]))[:, 0].tolist()  # up, down, cue
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    encoders: tuple[Encoder, ...]

    def __post_init__(self) -> None:
        if not self.encoders:
            raise ParameterError(
                "coding.Chain: encoders must hold at least one, got none. "
                "Pass for example (Serial(784, 1e-3),)."
            )
        times = {encoder.dt for encoder in self.encoders}
        if len(times) > 1:
            raise ParameterError(
                "coding.Chain: dt must be the same in all encoders, got "
                f"{', '.join(format_seconds(dt) for dt in sorted(times))}. Choose one."
            )

    @property
    def steps(self) -> int:
        """Length of the sequence, the last encoder's."""
        return self.encoders[-1].steps

    @property
    def dt(self) -> float:
        """Time step, s."""
        return self.encoders[-1].dt

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode a batch.

        Args:
            values: as the first encoder takes them.
            generator: source of random numbers, handed to each.

        Returns:
            (steps, batch, *features).

        Raises:
            ShapeError: an encoder does not take what the one before gives.
        """
        for encoder in self.encoders:
            made = encoder(values, generator)
            if not isinstance(made, Tensor):
                raise ShapeError(
                    f"coding.Chain: {type(encoder).__name__} must give a tensor, got "
                    f"{type(made).__name__}. Use an encoder on the time grid."
                )
            values = made
        return values
