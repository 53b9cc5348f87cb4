"""Yin-Yang by exact gradients, three ways beside each other, at exact spike times.

The points of Kriener, Göltz and Petrovici (arXiv:2102.08211) as spikes of five inputs, a hidden
layer, and three outputs of which the first to spike is the answer. EventProp on exact events,
EventProp on a grid of 0.1 ms, and backpropagation through spike times, with many spikes a neuron
and with one, start from the same weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

import spikewright as sw
from spikewright.coding import SpikeTimes
from spikewright.learning.event_losses import FirstSpikeSoftmax
from spikewright.learning.silent import PushLabels, RaiseSilent
from spikewright.recipes.core.hardware import Plane
from spikewright.recipes.core.recipe import Figure, Recipe, RunSettings
from spikewright.recipes.core.trials import accuracy, aim_potentials, train_each
from spikewright.recipes.yin_yang import disc

WAYS: dict[str, dict[str, Any]] = {
    "EventProp": {"rule": "eventprop"},
    "spike times": {"rule": "spike times"},
    "EventProp on a grid": {"rule": "grid"},
    "spike times, one spike a neuron": {"rule": "spike times", "max_spikes": 1},
}


class ExactYinYangSettings(RunSettings):
    """Data, neurons, first weights and training."""

    epochs: int = Field(40, ge=1)
    """passes over the 5000 training points"""
    batch_size: int = Field(50, ge=1)
    """samples a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    hidden: int = Field(200, ge=1)
    """hidden neurons"""
    rule: Literal["eventprop", "spike times", "grid"] = "eventprop"
    """EventProp on exact events; backpropagation through spike times; EventProp on a grid"""
    max_spikes: int | None = Field(None, ge=1)
    """the most spikes of a neuron in a trial; any number if not set"""
    dt: float = Field(0.1e-3, gt=0)
    """of the grid, s"""
    tau_syn: float = Field(5e-3, gt=0)
    """of the synapses, s; membranes have twice that"""
    late: float = Field(20e-3, gt=0)
    """spike time of value 1, s; that of value 0 is 0, that of the bias in the middle"""
    trial: float = Field(40e-3, gt=0)
    """length of a trial, s"""
    drive: tuple[float, float] = (1.6, 3.0)
    """height of the potential that the mean first weights give in each layer, in thresholds"""
    spread: tuple[float, float] = (0.5, 0.8)
    """standard deviation of the first weights of each layer, over their mean"""
    loss_tau: float = Field(0.3e-3, gt=0)
    """of the softmax of first spikes, s"""
    learning_rate: float = Field(3e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""


class ExactYinYang(Recipe[ExactYinYangSettings]):
    """The recipe `exact-yin-yang`."""

    title = "Yin-Yang by exact gradients"
    Settings = ExactYinYangSettings
    sizes = {"small": {}, "full": {"epochs": 300}}  # noqa: RUF012 - a constant
    seeds = {"small": 3, "full": 10}  # noqa: RUF012 - a constant
    figures = (
        Figure("EventProp: test accuracy, %", 98.0, "target of this project, floor 97.5"),
        Figure("spike times: test accuracy, %", 98.0, "target of this project, floor 97.5"),
        Figure("EventProp on a grid: test accuracy, %", 97.5, "reported"),
        Figure("spike times, one spike a neuron: test accuracy, %", 95.0, "reported"),
    )

    def data(self, settings: ExactYinYangSettings) -> Any:
        return sw.data.YinYang(
            round(settings.trial / settings.dt),
            settings.dt,
            t_early=0.0,
            t_late=settings.late,
            t_bias=settings.late / 2,
            exact=True,
        )

    def network(self, settings: ExactYinYangSettings) -> sw.Network:
        times: dict[str, Any] = {"tau_mem": 2 * settings.tau_syn, "tau_syn": settings.tau_syn}
        return sw.Sequential(
            sw.Linear(5, settings.hidden, bias=False),
            sw.CubaLIF(**times),
            sw.Linear(settings.hidden, 3, bias=False),
            sw.CubaLIF(**times),
            dt=settings.dt,
        )

    def prepare(self, network: sw.Network, data: Any, settings: ExactYinYangSettings) -> None:
        spikes = self.first_batch(data, settings)
        assert isinstance(spikes, SpikeTimes)
        aim_potentials(network, spikes, settings.drive, settings.spread)

    def rule(self, settings: ExactYinYangSettings) -> sw.learning.Rule:
        loss = FirstSpikeSoftmax(tau=settings.loss_tau)
        options: dict[str, Any] = {
            "max_spikes": settings.max_spikes,
            # An output that never spikes has no time to learn from.
            "silent": (RaiseSilent(0.02), PushLabels(0.05)),
            "learning_rate": settings.learning_rate,
            "schedule": "cosine",
        }
        if settings.rule == "spike times":
            return sw.learning.SpikeTime(loss, **options)
        solver = "grid" if settings.rule == "grid" else "exact"
        return sw.learning.EventProp(loss, solver=solver, **options)

    def plane(self, data: Any, settings: ExactYinYangSettings) -> Plane:
        return disc(data)

    def measure(
        self, settings: ExactYinYangSettings, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        done = train_each(self, settings, folder, WAYS, resume=resume, progress=progress)
        return {f"{name}: test accuracy, %": accuracy(found) for name, found in done.items()}


RECIPE = ExactYinYang()
