"""Spike-rate regularisers: terms of the loss that keep layers from silence and from saturation.

``regulariser(records) -> scalar`` with ``records`` a dictionary of layer name to spikes
(time, batch, *n), or with ``steps`` to their counts over so many steps, (batch, *n). A layer's
activity is the number of spikes of a neuron in a sample, or its mean over time; the term of each
layer is a mean over what is left of neurons and batch, and the terms of the layers are added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spikewright.errors import ParameterError, ShapeError, nearest
from spikewright.network import Network

UNITS = ("count", "step")
GROUPS = ("neuron", "population")


@dataclass(frozen=True, kw_only=True)
class SpikeRate:
    """What the regularisers share: which layers, in which unit, averaged over what.

    Args:
        strength: weight of the term in the loss, at least 0.
        layers: names of the layers it acts on; ``None`` means every layer recorded.
        unit: ``"count"``: activity is spikes a sample; ``"step"``: spikes a step.
        per: ``"neuron"``: each neuron is held to it; ``"population"``: the layer's mean is.
        over_batch: average the activity over the batch first, so that it need hold only for the
            batch and not for each sample.
    """

    name: ClassVar[str] = ""

    strength: float = 1.0
    layers: tuple[str, ...] | None = None
    unit: Literal["count", "step"] = "count"
    per: Literal["neuron", "population"] = "neuron"
    over_batch: bool = False

    def __post_init__(self) -> None:
        self._check_number("strength", 0.0)
        self._check_choice("unit", UNITS)
        self._check_choice("per", GROUPS)
        if isinstance(self.layers, str):
            raise ParameterError(
                f"{self.where}: layers must be a tuple of names or None, got {self.layers!r}. "
                f"Write layers=({self.layers!r},)."
            )

    def __call__(self, records: Mapping[str, Tensor], steps: int | None = None) -> Tensor:
        """The scalar term of the loss.

        Args:
            records: layer name to spikes (time, batch, *n), or to counts (batch, *n).
            steps: of which the records are counts; ``None`` where they are spikes.

        Raises:
            ParameterError: a layer that was not recorded, or none at all.
            ShapeError: a record without time steps, samples or neurons.
        """
        terms = [
            self.penalty(self.activity(name, records[name], steps)).mean()
            for name in self._names(records)
        ]
        return self.strength * torch.stack(terms).sum()

    def penalty(self, activity: Tensor) -> Tensor:
        """The penalty on each activity, of the same shape."""
        raise NotImplementedError

    @property
    def where(self) -> str:
        return f"regularisers.{type(self).__name__}"

    def activity(self, name: str, spikes: Tensor, steps: int | None = None) -> Tensor:
        """(batch or 1, neurons or 1) activities; arguments as in a call."""
        if spikes.ndim < (2 if steps else 3) or spikes.numel() == 0:
            raise ShapeError(
                f"{self.where}: spikes of layer {name!r} must be (time, batch, *neurons) and not "
                f"empty, got {tuple(spikes.shape)}. Record a layer of neurons over a whole run."
            )
        counts, steps = (spikes, steps) if steps else (spikes.sum(0), len(spikes))
        activity = (counts if self.unit == "count" else counts / steps).flatten(1)
        if self.per == "population":
            activity = activity.mean(1, keepdim=True)
        return activity.mean(0, keepdim=True) if self.over_batch else activity

    def _names(self, records: Mapping[str, Tensor]) -> tuple[str, ...]:
        names = tuple(records) if self.layers is None else self.layers
        for name in names:
            if name not in records:
                raise ParameterError(
                    f"{self.where}: layers must be recorded layers, got {name!r}. "
                    f"{nearest(name, records)}"
                )
        if not names:
            raise ParameterError(
                f"{self.where}: layers must hold at least one layer, got none. "
                "Use a network with a spiking layer or leave the regulariser out."
            )
        return names

    def _check_number(self, field: str, low: float) -> None:
        value = getattr(self, field)
        if not low <= value < math.inf:
            raise ParameterError(
                f"{self.where}: {field} must be at least {low:g} and finite, got {value!r}. "
                f"Change {field} or leave it out."
            )

    def _check_choice(self, field: str, known: tuple[str, ...]) -> None:
        value = getattr(self, field)
        if value not in known:
            raise ParameterError(
                f"{self.where}: {field} must be one of {', '.join(known)}, got {value!r}. "
                f"{nearest(str(value), known)}"
            )


@dataclass(frozen=True)
class UpperRate(SpikeRate):
    """Activity above a bound costs: strength * mean max(0, n - maximum)^power.

    With per="population", maximum=1, strength=0.06 it is the upper term of Perez-Nieves and
    Goodman (2021). Other fields as in `SpikeRate`.

    Args:
        maximum: activity that is still free, in the unit chosen.
        power: exponent, at least 1.

    >>> spikes = torch.ones(5, 1, 2)
    >>> float(UpperRate(maximum=3.0, strength=0.5)({"hidden": spikes}))
    1.0
    """

    name: ClassVar[str] = "upper_rate"

    maximum: float = 1.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("maximum", 0.0)
        self._check_number("power", 1.0)

    def penalty(self, activity: Tensor) -> Tensor:
        """max(0, activity - maximum)^power."""
        return (activity - self.maximum).relu() ** self.power


@dataclass(frozen=True)
class LowerRate(SpikeRate):
    """Activity below a bound costs: strength * mean max(0, minimum - n)^power.

    With strength=100, minimum=1e-3 it is the lower term of Perez-Nieves and Goodman (2021). Its
    gradient passes through the surrogate, so it cannot wake a neuron that never comes near its
    threshold. Other fields as in `SpikeRate`.

    Args:
        minimum: activity that is free, in the unit chosen.
        power: exponent, at least 1.

    >>> spikes = torch.zeros(5, 1, 2)
    >>> float(LowerRate(minimum=3.0, strength=0.5)({"hidden": spikes}))
    4.5
    """

    name: ClassVar[str] = "lower_rate"

    minimum: float = 1e-3
    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("minimum", 0.0)
        self._check_number("power", 1.0)

    def penalty(self, activity: Tensor) -> Tensor:
        """max(0, minimum - activity)^power."""
        return (self.minimum - activity).relu() ** self.power


@dataclass(frozen=True)
class TargetRate(SpikeRate):
    """Activity away from a target costs: strength * mean (n - target)^2.

    Other fields as in `SpikeRate`.

    Args:
        target: activity wanted, in the unit chosen.

    >>> spikes = torch.ones(5, 1, 2)
    >>> float(TargetRate(target=3.0, strength=0.5)({"hidden": spikes}))
    2.0
    """

    name: ClassVar[str] = "target_rate"

    target: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("target", 0.0)

    def penalty(self, activity: Tensor) -> Tensor:
        """(activity - target)^2."""
        return (activity - self.target) ** 2


def check_layers(regularisers: Iterable[SpikeRate], network: Network) -> list[str]:
    """One line for each layer that a regulariser names and that does not spike; else empty."""
    spiking = [name for name, layer in network.layers.items() if layer.spiking]
    return [
        f"layer {name!r}: {type(regulariser).__name__} acts on it, but it is no spiking layer. "
        f"{nearest(name, spiking)}"
        for regulariser in regularisers
        for name in regulariser.layers or ()
        if name not in spiking
    ]


REGULARISERS: dict[str, type[Any]] = {
    kind.name: kind for kind in (UpperRate, LowerRate, TargetRate)
}
