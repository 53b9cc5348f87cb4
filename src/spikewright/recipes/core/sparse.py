"""What the recipes of sparse spiking gradient descent share.

Perez-Nieves and Goodman, NeurIPS 2021 (arXiv:2105.08810): two hidden layers of LIF neurons without
biases, v <- alpha v + W s, threshold 1, and a leaky readout whose maximum over time is the score.
The surrogate is 1 / (100 |v - 1| + 1)^2 and exactly zero where |v - 1| >= window. Two things
differ from the authors' code: a reset takes 1 away in the step of the spike and not in the next
one, and a layer passes its spikes on in the same step.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field

import spikewright as sw
from spikewright.coding import Max
from spikewright.learning import Profile, WindowSchedule
from spikewright.learning.regularisers import LowerRate, UpperRate
from spikewright.recipes.core.recipe import SIZES, Figure, Recipe, RunSettings
from spikewright.recipes.core.run import Outcome, run

DT = 1e-3
WIDTH = 0.01
SECOND = ("2_linear", "3_lif")
ROUNDS = 3
"""In which costs are measured in turn, so that a busy spell of the machine hits all alike."""


class SparseSettings(RunSettings):
    """Network, window and training."""

    epochs: int = Field(10, ge=1)
    """passes over the training samples"""
    batch_size: int = Field(128, ge=1)
    """samples a step"""
    threads: int | None = Field(1, ge=1)
    """processor threads: two are little faster, and crawl where another job runs too"""
    samples: int | None = Field(None, ge=1)
    """at most that many samples of each split; all if not set"""
    validation: int = Field(1000, ge=1)
    """training samples held out to choose the best epoch"""
    steps: int = Field(100, ge=1)
    """time steps of 1 ms"""
    hidden: int = Field(200, ge=1)
    """neurons of each hidden layer"""
    tau: float = Field(10e-3, gt=0)
    """time constant of membranes, the readout's too, s"""
    window: float | None = Field(0.2, gt=0)
    """half-width of the surrogate's window; not set: the dense rule"""
    first_window: float | None = Field(None, gt=0)
    """half-width in the first training steps; the same if not set"""
    first_steps: int = Field(100, ge=1)
    """training steps before the window is the narrow one"""
    learning_rate: float = Field(2e-4, gt=0)
    """of Adam"""
    most_spikes: float = Field(1.0, ge=0)
    """mean spikes a neuron and sample that are free"""
    sweep: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 5e-2)
    """windows to compare with ``window``"""
    sweep_epochs: int = Field(3, ge=1)
    """passes over the training samples in that comparison"""


S = TypeVar("S", bound=SparseSettings)


class SparseRecipe(Recipe[S]):
    """A network trained with the window and, from the same seed, without it."""

    @abstractmethod
    def first_weights(self, weight: torch.Tensor, settings: S) -> None:
        """Draw the first weights of a layer, (outputs, inputs), in place."""

    def network(self, settings: S, *, backend: Any = "auto", path: Any = "auto") -> sw.Network:
        width, inputs = settings.hidden, self.inputs
        gain = 1 / -math.expm1(-DT / settings.tau)  # so that a weight is what a spike adds to v

        def neurons() -> sw.LIF:
            firing = sw.Firing(reset="subtract")
            return sw.LIF(tau_mem=settings.tau, r=gain, firing=firing, backend=backend)

        sizes = ((inputs, width), (width, width), (width, 10))
        first, second, last = (sw.Linear(*size, bias=False, path=path) for size in sizes)
        readout = sw.LI(tau_mem=settings.tau, backend=backend)
        return sw.Sequential(first, neurons(), second, neurons(), last, readout, dt=DT)

    inputs: int

    def prepare(self, network: sw.Network, data: Any, settings: S) -> None:
        with torch.no_grad():
            for weight in network.parameters():
                self.first_weights(weight, settings)

    def rule(self, settings: S) -> sw.learning.Surrogate:
        first, schedule = settings.first_window, None
        if first is not None and settings.window is not None:
            schedule = WindowSchedule(first, settings.first_steps)
        upper = UpperRate(strength=0.06, maximum=settings.most_spikes, per="population")
        return sw.learning.Surrogate(
            decoder=Max(),
            surrogate=sw.surrogate.SuperSpike(WIDTH, window=settings.window),
            window=schedule,
            regularisers=(upper, LowerRate(strength=100.0, minimum=1e-3)),
            learning_rate=settings.learning_rate,
        )

    def measure(
        self, settings: S, folder: Path, *, resume: bool | str, progress: bool
    ) -> dict[str, float]:
        def train(name: str, **changed: Any) -> Outcome:
            changed_settings = settings.model_copy(update=changed)
            return run(self, changed_settings, folder / name, resume=resume, progress=progress)

        def swept(window: float | None) -> float:
            name, epochs = f"window-{window or 0:g}", settings.sweep_epochs
            return train(name, window=window, epochs=epochs).metrics()[ACCURACY]

        sparse = train("sparse")
        values = {ACCURACY: sparse.metrics()[ACCURACY]}
        values[AHEAD] = values[ACCURACY] - train("dense", window=None).metrics()[ACCURACY]
        if settings.sweep:
            best = swept(settings.window)
            values |= {lost_at(window): best - swept(window) for window in settings.sweep}
        return values | self._costs(sparse)

    def _costs(self, outcome: Outcome) -> dict[str, float]:
        """Active fractions, times and memory of the trained network on a test batch."""
        settings: Any = outcome.parts.settings
        test = outcome.parts.data.test
        x, _ = test.batch(range(min(settings.batch_size, len(test))))
        weights = outcome.parts.network.state_dict()

        def cost(window: float | None, **how: Any) -> Profile:
            network = self.network(settings, **how)
            network.load_state_dict(weights)
            near = sw.surrogate.SuperSpike(WIDTH, window=window)
            return sw.profile(network, x, surrogate=near, repeats=3)

        eager_way = {"backend": "reference", "path": "dense"}
        rounds = [
            (cost(settings.window), cost(None), cost(None, **eager_way)) for _ in range(ROUNDS)
        ]
        sparse, _, eager = rounds[0]
        times = [min(map(_second, profiles)) for profiles in zip(*rounds, strict=True)]
        return {
            active_in(1): 100 * (sparse["1_lif"].active or 0.0),
            active_in(2): 100 * (sparse["3_lif"].active or 0.0),
            BACKWARD: 1e3 * times[0],
            OVER_FUSED: times[1] / times[0],
            OVER_EAGER: times[2] / times[0],
            LESS_MEMORY: 100 * (1 - _kept(sparse) / _kept(eager)),
        }


