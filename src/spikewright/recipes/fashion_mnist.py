"""Fashion-MNIST with a 784-256-10 network on constant currents, trained by surrogate gradients.

Each pixel is a current that lasts for all steps, so the first product, the dearest part, is
worked out once for all steps.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.coding import Constant, Mean
from spikewright.learning.losses import CrossEntropy
from spikewright.recipes.core.recipe import Figure, Recipe, RunSettings

DT = 1e-3


class FashionMNISTSettings(RunSettings):
    """Data, neurons and training."""

    epochs: int = Field(15, ge=1)
    """passes over the training images"""
    seconds: float | None = Field(540.0, gt=0)
    """time budget, s: training stops at the first batch past it"""
    batch_size: int = Field(128, ge=1)
    """images a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads: two save a quarter of the time, but crawl where another job runs too"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    steps: int = Field(10, ge=1)
    """time steps of 1 ms"""
    hidden: int = Field(256, ge=1)
    """hidden neurons"""
    tau: float = Field(5e-3, gt=0)
    """time constant of membranes and synapses, s"""
    width: float = Field(0.5, gt=0)
    """of the arctan surrogate"""
    rate: float = Field(0.1, gt=0, lt=1)
    """spikes a step and neuron that the first weights are scaled to"""
    learning_rate: float = Field(2e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    scale: float = Field(5.0, gt=0)
    """factor on the scores in the loss"""


class FashionMNIST(Recipe[FashionMNISTSettings]):
    """The recipe `fashion-mnist`."""

    title = "Fashion-MNIST"
    Settings = FashionMNISTSettings
    sizes = {"small": {}, "full": {"epochs": 30, "seconds": None}}  # noqa: RUF012 - a constant
    figures = (
        Figure("test accuracy, %", 88.0, "target of this project"),
        Figure("training time, s", 600.0, "target of this project, on two cores", "lower"),
    )

    def data(self, settings: FashionMNISTSettings) -> Any:
        encoder = Constant(settings.steps, DT)
        return sw.data.FashionMNIST(encoder, validation=settings.validation, limit=settings.images)

    def network(self, settings: FashionMNISTSettings) -> sw.Network:
        times: dict[str, Any] = {"tau_mem": settings.tau, "tau_syn": settings.tau}
        return sw.Sequential(
            sw.Linear(784, settings.hidden),
            sw.CubaLIF(surrogate=sw.surrogate.Arctan(settings.width), **times),
            sw.Linear(settings.hidden, 10),
            sw.LI(tau_mem=settings.tau),
            dt=DT,
        )

    def prepare(self, network: sw.Network, data: Any, settings: FashionMNISTSettings) -> None:
        sw.aim_rates(network, self.first_batch(data, settings), settings.rate)

    def rule(self, settings: FashionMNISTSettings) -> sw.learning.Surrogate:
        return sw.learning.Surrogate(
            decoder=Mean(),
            loss=CrossEntropy(scale=settings.scale),
            learning_rate=settings.learning_rate,
            schedule="cosine",
        )


RECIPE = FashionMNIST()
