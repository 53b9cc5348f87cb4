"""Beats of electrocardiograms with after-hyperpolarising neurons that fire sparsely.

The network of `sequential-mnist` on crossings of levels by a heart's signal, with a cue that asks
for the kind of beat. Sets: `spikewright.data.ECG5000`, `ECG200` and `ECGRecord100`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

import spikewright as sw
from spikewright.coding import Chain, Crossing, Cue
from spikewright.recipes.core.memory import RATE, MemoryRecipe, MemorySettings
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.trials import ACCURACY

DT = 1e-3
RECALL = "mean recall of the classes, %"
SETS: dict[str, type[Any]] = {
    "ecg5000": sw.data.ECG5000,
    "ecg200": sw.data.ECG200,
    "record-100": sw.data.ECGRecord100,
}


class ECGSettings(MemorySettings):
    """Beats and how they are shown; neurons and training."""

    epochs: int = Field(30, ge=1)
    """passes over the training beats"""
    batch_size: int = Field(32, ge=1)
    """beats a step"""
    beats: Literal["ecg5000", "ecg200", "record-100"] = "ecg5000"
    """which set"""
    limit: int | None = Field(None, ge=1)
    """at most that many beats of each split; all if not set"""
    levels: int = Field(13, ge=2)
    """thresholds from -3 to 3 standard deviations of a beat, each with two inputs"""
    cue: int = Field(20, ge=1)
    """steps at the end that ask for the answer"""
    hidden: int = Field(100, ge=1)
    """spiking neurons"""
    tau_mem: float = Field(20e-3, gt=0)
    """time constant of membranes, s"""
    tau_ahp: float = Field(200e-3, gt=0)
    """time constant of the slow current, s"""
    tau_out: float = Field(20e-3, gt=0)
    """time constant of the readout, s"""
    beta: float = Field(0.02, gt=0)
    """what a spike takes off the current, where 1 a step lifts a membrane to its threshold"""
    damping: float = Field(0.1, gt=0)
    """height of the surrogate; with 0.3 gradients through 160 steps grow and nothing is learned"""
    strength: float = Field(30.0, ge=0)
    """weight of the cost of higher rates"""
    learning_rate: float = Field(3e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""


class ECG(MemoryRecipe[ECGSettings]):
    """The recipe `ecg`."""

    title = "Beats of electrocardiograms with after-hyperpolarising neurons"
    Settings = ECGSettings
    sizes = {"small": {}, "full": {"epochs": 200, "hidden": 200}}  # noqa: RUF012 - a constant
    seeds = {"small": 3, "full": 10}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 90.0, "target of this project"),
        Figure(RATE, 10.0, "target of this project", "lower"),
    )

    def dt(self, settings: ECGSettings) -> float:
        return DT

    def steps(self, settings: ECGSettings) -> int:
        return SETS[settings.beats].length + settings.cue

    def inputs(self, settings: ECGSettings) -> int:
        return 2 * settings.levels + 1

    def outputs(self, settings: ECGSettings) -> int:
        return len(SETS[settings.beats].classes)

    def data(self, settings: ECGSettings) -> Any:
        kind = SETS[settings.beats]
        levels = torch.linspace(-3, 3, settings.levels).tolist()
        crossing = Crossing(kind.length, DT, thresholds=levels)
        code = Chain((crossing, Cue(self.steps(settings), DT)))
        return kind(code, limit=settings.limit)

    def describe(self, outcome: Outcome) -> dict[str, float]:
        """Besides, the share of each class that was found, averaged over those that occur."""
        counts = outcome.test.confusion
        assert counts is not None
        occurs = counts.sum(1) > 0
        recall = counts.diagonal()[occurs] / counts.sum(1)[occurs]
        return {RECALL: 100 * float(recall.mean()), **super().describe(outcome)}


RECIPE = ECG()
