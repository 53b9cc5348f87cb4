"""What the recipes with after-hyperpolarising neurons share: the networks and how they learn.

One recurrent layer of `AHPLIF`, some of which have no such current, and a readout that is asked
at the end, during a cue. Beside it the same network without any such current, and an LSTM of
about as many parameters; all three see the same inputs and are trained alike.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field

import spikewright as sw
from spikewright.coding import Last
from spikewright.learning import DeepR, Surrogate
from spikewright.learning.regularisers import UpperRate
from spikewright.recipes.core.baselines import LSTM, lstm_units
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.trials import ACCURACY, train_each

LAYER = "1_recurrent"
RATE = "mean firing rate, Hz"
AHEAD_OF_LIF = "test accuracy, AHP minus LIF, points"
WAYS = {
    "AHP": {"model": "ahp"},
    "LIF": {"model": "lif"},
    "LSTM": {"model": "lstm"},
}


class MemorySettings(RunSettings):
    """Neurons and training."""

    batch_size: int = Field(128, ge=1)
    """samples a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads"""
    model: Literal["ahp", "lif", "lstm"] = "ahp"
    """after-hyperpolarising neurons, the same without that current, or an LSTM of equal size"""
    compare: bool = True
    """whether to train the other two as well"""
    hidden: int = Field(200, ge=1)
    """spiking neurons"""
    share: float = Field(0.5, ge=0, le=1)
    """of them that have the slow current"""
    tau_mem: float = Field(140e-3, gt=0)
    """time constant of membranes, s"""
    tau_ahp: float = Field(1.4, gt=0)
    """time constant of the slow current, s"""
    tau_out: float = Field(560e-3, gt=0)
    """time constant of the readout, s"""
    beta: float = Field(0.1, gt=0)
    """what a spike takes off the current, where 1 a step lifts a membrane to its threshold"""
    width: float = Field(1.0, gt=0)
    """of the triangular surrogate, in thresholds"""
    damping: float = Field(0.3, gt=0)
    """height of the surrogate"""
    rate: float = Field(0.03, gt=0, lt=1)
    """spikes a step and neuron that the first weights are scaled to"""
    most: float = Field(10.0, gt=0)
    """mean firing rate of a neuron that costs nothing, Hz"""
    strength: float = Field(1.0, ge=0)
    """weight of the cost of higher rates"""
    learning_rate: float = Field(5e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    clip: float = Field(1.0, gt=0)
    """greatest norm of the gradient"""
    density: float | None = Field(None, gt=0, le=1)
    """share of active connections, kept by DEEP R; all are active if not set"""
    l1: float = Field(1e-2, ge=0)
    """pull of active connections to zero under DEEP R"""


S = TypeVar("S", bound=MemorySettings)


class MemoryRecipe(Recipe[S]):
    """A recipe that compares networks by what they remember until the cue."""

    @abstractmethod
    def dt(self, settings: S) -> float:
        """Time step, s."""

    @abstractmethod
    def steps(self, settings: S) -> int:
        """Time steps of a sample, the cue included."""

    @abstractmethod
    def inputs(self, settings: S) -> int:
        """Features of the input."""

    @abstractmethod
    def outputs(self, settings: S) -> int:
        """Classes."""

    def network(self, settings: S) -> sw.Network:
        dt, n = self.dt(settings), settings.hidden
        inputs, outputs = self.inputs(settings), self.outputs(settings)
        if settings.model == "lstm":
            units = lstm_units(inputs, outputs, n * (inputs + 1 + n) + outputs * (n + 1))
            return sw.Sequential(
                LSTM(inputs, units, self.steps(settings)), sw.Linear(units, outputs), dt=dt
            )
        slow = round(settings.share * n) if settings.model == "ahp" else 0
        cells = sw.AHPLIF(
            tau_mem=settings.tau_mem,
            tau_ahp=settings.tau_ahp,
            beta=torch.where(torch.arange(n) < slow, settings.beta, 0.0),
            r=1 / (1 - torch.exp(torch.tensor(-dt / settings.tau_mem))),
            firing=sw.Firing("subtract"),
            surrogate=sw.surrogate.Triangular(width=settings.width, scale=settings.damping),
        )
        return sw.Sequential(
            sw.Linear(inputs, n),
            sw.Recurrent(cells),
            sw.Linear(n, outputs),
            sw.LI(tau_mem=settings.tau_out),
            dt=dt,
        )

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        if settings.model != "lstm":
            sw.aim_rates(network, self.first_batch(data, settings), settings.rate)

    def rule(self, settings: S) -> Surrogate:
        options: dict[str, Any] = {}
        if settings.model != "lstm":
            free = settings.most * self.dt(settings)
            cost = UpperRate(strength=settings.strength, maximum=free, unit="step", over_batch=True)
            options["regularisers"] = (cost,) if settings.strength else ()
            if settings.density is not None:
                options["rewiring"] = DeepR(settings.density, l1=settings.l1, seed=settings.seed)
        return Surrogate(
            decoder=Last(),
            learning_rate=settings.learning_rate,
            schedule="cosine",
            clip=settings.clip,
            **options,
        )

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        ways = WAYS if settings.compare else {"AHP": WAYS["AHP"]}
        done = train_each(self, settings, folder, ways, resume=resume, progress=progress)
        values = done["AHP"].metrics() | self.describe(done["AHP"])
        for name in ways.keys() - {"AHP"}:
            found = done[name].metrics() | self.describe(done[name])
            values |= {f"{name}: {metric}": value for metric, value in found.items()}
        if settings.compare:
            values[AHEAD_OF_LIF] = values[ACCURACY] - values[f"LIF: {ACCURACY}"]
        return values

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        return self.describe(outcome)

    def describe(self, outcome: Outcome) -> dict[str, float]:
        """The rate of the spiking neurons on the test set, and the number of parameters."""
        parts = outcome.parts
        size = {"parameters": float(sum(p.numel() for p in parts.network.parameters()))}
        if LAYER not in outcome.test.metrics.get("rates", {}):
            return size
        rate = float(outcome.test.metrics["rates"][LAYER])
        return {
            RATE: rate / parts.network.dt,
            "spikes a neuron and sample": rate * parts.data.test.steps,
            **size,
        }
