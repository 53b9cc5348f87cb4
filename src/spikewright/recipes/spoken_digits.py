"""Spoken digits with WaveSense, beside an LSTM and a CNN of as many parameters.

The Free Spoken Digits in their official split: takes 0 to 4 of each digit and speaker test; the
last five of the others choose the epoch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.trials import ACCURACY
from spikewright.recipes.core.words import WordRecipe, WordSettings, compared

AHEAD = "test accuracy, WaveSense minus LSTM, points"
RATE = 8000
"""Sampling rate of the recordings, Hz."""


class SpokenDigitsSettings(WordSettings):
    """Those of all words, with other defaults for training."""

    epochs: int = Field(100, ge=1)
    """passes over the training clips"""
    copies: int = Field(8, ge=1)
    """versions of each clip to train on"""
    gain: float = Field(12.0, ge=0)
    """by which they are at most louder or quieter, dB; speakers differ by more than 20"""
    colour: float = Field(3.0, ge=0)
    """depth of the random equaliser that they go through, dB; 0 for none"""
    dropout: float = Field(0.05, ge=0, lt=1)
    """share of the blocks' spikes that is left out in training"""
    scale: float = Field(3.0, gt=0)
    """factor on the means in the cross-entropy"""
    learning_rate: float = Field(3e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""


class SpokenDigitsRecipe(WordRecipe[SpokenDigitsSettings]):
    """The recipe `spoken-digits`."""

    title = "Spoken digits with WaveSense"
    Settings = SpokenDigitsSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 150, "copies": 16, "channels": 64, "skip": 64, "hidden": 64},
    }
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 95.0, "target of this project"),
        Figure(AHEAD, 0.0, "target of this project: an LSTM of as many parameters"),
    )

    def outputs(self, settings: SpokenDigitsSettings) -> int:
        return len(sw.data.SpokenDigits.classes)

    def data(self, settings: SpokenDigitsSettings) -> Any:
        return sw.data.SpokenDigits(
            self.ear(settings, RATE),
            seconds=settings.length,
            copies=settings.copies,
            augment=self.augment(settings),
        )

    def measure(
        self,
        settings: SpokenDigitsSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        done = self.train_models(settings, folder, resume=resume, progress=progress)
        return compared({name: one.metrics() | self.explore(one) for name, one in done.items()})


RECIPE = SpokenDigitsRecipe()
