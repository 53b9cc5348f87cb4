"""Keywords with WaveSense, as Weidel and Sheik (arXiv 2111.01456, 2021) spot them.

``small``: the three keywords of the Wake Word Benchmark, five folds over all 180 clips, in place of
the paper's "Aloha" and "Hey Snips", which are not at hand. ``full``: the 35 words of Speech
Commands in the publisher's split.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

import spikewright as sw
from spikewright.data.keywords import FOLDS
from spikewright.data.speech_commands import WORDS
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.trials import ACCURACY, train_each
from spikewright.recipes.core.words import MODELS, WordRecipe, WordSettings, compared

RATE = 16000
"""Sampling rate of the recordings, Hz."""
CHUNK = 7
"""Steps that reach a stream at a time; no divisor of a clip's, so that the last piece is short."""
DIFFER = "streamed outputs that differ from those of whole clips"
TARGET = "target of this project; the paper has 98.0 % on Aloha, 99.6 % on Hey Snips"
PAPER = "Weidel and Sheik, 79.5 +- 0.3 %"


class KeywordsSettings(WordSettings):
    """Those of all words, and which words."""

    task: Literal["keywords", "speech-commands"] = "keywords"
    """three keywords, or the 35 words of Speech Commands"""
    fold: int = Field(0, ge=0, lt=FOLDS)
    """fold of the keywords that is tested on; `reproduce` tests on each in turn"""
    epochs: int = Field(15, ge=1)
    """passes over the training clips"""
    batch_size: int = Field(16, ge=1)
    """clips a step"""
    length: float = Field(3.1, gt=0)
    """length that clips are brought to, s"""
    bands: int = Field(16, ge=1)
    """filters of the front end"""


class Keywords(WordRecipe[KeywordsSettings]):
    """The recipe `keywords`."""

    title = "Keywords with WaveSense"
    Settings = KeywordsSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {
            "task": "speech-commands",
            "length": 1.0,
            "bands": 64,
            "channels": 64,
            "skip": 64,
            "hidden": 128,
            "dilations": (2, 4, 8, 16, 2, 4, 8, 16),
            "batch_size": 256,
            "epochs": 60,
        },
    }
    seeds = {"small": 1, "full": 3}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 97.0, TARGET, sizes=("small",)),
        Figure(ACCURACY, 79.5, PAPER, sizes=("full",)),
        Figure(DIFFER, 0.0, "target of this project", "lower"),
    )

    def outputs(self, settings: KeywordsSettings) -> int:
        return len(WORDS if settings.task == "speech-commands" else sw.data.Keywords.classes)

    def data(self, settings: KeywordsSettings) -> Any:
        options: dict[str, Any] = {
            "seconds": settings.length,
            "copies": settings.copies,
            "augment": self.augment(settings),
        }
        ear = self.ear(settings, RATE)
        if settings.task == "speech-commands":
            return sw.data.SpeechCommands(ear, **options)
        return sw.data.Keywords(ear, fold=settings.fold, **options)

    def fit_options(self, settings: KeywordsSettings) -> dict[str, Any]:
        # No fold is spent on choosing an epoch: the last one counts.
        keep = "best" if settings.task == "speech-commands" else "last"
        return super().fit_options(settings) | {"keep": keep}

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        say("hearing test words as streams")
        split = outcome.parts.data.test
        x, _ = split.batch(list(range(min(len(split), 256))))
        differ = float(streamed_differences(outcome.parts.network, x))
        return super().explore(outcome, say) | {DIFFER: differ}

    def measure(
        self, settings: KeywordsSettings, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        how = {"resume": resume, "progress": progress}
        if settings.task == "speech-commands":
            done = self.train_models(settings, folder, **how)
            return compared({n: one.metrics() | self.explore(one) for n, one in done.items()})
        models = MODELS if settings.compare else {"WaveSense": "wavesense"}
        changes = {
            f"{name}, fold {fold}": {"model": model, "fold": fold}
            for name, model in models.items()
            for fold in range(FOLDS)
        }
        folds = train_each(self, settings, folder, changes, **how)
        found = {name: one.metrics() | self.explore(one) for name, one in folds.items()}
        means = {
            name: averaged([found[f"{name}, fold {fold}"] for fold in range(FOLDS)])
            for name in models
        }
        each = {f"fold {k}: {ACCURACY}": found[f"WaveSense, fold {k}"][ACCURACY] for k in range(5)}
        return compared(means) | each


def averaged(folds: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over folds of one size; of differences the sum."""
    values = {metric: statistics.fmean(fold[metric] for fold in folds) for metric in folds[0]}
    return values | {DIFFER: sum(fold[DIFFER] for fold in folds)}


def streamed_differences(network: sw.Network, x: torch.Tensor) -> int:
    """How many outputs change if sound comes in pieces and the state is handed on.

    Args:
        x: (time, batch, channels).
    """
    network.eval()
    with torch.no_grad():
        whole, state, parts = network(x)[0], None, list[torch.Tensor]()
        for piece in x.split(CHUNK):
            y, state = network(piece, state)
            parts.append(y)
    return int((torch.cat(parts) != whole).sum())


RECIPE = Keywords()
