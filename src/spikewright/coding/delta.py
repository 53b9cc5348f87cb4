"""Delta code: send on delta."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_finite, check_floating
from spikewright.errors import ParameterError, ShapeError


@dataclass(frozen=True)
class Delta(Encoder):
    """Spikes where a signal has moved by a threshold since its last spike.

    n[t] = floor(|x[t] - r| / threshold), at most ``maximum``; they go to the channel of the sign
    of x[t] - r, and r moves by n[t] * threshold towards x[t].  Any finite signal. No gradient.

    Args:
        steps: length of the signal.
        dt: time step, s.
        threshold: change that makes a spike, in the unit of the signal.
        maximum: most spikes of a step; ``None`` for no limit.
        reference: where r starts; ``None`` means the signal's first value, which is then silent.

    >>> encoder = Delta(steps=4, dt=1e-3, threshold=0.5)
    >>> signal = torch.tensor([0.0, 0.6, 0.9, 0.0]).reshape(4, 1, 1)
    >>> encoder(signal)[:, 0, :, 0].tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """

    name: ClassVar[str] = "delta"

    threshold: float = 0.1
    maximum: int | None = 1
    reference: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("threshold", "0.1")
        if self.maximum is not None and self.maximum < 1:
            raise ParameterError(
                f"{self.where}: maximum must be at least 1 or None, got {self.maximum!r}. "
                "Pass maximum=None for any number of spikes a step."
            )
        if self.reference is not None and not math.isfinite(self.reference):
            raise ParameterError(
                f"{self.where}: reference must be finite or None, got {self.reference!r}. "
                "Pass None to start at the signal's first value."
            )

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode a signal.

        Args:
            values: (steps, batch, *features), any finite numbers.
            generator: not drawn from.

        Returns:
            (steps, batch, 2, *features): channel 0 for a rise, channel 1 for a fall.

        Raises:
            ShapeError: a signal of another length or dtype, or not finite.
        """
        check_floating(self.where, values)
        if values.ndim < 2 or len(values) != self.steps:
            raise ShapeError(
                f"{self.where}: the signal must be (time, batch, *features) with {self.steps} "
                f"steps, got {tuple(values.shape)}. Time is the first axis; "
                "use movedim to put it there."
            )
        check_finite(self.where, values)
        signal = values.detach()
        start = signal[0] if self.reference is None else torch.full_like(signal[0], self.reference)
        # A whole number of thresholds is kept, not their sum, whose rounding would grow.
        level = torch.zeros_like(start)
        out = torch.empty((self.steps, len(start), 2, *start.shape[1:])).to(signal)
        for t in range(self.steps):
            moves = torch.trunc((signal[t] - start) / self.threshold - level)
            if self.maximum is not None:
                moves = moves.clamp(-self.maximum, self.maximum)
            level = level + moves
            out[t, :, 0] = moves.clamp(min=0)
            out[t, :, 1] = moves.clamp(max=0).abs()
        return out
