"""What the recipes on spoken digits share: a recurrent layer of spikes, trained by EventProp."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

import spikewright as sw
from spikewright.learning.augmentation import ChannelShift, SpikeDropout
from spikewright.learning.event_losses import EventLoss, IntegralCrossEntropy, PeakCrossEntropy
from spikewright.learning.regularisers import LowerRate, UpperRate
from spikewright.recipes.core.recipe import Recipe, RunSettings

CHANNELS = 700
DT = 1e-3


class SpeechSettings(RunSettings):
    """Neurons, first weights, loss and training, as published for the Heidelberg digits."""

    epochs: int = Field(20, ge=1)
    """passes over the training recordings"""
    batch_size: int = Field(32, ge=1)
    """recordings a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    recordings: int | None = Field(None, ge=1)
    """at most that many of each split; all if not set"""
    hidden: int = Field(256, ge=1)
    """hidden neurons"""
    recurrent: bool = True
    """whether hidden neurons reach each other"""
    loss: Literal["exponential", "linear", "sigmoid", "uniform", "peak"] = "exponential"
    """weight of the readout's integral over the trial, uniform for the plain sum; or its peak"""
    scale: float = Field(15.0, gt=0)
    """factor on integrals or peaks in the loss"""
    input_mean: float = 0.03
    """mean of the first input weights"""
    input_sd: float = Field(0.01, ge=0)
    """their standard deviation"""
    output_sd: float = Field(0.03, ge=0)
    """standard deviation of the first output weights"""
    learning_rate: float = Field(1e-3, gt=0)
    """of Adam"""
    clip: float | None = Field(None, gt=0)
    """greatest norm of the gradient; any if not set"""
    shift: int = Field(40, ge=0)
    """greatest move of a training recording along the channels"""
    dropout: float = Field(0.0, ge=0, lt=1)
    """share of input spikes that is left out in training"""
    spikes: float = Field(14.0, gt=0)
    """of a hidden neuron in a trial, which training aims at"""
    spikes_strength: float = Field(1e-4, ge=0)
    """how strongly"""


class SpeechRecipe(Recipe[Any]):
    """Network, first weights and rule; a subclass adds data, classes and figures."""

    classes: int

    def network(self, settings: SpeechSettings) -> sw.Network:
        times: dict[str, Any] = {"tau_mem": 20e-3, "tau_syn": 5e-3}
        hidden = sw.CubaLIF(**times)
        return sw.Sequential(
            sw.Linear(CHANNELS, settings.hidden, bias=False),
            sw.Recurrent(hidden) if settings.recurrent else hidden,
            sw.Linear(settings.hidden, self.classes, bias=False),
            sw.CubaLI(**times),
            dt=DT,
        )

    def prepare(self, network: sw.Network, data: Any, settings: SpeechSettings) -> None:
        weights = list(network.parameters())
        with torch.no_grad():
            weights[0].normal_(settings.input_mean, settings.input_sd)
            weights[-1].normal_(0.0, settings.output_sd)
            for recurrent in weights[1:-1]:
                recurrent.normal_(0.0, 0.02)

    def rule(self, settings: SpeechSettings) -> sw.learning.EventProp:
        strength, aim = settings.spikes_strength, settings.spikes
        return sw.learning.EventProp(
            speech_loss(settings),
            solver="grid",
            regularisers=(
                UpperRate(strength=strength, maximum=aim),
                LowerRate(strength=strength, minimum=aim),
            ),
            augmentations=(ChannelShift(settings.shift), SpikeDropout(settings.dropout)),
            learning_rate=settings.learning_rate,
            clip=settings.clip,
        )


def speech_loss(settings: SpeechSettings) -> EventLoss:
    """The loss that settings name."""
    if settings.loss == "peak":
        return PeakCrossEntropy(settings.scale)
    return IntegralCrossEntropy(settings.loss, scale=settings.scale)
