"""Threshold-crossing code: spikes where a signal passes a level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_finite, check_floating
from spikewright.errors import ParameterError, ShapeError


@dataclass(frozen=True)
class Crossing(Encoder):
    """For each threshold an input that spikes as a signal rises past it, one as it falls past it.

    up_k[t] = x[t-1] <= threshold_k < x[t];  down_k[t] = x[t] <= threshold_k < x[t-1]
    The first step has nothing before it and is silent. Any finite signal. No gradient. The code
    of Rao, Plank, Wild and Maass, Nature Machine Intelligence 4, 2022, for sequential MNIST,
    there with 40 thresholds of which the last, the greatest value, has a single input.

    Args:
        steps: length of the signal.
        dt: time step, s.
        thresholds: increasing levels, in the unit of the signal.
        touch: whether the last threshold has one input that spikes at each step at which the
            signal is at or above it, instead of two.

    >>> encoder = Crossing(4, 1e-3, thresholds=(0.2, 0.8))
    >>> signal = torch.tensor([0.0, 0.5, 1.0, 0.0]).reshape(4, 1, 1)
    >>> encoder(signal)[:, 0].tolist()  # rises past 0.2 and 0.8, falls past 0.2 and 0.8
    [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """

    name: ClassVar[str] = "crossing"

    thresholds: Sequence[float] = (0.25, 0.5, 0.75)
    touch: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        levels = self.thresholds
        sound = (
            levels
            and all(map(math.isfinite, levels))
            and all(low < high for low, high in pairwise(levels))
        )
        if not sound:
            raise ParameterError(
                f"{self.where}: thresholds must be finite, increasing numbers, got "
                f"{self.thresholds!r}. Pass for example thresholds=(0.25, 0.5, 0.75)."
            )

    def channels(self, features: int = 1) -> int:
        """Inputs for a signal with so many features.

        >>> Crossing(1, 1e-3, thresholds=[k / 39 for k in range(40)], touch=True).channels()
        79
        """
        return features * (2 * len(self.thresholds) - self.touch)

    def __call__(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode a signal.

        Args:
            values: (steps, batch, features), any finite numbers.
            generator: not drawn from.

        Returns:
            (steps, batch, channels): for each feature rises past each threshold, then falls past
            each, then, with ``touch``, the last threshold's input.

        Raises:
            ShapeError: a signal of another length or dtype, or not finite.
        """
        if isinstance(values, Tensor) and len(values) != self.steps:
            raise ShapeError(
                f"{self.where}: the signal must be (time, batch, features) with {self.steps} "
                f"steps, got {tuple(values.shape)}. Time is the first axis; "
                "use movedim to put it there."
            )
        return self.chunk(values)[0]

    def chunk(self, values: Tensor, last: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode a part of a signal, of any length: chunk after chunk gives what the whole gives.

        Args:
            values: (time, batch, features), any finite numbers.
            last: what the call before returned beside its spikes; ``None`` at the beginning.

        Returns:
            Spikes (time, batch, channels) and the signal's last value (batch, features).

        Raises:
            ShapeError: a signal of another shape or dtype, or not finite.
        """
        check_floating(self.where, values)
        if values.ndim != 3 or len(values) == 0:
            raise ShapeError(
                f"{self.where}: the signal must be (time, batch, features) with at least one "
                f"step, got {tuple(values.shape)}. Add the axes that are missing."
            )
        check_finite(self.where, values)
        if last is not None and last.shape != values.shape[1:]:
            raise ShapeError(
                f"{self.where}: last must be the signal's last value, {tuple(values.shape[1:])}, "
                f"got {tuple(last.shape)}. Pass what the call before returned."
            )
        signal = values.detach()
        before = torch.cat([(signal[0] if last is None else last)[None], signal[:-1]])
        levels = torch.tensor(tuple(self.thresholds), dtype=torch.float64).to(signal)
        crossed = levels[: len(levels) - self.touch]
        above, was = signal[..., None] > crossed, before[..., None] > crossed
        parts = [above & ~was, was & ~above]
        if self.touch:
            parts.append((signal >= levels[-1])[..., None])
        return torch.cat(parts, -1).flatten(2).to(signal), signal[-1]
