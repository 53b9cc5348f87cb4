"""Population code: overlapping tuning curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.coding.encoder import Encoder, check_unit
from spikewright.coding.spike_times import SpikeTimes
from spikewright.errors import ParameterError


@dataclass(frozen=True)
class Population(Encoder):
    """Each value excites a row of neurons with Gaussian tuning curves.

    r_k = exp(-d_k^2 / (2 sigma^2)), d_k the distance of the value to centre k. The responses, in
    (0, 1], go through a further encoder, or stand as a constant current where there is none.
    Differentiable in the second case.

    Args:
        steps: length of the sequence.
        dt: time step, s.
        neurons: tuning curves for each value; their centres divide [0, 1] evenly.
        width: sigma in units of the distance between two centres.
        periodic: value 1 is value 0 again, as for angles.
        then: encoder of the responses, with the same steps and dt.

    Source: after Bohte, Kok and La Poutre, Neurocomputing 48 (2002).

    >>> encoder = Population(steps=1, dt=1e-3, neurons=3)
    >>> encoder(torch.tensor([[0.5]])).squeeze().round(decimals=3).tolist()
    [0.6069999933242798, 1.0, 0.6069999933242798]
    """

    name: ClassVar[str] = "population"

    neurons: int = 10
    width: float = 1.0
    periodic: bool = False
    then: Encoder | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.neurons, bool) or not isinstance(self.neurons, int) or self.neurons < 2:
            raise ParameterError(
                f"{self.where}: neurons must be an integer of at least 2, got {self.neurons!r}. "
                "Pass for example neurons=10."
            )
        self.check_positive("width", "1.0")
        then = self.then
        if then is not None and (then.steps, then.dt) != (self.steps, self.dt):
            raise ParameterError(
                f"{self.where}: then must have the same steps and dt, got {then.steps} and "
                f"{then.dt!r} for {self.steps} and {self.dt!r}. Give both the same."
            )

    def __call__(
        self, values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor | SpikeTimes:
        """Encode a batch, values in [0, 1]; features become (neurons, *features)."""
        check_unit(self.where, values)
        responses = self.responses(values)
        if self.then is not None:
            return self.then(responses, generator)
        return responses.expand(self.steps, *responses.shape)

    def responses(self, values: Tensor) -> Tensor:
        """The tuning curves, (batch, neurons, *features), at values (batch, *features)."""
        spacing = 1 / (self.neurons if self.periodic else self.neurons - 1)
        centres = torch.arange(self.neurons, dtype=values.dtype, device=values.device) * spacing
        centres = centres.reshape(-1, *[1] * (values.ndim - 1))
        distance = (values.unsqueeze(1) - centres).abs()
        if self.periodic:
            distance = torch.minimum(distance, 1 - distance)
        return torch.exp(-0.5 * (distance / (self.width * spacing)) ** 2)
