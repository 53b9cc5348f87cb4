"""What the recipes on local plasticity share: images shown one by one to neurons that compete."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field

import spikewright as sw
from spikewright.learning.plasticity import Labels, Local, PlasticityRule
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome


class PlasticSettings(RunSettings):
    """Data, competing neurons and read-out."""

    epochs: int = Field(1, ge=1)
    """passes over the training images"""
    batch_size: int = Field(100, ge=1)
    """images between two looks at the clock; they are learnt one after the other"""
    threads: int | None = Field(None, ge=1)
    """processor threads of evaluation; torch's own choice if not set"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(0, ge=0)
    """training images held out to look at after each pass"""
    neurons: int = Field(100, ge=1)
    """that compete"""
    steps: int = Field(350, ge=1)
    """time steps that an image is shown"""
    dt: float = Field(1e-3, gt=0)
    """time step, s"""
    tau_adapt: float = Field(3000.0, gt=0)
    """in which thresholds forget that they rose, s of the time shown"""
    readout: Literal["sum", "proportional", "most"] = "proportional"
    """how labelled neurons vote"""


S = TypeVar("S", bound=PlasticSettings)


class PlasticRecipe(Recipe[S]):
    """One layer of competing neurons behind one plastic connection."""

    picture = (28, 28)

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        """Draw the weights from all that they may be."""
        with torch.no_grad():
            self.connection(network).weight.uniform_(0.0, 1.0)

    def connection(self, network: sw.Network) -> sw.Linear:
        """The connection that learns."""
        (found,) = (layer for layer in network.layers.values() if isinstance(layer, sw.Linear))
        return found

    @abstractmethod
    def plasticity(self, settings: S) -> PlasticityRule:
        """What changes its weights."""

    def rule(self, settings: S) -> Local:
        labels = Labels(settings.readout)
        return Local(self.plasticity(settings), normalise=self.normalise(settings), labels=labels)

    def normalise(self, settings: S) -> float | None:
        """Sum of each neuron's weights after each image."""
        return None

    def fit_options(self, settings: S) -> dict[str, Any]:
        return super().fit_options(settings) | {"keep": "last"}


def last_epoch(outcome: Outcome) -> dict[str, Any]:
    """What training measured in its last pass."""
    return [record for record in outcome.fit.history if record["kind"] == "train"][-1]


def updates_per_image(outcome: Outcome) -> float:
    """Synaptic changes in the last pass."""
    return float(last_epoch(outcome)["updates"])


def updates_of_pairs(outcome: Outcome) -> float:
    """Those that a rule on pairs of spikes would make of the same spikes, an image.

    It changes all synapses of a neuron at each of its spikes, on either side.
    """
    network, rates = outcome.parts.network, last_epoch(outcome)["rates"]
    steps = outcome.parts.data.steps
    sizes = [layer.output_shape(layer.shape or ())[0] for layer in spiking_layers(network)]
    inputs, outputs = (
        rate * steps * size for rate, size in zip(rates.values(), sizes, strict=True)
    )
    return float(inputs * sizes[1] + outputs * sizes[0])


def spiking_layers(network: sw.Network) -> list[Any]:
    """The layers that spike, in order."""
    return [layer for layer in network.layers.values() if layer.spiking]
