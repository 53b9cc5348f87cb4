"""Spoken digits as spikes of a model ear, trained by EventProp with a loss weighted over time.

The network and settings of Nowotny, Turner and Knight, "Loss shaping enhances exact gradient
learning with EventProp" (2025), for the Spiking Heidelberg Digits, on the Free Spoken Digits as a
model of the inner ear hears them: 700 channels, ten classes.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.speech import DT, SpeechRecipe, SpeechSettings
from spikewright.recipes.core.trials import ACCURACY


class EventPropSpokenDigitsSettings(SpeechSettings):
    """Those of all speech, and the trial."""

    steps: int = Field(1000, ge=1)
    """time steps of 1 ms; 99 % of the clips are shorter than 1 s"""
    input_mean: float = 0.004
    """mean of the first input weights"""
    input_sd: float = Field(0.04, ge=0)
    """their standard deviation"""
    validation: int | str = 5
    """takes of each digit and speaker that are held out of training, or the name of a speaker"""


class EventPropSpokenDigits(SpeechRecipe):
    """The recipe `eventprop-spoken-digits`."""

    title = "EventProp: spoken digits"
    Settings = EventPropSpokenDigitsSettings
    classes = 10
    sizes = {"small": {}, "full": {"epochs": 300}}  # noqa: RUF012 - a constant
    figures = (Figure(ACCURACY, 94.0, "a linear read-out of spike counts on the same data"),)

    def data(self, settings: EventPropSpokenDigitsSettings) -> Any:
        return sw.data.SpokenDigitSpikes(
            DT,
            settings.steps,
            exact=True,
            validation=settings.validation,
            limit=settings.recordings,
        )


RECIPE = EventPropSpokenDigits()
