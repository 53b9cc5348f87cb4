"""Yin-Yang on the emulated BrainScaleS-2 chip: deployed, calibrated, and with it in the loop.

The network of `yin-yang` is trained in software, runs on a chip with 6-bit weights, circuits that
differ from each other and temporal noise, and is trained on with the chip in the forward pass
(Spilger et al., "hxtorch.snn", arXiv:2212.12210). The chip is this package's twin of it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import Field

from spikewright.recipes.core.hardware import Deployment
from spikewright.recipes.core.recipe import Figure
from spikewright.recipes.core.run import run
from spikewright.recipes.yin_yang import YinYang, YinYangSettings

SOFTWARE = "software: test accuracy, %"
PLAIN = "on the chip, not calibrated: test accuracy, %"
CALIBRATED = "on the chip, calibrated: test accuracy, %"
LOOP = "on the chip, calibrated, in the loop: test accuracy, %"
PLAIN_LOOP = "on the chip, not calibrated, in the loop: test accuracy, %"
OVER_PLAIN = "in the loop minus not calibrated, points"
OVER_CALIBRATED = "in the loop minus calibrated, points"
REPORTED = "reported; chance is 33.3 %"


class YinYangBrainScaleS2Settings(YinYangSettings):
    """Data, neurons, training in software, the chip, and training in the loop."""

    loop_epochs: int = Field(20, ge=1)
    """passes over the training points with the chip in the loop"""


class YinYangBrainScaleS2(YinYang):
    """The recipe `yin-yang-brainscales2`."""

    title = "Yin-Yang on BrainScaleS-2 (twin)"
    Settings = YinYangBrainScaleS2Settings
    sizes = {"small": {}, "full": {"epochs": 300, "loop_epochs": 100}}  # noqa: RUF012 - a constant
    figures = (
        Figure(SOFTWARE, 97.0, "plain PyTorch, same network: 97.0 to 97.6 %"),
        Figure(PLAIN, 33.3, REPORTED),
        Figure(CALIBRATED, 33.3, REPORTED),
        Figure(LOOP, 95.0, "target of this project; a chip loses 1 to 3 points, from memory"),
        Figure(OVER_PLAIN, 2.0, "target of this project"),
        Figure(OVER_CALIBRATED, 0.0, "target of this project"),
        Figure(PLAIN_LOOP, 33.3, REPORTED),
    )

    def deployments(self, settings: YinYangSettings) -> tuple[Deployment, ...]:
        """Those of `yin-yang`, each with the chip in the loop afterwards."""
        loop = self.loop(settings)
        return tuple(replace(found, loop=loop) for found in super().deployments(settings))

    def measure(
        self, settings: YinYangSettings, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        # Each seed is also another chip.
        settings = settings.model_copy(update={"chip_seed": settings.chip_seed + settings.seed})
        outcome = run(self, settings, folder, resume=resume, progress=progress)
        values = outcome.metrics()
        values[SOFTWARE] = values["test accuracy, %"]
        values[OVER_PLAIN] = values[LOOP] - values[PLAIN]
        values[OVER_CALIBRATED] = values[LOOP] - values[CALIBRATED]
        return values


RECIPE = YinYangBrainScaleS2()
