"""What the recipes on spoken words share: front end, WaveSense, and an LSTM and a CNN beside it.

All three hear the same frames and have about as many parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import torch
from pydantic import Field

import spikewright as sw
from spikewright.audio import Augment, Equaliser, Gain, LogEnergy, Noise, Shift
from spikewright.coding import Decoder, Max, Mean
from spikewright.learning import Surrogate
from spikewright.learning.losses import CrossEntropy, Loss, PeakLoss
from spikewright.recipes.core.baselines import LSTM, CausalCNN, cnn_units, lstm_units
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.trials import ACCURACY, train_each

DT = 10e-3
"""Time step, s."""
LEVEL = 0.2
"""Factor on the levels that networks without spikes hear."""
MODELS = {"WaveSense": "wavesense", "LSTM": "lstm", "CNN": "cnn"}
PARAMETERS = "parameters"


class WordSettings(RunSettings):
    """Front end, network and training."""

    epochs: int = Field(30, ge=1)
    """passes over the training clips"""
    batch_size: int = Field(32, ge=1)
    """clips a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    bands: int = Field(32, ge=1)
    """filters of the front end"""
    length: float = Field(1.0, gt=0)
    """length that clips are brought to, s"""
    copies: int = Field(1, ge=1)
    """versions of each clip to train on"""
    gain: float = Field(6.0, ge=0)
    """by which they are at most louder or quieter, dB"""
    colour: float = Field(0.0, ge=0)
    """depth of the random equaliser that they go through, dB; 0 for none"""
    model: Literal["wavesense", "lstm", "cnn"] = "wavesense"
    """spikes, or an LSTM or convolutions over time of as many parameters"""
    compare: bool = True
    """whether to train the other two as well"""
    channels: int = Field(32, ge=1)
    """neurons of a block"""
    skip: int = Field(32, ge=1)
    """neurons of each skip path"""
    hidden: int = Field(32, ge=1)
    """neurons before the readout"""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    """of the blocks"""
    tau_base: float = Field(20e-3, gt=0)
    """time constant of one dilation, of synapses and of membranes, s"""
    tau_out: float = Field(40e-3, gt=0)
    """of the readout, s"""
    dropout: float = Field(0.0, ge=0, lt=1)
    """share of the blocks' spikes that is left out in training"""
    rate: float = Field(0.3, gt=0, lt=1)
    """spikes a step and neuron that the first weights are scaled to"""
    spread: float = Field(0.5, gt=0)
    """standard deviation over clips and classes that the first scores are scaled to"""
    loss: Literal["cross entropy", "peak"] = "cross entropy"
    """of the mean outputs, or the loss that lifts one peak and holds the others at zero"""
    scale: float = Field(2.0, gt=0)
    """factor on the means in the cross-entropy"""
    learning_rate: float = Field(4e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    clip: float = Field(1.0, gt=0)
    """greatest norm of the gradient"""


S = TypeVar("S", bound=WordSettings)


class WordRecipe(Recipe[S], Generic[S]):
    """Networks and rule for words; a subclass adds data and figures."""

    def outputs(self, settings: S) -> int:
        """Classes."""
        raise NotImplementedError

    def ear(self, settings: S, rate: int) -> LogEnergy:
        """The front end for sound of a sampling rate in Hz."""
        return LogEnergy(rate, DT, channels=settings.bands, lowest=100.0)

    def augment(self, settings: S) -> Sequence[Augment]:
        """What makes the copies."""
        if settings.copies == 1:
            return ()
        coloured = (Equaliser(settings.colour),) if settings.colour else ()
        gain = Gain(-settings.gain, settings.gain)
        return (Shift(0.1), *coloured, gain, Noise(15.0, 40.0, slope=-1.0))

    def network(self, settings: S) -> sw.Network:
        spiking = self._wavesense(settings)
        if settings.model == "wavesense":
            return spiking
        size = sum(p.numel() for p in spiking.parameters())
        inputs, outputs = settings.bands, self.outputs(settings)
        if settings.model == "cnn":
            units = cnn_units(inputs, outputs, size)
            return sw.Sequential(CausalCNN(inputs, outputs, units, scale=LEVEL), dt=DT)
        units = lstm_units(inputs, outputs, size)
        layers = sw.Scale(LEVEL), LSTM(inputs, units), sw.Linear(units, outputs)
        return sw.Sequential(*layers, dt=DT)

    def _wavesense(self, settings: S) -> sw.Network:
        return sw.models.WaveSense(
            settings.bands,
            self.outputs(settings),
            settings.channels,
            settings.skip,
            settings.hidden,
            settings.dilations,
            tau_base=settings.tau_base,
            tau_mem=settings.tau_base,
            tau_out=settings.tau_out,
            dt=DT,
            dropout=settings.dropout,
        )

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        if settings.model != "wavesense":
            return
        x = self.first_batch(data, settings)
        sw.aim_rates(network, x, settings.rate)
        with torch.no_grad():
            spread = self.decoder(settings)(network(x)[0]).std()
            network.layers["out_linear"].weight.mul_(settings.spread / spread)  # type: ignore[union-attr]

    def decoder(self, settings: S) -> Decoder:
        """What tells the class from the outputs."""
        return Max() if settings.loss == "peak" else Mean()

    def rule(self, settings: S) -> Surrogate:
        scale = settings.scale if settings.model == "wavesense" else 1.0
        loss: Loss = PeakLoss() if settings.loss == "peak" else CrossEntropy(scale=scale)
        return Surrogate(
            decoder=self.decoder(settings),
            loss=loss,
            learning_rate=settings.learning_rate,
            schedule="cosine",
            clip=settings.clip,
        )

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        return {PARAMETERS: float(sum(p.numel() for p in outcome.parts.network.parameters()))}

    def train_models(self, settings: S, folder: Path, **how: Any) -> dict[str, Outcome]:
        """The network, and those beside it if wanted, each trained in a folder of its own."""
        models = MODELS if settings.compare else {"WaveSense": "wavesense"}
        changes = {name: {"model": model} for name, model in models.items()}
        return train_each(self, settings, folder, changes, **how)


def compared(done: dict[str, dict[str, float]]) -> dict[str, float]:
    """Metrics of several models as those of one run: the first's as they are, others by name."""
    names = list(done)
    values = dict(done[names[0]])
    for name in names[1:]:
        values |= {f"{name}: {metric}": value for metric, value in done[name].items()}
        values[f"{ACCURACY[:-3]}, {names[0]} minus {name}, points"] = (
            values[ACCURACY] - done[name][ACCURACY]
        )
    return values
