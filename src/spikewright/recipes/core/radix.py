"""What recipes for the FPGA share: train, quantise, fine-tune, compare codes, count clocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, PositiveInt
from torch import Tensor, nn

import spikewright as sw
from spikewright.learning import Surrogate, accuracy_over_time
from spikewright.learning import convert as to_rates
from spikewright.recipes.core.radix_images import (
    accuracy_of,
    images_of,
    rate_accuracy_of,
    training_images,
)
from spikewright.recipes.core.recipe import Recipe, RunSettings
from spikewright.recipes.core.run import Outcome, Parts, build, run, threads, trained
from spikewright.recipes.core.say import Say, aloud, silent
from spikewright.recipes.core.simulation import Simulation, differ
from spikewright.recipes.core.sweep import PLACE, Sweep
from spikewright.recipes.core.trials import ACCURACY
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.dimensions import Dimensions, Hardware
from spikewright.targets.fpga.exploring.explore import Candidate
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.integer import IntegerNetwork
from spikewright.targets.fpga.interpreter import interpret
from spikewright.targets.fpga.quantising.fine_tune import FineTuning, Step, fine_tune
from spikewright.targets.fpga.quantising.quantised import Quantised
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from spikewright.targets.fpga.spikes import run_spikes
from spikewright.training import load_weights

DT = 1e-3
FEW = 100
"""Images that neurons work through at once, in all their steps."""
RADIX = "radix: test accuracy, %"
ROUNDED = "radix before fine-tuning: test accuracy, %"
BY_RATE = f"rate, {PLACE} steps: test accuracy, %"
TIMES = "steps from which on the rate code has the accuracy of radix, over those of radix"
BY_NEURONS = f"IF neurons step by step, {PLACE} steps: test accuracy, %"
BY_RATE_MAXIMA = f"IF neurons step by step, maximum of rates, {PLACE} steps: test accuracy, %"
FEWEST = "fewest steps at which IF neurons have the accuracy of radix, over those of radix"
MAXIMA: dict[str, Literal["spikes", "rates"]] = {BY_NEURONS: "spikes", BY_RATE_MAXIMA: "rates"}
"""What max pooling is for IF neurons, by the accuracies that are measured."""
CLOCKS = "clocks an image"
DIFFER = "images on which integers, spikes and accelerator differ"
DROP = "test accuracy that radix loses, points"
SIMULATED = "images that the SystemVerilog worked through"


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
    fine_images: int | None = Field(None, ge=1)
    """training images that fine-tuning goes over; all if not set"""
    fine_learning_rate: float = Field(1e-3, gt=0)
    """of its Adam"""
    rates: tuple[PositiveInt, ...] = (2, 4, 6, 8, 10, 12, 14, 15, 16, 24, 32)
    """steps of the rate code that radix is compared with"""
    stepped: tuple[PositiveInt, ...] = ()
    """steps of the IF neurons, run step by step, that radix is compared with; none to leave it"""
    units: int = Field(2, ge=1)
    """output channels of a convolution at once"""
    linear: int = Field(16, ge=1)
    """outputs of a linear layer at once"""
    checked: int = Field(20, ge=1)
    """test images that spikes and accelerator work through too"""
    simulated: int = Field(100, ge=0)
    """test images that the SystemVerilog works through too, where Verilator is installed"""


S = TypeVar("S", bound=RadixSettings)


class RadixRecipe(Recipe[S]):
    """A plain PyTorch network that becomes radix spikes and an accelerator."""

    sweeps = (
        Sweep(
            "Accuracy over steps",
            "steps that a value takes",
            "test accuracy, %",
            {
                "rate code": BY_RATE,
                "IF neurons, step by step": BY_NEURONS,
                "IF neurons, maximum of rates": BY_RATE_MAXIMA,
                "radix": RADIX,
            },
            "The same weights; values as the number of evenly spaced spikes, layer by layer, and "
            "as bits. IF neurons, with the weights before rounding, answer in every step; max "
            "pooling passes any spike of a window, or as many as its busiest input has. The level "
            "is that of radix at its own number of steps.",
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

    def rounded(self, parts: Parts, x: Tensor) -> Quantised:
        """The trained network in whole numbers, its ranges chosen on the first of the images."""
        settings: Any = parts.settings
        module = _module(parts.network)
        return convert(module, x[: settings.calibrated], _quantisation(settings))

    def tuned(
        self,
        made: Quantised,
        images: tuple[Tensor, Tensor],
        settings: S,
        progress: Callable[[Step], object] | None = None,
    ) -> Quantised:
        """Trained on with its roundings on images and their classes, where settings ask for it."""
        if not settings.fine_epochs:
            return made
        tuning = FineTuning(
            settings.fine_epochs,
            settings.batch_size,
            settings.fine_learning_rate,
            settings.seed,
        )
        x, y = (each[: settings.fine_images] for each in images)
        return fine_tune(made, x, y, tuning, progress=progress)

    def in_whole_numbers(
        self,
        parts: Parts,
        images: tuple[Tensor, Tensor],
        settings: S,
        progress: Callable[[Step], object] | None = None,
    ) -> Quantised:
        """The trained network rounded and fine-tuned, in other numbers if settings say so."""
        rounded = self.rounded(replace(parts, settings=settings), images[0])
        return self.tuned(rounded, images, settings, progress)

    def _trained(self, settings: S, folder: Path) -> tuple[Parts, tuple[Tensor, Tensor]]:
        """A run in a folder with its best weights, and its training images."""
        parts = build(self, settings)
        load_weights(parts.network, trained(folder))
        return parts, training_images(parts.data, settings.seed)

    def quantised(
        self, settings: S, folder: Path, progress: Callable[[Step], object] | None = None
    ) -> tuple[Quantised, Tensor]:
        """What a run in a folder comes to: its best weights rounded and fine-tuned.

        Args:
            progress: called after each batch of fine-tuning.

        Returns:
            The network, and the images that its ranges were chosen on.

        Raises:
            CheckpointError: the folder holds no trained weights.
        """
        with threads(settings.threads):
            parts, images = self._trained(settings, folder)
            made = self.in_whole_numbers(parts, images, settings, progress)
        return made, images[0][: settings.calibrated]

    def candidates(
        self,
        settings: S,
        folder: Path,
        choices: Iterable[tuple[int, int]],
        progress: Callable[[str], object],
    ) -> list[Candidate]:
        """The network of a run in other numbers, and how well it does on validation images.

        Args:
            choices: T and bits of weights of each.
            progress: called with what comes next.

        Raises:
            CheckpointError: the folder holds no trained weights.
        """
        with threads(settings.threads):
            parts, images = self._trained(settings, folder)
            found: list[Candidate] = []
            for steps, bits in choices:
                progress(f"T = {steps}, weights of {bits} bits: rounding")
                chosen = settings.model_copy(update={"bits": steps, "weight_bits": bits})
                network = self.in_whole_numbers(parts, images, chosen).network
                accuracy = accuracy_of(network, parts.data.validation)
                q = encode(network, images[0][: settings.checked]).numpy()
                found.append(Candidate(network, steps, bits, accuracy, q))
        return found

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        outcome = run(self, settings, folder, resume=resume, progress=progress)
        values = outcome.metrics() | self.explore(outcome, aloud if progress else silent)
        return values | {DROP: values[ACCURACY] - values[RADIX]}

    def explore(self, outcome: Outcome, say: Say = silent) -> dict[str, float]:
        with threads(outcome.parts.settings.threads):
            return self._explored(outcome, say)

    def _explored(self, outcome: Outcome, say: Say) -> dict[str, float]:
        settings: Any = outcome.parts.settings
        data: Any = outcome.parts.data
        x, y = training_images(data, settings.seed)
        say(
            f"rounding and fine-tuning: T = {settings.bits}, weights of {settings.weight_bits} bits"
        )
        made = self.rounded(outcome.parts, x)
        values = {ROUNDED: accuracy_of(made.network, data.test)}
        made = self.tuned(made, (x, y), settings, partial(_say_epoch, say))
        values[RADIX] = accuracy_of(made.network, data.test)
        return (
            values
            | self.by_rate(made.network, data.test, settings, values[RADIX], say)
            | self._by_neurons(outcome, x, values[RADIX], say)
            | self._accelerated(made.network, data.test, settings, say)
        )

    def by_rate(
        self,
        network: IntegerNetwork,
        test: Any,
        settings: S,
        wanted: float,
        say: Say = silent,
    ) -> dict[str, float]:
        """Accuracies of the rate code, and from how many steps on it has the one wanted."""
        same = 2**network.bits - 1  # steps that give the very numbers of radix
        tried = sorted({*settings.rates, same})
        found: dict[int, float] = {}
        for steps in tried:
            say(f"test images in a rate code of {steps} steps")
            found[steps] = rate_accuracy_of(network, test, steps)
        short = [steps for steps in tried if steps < same and found[steps] < wanted]
        enough = min(steps for steps in tried if steps > max(short, default=0))
        values = {BY_RATE.format(x=steps): accuracy for steps, accuracy in found.items()}
        return values | {TIMES: enough / network.bits}

    def _by_neurons(self, outcome: Outcome, x: Tensor, wanted: float, say: Say) -> dict[str, float]:
        """The module as rates of `IF` neurons, all layers at work in every step."""
        settings: Any = outcome.parts.settings
        lengths = sorted(set(settings.stepped))
        if not lengths:
            return {}
        module = _module(outcome.parts.network)
        values: dict[str, float] = {}
        fewest = lengths[-1]  # without any, a lower bound
        for metric, max_pool in MAXIMA.items():
            say(f"test images through IF neurons, {lengths[-1]} steps, maximum of {max_pool}")
            network = to_rates(module, x[: settings.calibrated], dt=DT, max_pool=max_pool)
            found = accuracy_over_time(
                network, outcome.parts.data.test, lengths, batch_size=FEW, seed=settings.seed
            )
            # From counts, as `accuracy_of` has it: equal accuracies are equal numbers.
            right = (round(share * found.samples) for share in found.accuracy)
            shares = {k: 100 * n / found.samples for k, n in zip(found.steps, right, strict=True)}
            values |= {metric.format(x=k): share for k, share in shares.items()}
            fewest = min([fewest, *(k for k, share in shares.items() if share >= wanted)])
        return values | {FEWEST: fewest / settings.bits}

    def _accelerated(
        self, network: IntegerNetwork, test: Any, settings: S, say: Say
    ) -> dict[str, float]:
        """Spikes, clocks, memories, and images on which not all agree."""
        x, _ = images_of(test, range(min(settings.checked, len(test))))
        q = encode(network, x)
        shown = list(run_spikes(network, q))
        sums = network.run(q).numpy()
        program = assemble(network, Hardware(units=settings.units, linear=settings.linear))
        found = interpret(program, q.numpy())
        wrong = differ(shown[-1].values.numpy(), sums) | differ(found.results, sums)
        simulation = Simulation(program, found.cycles, network, test)
        count, broken, speed = simulation.run(settings.simulated, say)
        return {
            DIFFER: float(wrong.sum()) + broken,
            SIMULATED: float(count),
            **speed,
            CLOCKS: float(found.cycles),
            **_memories(program.dimensions),
            "spikes an image": sum(each.spikes for each in shown) / len(q),
            "synaptic additions an image": sum(each.additions for each in shown) / len(q),
        }


def _say_epoch(say: Say, step: Step) -> None:
    """That an epoch of fine-tuning is over."""
    if step.batch == step.batches:
        say(f"fine-tuning: epoch {step.epoch} of {step.epochs}, loss {step.loss:.4f}")


def _memories(d: Dimensions) -> dict[str, float]:
    return {
        "memory of weights, kbit": d.weight * (d.kernels * d.units + d.weights * d.linear) / 1e3,
        "memory of activations, kbit": d.word * (d.depth_0 + d.depth_1) / 1e3,
    }


def _module(network: sw.Network) -> nn.Module:
    (fold,) = network.layers.values()
    assert isinstance(fold, sw.Fold)
    return fold.module.eval()


def _quantisation(settings: RadixSettings) -> Quantisation:
    return Quantisation(
        WeightQuantisation(settings.weight_bits, settings.clip),
        bits=settings.bits,
        ranges=settings.ranges,
        input_top=1.0,
        margin_bits=settings.margin_bits,
    )
