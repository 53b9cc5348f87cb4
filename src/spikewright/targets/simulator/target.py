"""The target `Simulator`: what a digital device of some number formats would compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.compiler.design import Design, Pass
from spikewright.compiler.passes.quantise import Per, Quantise
from spikewright.compiler.passes.scales import Method
from spikewright.compiler.reporting.energy import TABLES, EnergyTable
from spikewright.compiler.target import Broken, Limit
from spikewright.errors import ParameterError, nearest
from spikewright.targets.simulator.artefact import Simulated
from spikewright.targets.simulator.needs import Need, needs

ASKED = "asked for by the user"
LIMITS = {"neurons": "neurons", "synapses": "weights", "fan_in": "synapses of a neuron"}


@dataclass(frozen=True)
class Simulator:
    """A digital device that computes the discrete program, in the number formats asked for.

    Args:
        weights, per, method, percentile, states, inputs: as `Quantise` takes them; ``None``
            leaves numbers floating.
        neurons: how many there may be in all; ``None`` sets no limit.
        synapses: how many weights may be stored in all, likewise.
        fan_in: how many weights may lead to one neuron, likewise.
        energy_by: name of the energy table; by default that of 45 nm, for whole numbers where
            weights and states are whole, else for floating ones.

    >>> Simulator(weights=4, per="channel").title
    'simulator, weights of 4 bits'
    """

    weights: int | None = 8
    per: Per = "layer"
    method: Method = "range"
    percentile: float = 99.9
    states: int | None = None
    inputs: int | None = None
    neurons: int | None = None
    synapses: int | None = None
    fan_in: int | None = None
    energy_by: str | None = None

    name = "simulator"
    digital = True
    grid = None

    def __post_init__(self) -> None:
        self.passes(torch.empty(0))  # which look at their options
        if self.energy_by is not None and self.energy_by not in TABLES:
            raise ParameterError(
                f"simulator: energy_by must be None or a known table, got {self.energy_by!r}. "
                f"{nearest(self.energy_by, TABLES)}"
            )
        for name in LIMITS:
            limit = getattr(self, name)
            if limit is not None and not (isinstance(limit, int) and limit >= 0):
                raise ParameterError(
                    f"simulator: {name} must be None or a whole number from 0 on, got {limit!r}. "
                    "Leave it out for no limit."
                )

    @property
    def title(self) -> str:
        bits = {"weights": self.weights, "states": self.states, "inputs": self.inputs}
        held = [f"{name} of {count} bits" for name, count in bits.items() if count is not None]
        return ", ".join(["simulator", *held])

    @property
    def limits(self) -> Sequence[Limit]:
        asked = {name: getattr(self, name) for name in LIMITS}
        return [
            Limit(name, value, LIMITS[name], ASKED)
            for name, value in asked.items()
            if value is not None
        ]

    @property
    def energy(self) -> EnergyTable:
        if self.energy_by is not None:
            return TABLES[self.energy_by]
        whole = self.weights is not None and self.states is not None
        return TABLES["45nm-integer" if whole else "45nm-float"]

    @property
    def options(self) -> Mapping[str, Any]:
        return asdict(self)

    def check(self, design: Design) -> list[Broken]:
        return [broken for limit in self.limits for broken in _beyond(limit, needs(design.program))]

    def used(self, design: Design) -> Mapping[str, float]:
        found = needs(design.program)
        return {
            "neurons": sum(need.neurons for need in found),
            "synapses": sum(need.synapses for need in found),
            "fan_in": max((need.fan_in for need in found), default=0),
        }

    def passes(self, calibration: Tensor) -> Sequence[Pass]:
        names = ("weights", "per", "method", "percentile", "states", "inputs")
        return [Quantise(calibration, **{name: getattr(self, name) for name in names})]

    def lower(self, design: Design) -> Simulated:
        return Simulated(design)

    def restore(
        self, design: Design, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> Simulated:
        return Simulated(design)

    def describe(self) -> dict[str, Any]:
        return {"kind": "the discrete program, run by the engine's kernels"}


def _beyond(limit: Limit, found: Sequence[Need]) -> Iterator[Broken]:
    """The layers with which a limit is exceeded: each by itself, or where a sum passes it."""
    total = 0
    for need in found:
        mine = getattr(need, limit.name)
        total = mine if limit.name == "fan_in" else total + mine
        if mine and total > limit.value:
            so_far = "" if total == mine else f", {total:,} with the layers before it"
            yield Broken(
                need.layer,
                limit.name,
                f"{mine:,} {limit.unit}{so_far}",
                f"{limit.value:,.0f}",
                f"Make the layer smaller, or raise {limit.name}.",
            )