ACCURACY = "test accuracy, %"
AHEAD = "test accuracy, sparse minus dense, points"
BACKWARD = "backward of layer 2, ms"
OVER_FUSED = "backward of layer 2, times faster than our dense kernels"
OVER_EAGER = "backward of layer 2, times faster than eager dense"
LESS_MEMORY = "kept for the backward pass, % less than eager dense"


def active_in(layer: int) -> str:
    """The metric of a hidden layer's active fraction, layers counted from 1."""
    return f"active in layer {layer}, %"


def lost_at(window: float) -> str:
    """The metric of the sweep at a window."""
    return f"test accuracy lost at window {window:g}, points"


@dataclass(frozen=True)
class Published:
    """What the paper's result files say at width 200 (times in ms, on a GPU, batch 256)."""

    active: tuple[float, float]
    sparse: float
    dense: float

    def figures(self) -> tuple[Figure, ...]:
        """What both recipes must meet, whatever the size."""
        paper, ours = "Perez-Nieves and Goodman, width 200", "target of this project"
        on_gpu = f"{paper}, GPU, batch 256"
        return (
            Figure(AHEAD, -0.5, ours),
            Figure(active_in(1), self.active[0], paper, "lower"),
            Figure(active_in(2), self.active[1], paper, "lower"),
            Figure(BACKWARD, self.sparse, on_gpu, "lower"),
            Figure(OVER_FUSED, 1.0, ours),
            Figure(OVER_EAGER, round(self.dense / self.sparse, 1), on_gpu),
            Figure(LESS_MEMORY, 29.0, f"{paper}: 29 to 37 % of the peak"),
        )


_COLLAPSE = {1e-4: 55, 1e-3: 20}
_NO_LOSS = {1e-2: -1, 5e-2: -5}


def sweep_figures(*windows: float, sizes: tuple[str, ...] = SIZES) -> tuple[Figure, ...]:
    """What the sweep must show: below 1e-3 the accuracy collapses, above it does not.

    The paper's own sweep is on the Spiking Heidelberg Digits at width 400.
    """
    source = "target of this project; paper, on SHD: {}".format
    fails = (w for w in windows if w in _COLLAPSE)
    holds = (w for w in windows if w in _NO_LOSS)
    return (
        *(Figure(lost_at(w), 10.0, source(_COLLAPSE[w]), "higher", sizes) for w in fails),
        *(Figure(lost_at(w), 5.0, source(_NO_LOSS[w]), "lower", sizes) for w in holds),
    )


def _second(profile: Profile) -> float:
    return sum(profile[name].backward or 0.0 for name in SECOND)


def _kept(profile: Profile) -> int:
    return sum(layer.kept for layer in profile.layers)
