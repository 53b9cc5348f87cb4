"""Spoken digits as spikes of a model ear, trained by EventProp with a loss weighted over time.

The network and settings of Nowotny, Turner and Knight, "Loss shaping enhances exact gradient
learning with EventProp" (2025), for the Spiking Heidelberg Digits, on the Free Spoken Digits as a
model of the inner ear hears them: 700 channels, ten classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.speech import DT, SpeechRecipe, SpeechSettings
from spikewright.recipes.core.trials import accuracy, train_each

LOSSES = ("exponential", "uniform")
SHAPED, SUM = (f"loss {name}: test accuracy, %" for name in LOSSES)
AHEAD = "exponential minus uniform: test accuracy, points"


class EventPropSpokenDigitsSettings(SpeechSettings):
    """Those of all speech, and the trial."""

    epochs: int = Field(12, ge=1)
    """passes over the training recordings"""
    steps: int = Field(1000, ge=1)
    """time steps of 1 ms; 99 % of the clips are shorter than 1 s"""
    hidden: int = Field(128, ge=1)
    """hidden neurons"""
    recurrent: bool = False
    """whether hidden neurons reach each other"""
    scale: float = Field(100.0, gt=0)
    """factor on integrals or peaks in the loss"""
    input_mean: float = 0.002
    """mean of the first input weights"""
    input_sd: float = Field(0.06, ge=0)
    """their standard deviation: so wide that each neuron hears something else"""
    shift: int = Field(10, ge=0)
    """greatest move of a training recording along the channels"""
    spikes_strength: float = Field(0.0, ge=0)
    """how strongly hidden neurons are held to the number of spikes aimed at"""
    validation: int | str = 5
    """takes of each digit and speaker that are held out of training, or the name of a speaker"""


class EventPropSpokenDigits(SpeechRecipe):
    """The recipe `eventprop-spoken-digits`."""

    title = "EventProp: spoken digits"
    Settings = EventPropSpokenDigitsSettings
    classes = 10
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 300, "hidden": 256, "recurrent": True},
    }
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(SHAPED, 90.0, "target of this project; 94 by a linear read-out of the spikes"),
        Figure(SUM, 10.0, "reported; chance is 10"),
        Figure(AHEAD, 5.0, "target of this project, after the authors' notes on SHD"),
    )

    def data(self, settings: EventPropSpokenDigitsSettings) -> Any:
        return sw.data.SpokenDigitSpikes(
            DT,
            settings.steps,
            exact=True,
            validation=settings.validation,
            limit=settings.recordings,
        )

    def measure(
        self,
        settings: EventPropSpokenDigitsSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        changes = {name: {"loss": name} for name in LOSSES}
        done = train_each(self, settings, folder, changes, resume=resume, progress=progress)
        shaped, plain = (accuracy(done[name]) for name in LOSSES)
        return {SHAPED: shaped, SUM: plain, AHEAD: shaped - plain}


RECIPE = EventPropSpokenDigits()
