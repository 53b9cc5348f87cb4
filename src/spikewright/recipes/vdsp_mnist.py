"""MNIST without labels by voltage-dependent synaptic plasticity.

Constant currents drive a layer of leaky neurons that is reset to -1, so that their membranes tell
how long ago they spiked. Each spike of the competing neurons behind them reads those membranes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

import spikewright as sw
from spikewright.coding import Constant
from spikewright.errors import SettingsError
from spikewright.learning.plasticity import VDSP, PairSTDP, PlasticityRule
from spikewright.recipes.core.plasticity import (
    PlasticRecipe,
    PlasticSettings,
    updates_of_pairs,
    updates_per_image,
)
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.trials import accuracy, train_each

PAPER = "Garg et al. 2022"
UPDATES = "updates, over those of STDP on the same spikes"
SPREAD = "range of accuracy over input rates, VDSP less STDP, %"
SECONDS = "training time, 100 neurons, s"


def of_size(neurons: int) -> str:
    """Name of the accuracy of a network."""
    return f"test accuracy, {neurons} neurons, %"


class VDSPMNISTSettings(PlasticSettings):
    """Data, neurons, plasticity and what is compared."""

    larger: list[PositiveInt] = Field([])
    """numbers of neurons of further networks"""
    rate: float = Field(50.0, gt=0)
    """spikes a second of a white pixel"""
    rate_scale: float = Field(1.0, gt=0)
    """factor on that rate"""
    bias: float = Field(0.9, ge=0, lt=1)
    """membrane at which a black pixel rests; synapses from it shrink"""
    refractory: float = Field(2e-3, ge=0)
    """of the pixels' neurons, s"""
    r: float = Field(1.5, gt=0)
    """of the competing neurons, from weights to membrane"""
    beta: float = Field(2e-3, ge=0)
    """rise of a threshold at each spike, of 100 neurons; more of them spike less often each, and
    rise in proportion more"""
    clamp: float = Field(10e-3, ge=0)
    """time for which a spike silences the other neurons, s"""
    learning_rate: float = Field(3e-3, gt=0)
    """of VDSP"""
    alpha: float = Field(0.0, ge=0)
    """exponent of its bounds"""
    plasticity: Literal["vdsp", "stdp"] = "vdsp"
    """rule; stdp is there to compare with"""
    stdp_rate: float = Field(3e-2, gt=0)
    """size of STDP's potentiation"""
    stdp_ratio: float = Field(0.5, gt=0)
    """its depression, over that"""
    stdp_sum: float = Field(160.0, gt=0)
    """to which it needs each neuron's weights normalised"""
    scales: list[PositiveFloat] = Field([0.5, 1.0, 2.0, 4.0], min_length=1)
    """factors on the input rate at which both rules are compared, as they are"""
    scale_images: int | None = Field(10_000, ge=1)
    """images that they see there"""


class VDSPMNIST(PlasticRecipe[VDSPMNISTSettings]):
    """The recipe `vdsp-mnist`."""

    title = "Voltage-dependent synaptic plasticity: MNIST"
    Settings = VDSPMNISTSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 3, "larger": [400, 500, 1600], "scale_images": None},
    }
    seeds = {"small": 3, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(of_size(100), 86.5, f"{PAPER}: 85.0", sizes=("small",)),
        Figure(of_size(100), 87.0, f"{PAPER}: 85.0", sizes=("full",)),
        Figure(of_size(400), 91.0, f"{PAPER}: 89.9", sizes=("full",)),
        Figure(of_size(500), 91.5, f"{PAPER}: 90.6", sizes=("full",)),
        Figure(of_size(1600), 91.5, "that of 500 neurons", sizes=("full",)),
        Figure(UPDATES, 0.5, f"{PAPER}: half", "lower"),
        Figure(SPREAD, 0.0, f"{PAPER}: adapts better", "lower"),
        Figure(SECONDS, 60.0, "target of this project, on two cores", "lower", ("small",)),
    )

    def data(self, settings: VDSPMNISTSettings) -> Any:
        rate = settings.rate * settings.rate_scale
        gain = drive(rate, self.tau, settings.refractory) - settings.bias
        encoder = Constant(settings.steps, settings.dt, gain)
        return sw.data.MNIST(encoder, validation=settings.validation, limit=settings.images)

    tau = 30e-3
    """Time constant of membranes, s."""

    def network(self, settings: VDSPMNISTSettings) -> sw.Network:
        pixels = sw.LIF(
            tau_mem=self.tau, v_leak=settings.bias, v_reset=-1.0, refractory=settings.refractory
        )
        cells = sw.AdaptiveLIF(
            tau_mem=self.tau,
            tau_adapt=settings.tau_adapt,
            beta=settings.beta * settings.neurons / 100,
            r=settings.r,
            refractory=5e-3,
        )
        return sw.Sequential(
            pixels,
            sw.Linear(784, settings.neurons, bias=False),
            sw.WinnerTakeAll(cells, clamp=settings.clamp),
            dt=settings.dt,
        )

    def plasticity(self, settings: VDSPMNISTSettings) -> PlasticityRule:
        if settings.plasticity == "vdsp":
            return VDSP(settings.learning_rate, settings.alpha)
        grow = settings.stdp_rate
        return PairSTDP(grow, settings.stdp_ratio * grow, mu=1.0)

    def normalise(self, settings: VDSPMNISTSettings) -> float | None:
        return None if settings.plasticity == "vdsp" else settings.stdp_sum

    def measure(
        self,
        settings: VDSPMNISTSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        for scale in settings.scales:  # a rate too high is an error now, not hours later
            drive(settings.rate * scale, self.tau, settings.refractory)
        sizes = (settings.neurons, *settings.larger)
        changes: dict[str, dict[str, Any]] = {f"{n}-neurons": {"neurons": n} for n in sizes}
        changes |= {
            f"{kind}-{scale}": {
                "plasticity": kind, "rate_scale": scale, "images": settings.scale_images
            }
            for kind in ("vdsp", "stdp")
            for scale in settings.scales
        }  # fmt: skip
        done = train_each(self, settings, folder, changes, resume=resume, progress=progress)
        first = done[f"{settings.neurons}-neurons"]
        return {
            **{of_size(n): accuracy(done[f"{n}-neurons"]) for n in sizes},
            **{f"{name}: test accuracy, %": accuracy(done[name]) for name in [*done][len(sizes) :]},
            UPDATES: updates_per_image(first) / updates_of_pairs(first),
            SPREAD: spread(done, "vdsp") - spread(done, "stdp"),
            SECONDS: first.fit.seconds,
            "updates, an image": updates_per_image(first),
        }


def drive(rate: float, tau: float, refractory: float) -> float:
    """Constant drive at which a membrane that goes from -1 to 1 gives so many spikes a second.

    J with 1 / rate = refractory + tau ln((J + 1) / (J - 1)).

    Raises:
        SettingsError: the refractory period leaves no time for such a rate.

    >>> round(drive(40.0, 30e-3, 2e-3), 2)
    2.74
    """
    if rate * refractory >= 1:
        raise SettingsError(
            f"vdsp-mnist: rate, scaled, must be below 1 / refractory = {1 / refractory:g} Hz, got "
            f"{rate:g}. Lower it, or shorten refractory."
        )
    rise = (1 / rate - refractory) / tau
    return 1 / math.tanh(rise / 2)


def spread(done: Mapping[str, Outcome], kind: str) -> float:
    """Best less worst accuracy of a rule, %."""
    found = [accuracy(outcome) for name, outcome in done.items() if name.startswith(f"{kind}-")]
    return max(found) - min(found)


RECIPE = VDSPMNIST()
