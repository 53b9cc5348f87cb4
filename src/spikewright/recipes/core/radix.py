"""What recipes for the FPGA share: train, quantise, fine-tune, compare codes, count clocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

import spikewright as sw
from spikewright.learning import Surrogate
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome, run, threads
from spikewright.recipes.core.sweep import PLACE, Sweep
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.quantising.fine_tune import FineTuning, fine_tune
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.rates import run_rates
from spikewright.targets.fpga.spikes import run_spikes

DT = 1e-3
PART = 500
"""Images that are worked out at once."""
RADIX = "radix: test accuracy, %"
ROUNDED = "radix before fine-tuning: test accuracy, %"
BY_RATE = f"rate, {PLACE} steps: test accuracy, %"
TIMES = "steps from which on the rate code has the accuracy of radix, over those of radix"
CLOCKS = "clocks an image"
DIFFER = "images on which integers, spikes and accelerator differ"


class RadixSettings(RunSettings):
    """Training, numbers, and what is built."""

    batch_size: int = Field(64, ge=1)
    """images a step"""
    images: int | None = Field(None, ge=1)
    """at most that many images of each split; all if not set"""
    validation: int = Field(5000, ge=1)
    """training images held out to choose the best epoch"""
    learning_rate: float = Field(2e-3, gt=0)
    """of Adam, at the start; falls to zero along a cosine"""
    weight_bits: int = Field(3, ge=2, le=8)
    """bits of weights, with the sign"""
    bits: int = Field(4, ge=1, le=8)
    """T: bits of activations, and steps that they take"""
    clip: Literal["error", "sigma", "maximum"] = "error"
    """where weights end"""
    ranges: Literal["error", "percentile", "maximum"] = "error"
    """what the largest activation stands for"""
    margin_bits: int = Field(8, ge=0)
    """biases fit into the bits of weights and activations and so many more"""
    calibrated: int = Field(2000, ge=1)
    """training images that ranges are chosen on"""
    fine_epochs: int = Field(3, ge=0)
    """passes of fine-tuning over the training images; 0 to leave it out"""
    fine_learning_rate: float = Field(1e-3, gt=0)
    """of its Adam"""
    rates: tuple[PositiveInt, ...] = (2, 4, 6, 8, 10, 12, 14, 15, 16, 24, 32)
    """steps of the rate code that radix is compared with"""
    units: int = Field(2, ge=1)
    """output channels of a convolution at once"""
    linear: int = Field(16, ge=1)
    """outputs of a linear layer at once"""
    checked: int = Field(20, ge=1)
    """test images that spikes and accelerator work through too"""


S = TypeVar("S", bound=RadixSettings)


class RadixRecipe(Recipe[S]):
    """A plain PyTorch network that becomes radix spikes and an accelerator."""

    sweeps = (
        Sweep(
            "Accuracy over steps",
            "steps that a value takes",
            "test accuracy, %",
            {"rate code": BY_RATE, "radix": RADIX},
            "The same weights; values as the number of evenly spaced spikes, and as bits. The "
            "level is that of radix at its own number of steps.",
        ),
    )

    @abstractmethod
    def module(self, settings: S) -> nn.Module:
        """The network, fresh."""

    def network(self, settings: S) -> sw.Network:
        return sw.Sequential(sw.Fold(self.module(settings)), dt=DT)

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        """First weights are those of PyTorch."""

    def rule(self, settings: S) -> Surrogate:
        return Surrogate(
            decoder=sw.coding.Mean(), learning_rate=settings.learning_rate, schedule="cosine"
        )

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        outcome = run(self, settings, folder, resume=resume, progress=progress)
        return outcome.metrics() | self.explore(outcome)

    def explore(self, outcome: Outcome) -> dict[str, float]:
        with threads(outcome.parts.settings.threads):
            return self._explored(outcome)

    def _explored(self, outcome: Outcome) -> dict[str, float]:
        settings: Any = outcome.parts.settings
        data: Any = outcome.parts.data
        x, y = _images(data.train, range(len(data.train)))
        module = _module(outcome.parts.network)
        made = convert(module, x[: settings.calibrated], _quantisation(settings))
        values = {ROUNDED: _accuracy(made.network, data.test)}
        if settings.fine_epochs:
            tuning = FineTuning(
                settings.fine_epochs,
                settings.batch_size,
                settings.fine_learning_rate,
                settings.seed,
            )
            made = fine_tune(made, x, y, tuning)
        values[RADIX] = _accuracy(made.network, data.test)
        return (
            values
            | self._by_rate(made.network, data.test, settings, values[RADIX])
            | (self._accelerated(made.network, data.test, settings))
        )

    def _by_rate(
        self, network: IntegerNetwork, test: Any, settings: S, wanted: float
    ) -> dict[str, float]:
        same = 2**settings.bits - 1  # steps that give the very numbers of radix
        tried = sorted({*settings.rates, same})
        found = {steps: _rate_accuracy(network, test, steps) for steps in tried}
        short = [steps for steps in tried if steps < same and found[steps] < wanted]
        enough = min(steps for steps in tried if steps > max(short, default=0))
        values = {BY_RATE.format(x=steps): accuracy for steps, accuracy in found.items()}
        return values | {TIMES: enough / settings.bits}

    def _accelerated(self, network: IntegerNetwork, test: Any, settings: S) -> dict[str, float]:
        """Spikes, clocks, and images on which not all agree."""
        x, _ = _images(test, range(min(settings.checked, len(test))))
        q = encode(network, x)
        shown = list(run_spikes(network, q))
        sums = network.run(q).numpy()
        program = assemble(network, Hardware(units=settings.units, linear=settings.linear))
        found = interpret(program, q.numpy())
        others = np.stack([shown[-1].values.numpy(), found.results])
        differ = (others != sums).reshape(2, len(sums), -1).any(2).any(0)
        return {
            DIFFER: float(differ.sum()),
            CLOCKS: float(found.cycles),
            "spikes an image": sum(each.spikes for each in shown) / len(q),
            "synaptic additions an image": sum(each.additions for each in shown) / len(q),
        }


def _module(network: sw.Network) -> nn.Module:
    (fold,) = network.layers.values()
    assert isinstance(fold, sw.Fold)
    return fold.module.eval()


def _images(split: Any, index: Iterable[int]) -> tuple[Tensor, Tensor]:
    """Images (samples, *features), without the one step that they take in training."""
    x, y = split.batch(torch.tensor(list(index)))
    return x[0], y


def _parts(split: Any) -> Iterable[tuple[Tensor, Tensor]]:
    for first in range(0, len(split), PART):
        yield _images(split, range(first, min(first + PART, len(split))))


def _accuracy(network: IntegerNetwork, split: Any) -> float:
    right = sum(
        int((network.run(encode(network, x)).flatten(1).argmax(1) == y).sum())
        for x, y in _parts(split)
    )
    return 100 * right / len(split)


def _rate_accuracy(network: IntegerNetwork, split: Any, steps: int) -> float:
    right = 0
    for x, y in _parts(split):
        *_, last = run_rates(network, x, steps)
        right += int((last.values.flatten(1).argmax(1) == y).sum())
    return 100 * right / len(split)


def _quantisation(settings: RadixSettings) -> Quantisation:
    return Quantisation(
        WeightQuantisation(settings.weight_bits, settings.clip),
        bits=settings.bits,
        ranges=settings.ranges,
        input_top=1.0,
        margin_bits=settings.margin_bits,
    )
