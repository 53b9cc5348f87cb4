"""What the recipes of desire backpropagation share: network, rule, and figures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field, PositiveInt

import spikewright as sw
from spikewright.coding import Constant
from spikewright.learning.desire import count_operations
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import run
from spikewright.recipes.core.trials import ACCURACY, minutes

DT = 1e-3
TRAINING = 60000
COUNTED = 256
UNIQUE = "test accuracy by unique maximum, %"
MULTIPLIES = "backward multiplies, % of backpropagation's in an ANN"
MINUTES = "training time, min"
PAPER = "Gerlinghoff et al."


class DesireSettings(RunSettings):
    """Data, network and training; the gates and the margin are the source's."""

    batch_size: int = Field(64, ge=1)
    """images a step, whose changes are added up"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    steps: int = Field(20, ge=5)
    """time steps"""
    hidden: list[PositiveInt] = Field([1600, 800], min_length=1)
    """neurons of the hidden layers"""
    dropout: float = Field(0.3, ge=0, lt=1)
    """share of hidden neurons that an image goes without"""
    input_dropout: float = Field(0.0, ge=0, lt=1)
    """share of pixels that an image goes without"""
    learning_rate: float = Field(2e-5, gt=0)
    """of one image, at the start"""
    fall: float = Field(10.0, gt=0)
    """epochs in which the learning rate falls by a factor of e"""
    margin: int = Field(4, ge=0)
    """steps by which a label's count may stay below the number of steps"""
    output_gate: float = Field(0.30, ge=0)
    """error above which an output neuron is told"""
    hidden_gate: float = Field(0.05, gt=0)
    """sum of weighted errors from which on a hidden neuron is told"""


S = TypeVar("S", bound=DesireSettings)


class DesireRecipe(Recipe[S]):
    """A network of `Linear` and `LIF` with m <- 0.75 m + W s, after `IF` that code pixels."""

    data_set: type[Any]

    def data(self, settings: S) -> Any:
        encoder = Constant(settings.steps, DT)
        return self.data_set(encoder, validation=settings.validation, limit=settings.images)

    def network(self, settings: S) -> sw.Network:
        firing = sw.Firing(reset="subtract", inclusive=True)
        layers: list[Any] = [sw.IF(firing=firing)]
        sizes, dropout = [784, *settings.hidden, 10], settings.input_dropout
        for inputs, outputs in pairwise(sizes):
            wires = sw.Linear(inputs, outputs, bias=False)
            torch.nn.init.kaiming_normal_(wires.weight)
            # 1 - dt / tau_mem = 3/4, a shift and a subtraction; r makes the gain 1.
            cells = sw.LIF(order="euler", tau_mem=4 * DT, r=4.0, firing=firing)
            layers += [sw.Dropout(dropout)] if dropout else []
            layers += [wires, cells]
            dropout = settings.dropout
        return sw.Sequential(*layers, dt=DT)

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        """The first weights are those of the source, Kaiming's."""

    def rule(self, settings: S) -> sw.learning.Desire:
        images = min(settings.images or TRAINING, TRAINING - settings.validation)
        return sw.learning.Desire(
            learning_rate=settings.learning_rate,
            fall=settings.fall * images,
            margin=settings.margin,
            output_gate=settings.output_gate,
            hidden_gate=settings.hidden_gate,
        )

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        done = run(self, settings, folder, resume=resume, progress=progress)
        train, rule = done.parts.data.train, self.rule(settings)
        batch = train.batch(range(min(COUNTED, len(train))))
        taken = count_operations(done.parts.network, batch, rule)
        return {
            ACCURACY: done.metrics()[ACCURACY],
            UNIQUE: 100 * float(done.test.metrics["unique"]),
            MULTIPLIES: 100 * taken.desire[1].multiplies / taken.ann[1].multiplies,
            MINUTES: minutes(done),
        }
