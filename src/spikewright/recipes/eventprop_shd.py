"""The Spiking Heidelberg Digits, 700-256-20 with recurrence, trained by EventProp.

Nowotny, Turner and Knight, "Loss shaping enhances exact gradient learning with EventProp" (2025);
validation by a speaker who is held out of training. The data are fetched when first used.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

import spikewright as sw
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.speech import DT, SpeechRecipe, SpeechSettings
from spikewright.recipes.core.trials import ACCURACY


class EventPropSHDSettings(SpeechSettings):
    """Those of all speech, and the trial."""

    steps: int = Field(1400, ge=1)
    """time steps of 1 ms"""
    speaker: int | None = Field(0, ge=0)
    """training speaker who is held out for validation"""


class EventPropSHD(SpeechRecipe):
    """The recipe `eventprop-shd`."""

    title = "EventProp: the Spiking Heidelberg Digits"
    Settings = EventPropSHDSettings
    classes = 20
    sizes = {"small": {}, "full": {"epochs": 300}}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 82.0, "84.8 +- 1.5 % in 2022, from memory", sizes=("full",)),
        Figure(ACCURACY, 70.0, "target of this project after 20 epochs", sizes=("small",)),
    )

    def data(self, settings: EventPropSHDSettings) -> Any:
        return sw.data.SHD(
            DT,
            settings.steps,
            exact=True,
            limit=settings.recordings,
            speaker=settings.speaker,
        )


RECIPE = EventPropSHD()
