"""A folder of your own recordings, one folder a class: train, compile for a chip, report.

No reference of the literature: what is reached depends on the recordings.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

import spikewright as sw
from spikewright.errors import SettingsError
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.sound import (
    SIZES,
    SoundRecipe,
    SoundSettings,
    over_latency,
    streamed,
    streaming_metrics,
)


class FolderSettings(SoundSettings):
    """Those of all sounds, and the folder."""

    path: str | None = None
    """the folder with a folder of recordings for each class"""
    length: float = Field(1.0, gt=0)
    """length that clips are brought to, s"""
    window: float | None = Field(None, gt=0)
    """length of the pieces of clips that are trained on, s; whole clips if not set"""
    lead: float = Field(1.0, ge=0)
    """length of sound before each sample, s, at most ``length``: the network learns in a stream"""
    folds: int = Field(5, ge=3)
    """equal parts of the clips: one tests, one validates, the rest trains"""
    fold: int = Field(0, ge=0)
    """which one tests"""
    on_error: Literal["refuse", "skip"] = "refuse"
    """whether a clip that cannot be used ends the run or is left out and named"""


class Folder(SoundRecipe[FolderSettings]):
    """The recipe `folder`."""

    title = "Recordings in a folder"
    Settings = FolderSettings
    sizes = SIZES
    seeds = {"small": 1, "full": 1}  # noqa: RUF012 - a constant
    sweeps = (over_latency({"network": ""}),)

    def outputs(self, settings: FolderSettings) -> int:
        return len(self.data(settings).classes)

    def data(self, settings: FolderSettings) -> Any:
        if settings.path is None:
            raise SettingsError(
                "recipe folder: path must name a folder with a folder of recordings for each "
                "class, got none. Pass it: spikewright run folder PATH."
            )
        return sw.data.AudioFolder(
            settings.path,
            self.ear(settings),
            seconds=settings.length,
            folds=settings.folds,
            fold=settings.fold,
            copies=settings.copies,
            augment=self.augment(settings),
            seed=settings.seed,
            window=settings.window,
            on_error=settings.on_error,
            lead=self.lead(settings),
        )

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        say("hearing the test clips as one stream")
        seconds = outcome.parts.data.steps * outcome.parts.data.dt
        latencies = [t for t in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if t <= seconds]
        return streaming_metrics(*streamed(outcome), outcome.parts.network.dt, latencies)


RECIPE = Folder()
