"""What the recipes of exact backpropagation through spikes share: images as latencies, and counts.

Bacho and Chu, "Exploring trade-offs in spiking neural networks", Neural Computation 35(10), 2023
(arXiv:2212.09500): t = 0.1 s (1 - pixel), zero pixels stay silent, tau_mem = 2 tau_syn, and a loss
on spike counts or on first spikes. Their thresholds are given for a response
tau_mem (exp(-t / tau_mem) - exp(-t / tau_syn)), ours has no factor tau_mem: theirs over tau_mem.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field

import spikewright as sw
from spikewright.coding import ExactLatency
from spikewright.learning.event_losses import EventLoss, FirstSpikeSoftmax, SpikeCountTarget
from spikewright.learning.silent import PushLabels
from spikewright.recipes.core.recipe import Recipe, RunSettings

DT = 1e-3
LATEST = 0.1
"""Time of the darkest pixel, s."""


class SpikeTimeSettings(RunSettings):
    """Data, neurons and training."""

    threads: int | None = Field(1, ge=1)
    """processor threads"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    loss: Literal["count", "first spike"] = "count"
    """what the outputs are taught: how often to spike, or when first"""
    correct: float = Field(15.0, gt=0)
    """spikes that the right output is to have"""
    incorrect: float = Field(3.0, ge=0)
    """spikes that the others are to have"""
    loss_tau: float = Field(5e-3, gt=0)
    """of the softmax of first spikes, s"""
    window: float = Field(0.2, gt=LATEST)
    """length of a trial, s"""
    tau_syn: float = Field(0.13, gt=0)
    """of the synapses, s; membranes have twice that"""
    learning_rate: float = Field(1e-2, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""


S = TypeVar("S", bound=SpikeTimeSettings)


class SpikeTimeRecipe(Recipe[S]):
    """Images in, spikes out, trained by `sw.learning.SpikeTime`."""

    @abstractmethod
    def layers(self, settings: S) -> Sequence[tuple[list[Any], float, int]]:
        """For each layer of neurons: connections before it, published threshold, most spikes."""

    def encoder(self, settings: S) -> ExactLatency:
        """Pixels as spike times."""
        return ExactLatency(round(settings.window / DT), DT, 0.0, LATEST)

    def network(self, settings: S) -> sw.Network:
        tau = 2 * settings.tau_syn
        layers: list[Any] = []
        for connections, threshold, _ in self.layers(settings):
            cells = sw.CubaLIF(tau_mem=tau, tau_syn=settings.tau_syn, v_threshold=threshold / tau)
            layers += [*connections, cells]
        return sw.Sequential(*layers, dt=DT)

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        low = 0.0 if settings.loss == "first spike" else -1.0
        with torch.no_grad():
            for weight in network.parameters():
                weight.uniform_(low, 1.0)

    def rule(self, settings: S) -> sw.learning.SpikeTime:
        network = self.network(settings)
        spiking = [name for name, layer in network.layers.items() if layer.spiking]
        most = {n: m for n, (*_, m) in zip(spiking, self.layers(settings), strict=True)}
        once = settings.loss == "first spike"
        return sw.learning.SpikeTime(
            self.loss(settings),
            max_spikes=1 if once else most,
            learning_rate=settings.learning_rate,
            schedule="cosine",
            silent=(PushLabels(),) if not once else (),
        )

    def loss(self, settings: S) -> EventLoss:
        """The loss that the settings name."""
        if settings.loss == "first spike":
            return FirstSpikeSoftmax(tau=settings.loss_tau)
        return SpikeCountTarget(settings.correct, settings.incorrect)
