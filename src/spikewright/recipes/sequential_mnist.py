"""Sequential MNIST with after-hyperpolarising neurons: an image row by row, or pixel by pixel.

Rao, Plank, Wild and Maass, "A long short-term memory for AI applications in spike-based
neuromorphic hardware", Nature Machine Intelligence 4, 2022. There pixels come one each
millisecond, as crossings of 40 thresholds, and a cue of 56 ms asks for the answer. Here ``full``
does so; in ``small`` an image lasts as long, 784 ms, but comes as 28 rows of 28 currents.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

import spikewright as sw
from spikewright.coding import Chain, Crossing, Cue, Serial
from spikewright.recipes.core.memory import RATE, MemoryRecipe, MemorySettings
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.trials import ACCURACY

PIXEL = 1e-3
"""Time that a pixel takes, s."""
SIDE = 28
LEVELS = 40
PAPER = "Rao et al., 8-bit weights: 93.5 +- 1 %"


class SequentialMNISTSettings(MemorySettings):
    """Images and how they are shown; neurons and training."""

    epochs: int = Field(10, ge=1)
    """passes over the training images"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    code: Literal["rows", "pixels"] = "rows"
    """28 currents at a time, or crossings of 40 thresholds by one pixel after another"""
    repeat: int = Field(1, ge=1)
    """steps that a row lasts, of 28 ms together"""
    cue: int = Field(8, ge=1)
    """steps at the end that ask for the answer"""


class SequentialMNIST(MemoryRecipe[SequentialMNISTSettings]):
    """The recipe `sequential-mnist`."""

    title = "Sequential MNIST with after-hyperpolarising neurons"
    Settings = SequentialMNISTSettings
    sizes = {  # noqa: RUF012 - a constant
        "small": {},
        "full": {
            "code": "pixels",
            "cue": 56,
            "epochs": 30,
            "hidden": 240,
            "share": 100 / 240,
            "tau_mem": 20e-3,
            "tau_ahp": 700e-3,
            "tau_out": 20e-3,
            "beta": 0.02,
            "damping": 0.1,
            "density": 0.2,
            "memory": "checkpoint",
        },
    }
    seeds = {"small": 1, "full": 3}  # noqa: RUF012 - a constant
    figures = (
        Figure(ACCURACY, 90.0, "target of this project", sizes=("small",)),
        Figure(ACCURACY, 93.5, PAPER, sizes=("full",)),
        Figure(RATE, 10.0, "target of this project", "lower"),
    )

    def dt(self, settings: SequentialMNISTSettings) -> float:
        return PIXEL if settings.code == "pixels" else SIDE * PIXEL / settings.repeat

    def steps(self, settings: SequentialMNISTSettings) -> int:
        shown = SIDE * SIDE if settings.code == "pixels" else SIDE * settings.repeat
        return shown + settings.cue

    def inputs(self, settings: SequentialMNISTSettings) -> int:
        return 2 * LEVELS if settings.code == "pixels" else SIDE + 1

    def outputs(self, settings: SequentialMNISTSettings) -> int:
        return 10

    def data(self, settings: SequentialMNISTSettings) -> Any:
        dt, cue = self.dt(settings), Cue(self.steps(settings), self.dt(settings))
        steps = self.steps(settings) - settings.cue
        if settings.code == "pixels":
            levels = [k / (LEVELS - 1) for k in range(LEVELS)]
            crossing = Crossing(steps, dt, thresholds=levels, touch=True)
            code = Chain((Serial(steps, dt), crossing, cue))
        else:
            code = Chain((Serial(steps, dt, width=SIDE, repeat=settings.repeat), cue))
        return sw.data.MNIST(code, validation=settings.validation, limit=settings.images)


RECIPE = SequentialMNIST()
