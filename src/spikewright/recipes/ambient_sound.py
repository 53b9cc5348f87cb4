"""Ambient sound: which of four backgrounds is heard, with other sounds in front of it.

After Bos and Muir, "Sub-mW neuromorphic SNN audio processing applications with Rockpool and Xylo"
(2022), who tell apart the home, car, street and cafe of QUT-NOISE. That set is not at hand; the
four backgrounds are rain, helicopter, chainsaw and fire crackling of ESC-10, with clips of its
other six classes in front. The set's own five folds keep sources apart.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

import spikewright as sw
from spikewright.data.esc10 import BACKGROUNDS, FOLDS
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.sound import (
    SoundRecipe,
    SoundSettings,
    over_latency,
    streamed,
    streaming_metrics,
)
from spikewright.recipes.core.trials import train_each

LATENCIES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Times from a clip's beginning to the decision, s."""
CLIP, WINDOW = "per clip, %", "per 1 s window, %"
CNN = "CNN: "
AHEAD = "per 1 s window, SynNet minus CNN, points"
QUANTISED = "per clip, quantised on the twin minus float, points"
MODELS = {"synnet": "", "cnn": CNN}


class AmbientSoundSettings(SoundSettings):
    """Those of all sounds, and the scenes."""

    epochs: int = Field(300, ge=1)
    """passes over the training clips"""
    front_end: Literal["levels", "loudness", "modulation", "xylo"] = "modulation"
    """what hears the clips: backgrounds differ in rhythm and roughness more than in colour"""
    lead: float = Field(2.0, ge=0)
    """length of sound before each sample, s, at most ``length``: the network learns in a stream"""
    hidden: tuple[int, ...] = (64, 64)
    """neurons of SynNet's layers"""
    synapses: tuple[int, ...] = (4, 8)
    """time constants of each of them"""
    dropout: float = Field(0.2, ge=0, lt=1)
    """share of SynNet's spikes that is left out in training"""
    rate: int = Field(44100, ge=1000)
    """sampling rate that clips are brought to, Hz"""
    learning_rate: float = Field(5e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    fold: int = Field(1, ge=1, le=FOLDS)
    """fold that is tested on; `reproduce` tests on each in turn"""
    snr: tuple[float, float] = (5.0, 20.0)
    """range of background over foreground, dB"""
    target: str | None = "xylo-audio2"
    """where SynNet goes; nowhere if not set"""
    loop_epochs: int = Field(0, ge=0)
    """epochs trained on with the target in the forward pass; 0 to leave it out"""
    compare: bool = True
    """whether the CNN is trained too"""


class AmbientSound(SoundRecipe[AmbientSoundSettings]):
    """The recipe `ambient-sound`."""

    title = "Ambient sound: four backgrounds with SynNet"
    Settings = AmbientSoundSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {"epochs": 600, "copies": 32, "hidden": (64, 64, 64), "synapses": (2, 4, 8)},
    }
    seeds = {"small": 1, "full": 5}  # noqa: RUF012 - a constant
    figures = (
        Figure(CLIP, 95.0, "target of this project; 98 % by Bos and Muir on QUT-NOISE"),
        Figure(AHEAD, 0.0, "target of this project: the same front end without spikes"),
        Figure(QUANTISED, -1.0, "target of this project"),
    )
    sweeps = (over_latency({"SynNet": "", "CNN": CNN}),)

    def outputs(self, settings: AmbientSoundSettings) -> int:
        return len(BACKGROUNDS)

    def data(self, settings: AmbientSoundSettings) -> Any:
        return sw.data.AmbientScenes(
            self.ear(settings),
            snr=settings.snr,
            seconds=settings.length,
            fold=settings.fold,
            copies=settings.copies,
            augment=self.augment(settings),
            window=settings.window,
            lead=self.lead(settings),
        )

    def fit_options(self, settings: AmbientSoundSettings) -> dict[str, Any]:
        # No fold is spent on choosing an epoch: the last one counts.
        return super().fit_options(settings) | {"keep": "last"}

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        say("hearing the test clips as one stream")
        return streaming_metrics(*streamed(outcome), outcome.parts.network.dt, LATENCIES)

    def measure(
        self,
        settings: AmbientSoundSettings,
        folder: Path,
        *,
        resume: bool | str,
        progress: bool,
    ) -> dict[str, float]:
        models = MODELS if settings.compare else {"synnet": ""}
        changes = {
            f"{model}, fold {fold}": {"model": model, "fold": fold}
            for model in models
            for fold in range(1, FOLDS + 1)
        }
        done = train_each(self, settings, folder, changes, resume=resume, progress=progress)
        found = {name: self.explore(outcome) for name, outcome in done.items()}
        values: dict[str, float] = {}
        for model, said in models.items():
            folds = [found[f"{model}, fold {fold}"] for fold in range(1, FOLDS + 1)]
            values |= {
                said + metric: statistics.fmean(fold[metric] for fold in folds)
                for metric in folds[0]
            }
        values |= {f"fold {k}: {CLIP}": found[f"synnet, fold {k}"][CLIP] for k in range(1, 6)}
        if settings.target is not None:
            runs = [done[f"synnet, fold {fold}"].stages for fold in range(1, FOLDS + 1)]
            lost = [stages[1].accuracy - stages[0].accuracy for stages in runs]
            values[QUANTISED] = statistics.fmean(lost)
        if settings.compare:
            values[AHEAD] = values[WINDOW] - values[CNN + WINDOW]
        return values


RECIPE = AmbientSound()
