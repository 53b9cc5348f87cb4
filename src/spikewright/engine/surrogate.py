"""Surrogate derivatives: what stands in for the derivative of a spike.

Each is a function of the distance ``u = v - v_threshold`` and a ``width`` in the units of ``v``.
With a ``window`` the derivative is exactly zero where ``|u| >= window``, so that a backward pass
may visit only the neurons inside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import ParameterError


@dataclass(frozen=True)
class SurrogateGradient:
    """Derivative of a spike with respect to ``u = v - v_threshold``.

    Args:
        width: extent of the derivative around the threshold, in units of ``v``.
        window: half-width outside which the derivative is exactly zero; ``None`` for none.
        scale: factor on the derivative, dimensionless.

    Raises:
        ParameterError: a value is not positive.

    >>> Triangular(width=0.5).derivative(torch.tensor([-1.0, 0.0, 0.25]))
    tensor([0., 2., 1.])
    """

    width: float = 1.0
    window: float | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("width", "window", "scale"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ParameterError(
                    f"{type(self).__name__}: {name} must be positive, got {value!r}. "
                    f"Pass {name}=0.5, say."
                )

    def derivative(self, u: Tensor) -> Tensor:
        """The derivative at ``u``, any shape, window and scale applied."""
        value = self.shape(u.abs())
        if self.scale != 1.0:
            value = value * self.scale
        if self.window is None:
            return value
        return torch.where(u.abs() < self.window, value, torch.zeros_like(value))

    def shape(self, distance: Tensor) -> Tensor:
        """The derivative as a function of ``|u|``, before window and scale."""
        raise NotImplementedError


@dataclass(frozen=True)
class SuperSpike(SurrogateGradient):
    """``1 / (1 + |u| / width)**2``, one at the threshold whatever the width.

    Zenke and Ganguli, Neural Computation 30(6), 2018. Their steepness is ``1 / width``.
    """

    width: float = 0.02

    def shape(self, distance: Tensor) -> Tensor:
        slope = 1.0 + distance * (1.0 / self.width)
        return 1.0 / (slope * slope)


@dataclass(frozen=True)
class FastSigmoid(SurrogateGradient):
    """``1 / (2 width (1 + |u| / width)**2)``, the derivative of a fast sigmoid from 0 to 1."""

    width: float = 0.1

    def shape(self, distance: Tensor) -> Tensor:
        slope = 1.0 + distance * (1.0 / self.width)
        return (0.5 / self.width) / (slope * slope)


@dataclass(frozen=True)
class Arctan(SurrogateGradient):
    """``1 / (2 width (1 + (pi u / (2 width))**2))``, of area one.

    Fang et al., ICCV 2021 (PLIF); their alpha is ``1 / width``.
    """

    width: float = 0.5

    def shape(self, distance: Tensor) -> Tensor:
        scaled = distance * (math.pi / 2 / self.width)
        return (0.5 / self.width) / (1.0 + scaled * scaled)


@dataclass(frozen=True)
class Sigmoid(SurrogateGradient):
    """``s (1 - s) / width`` with ``s = 1 / (1 + exp(-u / width))``, of area one."""

    width: float = 0.1

    def shape(self, distance: Tensor) -> Tensor:
        small = torch.exp(distance * (-1.0 / self.width))
        return (1.0 / self.width) * small / ((1.0 + small) * (1.0 + small))


@dataclass(frozen=True)
class Triangular(SurrogateGradient):
    """``max(0, 1 - |u| / width) / width``, of area one.

    Esser et al., PNAS 113(41), 2016; Bellec et al., NeurIPS 2018 scale it by 0.3 (``scale``).
    """

    width: float = 1.0

    def shape(self, distance: Tensor) -> Tensor:
        return torch.clamp(1.0 - distance * (1.0 / self.width), min=0.0) * (1.0 / self.width)


@dataclass(frozen=True)
class Gaussian(SurrogateGradient):
    """``exp(-u**2 / (2 width**2)) / (width sqrt(2 pi))``, of area one."""

    width: float = 0.3

    def shape(self, distance: Tensor) -> Tensor:
        scaled = distance * (1.0 / self.width)
        return torch.exp(-0.5 * scaled * scaled) * (1.0 / (self.width * math.sqrt(2 * math.pi)))


@dataclass(frozen=True)
class StraightThrough(SurrogateGradient):
    """One where ``|u| <= width``, else zero; ``width=math.inf`` passes every gradient.

    Bengio, Léonard and Courville, arXiv 1308.3432, 2013.
    """

    width: float = 0.5

    def shape(self, distance: Tensor) -> Tensor:
        return torch.where(
            distance <= self.width, torch.ones_like(distance), torch.zeros_like(distance)
        )


@dataclass(frozen=True)
class PeriodicExponential(SurrogateGradient):
    """``exp(-|u| / width)``, made for several spikes a step.

    There ``u`` is the distance to the nearest multiple of the threshold (see `spike_count`), so
    that the derivative repeats at each further spike. Weidel and Sheik, arXiv 2111.01456, 2021.
    """

    width: float = 0.5

    def shape(self, distance: Tensor) -> Tensor:
        return torch.exp(distance * (-1.0 / self.width))
