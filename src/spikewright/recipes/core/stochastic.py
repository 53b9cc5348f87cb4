"""What the recipes of stochastic backpropagation share: streams, the ANN beside them, a sweep.

Biswas, Saraswat, Ganguly, arXiv:2207.09755, 2022: as accurate as an ANN of the same size, and the
closer the longer the streams.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, PositiveInt

import spikewright as sw
from spikewright.learning.rule import Rule
from spikewright.learning.stochastic import draw_weights
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.say import Say, silent
from spikewright.recipes.core.sweep import PLACE, Sweep
from spikewright.recipes.core.trials import ACCURACY, accuracy, train_each
from spikewright.training import evaluate

DT = 1e-3
ANN = f"ANN of the same size: {ACCURACY}"
GAP = "ANN - streams, points of test accuracy"
EPOCH = "time an epoch, s"
AT = f"sweep, T = {PLACE}: {ACCURACY}"
SWEEP_ANN = f"sweep, ANN: {ACCURACY}"
TRAINED_AT = f"evaluated with T = {PLACE}: {ACCURACY}"
SLOPE = "gap of the sweep times sqrt(T), points"
WANTED = "target of this project"
FULL: dict[str, Any] = {
    "epochs": 30,
    "hidden": 400,
    "steps": 64,
    "sweep": (4, 8, 16, 32, 64, 128, 256, 512, 1024),
    "sweep_images": None,
    "sweep_epochs": 6,
}
"""Settings of the full size."""


class StochasticSettings(RunSettings):
    """Data, network and training."""

    epochs: int = Field(6, ge=1)
    """passes over the training images"""
    batch_size: int = Field(50, ge=1)
    """images a step"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    hidden: int = Field(100, ge=1)
    """hidden neurons"""
    steps: int = Field(32, ge=1)
    """length of the streams, T"""
    trained_on: Literal["streams", "means"] = "streams"
    """streams, or by autograd on their means: the ANN"""
    form: Literal["causal", "whole"] = "causal"
    """means over the steps so far, or over all steps at once, which is faster"""
    readout: Literal["spikes", "potential"] = "spikes"
    """class by the output that fires most, or has the greatest mean"""
    scale: float = Field(1.0, gt=0)
    """what an error spike of a hidden layer stands for"""
    learning_rate: float = Field(0.3, gt=0)
    """of plain gradient descent, at the start; falls to zero along a cosine"""
    sweep: tuple[PositiveInt, ...] = (4, 8, 16, 32, 64, 128)
    """lengths of streams to compare"""
    sweep_images: int | None = Field(12000, ge=1)
    """images of each split in that comparison; all if not set"""
    sweep_epochs: int = Field(3, ge=1)
    """passes over them"""


S = TypeVar("S", bound=StochasticSettings)


class StochasticRecipe(Recipe[S]):
    """Images as streams, trained by `sw.learning.Stochastic`, beside the ANN."""

    sweeps = (
        Sweep(
            "Accuracy over the length of streams",
            "length of the streams, T",
            ACCURACY,
            {"trained with each T": AT, "ANN": SWEEP_ANN},
            "A network trained and tested with each T, beside the ANN of the same size that "
            "endless streams would be: the longer the streams, the smaller the gap.",
        ),
        Sweep(
            "Accuracy over the length of test streams",
            "length of the streams, T",
            ACCURACY,
            {"this network": TRAINED_AT},
            "The trained network, tested with streams of other lengths.",
        ),
    )

    @abstractmethod
    def images(self, settings: S) -> Any:
        """The class of the data set."""

    def data(self, settings: S) -> Any:
        made: dict[str, Any] = {"steps": settings.steps, "dt": DT}
        return self.images(settings)(**made, validation=settings.validation, limit=settings.images)

    def network(self, settings: S) -> sw.Network:
        return sw.Sequential(
            sw.Linear(784, settings.hidden),
            sw.StochasticReLU(),
            sw.Linear(settings.hidden, len(self.images(settings).classes)),
            sw.SoftmaxWinner(),
            dt=DT,
        )

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        draw_weights(network)

    def rule(self, settings: S) -> Rule:
        how: dict[str, Any] = {"learning_rate": settings.learning_rate, "schedule": "cosine"}
        if settings.trained_on == "means":
            return sw.learning.StochasticLimit(**how)
        return sw.learning.Stochastic(
            form=settings.form, scale=settings.scale, readout=settings.readout, **how
        )

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        parts, settings = outcome.parts, outcome.parts.settings
        assert isinstance(settings, StochasticSettings)
        if settings.trained_on == "means":
            return {}
        found: dict[str, float] = {}
        for t in sorted({*settings.sweep, settings.steps}):
            say(f"test images in {t} steps")
            split = parts.recipe.data(settings.model_copy(update={"steps": t})).test
            done = evaluate(
                parts.network,
                split,
                parts.rule,
                rule_state=outcome.fit.rule_state,
                seed=settings.seed,
            )
            found[TRAINED_AT.replace(PLACE, str(t))] = 100 * float(done.metrics["accuracy"])
        return found

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        how: dict[str, Any] = {"resume": resume, "progress": progress}
        means = {"trained_on": "means"}
        pair = train_each(self, settings, folder, {"streams": {}, "ann": means}, **how)
        short = {"images": settings.sweep_images, "epochs": settings.sweep_epochs}
        short |= {"validation": min(settings.validation, 1000)}
        changes: dict[str, dict[str, Any]] = {"sweep-ann": {**short, **means}}
        changes |= {f"sweep-{t}": {**short, "steps": t} for t in settings.sweep}
        swept = train_each(self, settings, folder, changes, **how)
        ann = accuracy(swept.pop("sweep-ann"))
        return compare(pair) | curve(dict(zip(settings.sweep, swept.values(), strict=True)), ann)


def compare(pair: Mapping[str, Outcome]) -> dict[str, float]:
    """Accuracies of ``streams`` and ``ann``, their gap, and the time an epoch of streams."""
    streams, ann = accuracy(pair["streams"]), accuracy(pair["ann"])
    values = {ACCURACY: streams, ANN: ann, GAP: ann - streams}
    return values | {EPOCH: pair["streams"].epoch_seconds}


def curve(swept: Mapping[int, Outcome], ann: float) -> dict[str, float]:
    """Accuracy over the length of streams, and the least-squares c of gap = c / sqrt(T)."""
    found = {t: accuracy(outcome) for t, outcome in swept.items()}
    values = {AT.replace(PLACE, str(t)): value for t, value in found.items()}
    weighted = sum((ann - value) / math.sqrt(t) for t, value in found.items())
    slope = weighted / sum(1 / t for t in found) if found else 0.0
    return values | {SWEEP_ANN: ann, SLOPE: slope}
