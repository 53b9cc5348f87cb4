"""Why an exact gradient fails with one loss and learns with another.

Nowotny, Turner and Knight (2025): the exact gradient does not see that spikes appear and vanish.
In long trials that end in silence, the cross-entropy averaged over time pushes hidden spikes to
later times until they are gone. With a loss on the integral, only the last spikes learn, unless the
integral has a weight that falls over the trial. Both are shown on patterns that are active for
half of a trial of 1.4 s; the first beside the same without the silence, and beside trials of 40 ms,
in which it learns.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

import spikewright as sw
from spikewright.learning.event_losses import (
    AverageCrossEntropy,
    EventLoss,
    IntegralCrossEntropy,
    PeakCrossEntropy,
)
from spikewright.recipes.core.recipe import Figure, Recipe, RunSettings
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.trials import accuracy, train_each

DT = 1e-3
HIDDEN = "1_cubalif"
Kind = Literal["average", "uniform", "linear", "exponential", "peak"]
AHEAD = "exponential minus uniform: test accuracy, points"
FAILS, BETWEEN, LEARNS = "average", "average-no-silence", "average-40-ms"
SPIKES, LOSS = "hidden spikes, after over before", "last loss over that of guessing"


class LossShapingSettings(RunSettings):
    """Data, network, loss and training."""

    epochs: int = Field(8, ge=1)
    """passes over the training samples"""
    batch_size: int = Field(32, ge=1)
    """samples a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    samples: int = Field(1000, ge=1)
    """of the training set; a fifth of that in the others"""
    classes: int = Field(20, ge=2)
    """number of patterns"""
    active: float = Field(0.7, gt=0)
    """end of the patterns, s"""
    duration: float = Field(1.4, gt=0)
    """length of a trial, s"""
    spikes: float = Field(1200.0, gt=0)
    """expected input spikes of a sample"""
    hidden: int = Field(50, ge=1)
    """hidden neurons"""
    loss: Kind = "exponential"
    """average of the cross-entropy; or cross-entropy of an integral with that weight, or a peak"""
    scale: float = Field(5.0, gt=0)
    """factor on the potentials in the loss"""
    learning_rate: float = Field(2e-3, gt=0)
    """of Adam"""


class LossShaping(Recipe[LossShapingSettings]):
    """The recipe `loss-shaping`."""

    title = "Loss shaping: when an exact gradient learns"
    Settings = LossShapingSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 40, "samples": 5000, "hidden": 256},
    }
    seeds = {"small": 3, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(f"{FAILS}: {SPIKES}", 0.5, "reported: hidden spikes vanish", "lower"),
        Figure(f"{FAILS}: {LOSS}", 0.9, "the loss does not drop"),
        Figure(f"{LEARNS}: {LOSS}", 0.7, "reported to learn in short trials", "lower"),
        Figure(AHEAD, 5.0, "target of this project; 7 points on SHD in the authors' notes"),
    )

    def data(self, settings: LossShapingSettings) -> Any:
        few = max(1, settings.samples // 5)
        return sw.data.SpikePatterns(
            settings.classes,
            duration=settings.duration,
            active=settings.active,
            spikes=settings.spikes,
            dt=DT,
            sizes=(settings.samples, few, few),
            seed=settings.seed,
        )

    def network(self, settings: LossShapingSettings) -> sw.Network:
        times: dict[str, Any] = {"tau_mem": 20e-3, "tau_syn": 5e-3}
        return sw.Sequential(
            sw.Linear(None, settings.hidden, bias=False),
            sw.CubaLIF(**times),
            sw.Linear(settings.hidden, settings.classes, bias=False),
            sw.CubaLI(**times),
            dt=DT,
        )

    def prepare(self, network: sw.Network, data: Any, settings: LossShapingSettings) -> None:
        hidden, output = network.parameters()
        with torch.no_grad():
            hidden.normal_(0.15, 0.15)
            output.normal_(0.0, 1 / math.sqrt(settings.hidden))

    def rule(self, settings: LossShapingSettings) -> sw.learning.EventProp:
        return sw.learning.EventProp(
            _loss(settings), solver="grid", learning_rate=settings.learning_rate
        )

    def measure(
        self, settings: LossShapingSettings, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        changes: dict[str, Mapping[str, Any]] = {
            FAILS: {"loss": "average"},
            BETWEEN: {"loss": "average", "duration": settings.active},
            LEARNS: {"loss": "average", "duration": 0.04, "active": 0.04, "spikes": 140.0},
            **{name: {"loss": name} for name in ("uniform", "linear", "exponential", "peak")},
        }
        done = train_each(self, settings, folder, changes, resume=resume, progress=progress)
        values = {f"{name}: test accuracy, %": accuracy(found) for name, found in done.items()}
        values[AHEAD] = accuracy(done["exponential"]) - accuracy(done["uniform"])
        for name in (FAILS, BETWEEN, LEARNS):
            values |= _change(name, done[name])
        return values


def _loss(settings: LossShapingSettings) -> EventLoss:
    if settings.loss == "average":
        return AverageCrossEntropy(settings.scale)
    if settings.loss == "peak":
        return PeakCrossEntropy(settings.scale)
    # An integral is smaller than the potential by what of the trial is silent.
    return IntegralCrossEntropy(settings.loss, scale=10 * settings.scale)


def _change(name: str, outcome: Outcome) -> dict[str, float]:
    """What became of the hidden spikes and of the loss on the validation set by the last epoch."""
    parts = outcome.parts
    after = [record for record in outcome.fit.history if record["kind"] == "validation"][-1]
    first = copy.deepcopy(parts.network)
    first.load_state_dict(parts.first_weights)
    state = parts.rule.init(first)
    before = sw.evaluate(first, parts.data.validation, parts.rule, rule_state=state).metrics
    return {
        f"{name}: {SPIKES}": after["rates"][HIDDEN] / before["rates"][HIDDEN],
        f"{name}: {LOSS}": after["loss"] / math.log(len(parts.data.classes)),
    }


RECIPE = LossShaping()
