"""MNIST without labels by spike-timing-dependent plasticity, after Diehl and Cook.

Poisson spikes, one layer of competing neurons with slowly adapting thresholds, changes at their
spikes only, and weights normalised after each image. Theirs compete through a second population
and have conductances; here they compete directly and take currents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.coding import Bernoulli
from spikewright.learning.plasticity import PlasticityRule, SumOfProducts
from spikewright.recipes.core.plasticity import PlasticRecipe, PlasticSettings, last_epoch
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import run

PAPER = "Diehl and Cook 2015, from memory"
ACCURACY = "test accuracy, %"
# Soft bounds on both sides: with (1 - w) for both, as theirs, a weight of 1 would never change
# again, and neurons that have nothing else win everything.
RULE = "dw = lr * (x1 * (1 - w) - x_target * w) * y0"


class STDPMNISTSettings(PlasticSettings):
    """Data, neurons and plasticity."""

    rate: float = Field(63.75, gt=0)
    """spikes a second of a white pixel"""
    tau: float = Field(100e-3, gt=0)
    """time constant of membranes, s"""
    r: float = Field(6.0, gt=0)
    """of the competing neurons, from weights to membrane"""
    beta: float = Field(2e-3, ge=0)
    """rise of a threshold at each spike"""
    clamp: float = Field(10e-3, ge=0)
    """time for which a spike silences the other neurons, s"""
    learning_rate: float = Field(1e-2, gt=0)
    """change at a full trace and no weight"""
    x_target: float = Field(0.2, ge=0)
    """decay of a full weight, over the growth of none at a full trace"""
    tau_trace: float = Field(20e-3, gt=0)
    """of the pixels' spikes, s"""
    normalise: float = Field(78.4, gt=0)
    """sum of a neuron's weights"""


class STDPMNIST(PlasticRecipe[STDPMNISTSettings]):
    """The recipe `stdp-mnist`."""

    title = "Spike-timing-dependent plasticity: MNIST"
    Settings = STDPMNISTSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"neurons": 400, "epochs": 3},
    }
    seeds = {"small": 3, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 82.9, f"{PAPER}: 100 neurons", sizes=("small",)),
        Figure(ACCURACY, 87.0, f"{PAPER}: 400 neurons", sizes=("full",)),
    )

    def data(self, settings: STDPMNISTSettings) -> Any:
        encoder = Bernoulli(settings.steps, settings.dt, settings.rate)
        return sw.data.MNIST(encoder, validation=settings.validation, limit=settings.images)

    def network(self, settings: STDPMNISTSettings) -> sw.Network:
        cells = sw.AdaptiveLIF(
            tau_mem=settings.tau,
            tau_adapt=settings.tau_adapt,
            beta=settings.beta,
            r=settings.r,
            refractory=5e-3,
        )
        return sw.Sequential(
            sw.Linear(784, settings.neurons, bias=False),
            sw.WinnerTakeAll(cells, clamp=settings.clamp),
            dt=settings.dt,
        )

    def plasticity(self, settings: STDPMNISTSettings) -> PlasticityRule:
        return SumOfProducts(
            RULE,
            tau={"x1": settings.tau_trace},
            constants={"lr": settings.learning_rate, "x_target": settings.x_target},
            nearest=("x1",),
        )

    def normalise(self, settings: STDPMNISTSettings) -> float:
        return settings.normalise

    def measure(
        self,
        settings: STDPMNISTSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        done = run(self, settings, folder, resume=resume, progress=progress)
        return done.metrics() | {"output spikes, an image": float(last_epoch(done)["spikes"])}


RECIPE = STDPMNIST()
